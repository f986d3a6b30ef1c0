//! `ResolutionRequest` (specification, section 3.10): asks a resolver for a Task or Pipeline.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::param::Param;
use crate::status::{RefSource, RunCondition};

/// Asks the resolver that its label names.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "resolution.tekton.dev",
    version = "v1beta1",
    kind = "ResolutionRequest",
    plural = "resolutionrequests",
    category = "tekton",
    category = "tekton-pipelines",
    namespaced,
    schema = "disabled",
    status = "ResolutionRequestStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ResolutionRequestSpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolutionRequestStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RunCondition>,
    /// Facts about it, as the keys of [`annotations::resolution`](crate::annotations::resolution).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The YAML, in base64.
    #[serde(default)]
    pub data: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_source: Option<RefSource>,
    /// The same, for readers of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<RefSource>,
}
