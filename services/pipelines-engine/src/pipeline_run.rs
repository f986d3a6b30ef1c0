//! PipelineRuns (runtime specification, section 1).
//!
//! ```text
//! graph      which task waits for which
//! progress   what has become of each task: its runs, or why it was skipped
//! results    what tasks gave out, put into those that need it
//! condition  what all that makes of the run
//! ```

pub mod child;
pub mod condition;
pub(crate) mod controller;
pub mod decide;
pub mod graph;
pub mod progress;
pub mod resolve;
pub mod results;
pub mod skip;
#[cfg(test)]
pub(crate) mod testing;
pub mod workspaces;
