//! Names of objects that release-service and others agree on.

/// `ClusterRole` that the account of a managed pipeline is bound to while it runs. Shipped with release-service.
pub const PIPELINE_ROLE: &str = "release-pipeline-resource-role";

/// ConfigMap, as `<namespace>/<name>`, with the task bundle that verifies policies. Written by enterprise-contract.
pub const EC_DEFAULTS: &str = "enterprise-contract-service/ec-defaults";

/// Name of the workspace of a run, unless the service's settings give another.
pub const WORKSPACE: &str = "release-workspace";

/// Size of the workspace of a run, unless the service's settings give another.
pub const WORKSPACE_SIZE: &str = "1Gi";

/// In the repository of release pipelines: the pipeline of both collectors phases.
pub const RUN_COLLECTORS: &str = "pipelines/run-collectors/run-collectors.yaml";

/// Lease by which the replicas of the original choose their leader: held too during a take-over.
pub const ORIGINAL_LEASE: &str = "f3d4c01a.redhat.com";

/// What the name of a `RoleBinding` to [`PIPELINE_ROLE`] has between that of its Release and the hash.
pub const PIPELINE_BINDING_INFIX: &str = "-rolebinding-for-release-pipeline-resource-role-";

/// As [`PIPELINE_BINDING_INFIX`], for the Role by which collectors read Secrets.
pub const COLLECTORS_ROLE_INFIX: &str = "-role-for-managed-collectors-";

/// As [`PIPELINE_BINDING_INFIX`], for the binding to that Role.
pub const COLLECTORS_BINDING_INFIX: &str = "-rolebinding-for-managed-collectors-";
