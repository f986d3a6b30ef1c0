//! `DependencyUpdateCheck`: has the dependencies of Components looked through once, by `MintMaker`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which Components are looked at.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "DependencyUpdateCheck",
    plural = "dependencyupdatechecks",
    doc = "Has the dependencies of Components looked through once. Newer versions are proposed by pull request.",
    namespaced,
    status = "DependencyUpdateCheckStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[schemars(transform = fleet_api::schema::stored, extend("default" = {}))]
#[serde(rename_all = "camelCase")]
pub struct DependencyUpdateCheckSpec {
    /// Namespaces whose Components are looked at. Absent or empty means all namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<CheckedNamespace>,
}

/// Components of one namespace.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedNamespace {
    /// Name of the namespace.
    #[schemars(!default, regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[serde(default)]
    pub namespace: String,
    /// Applications whose Components are looked at. Absent or empty means all of the namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<CheckedApplication>,
}

/// Components of one Application.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedApplication {
    /// Name of the Application.
    #[schemars(!default, regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[serde(default)]
    pub application: String,
    /// Names of the Components that are looked at. Absent or empty means all of the Application.
    #[schemars(inner(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
}

/// How far a check has come.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct DependencyUpdateCheckStatus {
    /// How many branches of repositories the Components are built from, each counted once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<i64>,
    /// For how many of them a run was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<i64>,
    /// How many were left out: a run was still going on, or nothing had changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<i64>,
    /// For how many no run could be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i64>,
    /// When the last branch was dealt with. Absent while some are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Why no run could be started, for the first 100 Components that it happened to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<CheckError>,
}

impl DependencyUpdateCheckStatus {
    /// `errors`: how many are kept.
    pub const MAX_ERRORS: usize = 100;
}

/// Why a Component could not be looked at.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckError {
    /// Namespace of the Component.
    #[schemars(!default)]
    #[serde(default)]
    pub namespace: String,
    /// Name of the Component.
    #[schemars(!default)]
    #[serde(default)]
    pub component: String,
    /// What went wrong, for a person.
    #[schemars(!default)]
    #[serde(default)]
    pub message: String,
}
