//! What other services look for in the devfiles of `status.devfile` (schema 2.2.0), and what the names in them mean.

/// Attribute of a Component's kubernetes component: replicas, a number. Written from `spec.replicas`, as the ones
/// below from the fields that they are named after; read when GitOps resources are generated.
pub const REPLICAS: &str = "deployment/replicas";
/// Port that the container listens on, a number.
pub const CONTAINER_PORT: &str = "deployment/container-port";
/// Host name of the route.
pub const ROUTE: &str = "deployment/route";
/// Environment variables, a list as in `spec.env`.
pub const CONTAINER_ENV: &str = "deployment/containerENV";
/// CPU that the container may use, a quantity. As the others below.
pub const CPU_LIMIT: &str = "deployment/cpuLimit";
/// Memory that the container may use.
pub const MEMORY_LIMIT: &str = "deployment/memoryLimit";
/// Storage that the container may use.
pub const STORAGE_LIMIT: &str = "deployment/storageLimit";
/// CPU that is kept for the container.
pub const CPU_REQUEST: &str = "deployment/cpuRequest";
/// Memory that is kept for the container.
pub const MEMORY_REQUEST: &str = "deployment/memoryRequest";
/// Storage that is kept for the container.
pub const STORAGE_REQUEST: &str = "deployment/storageRequest";

/// What begins the attributes `url`, `branch` and `context` of an Application's metadata that say where its GitOps
/// resources are; a dot follows.
pub const GITOPS_REPOSITORY: &str = "gitOpsRepository";

/// As [`GITOPS_REPOSITORY`], for the model.
pub const MODEL_REPOSITORY: &str = "appModelRepository";

/// What begins the attribute of an Application for each Component that is an image; its `componentName` follows.
pub const CONTAINER_IMAGE_PREFIX: &str = "containerImage/";

/// The image component of a Component with a Dockerfile. Its `dockerfile.uri` and `dockerfile.buildContext` are read by
/// build-service.
pub const IMAGE_COMPONENT: &str = "dockerfile-build";

/// `metadata.name` of the devfile of a Component that has only a Dockerfile.
pub const DOCKERFILE_ONLY: &str = "dockerfile-component";

/// The kubernetes component that says how a Component is deployed.
pub const KUBERNETES_COMPONENT: &str = "kubernetes-deploy";

/// The command that builds [`IMAGE_COMPONENT`].
pub const BUILD_COMMAND: &str = "build-image";

/// The container of a generated Deployment.
pub const CONTAINER: &str = "container-image";
