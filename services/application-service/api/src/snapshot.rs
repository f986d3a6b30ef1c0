//! Snapshot: the images of an Application that are tested and released together. Its behaviour and its
//! conditions belong to integration-service.

use std::collections::BTreeMap;

use fleet_api::Condition;
use kube::core::{Message, Reason, Rule};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::GitSource;
use crate::validation;

/// Which images a Snapshot holds.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "Snapshot",
    plural = "snapshots",
    shortname = "as",
    shortname = "snapshot",
    doc = "The images of an Application that are tested and released together.",
    namespaced,
    status = "SnapshotStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.application",
    validation = application_or_group()
)]
#[x_kube(validation = immutable_components())]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSpec {
    /// Application of the same namespace; never changes. Must be given, unless `componentGroup` is.
    #[x_kube(validation = validation::immutable("application field"))]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub application: String,
    /// Group of Components, where Snapshots are made for groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_group: Option<String>,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What the Snapshot is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_description: Option<String>,
    /// The images; never changes.
    #[schemars(length(max = 2000))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<SnapshotComponent>,
    /// What else belongs to the Snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<SnapshotArtifacts>,
}

/// One image of a Snapshot.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotComponent {
    /// Name of the Component.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// Name of the Component's version, if it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The image, by digest.
    #[schemars(!default)]
    #[serde(default)]
    pub container_image: String,
    /// What the image was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SnapshotSource>,
}

/// What an image was built from.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSource {
    /// The commit, as `revision` of a repository.
    #[schemars(transform = crate::schema::without_rules)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSource>,
}

/// What belongs to a Snapshot besides images.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotArtifacts {
    /// Any JSON. Its shape may change without notice.
    #[schemars(schema_with = "crate::schema::any_value")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstable_fields: Option<serde_json::Value>,
}

/// What has become of a Snapshot.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = crate::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// Written by integration-service.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The Snapshots made of this one for the groups above its own, by name of the group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parent_snapshots: BTreeMap<String, ParentSnapshot>,
}

/// A Snapshot made for a group of groups.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentSnapshot {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether, or when, it was created, as its writer says it.
    #[schemars(schema_with = "crate::schema::any_value")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<serde_json::Value>,
    /// Why it could not be created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err: Option<String>,
}

/// No component is added, dropped or given another image: what was tested is what is released.
fn immutable_components() -> Rule {
    const LIST: &str = "self.components";
    // The whole list would cost more than a message may, in the API server's estimate.
    let first = [0, 1].map(|at| {
        let comma = if at == 0 { "" } else { ", " };
        format!(
            "({LIST}.size() > {at} ? '{comma}' + {LIST}[{at}].name + '=' + {LIST}[{at}].containerImage : '')"
        )
    });
    Rule::new(format!(
        "has({LIST}) == has(oldSelf.components) && (!has({LIST}) || {LIST} == oldSelf.components)"
    ))
    .field_path(".components")
    .message(Message::Expression(format!(
        "'components cannot be updated to ' + (!has({LIST}) ? 'none' \
         : '[' + {} + ({LIST}.size() > {} ? ', …' : '') + ']')",
        first.join(" + "),
        first.len()
    )))
}

/// A new Snapshot says what it is of. One of a group of Components, as newer programs make them, need not name an
/// Application.
fn application_or_group() -> Rule {
    Rule::new("oldSelf.hasValue() || has(self.spec.application) || has(self.spec.componentGroup)")
        .message("application must be given, or componentGroup")
        .reason(Reason::FieldValueRequired)
        .field_path(".spec.application")
        .optional_old_self(true)
}
