//! Releases Snapshots: by pipelines of their tenant, and by those of the release team that admits them.
//!
//! ```text
//! ReleasePlan ◀─ matching ─▶ ReleasePlanAdmission         plan, admission: their statuses
//!      ▲                         ▲
//! Release ─▶ validate ─▶ phases: start ─▶ track ─▶ clean up ─▶ status        release
//!    │                     (collectors, tenant, managed, final)
//!    └─ expires ─▶ deleted                                                   expiry
//! ```
//! All is decided from objects: a crash between any two writes is made up for by the next pass. Names of runs and bindings are
//! derived from Release, phase and attempt, so that nothing is made twice.

mod admission;
mod args;
mod conditions;
mod expiry;
mod matching;
pub mod metrics;
mod plan;
mod release;
mod service;
mod stores;
mod sweep;
mod trim;
mod webhook;

pub use args::Args;
pub use service::run;
