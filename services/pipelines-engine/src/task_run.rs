//! TaskRuns (runtime specification, section 2).
//!
//! ```text
//! pod          what pod a TaskRun becomes
//! termination  what its steps leave behind
//! result_log   the same by the log of a sidecar, if results may be large
//! status       what the pod's state makes of the run
//! ```

pub(crate) mod controller;
pub mod decide;
pub mod pod;
pub mod prepare;
pub mod result_log;
pub mod status;
pub mod termination;
