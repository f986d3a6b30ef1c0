//! `SnapshotEnvironmentBinding`: deploys a Snapshot to an Environment.
//!
//! Two services write its status, each its own fields: application-service `components` and
//! `gitopsRepoConditions`, gitops-service the others.

use fleet_api::Condition;
use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::environment::EnvVarPair;
use crate::validation;

/// What is deployed where.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "SnapshotEnvironmentBinding",
    plural = "snapshotenvironmentbindings",
    shortname = "aseb",
    shortname = "binding",
    doc = "Deploys a Snapshot to an Environment. One for each Application and Environment.",
    namespaced,
    status = "SnapshotEnvironmentBindingStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.application",
    selectable = ".spec.environment",
    selectable = ".spec.snapshot"
)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotEnvironmentBindingSpec {
    /// Application of the same namespace; never changes.
    #[x_kube(validation = validation::immutable("application field"))]
    #[schemars(!default)]
    #[serde(default)]
    pub application: String,
    /// Environment of the same namespace; never changes.
    #[x_kube(validation = validation::immutable("environment field"))]
    #[schemars(!default)]
    #[serde(default)]
    pub environment: String,
    /// Snapshot of the same namespace.
    #[schemars(!default)]
    #[serde(default)]
    pub snapshot: String,
    /// The Components that are deployed.
    #[schemars(!default)]
    #[serde(default)]
    pub components: Vec<BindingComponent>,
}

/// A Component that is deployed.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingComponent {
    /// Name of the Component.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// What is deployed differently in this Environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<BindingConfiguration>,
}

/// What is deployed differently for one Component in one Environment.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingConfiguration {
    /// Replicas. Absent means as the Component says; 0 means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Compute resources of the container. Absent means as the Component says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Environment variables; they win over those of the Environment and of the Component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVarPair>,
}

/// What has become of a binding.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotEnvironmentBindingStatus {
    /// Where the GitOps resources of each Component are. Written by application-service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<BindingComponentStatus>,
    /// Whether they were generated. Written by application-service.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gitops_repo_conditions: Vec<Condition>,
    /// How far each Component is deployed. Written by gitops-service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gitops_deployments: Vec<BindingDeployment>,
    /// Whether the binding as a whole is in order. Written by gitops-service.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub binding_conditions: Vec<Condition>,
    /// Whether all Components are deployed. Written by gitops-service.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub component_deployment_conditions: Vec<Condition>,
}

/// Where the GitOps resources of one Component are.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingComponentStatus {
    /// Name of the Component.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// Name of the generated Route, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_route_name: Option<String>,
    /// The place.
    #[schemars(!default)]
    #[serde(default)]
    pub gitops_repository: BindingRepository,
}

/// A directory of a GitOps repository at a commit.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingRepository {
    /// URL of the repository.
    #[schemars(!default)]
    #[serde(default)]
    pub url: String,
    /// Branch.
    #[schemars(!default)]
    #[serde(default)]
    pub branch: String,
    /// Directory in the repository.
    #[schemars(!default)]
    #[serde(default)]
    pub path: String,
    /// Names of the files that were generated.
    #[schemars(!default)]
    #[serde(default)]
    pub generated_resources: Vec<String>,
    /// The commit that holds them.
    #[schemars(!default)]
    #[serde(default, rename = "commitID")]
    pub commit_id: String,
}

/// How far one Component is deployed.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingDeployment {
    /// Name of the Component.
    #[schemars(!default)]
    #[serde(default)]
    pub component_name: String,
    /// Name of its `GitOpsDeployment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitops_deployment: Option<String>,
    /// Whether the cluster has what the repository says: `Synced` or `OutOfSync`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_status: Option<String>,
    /// Whether it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// The commit that is deployed.
    #[serde(default, rename = "commitID", skip_serializing_if = "Option::is_none")]
    pub commit_id: Option<String>,
}

impl BindingDeployment {
    /// `syncStatus`: the cluster has what the repository says.
    pub const SYNCED: &'static str = "Synced";
    /// `syncStatus`: it has not.
    pub const OUT_OF_SYNC: &'static str = "OutOfSync";
    /// `syncStatus`: it is not known whether it has.
    pub const UNKNOWN: &'static str = "Unknown";
}
