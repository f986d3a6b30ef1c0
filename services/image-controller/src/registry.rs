//! The registry that image repositories are in, behind one trait.
//!
//! ```text
//! Connector ── files of the mounted Secret, read anew each time ──▶ dyn Backend ─┬─ Quay: its REST API
//!                                                                               ├─ Distribution: records that the token
//!                                                                               │    endpoint answers from
//!                                                                               └─ Plain: one account for all
//! ```
//! Repositories and robots are named without their organisation here: `team/app/web`, `team_app_web_0123456789`. Every
//! call can be made again after a crash: what is there already, or gone already, is success.

mod backend;
mod connect;
mod distribution;
mod error;
mod name;
mod pace;
mod plain;
mod quay;

pub use backend::{Backend, Registered, Robot, Role};
pub(crate) use connect::api_url;
pub use connect::{BackendKind, Connector, Options};
pub use error::Error;
pub(crate) use pace::{CALLS_AT_ONCE, Pace};
pub(crate) use quay::Quay;
