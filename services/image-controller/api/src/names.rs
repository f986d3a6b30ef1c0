//! Names of objects that image-controller and others agree on.

/// What the name of the Secret ends with that can push to a repository; that of the ImageRepository goes before.
/// Written by image-controller, or service-provider-integration for it; read by runs and chains.
pub const PUSH_SECRET_SUFFIX: &str = "-image-push";

/// As [`PUSH_SECRET_SUFFIX`], for the one that can only pull.
pub const PULL_SECRET_SUFFIX: &str = "-image-pull";

/// What the name of the Secret ends with that can pull all images of an Application; that of the Application goes
/// before. Linked to [`INTEGRATION_RUNNER`].
pub const APPLICATION_PULL_SECRET_SUFFIX: &str = "-pull";

/// Secret that can pull all images of a namespace. Written by image-controller, read by users and runs.
pub const NAMESPACE_PULL_SECRET: &str = "components-namespace-pull";

/// What the name of the Secret begins with that hands data to a `RemoteSecret`; the name of that follows. Written by
/// image-controller, read and deleted by service-provider-integration.
pub const UPLOAD_SECRET_PREFIX: &str = "upload-secret-";

/// `ServiceAccount` that build runs push with, where Components share one.
pub const PUSH_SERVICE_ACCOUNT: &str = "appstudio-pipeline";

/// `ServiceAccount` that workloads pull with.
pub const PULL_SERVICE_ACCOUNT: &str = "default";

/// What the name of the `ServiceAccount` of one Component begins with, where each has its own; the Component's follows.
pub const COMPONENT_SERVICE_ACCOUNT_PREFIX: &str = "build-pipeline-";

/// `ServiceAccount` of integration tests, where Components have accounts of their own.
pub const INTEGRATION_RUNNER: &str = "konflux-integration-runner";

/// What the name of an ImageRepository begins with that was asked for by annotation; those of Application and Component
/// follow, with `-` between them.
pub const LEGACY_PREFIX: &str = "imagerepository-for-";

/// Namespace of image-controller: Secret with the account of the registry, written by the overlay and mounted. Its keys
/// are [`REGISTRY_TOKEN_KEY`], [`REGISTRY_ORGANIZATION_KEY`] and [`REGISTRY_URL_KEY`].
pub const REGISTRY_SECRET: &str = "quaytoken";

/// Key in [`REGISTRY_SECRET`]: the token.
pub const REGISTRY_TOKEN_KEY: &str = "quaytoken";

/// Key in [`REGISTRY_SECRET`]: the organisation that all repositories are in.
pub const REGISTRY_ORGANIZATION_KEY: &str = "organization";

/// Key in [`REGISTRY_SECRET`]: URL of the registry's API. Absent means that of Quay.
pub const REGISTRY_URL_KEY: &str = "quayapiurl";

/// Namespace of image-controller: Secret with `tls.crt` and `tls.key`, by which tokens of the registry are signed where there
/// is no Quay. The certificate is what the registry trusts. Written by the overlay.
pub const REGISTRY_TOKEN_KEY_SECRET: &str = "registry-token-key";

/// Who issues those tokens, as they and the registry's configuration say.
pub const REGISTRY_TOKEN_ISSUER: &str = "konflux-image-registry-tokens";

/// Account at the registry by which its API is seen to work.
pub const HEALTH_CHECK_ROBOT: &str = "robot_konflux_api_healthcheck";

/// Lease by which the replicas of the original choose their leader: held too during a take-over.
pub const ORIGINAL_LEASE: &str = "ed4c18c3.appstudio.redhat.com";
