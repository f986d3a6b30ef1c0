//! TaskRuns (runtime specification, section 2).
//!
//! ```text
//! pod          what pod a TaskRun becomes
//! termination  what its steps leave behind
//! status       what the pod's state makes of the run
//! ```

pub(crate) mod controller;
pub mod decide;
pub mod pod;
pub mod prepare;
pub mod status;
pub mod termination;
