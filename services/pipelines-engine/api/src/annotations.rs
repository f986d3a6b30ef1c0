//! Annotations (specification, section 6).

use fleet_api::AnnotationKey;

/// On TaskRuns and pods: version of the engine.
pub const RELEASE: AnnotationKey = AnnotationKey::new("pipeline.tekton.dev/release");
/// On pods: [`READY_VALUE`] once the first step may begin.
pub const READY: AnnotationKey = AnnotationKey::new("tekton.dev/ready");
/// Value of [`READY`].
pub const READY_VALUE: &str = "READY";
/// On pods that are kept when their run is cancelled: [`CANCEL_VALUE`] ends the steps.
pub const CANCEL: AnnotationKey = AnnotationKey::new("tekton.dev/cancel");
/// Value of [`CANCEL`].
pub const CANCEL_VALUE: &str = "CANCEL";
/// On TaskRuns: `continue` where a failure is ignored.
pub const PIPELINE_TASK_ON_ERROR: AnnotationKey =
    AnnotationKey::new("pipeline.tekton.dev/pipeline-task-on-error");
/// On PipelineRuns and TaskRuns: the trace that they belong to, a JSON object of headers.
pub const PIPELINE_RUN_SPAN_CONTEXT: AnnotationKey = AnnotationKey::new("tekton.dev/pipelinerunSpanContext");
/// On TaskRuns: the trace that they belong to, a JSON object of headers.
pub const TASK_RUN_SPAN_CONTEXT: AnnotationKey = AnnotationKey::new("tekton.dev/taskrunSpanContext");
/// On Tasks and Pipelines: the signature that a VerificationPolicy asks for.
pub const SIGNATURE: AnnotationKey = AnnotationKey::new("tekton.dev/signature");

/// Begins the keys, with a number behind, that name the Git hosts of a Secret.
pub const GIT_HOST_PREFIX: &str = "tekton.dev/git-";
/// Begins the keys, with a number behind, that name the registries of a Secret.
pub const DOCKER_HOST_PREFIX: &str = "tekton.dev/docker-";
/// Begins the keys of chains. Dropped from new runs and never passed on: only chains writes them.
pub const CHAINS_PREFIX: &str = "chains.tekton.dev/";
/// What kubectl applied last. Never passed on.
pub const LAST_APPLIED: AnnotationKey =
    AnnotationKey::new("kubectl.kubernetes.io/last-applied-configuration");

/// On objects that were written in another version than they are read in: a JSON patch (RFC 6902) that, applied after the
/// conversion back, gives exactly what was written.
pub const KEPT: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/kept-by-conversion");

/// What of `v1beta1` has no field in `v1` (specification, section 5.3).
pub mod v1beta1 {
    use fleet_api::AnnotationKey;

    /// Deprecated fields of steps and templates, JSON by name of the Task.
    pub const TASK_DEPRECATIONS: AnnotationKey = AnnotationKey::new("tekton.dev/v1beta1.task-deprecations");
    /// PipelineResources, JSON.
    pub const RESOURCES: AnnotationKey = AnnotationKey::new("tekton.dev/v1beta1Resources");
    /// `status.cloudEvents`, JSON.
    pub const CLOUD_EVENTS: AnnotationKey = AnnotationKey::new("tekton.dev/v1beta1CloudEvents");
    /// `status.resourcesResult`, JSON.
    pub const RESOURCES_RESULT: AnnotationKey = AnnotationKey::new("tekton.dev/v1beta1ResourcesResult");
    /// `status.taskSpec.resources`, JSON.
    pub const RESOURCES_STATUS: AnnotationKey = AnnotationKey::new("tekton.dev/v1beta1ResourcesStatus");
}

/// In `status.annotations` of a ResolutionRequest: facts about what was found.
pub mod resolution {
    use fleet_api::AnnotationKey;

    pub const REVISION: AnnotationKey = AnnotationKey::new("resolution.tekton.dev/revision");
    pub const ORG: AnnotationKey = AnnotationKey::new("resolution.tekton.dev/org");
    pub const REPO: AnnotationKey = AnnotationKey::new("resolution.tekton.dev/repo");
    pub const PATH: AnnotationKey = AnnotationKey::new("resolution.tekton.dev/path");
    pub const URL: AnnotationKey = AnnotationKey::new("resolution.tekton.dev/url");
    pub const CONTENT_TYPE: AnnotationKey = AnnotationKey::new("resolution.tekton.dev/content-type");
    pub const NAME: AnnotationKey = AnnotationKey::new("resolution.tekton.dev/name");
    pub const NAMESPACE: AnnotationKey = AnnotationKey::new("resolution.tekton.dev/namespace");
}

/// On the layers of a bundle: what each holds.
pub mod bundle {
    /// `task`, `pipeline` or `stepaction`.
    pub const KIND: &str = "dev.tekton.image.kind";
    pub const NAME: &str = "dev.tekton.image.name";
    pub const API_VERSION: &str = "dev.tekton.image.apiVersion";
}
