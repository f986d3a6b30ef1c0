//! Parameters that release-service gives to runs; the tasks of release pipelines read them. Objects are told as
//! `<namespace>/<name>`, by their kind with a small first letter.

pub const RELEASE: &str = "release";
pub const RELEASE_PLAN: &str = "releasePlan";
pub const RELEASE_PLAN_ADMISSION: &str = "releasePlanAdmission";
pub const RELEASE_SERVICE_CONFIG: &str = "releaseServiceConfig";
pub const SNAPSHOT: &str = "snapshot";

/// Of a managed run: the spec of the policy, in compact JSON.
pub const ENTERPRISE_CONTRACT_POLICY: &str = "enterpriseContractPolicy";

/// Of a managed run: the bundle with the task that verifies it, from the ConfigMap
/// [`EC_DEFAULTS`](crate::names::EC_DEFAULTS), where it stands under the same name.
pub const VERIFY_EC_TASK_BUNDLE: &str = "verify_ec_task_bundle";

/// Of a managed run: the commit that this task is taken from, likewise.
pub const VERIFY_EC_TASK_GIT_REVISION: &str = "verify_ec_task_git_revision";

/// URL of the repository that the pipeline came from: its tasks come from there too.
pub const TASK_GIT_URL: &str = "taskGitUrl";

/// Commit that the pipeline came from: so do its tasks.
pub const TASK_GIT_REVISION: &str = "taskGitRevision";

/// [`ociStorage`](crate::pipeline::PipelineRef::oci_storage) of the pipeline.
pub const OCI_STORAGE: &str = "ociStorage";

/// Of collectors: the latest Release of the plan before this one that did not fail and had another Snapshot, or
/// nothing.
pub const PREVIOUS_RELEASE: &str = "previousRelease";

/// Of collectors: `releaseplan` or `releaseplanadmission`.
pub const COLLECTORS_RESOURCE_TYPE: &str = "collectorsResourceType";

/// Of collectors: the plan or admission that they stand in.
pub const COLLECTORS_RESOURCE: &str = "collectorsResource";
