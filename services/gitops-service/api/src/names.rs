//! Names of objects that gitops-service makes, and of what it asks others for.

/// What the name of the `GitOpsDeploymentManagedEnvironment` begins with that is made of an Environment, whose name
/// follows.
pub const MANAGED_ENVIRONMENT_PREFIX: &str = "managed-environment-";

/// What the name of the Secret begins with that credentials of a target are copied to, for an Environment, whose name
/// follows.
pub const MANAGED_ENVIRONMENT_SECRET_PREFIX: &str = "managed-environment-secret-";

/// Type of a Secret with a kubeconfig, under [`KUBECONFIG_KEY`]. Written by users and gitops-service.
pub const MANAGED_ENVIRONMENT_SECRET_TYPE: &str = "managed-gitops.redhat.com/managed-environment";

/// Key in such a Secret.
pub const KUBECONFIG_KEY: &str = "kubeconfig";

/// Type of a Secret with credentials for a repository: `username` and `password`, or `sshPrivateKey`. Written by users.
pub const REPOSITORY_SECRET_TYPE: &str = "managed-gitops.redhat.com/repository-credential";

/// What the name of the `SnapshotEnvironmentBinding` ends with that a promotion makes;
/// `<application>-<environment>` goes before. integration-service gives the same name, so that there is one of each.
pub const BINDING_SUFFIX: &str = "-generated-binding";

/// What the name of a `DeploymentTarget` ends with that was made for a claim; that of the claim goes before.
pub const TARGET_SUFFIX: &str = "-dt";

/// Tier of a `SpaceRequest` for a claim. Read by registration-service.
pub const SPACE_TIER: &str = "appstudio-env";

/// Reason of the condition `Ready` of a `SpaceRequest` whose namespace cannot be given back. Written by
/// registration-service.
pub const UNABLE_TO_TERMINATE: &str = "UnableToTerminate";
