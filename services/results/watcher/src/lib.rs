//! Archives PipelineRuns, TaskRuns and their logs through the results API, and deletes runs that are archived.
//!
//! ```text
//! PipelineRun ─┐                      ┌─▶ hold: finalizer and names ─▶ archive: Result, Record ─▶ API of results
//!              ├─ stores ─▶ decide ───┼─▶ log: pods, or the logs of TaskRuns ─▶ upload ────────▶ API of results
//! TaskRun ─────┘                      └─▶ mark ─▶ delete ─▶ let go
//! ```
//! Nothing is deleted, and no finalizer comes off in time, before the state that is seen is archived: see [`mod@decide`].

mod archive;
mod args;
mod decide;
mod document;
mod facts;
mod keys;
mod log;
mod marks;
mod memory;
mod metrics;
mod names;
mod prune;
mod reconcile;
mod remote;
mod run;
mod selector;
mod service;
mod stores;
mod summary;
mod waits;

pub use args::Args;
pub use metrics::Metrics;
pub use service::run;
