//! `DeploymentTargetClass`: how targets are made, and what becomes of them.

use fleet_api::schema::any_object;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How targets are made, and what becomes of them.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "DeploymentTargetClass",
    plural = "deploymenttargetclasses",
    doc = "How the DeploymentTargets of a class are made, and what becomes of them after their claim is gone.",
    status = "DeploymentTargetClassStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentTargetClassSpec {
    /// What makes them: `appstudio.redhat.com/devsandbox`.
    #[schemars(!default)]
    #[serde(default)]
    pub provisioner: String,
    /// Reserved for the provisioner.
    #[schemars(schema_with = "any_object")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// What becomes of a target whose claim is gone: `Delete` or `Retain`.
    // Text, not an enum: an object that is older than the rule must not break the watch of all others.
    #[schemars(!default, extend("enum" = [DeploymentTargetClassSpec::DELETE, DeploymentTargetClassSpec::RETAIN]))]
    #[serde(default)]
    pub reclaim_policy: String,
}

impl DeploymentTargetClassSpec {
    /// `provisioner`: a namespace of its own, asked for by a `SpaceRequest`.
    pub const DEVSANDBOX: &'static str = "appstudio.redhat.com/devsandbox";
    /// `reclaimPolicy`: it is deleted, with its namespace.
    pub const DELETE: &'static str = "Delete";
    /// `reclaimPolicy`: it stays, and can be claimed again.
    pub const RETAIN: &'static str = "Retain";
    /// Name of the class that comes with the service.
    pub const NAMESPACE_ISOLATION: &'static str = "isolation-level-namespace";
}

/// Nothing.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored, extend("x-kubernetes-preserve-unknown-fields" = true))]
#[serde(rename_all = "camelCase")]
pub struct DeploymentTargetClassStatus {}
