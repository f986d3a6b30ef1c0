//! Names that internal-services and the tasks of release pipelines agree on.

/// What the names of runs begin with; a hash of cluster and request follows.
pub const RUN_PREFIX: &str = "internalrequest-";

/// `ClusterRole` in the remote cluster of the account that internal-services comes with.
pub const REMOTE_ROLE: &str = "internal-service-request-role";

/// Result of pipelines that have but one. Read by release pipelines, as [`SIGNED_PAYLOAD`].
pub const GENERIC_RESULT: &str = "genericResult";

/// Result of `blob-signing-pipeline`: what was signed, with its signature.
pub const SIGNED_PAYLOAD: &str = "signed_payload";

/// Lease by which the replicas of the original choose their leader: held too during a take-over.
pub const ORIGINAL_LEASE: &str = "b548bb9d.redhat.com";

/// Parameters that pipelines of the private cluster take by the `cluster` resolver.
pub mod cluster_resolver {
    /// Namespace of the pipeline.
    pub const NAMESPACE: &str = "namespace";
    /// [`PIPELINE`].
    pub const KIND: &str = "kind";
    /// Value of [`KIND`].
    pub const PIPELINE: &str = "pipeline";
}
