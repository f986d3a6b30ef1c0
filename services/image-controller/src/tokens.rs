//! The token endpoint of the registry (distribution token specification): who shows the password of a robot gets a token
//! that is good for its repositories, and nobody else's, for a few minutes.
//!
//! ```text
//! docker login, containerd, buildah ─▶ registry: 401, realm ─▶ GET /token ─▶ endpoint ─▶ grant ─▶ signer ─▶ JWT
//!                                                                              ▲
//!                              Secrets of this namespace: repositories, robots ┘ store, also while the API server is away
//! ```
//! It writes nothing and leads nothing: any number of replicas answer alike.

mod args;
mod endpoint;
mod grant;
mod metrics;
pub(crate) mod record;
mod service;
pub(crate) mod signer;

pub use args::Args;
pub use metrics::register_all;
pub use service::run;
