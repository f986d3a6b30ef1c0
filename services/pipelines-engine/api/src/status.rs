//! What the statuses of all kinds of runs share (specification, sections 3.4 and 3.5).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of the condition that says how far a run is, and how it ended.
pub const SUCCEEDED: &str = "Succeeded";

/// The type of the condition of a run whose pod somebody was let into while it ran, so that what it reports need not be what its
/// steps did. `True` or absent; never taken back. Its reason is a [`TamperedReason`](crate::reasons::TamperedReason).
pub const TAMPERED: &str = "Tampered";

/// A condition as Knative defines it: other than Kubernetes' own, most of it may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunCondition {
    #[serde(default, rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    #[serde(default)]
    pub status: String,
    /// Empty means an error that ends the run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub severity: String,
    /// Moves whenever the condition changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The condition `Succeeded`, if there is one.
pub fn succeeded(conditions: &[RunCondition]) -> Option<&RunCondition> {
    conditions.iter().find(|condition| condition.type_ == SUCCEEDED)
}

/// The condition `Tampered`, if the run has been tampered with. Any value but `False` counts: who is in doubt does not trust.
pub fn tampered(conditions: &[RunCondition]) -> Option<&RunCondition> {
    conditions.iter().find(|condition| condition.type_ == TAMPERED && condition.status != "False")
}

/// Where a resolved Task or Pipeline came from, and what was configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_source: Option<RefSource>,
    /// The feature flags at the time, under the names of the original's Go fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_flags: Option<serde_json::Value>,
}

/// The place of a Task or Pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefSource {
    /// `git+https://…`, a repository of images, and so on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// Algorithm to hexadecimal digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    /// Path or name within.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub entry_point: String,
}
