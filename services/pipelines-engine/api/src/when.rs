//! Conditions of tasks, and tasks that run once per combination (specification, section 3.1).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::param::Param;

/// Holds if `input` is (`in`) or is not (`notin`) one of `values`; or, with `cel`, if that expression is true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhenExpression {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub input: String,
    /// `in` or `notin`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub operator: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Instead of the other three.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cel: String,
}

/// Runs a task once for each combination of values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Matrix {
    /// Arrays, whose elements are combined each with each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// Further combinations, or further parameters of some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<IncludeParams>,
}

/// One combination that a [`Matrix`] includes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncludeParams {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
}
