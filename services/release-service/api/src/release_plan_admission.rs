//! `ReleasePlanAdmission`: whose Releases a managed namespace takes, and what it does with them.
#![expect(clippy::duplicated_attributes, reason = "columns have their types in common")]

use fleet_api::Condition;
use fleet_api::schema::{DNS_LABEL, NAMESPACED_NAME, any_object, any_value};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::collectors::Collectors;
use crate::pipeline::Pipeline;

/// Whose Releases are taken, and what is done with them.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "ReleasePlanAdmission",
    plural = "releaseplanadmissions",
    shortname = "rpa",
    doc = "Takes the Releases of a tenant's ReleasePlans, and says how they are checked and released.",
    namespaced,
    status = "ReleasePlanAdmissionStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.origin",
    printcolumn(
        name = "Environment",
        type_ = "string",
        json_path = ".spec.environment",
        description = "The Environment that the Releases are for."
    ),
    printcolumn(
        name = "Origin",
        type_ = "string",
        json_path = ".spec.origin",
        description = "The tenant namespace that Releases are taken from."
    )
)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePlanAdmissionSpec {
    /// Names of the Applications whose Snapshots may be released.
    #[schemars(!default, inner(length(max = 63)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<String>,
    /// Tenant namespace whose plans are taken.
    #[schemars(!default, regex(pattern = DNS_LABEL))]
    #[serde(default)]
    pub origin: String,
    /// EnterpriseContractPolicy of the same namespace.
    #[schemars(!default, regex(pattern = DNS_LABEL))]
    #[serde(default)]
    pub policy: String,
    /// What runs in this namespace. Absent means that only pipelines of the plan run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Pipeline>,
    /// Environment that the Releases are for, told to people only.
    #[schemars(regex(pattern = DNS_LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Anything for the pipeline, such as `mapping`. Wins over that of a plan and of a Release.
    #[schemars(schema_with = "any_object")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// What is collected in this namespace before the pipelines run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collectors: Option<Collectors>,
}

/// What the admission is matched with.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePlanAdmissionStatus {
    /// `Matched`.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The plans whose Releases are taken, by name. Empty, not absent, if there is none.
    #[serde(default)]
    pub release_plans: Vec<MatchedReleasePlan>,
    /// Whether a failed run is repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_info: Option<RetryInfo>,
}

/// A plan whose Releases are taken.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatchedReleasePlan {
    /// As `<namespace>/<name>`.
    #[schemars(!default, regex(pattern = NAMESPACED_NAME))]
    #[serde(default)]
    pub name: String,
    /// False if no Releases are made automatically.
    #[serde(default)]
    pub active: bool,
}

/// Whether a failed run is repeated, and how often.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryInfo {
    /// Whether it is repeated at all. Absent means no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How often at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i64>,
    /// What an attempt gets more of than the one before, as the configuration says it.
    #[schemars(schema_with = "any_value")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mitigations: Option<Value>,
    /// Why, or why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
