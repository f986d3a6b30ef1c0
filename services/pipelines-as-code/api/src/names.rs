//! Names of objects that pipelines-as-code and others agree on.

/// Namespace of pipelines-as-code, where the cluster is not OpenShift.
pub const NAMESPACE: &str = "pipelines-as-code";

/// Namespace of pipelines-as-code on OpenShift.
pub const OPENSHIFT_NAMESPACE: &str = "openshift-pipelines";

/// In its namespace: Secret with the credentials of the GitHub App, and what forges sign their events with. Written by the
/// overlay.
pub const SECRET: &str = "pipelines-as-code-secret";

/// Keys in [`SECRET`].
pub mod secret_keys {
    /// Id of the GitHub App, a decimal number.
    pub const GITHUB_APP_ID: &str = "github-application-id";
    /// Its RSA key in PEM.
    pub const GITHUB_PRIVATE_KEY: &str = "github-private-key";
    /// What GitHub signs its events with. Blanks around it do not count.
    pub const WEBHOOK: &str = "webhook.secret";
    /// What GitLab sends with its events, by a group or system hook.
    pub const GITLAB_WEBHOOK: &str = "gitlab.webhook.secret";
    /// What Gitea or Forgejo sign their events with, by a system webhook.
    pub const GITEA_WEBHOOK: &str = "gitea.webhook.secret";
}

/// In its namespace: ConfigMap with its settings, read again when it changes. Written by the overlay.
pub const CONFIG: &str = "pipelines-as-code";

/// In its namespace: ConfigMap that tells all who are known to the cluster of the version (key `version`), the URL for
/// forges (`controller-url`) and the forge (`provider`).
pub const INFO: &str = "pipelines-as-code-info";

/// In its namespace: Secret with the certificate for forges.
pub const TLS_SECRET: &str = "pipelines-as-code-tls-secret";

/// Webhook configuration, and the webhook in it, of the original.
pub const WEBHOOK: &str = "validation.pipelinesascode.tekton.dev";

/// In its namespace: Secret with the certificate of the original's webhook.
pub const WEBHOOK_CERTIFICATE: &str = "pipelines-as-code-webhook-certs";

/// In its namespace: Service of the original's webhook.
pub const WEBHOOK_SERVICE: &str = "pipelines-as-code-webhook";

/// OpenShift Route for forges. Read by build-service.
pub const ROUTE: &str = "pipelines-as-code-controller";

/// What the name of the Secret begins with that has the credentials of one run; a hash follows. Written by
/// pipelines-as-code, mounted by the run's pods.
pub const GIT_AUTH_PREFIX: &str = "pac-gitauth-";

/// Keys in that Secret.
pub mod git_auth_keys {
    /// Settings of git, which name the next.
    pub const CONFIG: &str = ".gitconfig";
    /// URL with user and token.
    pub const CREDENTIALS: &str = ".git-credentials";
    /// The token alone.
    pub const TOKEN: &str = "git-provider-token";
}

/// Directory of a repository with its pipelines.
pub const TEKTON_DIRECTORY: &str = ".tekton";

/// Header of a delivery by whom is no forge: its id, so that a repeated one starts nothing twice.
pub const DELIVERY_HEADER: &str = "X-Konflux-Delivery";
