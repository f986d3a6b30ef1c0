//! What is collected for a Release before its pipelines run.

use fleet_api::schema::DNS_LABEL;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pipeline::Param;

/// Collectors, and what they run with.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Collectors {
    /// The collectors, which run side by side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Collector>,
    /// Secrets of the same namespace that they may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// `ServiceAccount` that they run as. Absent means the default of the namespace.
    #[schemars(regex(pattern = DNS_LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
}

/// One collector.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Collector {
    /// Name by which its results are found.
    #[schemars(!default, regex(pattern = DNS_LABEL))]
    #[serde(default)]
    pub name: String,
    /// What it collects.
    #[schemars(!default, regex(pattern = DNS_LABEL))]
    #[serde(default, rename = "type")]
    pub type_: String,
    /// How many seconds it may take. Absent or 0 means the pipeline's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
}
