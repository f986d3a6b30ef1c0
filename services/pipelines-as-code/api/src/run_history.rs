//! The latest runs of a Repository, as its `pipelinerun_status` shows them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How one run ended.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunStatus {
    /// Those of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RunCondition>,
    /// Generation of the run that they are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Further facts about the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Name of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_run_name: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha: Option<String>,
    /// URL that shows the commit to a person.
    #[serde(default, rename = "sha_url", skip_serializing_if = "Option::is_none")]
    pub sha_url: Option<String>,
    /// Title of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// URL that shows the run to a person.
    #[serde(default, rename = "logurl", skip_serializing_if = "Option::is_none")]
    pub log_url: Option<String>,
    /// Branch that was pushed to, or that the pull request leads to, without `refs/heads/`.
    #[serde(default, rename = "target_branch", skip_serializing_if = "Option::is_none")]
    pub target_branch: Option<String>,
    /// What started it.
    #[serde(default, rename = "event_type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Why tasks failed, by name of the task.
    #[serde(default, rename = "failure_reason", skip_serializing_if = "BTreeMap::is_empty")]
    pub failure_reason: BTreeMap<String, TaskFailure>,
}

/// A condition of which only type and status are sure to be there.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunCondition {
    /// Unique in its object; `Succeeded` says how the run ended.
    #[schemars(!default)]
    #[serde(default, rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(!default)]
    #[serde(default)]
    pub status: String,
    /// How bad it is if the status is not `True`. Absent means an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
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

/// Why a task failed.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaskFailure {
    /// Name of the task in the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happened, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Last lines of its log, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_snippet: Option<String>,
    /// Reason of its condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
}
