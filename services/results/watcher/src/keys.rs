//! Keys on runs: those of the API (specification, section 3) and two that only the watcher knows.

use fleet_api::AnnotationKey;
pub(crate) use results_api::annotations::{
    CHILD_READY, EVENT_ID, LOG, PIPELINE_RUN_FINALIZER, RECORD, RESULT, RESULT_ANNOTATIONS, STORED,
    SUMMARY_ANNOTATIONS, TASK_RUN_FINALIZER, TRUE,
};

/// Digest of the state that was archived when [`STORED`] was written: spares a question after a restart. Ours.
pub(crate) const ARCHIVED: AnnotationKey = AnnotationKey::new("results.fleet.konflux-ci.dev/archived");

/// Why there is no log, or not all of it. Ours.
pub(crate) const LOG_MISSING: AnnotationKey = AnnotationKey::new("results.fleet.konflux-ci.dev/log-missing");

/// Written here, so that a change of them is nothing new to archive.
pub(crate) const OURS: [AnnotationKey; 7] = [RESULT, RECORD, LOG, STORED, CHILD_READY, ARCHIVED, LOG_MISSING];
