//! Runs pipelines of a private cluster for `InternalRequests` of another one, and brings back what they said.
//!
//! ```text
//! remote cluster                       │  local cluster
//! InternalRequest ──watch──▶ request ──┼──▶ PipelineRun
//!      status    ◀──results, outcome───┼───     │ done
//!                            orphans ──┼──▶ delete those whose request is gone
//! ```
//! The service dials out and nobody dials in. What may be asked for, and by whom, is said in the local cluster alone.

mod args;
pub mod metrics;
mod orphans;
mod remote;
mod request;
mod service;
mod settings;
mod stores;
mod watched;

pub use args::Args;
pub use service::run;
