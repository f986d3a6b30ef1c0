//! `BuildPipelineSelector`: which pipeline builds a Component.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The pipelines to choose from.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "BuildPipelineSelector",
    plural = "buildpipelineselectors",
    doc = "Chooses the pipeline that builds a Component. Looked for by the name of its Application, then by \
           `build-pipeline-selector`, then by that in the namespace `build-service`.",
    namespaced,
    derive = "Default",
    derive = "PartialEq"
)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct BuildPipelineSelectorSpec {
    /// Tried in order; the first that matches the Component wins.
    #[schemars(!default)]
    #[serde(default)]
    pub selectors: Vec<PipelineSelector>,
}

/// A pipeline, and the Components that it builds.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineSelector {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The pipeline.
    #[schemars(!default)]
    #[serde(default)]
    pub pipeline_ref: PipelineRef,
    /// Parameters of the run. They are added to those that the service sets, and win over them.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pipeline_params: Vec<PipelineParam>,
    /// Which Components match: those that meet all of these conditions. Absent means all Components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<WhenConditions>,
}

/// A pipeline in a bundle: with `resolver: bundles` and the parameters `name`, `bundle` and `kind`, or in the
/// old form with `name` and `bundle`.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineRef {
    /// Name of the pipeline in the bundle. Only without `resolver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// API version of the pipeline. Has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The bundle's image. Only without `resolver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Who fetches the pipeline: `bundles`. Absent or empty means the old form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
    /// Parameters of the resolver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ResolverParam>,
}

/// A parameter of a resolver.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResolverParam {
    /// Name of the parameter.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// A string, a list of strings, or an object of strings.
    #[schemars(!default, schema_with = "fleet_api::schema::any_value")]
    #[serde(default)]
    pub value: Value,
}

/// A parameter of a run.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineParam {
    /// Name of the parameter.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// Its value.
    #[schemars(!default)]
    #[serde(default)]
    pub value: String,
}

/// What a Component must be. Each text is a list of values with commas between them, of which one has to
/// match, in upper or lower case; spaces around a value do not count.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhenConditions {
    /// Programming languages, as in the Component's devfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Frameworks, as in the Component's devfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_type: Option<String>,
    /// Whether the Component's devfile names a Dockerfile. Absent means that this does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<bool>,
    /// Names of Components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_name: Option<String>,
    /// Annotations that the Component must have, each with one of the values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels that the Component must have, each with one of the values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
