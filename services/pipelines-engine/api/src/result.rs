//! Results of steps, Tasks and Pipelines: what is declared, and what came of a run (specification, section 3.1).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::param::{ParamType, ParamValue, PropertySpec};

/// A result that the steps of a Task write to `$(results.<name>.path)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskResult {
    #[serde(default)]
    pub name: String,
    /// Absent until defaulting has chosen one.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ParamType>,
    /// Keys of an object result.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, PropertySpec>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// `$(steps.<step>.results.<name>)`: taken from a step's result instead of a file of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ParamValue>,
}

impl TaskResult {
    /// The declared type, or what defaulting makes of the rest.
    pub fn effective_type(&self) -> ParamType {
        effective_type(self.type_, &self.properties)
    }
}

/// A result that one step writes to `$(step.results.<name>.path)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepResult {
    #[serde(default)]
    pub name: String,
    /// Absent until defaulting has chosen one.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ParamType>,
    /// Keys of an object result.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, PropertySpec>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl StepResult {
    /// The declared type, or what defaulting makes of the rest.
    pub fn effective_type(&self) -> ParamType {
        effective_type(self.type_, &self.properties)
    }
}

fn effective_type(type_: Option<ParamType>, properties: &BTreeMap<String, PropertySpec>) -> ParamType {
    type_.unwrap_or(if properties.is_empty() { ParamType::String } else { ParamType::Object })
}

/// A result of a TaskRun or of one of its steps, in status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskRunResult {
    #[serde(default)]
    pub name: String,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ParamType>,
    #[serde(default)]
    pub value: ParamValue,
}

/// A result that a Pipeline declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineResult {
    #[serde(default)]
    pub name: String,
    /// Absent until defaulting has chosen one.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ParamType>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Refers to results of tasks, as `$(tasks.<task>.results.<name>)`.
    #[serde(default)]
    pub value: ParamValue,
}

/// A result of a PipelineRun, in status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineRunResult {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub value: ParamValue,
}
