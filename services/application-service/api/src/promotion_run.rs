//! `PromotionRun`: promotes a Snapshot once. Its behaviour belongs to gitops-service.

use fleet_api::Open;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is promoted where. Never changes.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "PromotionRun",
    plural = "promotionruns",
    shortname = "apr",
    shortname = "promotion",
    doc = "Promotes a Snapshot once, to one Environment or from one on upwards.",
    namespaced,
    status = "PromotionRunStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.application",
    selectable = ".spec.snapshot"
)]
#[x_kube(
    validation = Rule::new("self == oldSelf").message(Message::Expression(
        "'spec cannot be updated to snapshot ' + self.snapshot + ' of application ' + self.application \
         + ': create another PromotionRun'".into()
    ))
)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct PromotionRunSpec {
    /// Snapshot of the same namespace.
    #[schemars(!default)]
    #[serde(default)]
    pub snapshot: String,
    /// Application of the same namespace.
    #[schemars(!default)]
    #[serde(default)]
    pub application: String,
    /// Promote to one Environment. Excludes `automatedPromotion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual_promotion: Option<ManualPromotion>,
    /// Promote from one Environment on upwards. Excludes `manualPromotion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automated_promotion: Option<AutomatedPromotion>,
}

/// To one Environment.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManualPromotion {
    /// The Environment. Empty means that this is not asked for.
    #[schemars(!default)]
    #[serde(default)]
    pub target_environment: String,
}

/// From one Environment on upwards.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutomatedPromotion {
    /// The first Environment. Empty means that this is not asked for.
    #[schemars(!default)]
    #[serde(default)]
    pub initial_environment: String,
}

/// How far a promotion has come.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct PromotionRunStatus {
    /// Absent until the promotion has been looked at.
    #[schemars(required)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Open<PromotionRunState>>,
    /// Only when the state is `Complete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_result: Option<Open<PromotionRunResult>>,
    /// How far each Environment has come, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment_status: Vec<PromotionRunEnvironment>,
    /// Names of the bindings that are waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub active_bindings: Vec<String>,
    /// When the promotion began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion_start_time: Option<Time>,
    /// `ErrorOccurred`.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<PromotionRunCondition>,
}

/// Whether anything is left to do.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PromotionRunState {
    Active,
    Waiting,
    Complete,
}

/// How a promotion ended.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PromotionRunResult {
    Success,
    Failure,
}

/// One step of a promotion.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromotionRunEnvironment {
    /// Number of the step, from 1.
    #[schemars(!default)]
    #[serde(default)]
    pub step: i32,
    /// Name of the Environment.
    #[schemars(!default)]
    #[serde(default)]
    pub environment_name: String,
    /// How far the step has come.
    #[schemars(required)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Open<PromotionRunStepStatus>>,
    /// The same in words.
    #[schemars(!default)]
    #[serde(default)]
    pub display_status: String,
}

/// How far one step has come.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PromotionRunStepStatus {
    Success,
    #[serde(rename = "In Progress")]
    InProgress,
    Failed,
}

/// A condition of which only type and status are sure to be there.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromotionRunCondition {
    /// Unique in its object.
    #[schemars(!default)]
    #[serde(default, rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(!default)]
    #[serde(default)]
    pub status: String,
    /// A word from a closed set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What happened, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}
