//! Keys and values of labels on the kinds of this crate and on the runs that internal-services starts.

use fleet_api::LabelKey;

/// `PipelineRun` label: name of the `InternalRequest`.
pub const NAME: LabelKey = LabelKey::new("internal-services.appstudio.openshift.io/name");

/// `PipelineRun` label: namespace of the `InternalRequest`, in the remote cluster.
pub const NAMESPACE: LabelKey = LabelKey::new("internal-services.appstudio.openshift.io/namespace");

/// `PipelineRun` label [`PIPELINE_TYPE`](fleet_api::keys::PIPELINE_TYPE) of the runs of this service.
pub const PIPELINE_TYPE_RELEASE: &str = "release";

/// `InternalRequest` label, set by whoever makes it: uid of the `PipelineRun` that asks. By it the requests of a
/// run are cleaned up.
pub const PIPELINE_RUN_UID: LabelKey =
    LabelKey::new("internal-services.appstudio.openshift.io/pipelinerun-uid");

/// `InternalRequest` label, set by whoever makes it: uid of the `TaskRun` that asks. By it a batch of requests is
/// waited for.
pub const GROUP_ID: LabelKey = LabelKey::new("internal-services.appstudio.openshift.io/group-id");
