//! `ComponentDetectionQuery`: asks once which Components a Git repository holds.
#![expect(clippy::duplicated_attributes, reason = "columns have their types in common")]

use std::collections::BTreeMap;

use fleet_api::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::component::ComponentSpec;
use crate::source::GitSource;

/// What is asked.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "ComponentDetectionQuery",
    plural = "componentdetectionqueries",
    shortname = "hcdq",
    shortname = "compdetection",
    doc = "Asks once which Components a Git repository holds.",
    namespaced,
    status = "ComponentDetectionQueryStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[-1].status",
        description = "Status of the newest type of condition."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[-1].reason",
        description = "Reason of the newest type of condition."
    ),
    printcolumn(
        name = "Type",
        type_ = "string",
        json_path = ".status.conditions[-1].type",
        description = "The newest type of condition."
    )
)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ComponentDetectionQuerySpec {
    /// The repository to look at.
    #[schemars(!default)]
    #[serde(default)]
    pub git: GitSource,
    /// Secret of the same namespace whose key `password` holds a token for the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// True if the names of all proposed Components get a random suffix. Absent means false: only those get
    /// one whose name is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate_component_name: Option<bool>,
}

/// What was found.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ComponentDetectionQueryStatus {
    /// `Processing`, then `Completed`.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The Components found, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub component_detected: BTreeMap<String, DetectedComponent>,
}

/// One Component that a repository holds.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DetectedComponent {
    /// Whether it comes with a devfile, in the repository or in the registry of samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devfile_found: Option<bool>,
    /// Its programming language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Its framework.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_type: Option<String>,
    /// The spec of a Component to create. Its `application` is a placeholder.
    #[schemars(transform = crate::schema::without_rules)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_stub: Option<ComponentSpec>,
}
