//! Updates of what repositories refer to: by the updater of the toolbox, or by Renovate, which are configured alike.
//!
//! ```text
//! settings (config) ─▶ ConfigMap ─┐
//! token of the forge ─▶ Secret ───┼─▶ a pod that runs the updater (step): of a PipelineRun of nudge and mintmaker,
//!                                 │   or of a Job for the references in .tekton (tekton)
//! ```
//! What a pod needs is made before it may begin: runs are made pending and Jobs suspended, and let go last. So none waits for
//! a Secret that a crash has kept from it.

pub(crate) mod config;
mod job;
pub(crate) mod options;
pub(crate) mod step;
pub(crate) mod tekton;

use fleet::{Class, Classed};

use crate::failure::Failure;

/// Why a controller of updates could not do what it has to. It is tried again: what is for good is no error here, but told.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Error(#[from] Failure);

impl Classed for Error {
    fn class(&self) -> Class {
        Class::Retry
    }

    fn label(&self) -> &'static str {
        "update"
    }
}
