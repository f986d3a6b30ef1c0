//! `CustomRun` (specification, section 3.8): run by a controller that is not part of the engine.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::param::Param;
use crate::pipeline::PipelineTaskMetadata;
use crate::result::PipelineRunResult;
use crate::status::RunCondition;
use crate::workspace::WorkspaceBinding;

/// `spec.status` of a CustomRun that is to end.
pub const CANCELLED: &str = "RunCancelled";

/// The reason of a CustomRun that was cancelled.
pub const REASON_CANCELLED: &str = "CustomRunCancelled";

/// The reason of a CustomRun that took too long.
pub const REASON_TIMED_OUT: &str = "CustomRunTimedOut";

/// `spec.statusMessage` of one whose PipelineRun was cancelled.
pub const CANCELLED_BY_PIPELINE: &str =
    "CustomRun cancelled as the PipelineRun it belongs to has been cancelled.";

/// `spec.statusMessage` of one whose PipelineRun took too long.
pub const CANCELLED_BY_PIPELINE_TIMEOUT: &str =
    "CustomRun cancelled as the PipelineRun it belongs to has timed out.";

/// One run of a custom task. The engine creates, reads and cancels it; its own controller writes its status.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tekton.dev",
    version = "v1beta1",
    kind = "CustomRun",
    plural = "customruns",
    category = "tekton",
    category = "tekton-pipelines",
    namespaced,
    schema = "disabled",
    status = "CustomRunStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct CustomRunSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_ref: Option<CustomTaskRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_spec: Option<EmbeddedCustomRunSpec>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// [`CANCELLED`] to end it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status_message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
    /// As a Go duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<WorkspaceBinding>,
}

/// Refers to a custom task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomTaskRef {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// A custom task within the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedCustomRunSpec {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "PipelineTaskMetadata::is_empty")]
    pub metadata: PipelineTaskMetadata,
    /// As its controller defines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<serde_json::Value>,
}

/// How far a CustomRun has come, as its own controller writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomRunStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RunCondition>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<PipelineRunResult>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retries_status: Vec<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_fields: Option<serde_json::Value>,
}
