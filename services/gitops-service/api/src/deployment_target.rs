//! `DeploymentTarget`: a namespace of a cluster that can be deployed to.

use fleet_api::{Condition, Open};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A namespace of a cluster.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "DeploymentTarget",
    plural = "deploymenttargets",
    doc = "A namespace of a cluster that can be deployed to.",
    namespaced,
    status = "DeploymentTargetStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.deploymentTargetClassName",
    selectable = ".spec.claimRef"
)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentTargetSpec {
    /// DeploymentTargetClass that it belongs to.
    #[schemars(!default)]
    #[serde(default)]
    pub deployment_target_class_name: String,
    /// How to reach it.
    #[schemars(!default)]
    #[serde(default)]
    pub kubernetes_credentials: TargetCredentials,
    /// DeploymentTargetClaim of the same namespace that it is for. Absent or empty means that it is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_ref: Option<String>,
}

/// How to reach a namespace of a cluster.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetCredentials {
    /// The namespace.
    #[schemars(!default)]
    #[serde(default)]
    pub default_namespace: String,
    /// URL of the API server.
    #[schemars(!default)]
    #[serde(default, rename = "apiURL")]
    pub api_url: String,
    /// Secret of the same namespace as this object that holds a kubeconfig.
    #[schemars(!default)]
    #[serde(default)]
    pub cluster_credentials_secret: String,
    /// True if the API server's certificate is not checked.
    #[schemars(!default)]
    #[serde(default, rename = "allowInsecureSkipTLSVerify")]
    pub allow_insecure_skip_tls_verify: bool,
}

/// What has become of a target.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentTargetStatus {
    /// Whether a claim has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Open<DeploymentTargetPhase>>,
    /// `ErrorOccurred`.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Whether a claim has a target.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeploymentTargetPhase {
    /// Not yet known.
    Pending,
    /// None has.
    Available,
    /// One has.
    Bound,
    /// One had, and is gone.
    Released,
    /// It could not be given back.
    Failed,
}
