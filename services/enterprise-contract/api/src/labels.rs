//! Keys of labels that rules look at.

use fleet_api::LabelKey;

/// Label of a Tekton Task: what kind of build it does, such as `docker`.
pub const BUILD_TYPE: LabelKey = LabelKey::new("build.appstudio.redhat.com/build_type");

/// Label of a Tekton Task: what it builds with, such as `java`.
pub const RUNTIME: LabelKey = LabelKey::new("pipelines.openshift.io/runtime");

/// Label of a `TaskRun`: name of its Task.
pub const TASK: LabelKey = LabelKey::new("tekton.dev/task");

/// Label of a `TaskRun`: name of the task in its pipeline.
pub const PIPELINE_TASK: LabelKey = LabelKey::new("tekton.dev/pipelineTask");

/// Labels of an image. Those of Kubernetes are written as these are, but these are not checked by it.
pub mod image {
    /// Directory of the manifests of an operator's bundle.
    pub const OLM_MANIFESTS: &str = "operators.operatorframework.io.bundle.manifests.v1";
    /// Directory of the catalog of operators.
    pub const FBC_CONFIGS: &str = "operators.operatorframework.io.index.configs.v1";
    /// Who made it.
    pub const VENDOR: &str = "vendor";
    /// [`VENDOR`] of images whose content manifests are read.
    pub const RED_HAT: &str = "Red Hat, Inc.";
}
