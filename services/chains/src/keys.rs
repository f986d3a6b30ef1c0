//! Keys on runs: what is written there is public API (specification, section 3).

use fleet_api::{AnnotationKey, Finalizer};

/// [`SIGNED_TRUE`] once all is signed and stored, [`SIGNED_FAILED`] when that was given up. Either ends the work on a run;
/// taking the annotation away begins it anew.
pub(crate) const SIGNED: AnnotationKey = AnnotationKey::new("chains.tekton.dev/signed");
/// Value of [`SIGNED`].
pub(crate) const SIGNED_TRUE: &str = "true";
/// Value of [`SIGNED`].
pub(crate) const SIGNED_FAILED: &str = "failed";

/// How far the time for trying again is used up: `0` to `3`. Kept afterwards.
pub(crate) const RETRIES: AnnotationKey = AnnotationKey::new("chains.tekton.dev/retries");

/// Where the last upload is found in the transparency log.
pub(crate) const TRANSPARENCY: AnnotationKey = AnnotationKey::new("chains.tekton.dev/transparency");

/// `true` asks for an upload where the log is `manual`.
pub(crate) const TRANSPARENCY_UPLOAD: AnnotationKey =
    AnnotationKey::new("chains.tekton.dev/transparency-upload");

/// Why [`SIGNED`] is `failed`. Ours.
pub(crate) const REASON: AnnotationKey = AnnotationKey::new("chains.fleet.konflux-ci.dev/reason");

/// What has to outlive a crash while a run is being signed: see [`crate::progress`]. Gone when that is over. Ours.
pub(crate) const PROGRESS: AnnotationKey = AnnotationKey::new("chains.fleet.konflux-ci.dev/progress");

/// Keeps a PipelineRun until it is signed.
pub(crate) const PIPELINE_RUN_FINALIZER: Finalizer = Finalizer::new("chains.tekton.dev/pipelinerun");

/// Keeps a TaskRun until it is signed.
pub(crate) const TASK_RUN_FINALIZER: Finalizer = Finalizer::new("chains.tekton.dev");

/// What newer versions of the original put on TaskRuns. Removed, never added.
pub(crate) const OTHER_TASK_RUN_FINALIZER: Finalizer = Finalizer::new("chains.tekton.dev/taskrun");

/// Begin all annotations that are written here.
pub(crate) const PREFIXES: [&str; 2] = ["chains.tekton.dev/", "chains.fleet.konflux-ci.dev/"];

/// Begins the annotations of the back end `tekton`, behind which the short key of an artifact stands.
pub(crate) mod tekton {
    pub(crate) const PAYLOAD: &str = "chains.tekton.dev/payload-";
    pub(crate) const SIGNATURE: &str = "chains.tekton.dev/signature-";
    pub(crate) const CERTIFICATE: &str = "chains.tekton.dev/cert-";
    pub(crate) const CHAIN: &str = "chains.tekton.dev/chain-";
}
