//! `ReleasePlan`: how the Snapshots of an Application are released, from the side of those who develop it.
#![expect(clippy::duplicated_attributes, reason = "columns have their types in common")]

use fleet_api::Condition;
use fleet_api::schema::{DNS_LABEL, any_object};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::collectors::Collectors;
use crate::pipeline::{ParameterizedPipeline, PipelineRef};

/// How the Snapshots of an Application are released.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "ReleasePlan",
    plural = "releaseplans",
    shortname = "rp",
    doc = "How the Snapshots of an Application are released, and where to.",
    namespaced,
    status = "ReleasePlanStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.application",
    selectable = ".spec.target",
    printcolumn(
        name = "Application",
        type_ = "string",
        json_path = ".spec.application",
        description = "The Application whose Snapshots are released."
    ),
    printcolumn(
        name = "Target",
        type_ = "string",
        json_path = ".spec.target",
        description = "The managed namespace that admits them."
    )
)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePlanSpec {
    /// Application of the same namespace.
    #[schemars(!default, regex(pattern = DNS_LABEL))]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub application: String,
    /// Namespace with the ReleasePlanAdmission. Absent means that only pipelines of the plan itself run.
    #[schemars(regex(pattern = DNS_LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Anything for the pipelines. Wins over that of a Release; that of the admission wins over both.
    #[schemars(schema_with = "any_object")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Deprecated and without effect: see `tenantPipeline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_ref: Option<PipelineRef>,
    /// Deprecated and without effect: see `tenantPipeline`.
    #[schemars(regex(pattern = DNS_LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// How many days a Release is kept that does not say it itself.
    #[schemars(extend("default" = ReleasePlanSpec::GRACE_PERIOD_DAYS))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_grace_period_days: Option<i64>,
    /// What is collected in this namespace before the pipelines run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collectors: Option<Collectors>,
    /// Runs in this namespace before the pipeline of the admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_pipeline: Option<ParameterizedPipeline>,
    /// Runs in this namespace at the end, also after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_pipeline: Option<ParameterizedPipeline>,
}

impl ReleasePlanSpec {
    /// `releaseGracePeriodDays` where none is given.
    pub const GRACE_PERIOD_DAYS: i64 = 7;
}

/// What the plan is matched with.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePlanStatus {
    /// `Matched`.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The admission that takes the plan's Releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_plan_admission: Option<MatchedReleasePlanAdmission>,
}

/// An admission that takes the Releases of a plan.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatchedReleasePlanAdmission {
    /// As `<namespace>/<name>`. Empty if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// False if it is switched off.
    #[serde(default)]
    pub active: bool,
}
