//! References to Tasks, Pipelines and StepActions, in the cluster or elsewhere (specification, sections 3.3 and 3.4).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::param::Param;

/// Refers to a Task, a custom task or a StepAction: by name in the same namespace, or by a resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskRef {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `Task` if absent. Of a custom task its kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Together with `kind`: a custom task.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// `git`, `bundles`, `cluster`, `hub`, `http`, or one that is installed beside.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resolver: String,
    /// What the resolver asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
}

impl TaskRef {
    /// Whether a controller of its own runs it: both of `apiVersion` and `kind` are given.
    pub fn is_custom(&self) -> bool {
        !self.api_version.is_empty() && !self.kind.is_empty()
    }
}

/// Refers to a Pipeline: by name in the same namespace, or by a resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineRef {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resolver: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
}
