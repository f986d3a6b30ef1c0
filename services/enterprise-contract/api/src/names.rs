//! Names of objects that `ec`, its task and others agree on.

/// Namespace of what enterprise-contract ships: policies, and [`DEFAULTS`].
pub const NAMESPACE: &str = "enterprise-contract-service";

/// In [`NAMESPACE`]: the policy that counts where none is named.
pub const DEFAULT_POLICY: &str = "default";

/// In [`NAMESPACE`]: ConfigMap with what others need to verify by policies. Written by the base of enterprise-contract;
/// read by release-service and by the task.
pub const DEFAULTS: &str = "ec-defaults";

/// Key in [`DEFAULTS`]: the bundle with the task [`TASK`], by digest.
pub const VERIFY_EC_TASK_BUNDLE: &str = "verify_ec_task_bundle";

/// What the URL of a public key begins with that is kept in the cluster; `<namespace>/<secret>` follows.
pub const KEY_IN_CLUSTER: &str = "k8s://";

/// Key of that Secret: the public key in PEM. Written by chains.
pub const PUBLIC_KEY_KEY: &str = "cosign.pub";

/// Tekton Task that verifies the images of a Snapshot.
pub const TASK: &str = "verify-enterprise-contract";

/// Result of that task: how it ended, in JSON. Read by integration-service and release-service.
pub const TEST_OUTPUT: &str = "TEST_OUTPUT";

/// ConfigMap in a tenant's namespace with the certificates that the task trusts beside the public ones, under
/// [`TRUSTED_CA_KEY`]. Written by OpenShift or registration-service.
pub const TRUSTED_CA: &str = "trusted-ca";

/// Key in [`TRUSTED_CA`].
pub const TRUSTED_CA_KEY: &str = "ca-bundle.crt";

/// Lease by which the replicas of the original choose their leader: held too during a take-over.
pub const ORIGINAL_LEASE: &str = "8f1bb6c7.redhat.com";

/// Parameters of the task.
pub mod params {
    /// The Snapshot's spec, in JSON.
    pub const IMAGES: &str = "IMAGES";
    /// A policy: `<namespace>/<name>`, `<name>`, the URL of a Git repository, or its spec in JSON.
    pub const POLICY_CONFIGURATION: &str = "POLICY_CONFIGURATION";
    pub const PUBLIC_KEY: &str = "PUBLIC_KEY";
    pub const REKOR_HOST: &str = "REKOR_HOST";
    pub const IGNORE_REKOR: &str = "IGNORE_REKOR";
    pub const TUF_MIRROR: &str = "TUF_MIRROR";
    pub const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
    pub const INFO: &str = "INFO";
    pub const STRICT: &str = "STRICT";
    pub const HOMEDIR: &str = "HOMEDIR";
    pub const EFFECTIVE_TIME: &str = "EFFECTIVE_TIME";
    pub const EXTRA_RULE_DATA: &str = "EXTRA_RULE_DATA";
    pub const WORKERS: &str = "WORKERS";
    pub const CA_TRUST_CONFIGMAP_NAME: &str = "CA_TRUST_CONFIGMAP_NAME";
    pub const CA_TRUST_CONFIG_MAP_KEY: &str = "CA_TRUST_CONFIG_MAP_KEY";
}
