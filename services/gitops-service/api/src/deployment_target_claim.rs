//! `DeploymentTargetClaim`: asks for a target of a class.

use fleet_api::{Condition, Open};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which target is asked for.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "DeploymentTargetClaim",
    plural = "deploymenttargetclaims",
    doc = "Asks for a DeploymentTarget of a class, which is found or made.",
    namespaced,
    status = "DeploymentTargetClaimStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.deploymentTargetClassName",
    selectable = ".spec.targetName"
)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentTargetClaimSpec {
    /// DeploymentTargetClass of the target. Empty means that none is made: one of no class has to be there.
    #[schemars(!default)]
    #[serde(default)]
    pub deployment_target_class_name: String,
    /// DeploymentTarget of the same namespace, wanted or given. Absent or empty means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_name: Option<String>,
}

/// What has become of a claim.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentTargetClaimStatus {
    /// Whether it has a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Open<DeploymentTargetClaimPhase>>,
    /// `ErrorOccurred`.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Whether a claim has a target.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeploymentTargetClaimPhase {
    /// Not yet.
    Pending,
    /// It has.
    Bound,
    /// It had, and the target is gone.
    Lost,
}
