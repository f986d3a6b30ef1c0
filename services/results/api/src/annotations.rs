//! Keys that the archive writes on runs or reads from them (specification, section 3).

use fleet_api::{AnnotationKey, Finalizer, LabelKey};

/// Run annotation: name of its result, `<namespace>/results/<name>`. Written by the watcher; one that was there from the
/// start chooses the result.
pub const RESULT: AnnotationKey = AnnotationKey::new("results.tekton.dev/result");

/// Run annotation: name of its record. Written by the watcher.
pub const RECORD: AnnotationKey = AnnotationKey::new("results.tekton.dev/record");

/// Run annotation: name of its log. Written by the watcher.
pub const LOG: AnnotationKey = AnnotationKey::new("results.tekton.dev/log");

/// Run annotation: [`TRUE`] once the run has ended and is archived with its log. Written by the watcher.
pub const STORED: AnnotationKey = AnnotationKey::new("results.tekton.dev/stored");

/// Annotation of a run that belongs to a PipelineRun: [`TRUE`] once it no longer holds up that one's deletion. Written
/// by the watcher.
pub const CHILD_READY: AnnotationKey = AnnotationKey::new("results.tekton.dev/childReadyForDeletion");

/// Run annotation, by users: a JSON object that goes into the annotations of the result.
pub const RESULT_ANNOTATIONS: AnnotationKey = AnnotationKey::new("results.tekton.dev/resultAnnotations");

/// Run annotation, by users: a JSON object that goes into the annotations of the result's summary.
pub const SUMMARY_ANNOTATIONS: AnnotationKey =
    AnnotationKey::new("results.tekton.dev/recordSummaryAnnotations");

/// Value of annotations that are marks.
pub const TRUE: &str = "true";

/// Run label of Tekton Triggers: runs of one event go into one result.
pub const EVENT_ID: LabelKey = LabelKey::new("triggers.tekton.dev/triggers-eventid");

/// Keeps a PipelineRun until it is archived.
pub const PIPELINE_RUN_FINALIZER: Finalizer = Finalizer::new("results.tekton.dev/pipelinerun");

/// Keeps a TaskRun until it is archived.
pub const TASK_RUN_FINALIZER: Finalizer = Finalizer::new("results.tekton.dev/taskrun");
