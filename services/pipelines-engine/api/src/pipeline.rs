//! `Pipeline` (specification, section 3.3).

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::param::{Param, ParamSpec};
use crate::reference::{PipelineRef, TaskRef};
use crate::result::PipelineResult;
use crate::task::TaskSpec;
use crate::when::{Matrix, WhenExpression};
use crate::workspace::{PipelineWorkspaceDeclaration, WorkspacePipelineTaskBinding};

/// Tasks that depend on each other, and tasks that run at the end.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tekton.dev",
    version = "v1",
    kind = "Pipeline",
    plural = "pipelines",
    category = "tekton",
    category = "tekton-pipelines",
    namespaced,
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct PipelineSpec {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<PipelineTask>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ParamSpec>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<PipelineWorkspaceDeclaration>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<PipelineResult>,
    /// Run at the end, whatever became of `tasks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finally: Vec<PipelineTask>,
}

/// One task of a Pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineTask {
    /// DNS label, unique among `tasks` and `finally`.
    #[serde(default)]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_ref: Option<TaskRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_spec: Option<EmbeddedTask>,
    /// All have to hold, or the task is skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<WhenExpression>,
    /// How often a failed run is repeated.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
    /// Tasks that have to be done before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run_after: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Matrix>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<WorkspacePipelineTaskBinding>,
    /// Of each of its TaskRuns, as a Go duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// A pipeline to run as this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_ref: Option<PipelineRef>,
    /// A pipeline to run as this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_spec: Option<Box<PipelineSpec>>,
    /// `continue` or `stopAndFail` (if absent).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub on_error: String,
}

impl PipelineTask {
    /// Whether a controller of its own runs it.
    pub fn is_custom(&self) -> bool {
        self.task_ref.as_ref().is_some_and(TaskRef::is_custom)
            || self.task_spec.as_ref().is_some_and(EmbeddedTask::is_custom)
    }

    /// Whether a failure of it is ignored.
    pub fn continues_on_error(&self) -> bool {
        self.on_error == "continue"
    }
}

/// A Task within a Pipeline, or the content of a custom task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedTask {
    /// Together with `kind`: a custom task.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Content of a custom task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<serde_json::Value>,
    /// For the TaskRun.
    #[serde(default, skip_serializing_if = "PipelineTaskMetadata::is_empty")]
    pub metadata: PipelineTaskMetadata,
    #[serde(flatten)]
    pub task: TaskSpec,
}

impl EmbeddedTask {
    /// Whether a controller of its own runs it: both of `apiVersion` and `kind` are given.
    pub fn is_custom(&self) -> bool {
        !self.api_version.is_empty() && !self.kind.is_empty()
    }
}

/// Labels and annotations for what is made for a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineTaskMetadata {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl PipelineTaskMetadata {
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(crate) fn is_zero(number: &i64) -> bool {
    *number == 0
}
