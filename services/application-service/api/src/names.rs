//! Names of objects, and of what is in them, that application-service and others agree on.

/// Key of the Secret that `spec.secret` of a Component or a detection names: a token for the repository. Written by
/// users, read by application-service and build-service.
pub const TOKEN_KEY: &str = "password";

/// `spec.application` of the Components that a detection proposes: a placeholder, which its reader replaces.
pub const PROPOSED_APPLICATION: &str = "insert-application-name";

/// What the names of the `SPIFileContentRequests` of a Component begin with; its name and a number follow. Made by
/// application-service, answered by service-provider-integration.
pub const FILE_REQUEST_PREFIX: &str = "spi-fcr-";

/// What the name of the Job of a detection ends with; that of the detection goes before. Its result is a ConfigMap
/// named as the detection.
pub const DETECTION_JOB_SUFFIX: &str = "-job";

/// Namespace of application-service: ConfigMap with the forge's organisation for GitOps repositories.
pub const GITHUB_CONFIG: &str = "github-config";

/// Namespace of application-service: ConfigMap with the URL of the registry of samples.
pub const DEVFILE_REGISTRY_CONFIG: &str = "devfile-registry-config";

/// Namespace of application-service: Secret with tokens for GitOps repositories, in [`GITHUB_TOKEN_KEY`] or
/// [`GITHUB_TOKENS_KEY`].
pub const GITHUB_TOKEN_SECRET: &str = "has-github-token";

/// Key in [`GITHUB_TOKEN_SECRET`]: one token.
pub const GITHUB_TOKEN_KEY: &str = "token";

/// Key in [`GITHUB_TOKEN_SECRET`]: tokens as `<name>:<token>`, with commas between them.
pub const GITHUB_TOKENS_KEY: &str = "tokens";

/// Lease by which the replicas of the original choose their leader: held too during a take-over.
pub const ORIGINAL_LEASE: &str = "f50829e1.redhat.com";

/// Names of what is said of a detection that runs as a Job, the keys of its ConfigMap's `errorMap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
pub enum DetectionError {
    NoDevfileFound,
    NoDockerfileFound,
    RepoNotFound,
    InvalidDevfile,
    #[strum(serialize = "InvalidURL")]
    InvalidUrl,
    AuthenticationFailed,
    InternalError,
}
