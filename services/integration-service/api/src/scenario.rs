//! What the versions of `IntegrationTestScenario` share.

use application_service_api::environment::EnvironmentConfiguration;
use fleet_api::{Condition, Open};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a pipeline comes from.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolverRef {
    /// The resolver that fetches it, such as `git` or `bundles`.
    #[schemars(!default, length(max = 253))]
    #[serde(default)]
    pub resolver: String,
    /// What the resolver is asked for.
    #[schemars(!default, length(max = 64))]
    #[serde(default)]
    pub params: Vec<ResolverParam>,
    /// What is fetched: a `pipeline`, or a `pipelinerun` with all its settings.
    #[schemars(extend("default" = ResourceKind::Pipeline))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_kind: Option<Open<ResourceKind>>,
}

impl ResolverRef {
    /// `resolver`: pipelines in images.
    pub const BUNDLES: &'static str = "bundles";
    /// `resolver`: pipelines of Git repositories.
    pub const GIT: &'static str = "git";
}

/// What a `ResolverRef` fetches.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    #[default]
    Pipeline,
    PipelineRun,
}

/// A parameter of a resolver.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolverParam {
    /// Name of the parameter.
    #[schemars(!default, length(max = 253))]
    #[serde(default)]
    pub name: String,
    /// Its value.
    #[schemars(!default, length(max = 4096))]
    #[serde(default)]
    pub value: String,
}

/// A parameter of the runs: text or a list of texts.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineParameter {
    /// Name of the parameter.
    #[schemars(!default, length(max = 253))]
    #[serde(default)]
    pub name: String,
    /// Its value, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its values, if it is a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// For which Snapshots a scenario is run.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestContext {
    /// `application` or `all`, `component`, `component_<name>`, `group`, `override`, `push` or `pull_request`.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The Environment that is copied for each run, before `v1beta2`.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestEnvironment {
    /// Environment of the same namespace.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// `POC` or `Non-POC`. Without effect.
    #[schemars(!default)]
    #[serde(default, rename = "type")]
    pub type_: String,
    /// What is different in the copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<EnvironmentConfiguration>,
}

/// What is known of a scenario.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationTestScenarioStatus {
    /// `IntegrationTestScenarioValid`.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(!default)]
    #[serde(default)]
    pub conditions: Vec<Condition>,
}
