//! Release: releases a Snapshot by a plan.

use fleet_api::Condition;
use fleet_api::schema::{DNS_LABEL, NAMESPACED_NAME, any_object, any_value};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::validation;

/// What is released. Never changes.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "Release",
    plural = "releases",
    shortname = "rel",
    doc = "Releases a Snapshot by a ReleasePlan, once.",
    namespaced,
    status = "ReleaseStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.snapshot",
    selectable = ".spec.releasePlan",
    printcolumn(
        name = "Snapshot",
        type_ = "string",
        json_path = ".spec.snapshot",
        description = "The Snapshot that is released."
    ),
    printcolumn(
        name = "ReleasePlan",
        type_ = "string",
        json_path = ".spec.releasePlan",
        description = "The plan that it is released by."
    ),
    printcolumn(
        name = "Release status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Released\")].reason",
        description = "How far it has come."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = validation::name_fits_a_label("release")
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("release resources spec cannot be updated"))]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSpec {
    /// Snapshot of the same namespace.
    #[schemars(!default, length(max = 63), regex(pattern = DNS_LABEL))]
    #[serde(default)]
    pub snapshot: String,
    /// ReleasePlan of the same namespace.
    #[schemars(!default, length(max = 63), regex(pattern = DNS_LABEL))]
    #[serde(default)]
    pub release_plan: String,
    /// Anything for the pipelines. Where they differ, that of the plan wins, and that of the admission over both.
    #[schemars(schema_with = "any_object")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// How many days the Release is kept. Absent or 0 means as the plan says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period_days: Option<i64>,
}

/// What has become of a Release.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// `Released` first, then `Validated` and one for each phase.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
    /// True if it was made by a program. Written by that program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automated: Option<bool>,
    /// Namespace where its pipeline runs.
    #[schemars(regex(pattern = DNS_LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// When it was last checked with a new outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// The managed phase, as programs know it that know of no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing: Option<Processing>,
    /// The collectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collectors_processing: Option<CollectorsProcessing>,
    /// The tenant phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_processing: Option<PhaseProcessing>,
    /// The managed phase: the same run as in `processing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_processing: Option<PhaseProcessing>,
    /// The runs of the managed phase, if it can be repeated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_pipeline_attempts: Vec<Attempt>,
    /// The final phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_processing: Option<PhaseProcessing>,
    /// Reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_actions_execution: Option<Period>,
    /// What was released, in words of the pipelines, which write it.
    #[schemars(schema_with = "any_object")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<Value>,
    /// What was collected, in words of the pipelines, which write it.
    #[schemars(schema_with = "any_object")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collectors: Option<Value>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// When it may be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<Time>,
}

/// Who answers for a Release.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attribution {
    /// The user, as in the label `release.appstudio.openshift.io/author`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// True if that is the author of the plan. Absent means false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing_authorization: Option<bool>,
}

/// When a Release was checked.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// When the outcome last changed, or was bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// True if it had been found good before. Absent means false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_post_validation: Option<bool>,
}

/// The managed phase, as first published.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Processing {
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Its PipelineRun, as `<namespace>/<name>`.
    #[schemars(regex(pattern = NAMESPACED_NAME))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_run: Option<String>,
    /// The RoleBinding made for that run, as `<namespace>/<name>`.
    #[schemars(regex(pattern = NAMESPACED_NAME))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_binding: Option<String>,
}

/// One phase.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseProcessing {
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Its PipelineRun, as `<namespace>/<name>`.
    #[schemars(regex(pattern = NAMESPACED_NAME))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_run: Option<String>,
    /// The RoleBindings made for that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_bindings: Option<RoleBindings>,
}

/// RoleBindings made for a run, as `<namespace>/<name>`.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleBindings {
    /// To the objects of the tenant.
    #[schemars(regex(pattern = NAMESPACED_NAME))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_role_binding: Option<String>,
    /// To the objects of the managed namespace.
    #[schemars(regex(pattern = NAMESPACED_NAME))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_role_binding: Option<String>,
    /// To the Secrets of collectors.
    #[schemars(regex(pattern = NAMESPACED_NAME))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_role_binding: Option<String>,
}

/// The collectors of both sides.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectorsProcessing {
    /// Those of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_collectors_processing: Option<PhaseProcessing>,
    /// Those of the admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_collectors_processing: Option<PhaseProcessing>,
}

/// When something began and ended.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Period {
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
}

/// One run of the managed phase.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The PipelineRun, as `<namespace>/<name>`.
    #[schemars(regex(pattern = NAMESPACED_NAME))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_run: Option<String>,
    /// The RoleBindings, which all attempts share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_bindings: Option<RoleBindings>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// `Progressing`, `Succeeded` or `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `Error`, `OOMKill`, `PipelineRunTimeout` or `TaskRunTimeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// The task that ran last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_task: Option<String>,
    /// The step of that task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_step: Option<String>,
    /// The tasks that succeeded, as their writer says it.
    #[schemars(schema_with = "any_value")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successful_tasks: Option<Value>,
    /// What the attempt got more of than the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mitigation: Option<Mitigation>,
}

impl Attempt {
    /// `status`: it runs.
    pub const PROGRESSING: &'static str = "Progressing";
    /// `status`: it did its work.
    pub const SUCCEEDED: &'static str = "Succeeded";
    /// `status`: it did not.
    pub const FAILED: &'static str = "Failed";
    /// `failureReason`: an error of its own; not repeated.
    pub const ERROR: &'static str = "Error";
    /// `failureReason`: a step needed more memory than it had.
    pub const OOM_KILL: &'static str = "OOMKill";
    /// `failureReason`: the whole run took too long.
    pub const PIPELINE_RUN_TIMEOUT: &'static str = "PipelineRunTimeout";
    /// `failureReason`: a task took too long.
    pub const TASK_RUN_TIMEOUT: &'static str = "TaskRunTimeout";
}

/// Limits of one attempt.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mitigation {
    /// Memory that the task may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<String>,
    /// Memory that is kept for the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_request: Option<String>,
    /// How long the task may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_timeout: Option<String>,
    /// How long all tasks may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_timeout: Option<String>,
    /// How long the run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipelines_timeout: Option<String>,
}
