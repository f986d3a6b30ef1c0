//! Names of objects that build-service and others agree on.

/// Namespace of build-service, also of the selector of last resort and of [`PAC_SECRET`].
pub const NAMESPACE: &str = "build-service";

/// Name of the `BuildPipelineSelector` that counts for a whole namespace, and in [`NAMESPACE`] for all. Before it, one
/// named as the Application is looked for.
pub const SELECTOR: &str = "build-pipeline-selector";

/// In [`NAMESPACE`]: ConfigMap with the [`PipelineConfig`](crate::PipelineConfig) in YAML under
/// [`PIPELINE_CONFIG_KEY`]. Read where there is no selector at all.
pub const PIPELINE_CONFIG: &str = "build-pipeline-config";

/// Key in [`PIPELINE_CONFIG`].
pub const PIPELINE_CONFIG_KEY: &str = "config.yaml";

/// `ServiceAccount` of runs in a tenant's namespace. Made bare by whoever needs it first: registration-service,
/// build-service or image-controller; they and service-provider-integration link Secrets to it.
pub const SERVICE_ACCOUNT: &str = "appstudio-pipeline";

/// What the name of the `ServiceAccount` of one Component begins with, where each has its own; the Component's follows.
pub const COMPONENT_SERVICE_ACCOUNT_PREFIX: &str = "build-pipeline-";

/// `RoleBinding` of those accounts to [`RUNNER_ROLE`].
pub const RUNNER_BINDING: &str = "konflux-pipelines-runner-bindings";

/// `ClusterRole` of the accounts that runs work with.
pub const RUNNER_ROLE: &str = "appstudio-pipelines-runner";

/// In [`NAMESPACE`]: Secret with the credentials of the GitHub App. Written by the overlay, which makes copies for
/// pipelines-as-code and integration-service.
pub const PAC_SECRET: &str = "pipelines-as-code-secret";

/// Key in [`PAC_SECRET`]: id of the GitHub App, a decimal number.
pub const GITHUB_APP_ID_KEY: &str = "github-application-id";

/// Key in [`PAC_SECRET`]: its RSA key in PEM.
pub const GITHUB_PRIVATE_KEY_KEY: &str = "github-private-key";

/// Key of a Secret of type `kubernetes.io/basic-auth` with credentials for a forge: the token. Written by users.
pub const PASSWORD_KEY: &str = "password";

/// In a tenant's namespace: Secret with what forges sign their events with; a key for each repository. Written by
/// build-service, read by pipelines-as-code.
pub const WEBHOOKS_SECRET: &str = "pipelines-as-code-webhooks-secret";

/// What the name of the Secret ends with that the callers of `/incoming` have to know; that of the Repository goes
/// before. Written by build-service, read by pipelines-as-code.
pub const INCOMING_SECRET_SUFFIX: &str = "-incoming";

/// Key in that Secret.
pub const INCOMING_SECRET_KEY: &str = "incoming-secret";

/// Parameter of a Repository, written by build-service: the workspace of its namespace.
pub const WORKSPACE_PARAM: &str = "appstudio_workspace";

/// In a tenant's namespace: ConfigMap with settings for the pull requests that propose images to others. Written by
/// users.
pub const NUDGE_RENOVATE_CONFIG: &str = "namespace-wide-nudging-renovate-config";

/// Label that such pull requests carry at the forge; `MintMaker` lets them alone.
pub const NUDGE_PULL_REQUEST_LABEL: &str = "konflux-nudge";

/// Lease by which the replicas of the original choose their leader: held too during a take-over.
pub const ORIGINAL_LEASE: &str = "5483be8f.redhat.com";

/// Names in the namespace of `MintMaker`.
pub mod mintmaker {
    /// The namespace.
    pub const NAMESPACE: &str = "mintmaker";

    /// `ServiceAccount` of the runs.
    pub const SERVICE_ACCOUNT: &str = "mintmaker-controller-manager";

    /// ConfigMap with the settings of Renovate, written by the overlay: [`RENOVATE_CONFIG_KEY`], on which
    /// [`SELF_HOSTED_CONFIG_KEY`] is laid.
    pub const RENOVATE_CONFIG: &str = "renovate-config";

    /// Key in [`RENOVATE_CONFIG`].
    pub const RENOVATE_CONFIG_KEY: &str = "renovate.json";

    /// Key in [`RENOVATE_CONFIG`].
    pub const SELF_HOSTED_CONFIG_KEY: &str = "self_hosted.json";

    /// Secret with the activation key for RPM packages, written by the overlay.
    pub const ACTIVATION_KEY: &str = "activation-key";

    /// Key in the Secret of a run: the token for the forge. That of a GitHub App comes when the pod starts.
    pub const TOKEN_KEY: &str = "renovate-token";

    /// Key in the ConfigMap of a run: the settings of Renovate, as JavaScript.
    pub const CONFIG_KEY: &str = "config.js";
}
