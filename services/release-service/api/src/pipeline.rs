//! Which pipeline is run, and how.

use fleet_api::schema::{DNS_LABEL, any_objects};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A pipeline and how it is run.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pipeline {
    /// Where the pipeline comes from.
    #[schemars(!default)]
    #[serde(default)]
    pub pipeline_ref: PipelineRef,
    /// `ServiceAccount` that its tasks run as. Absent means the default of the namespace.
    #[schemars(regex(pattern = DNS_LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// How long it may take. Absent means the service's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// Settings of single tasks, as in `spec.taskRunSpecs` of a PipelineRun.
    #[schemars(schema_with = "any_objects")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub task_run_specs: Vec<Value>,
    /// How often a run that failed for want of memory or time is repeated. Absent means as the service's
    /// configuration says; 0 means never.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i64>,
}

/// A pipeline with parameters of its own, and how it is run.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParameterizedPipeline {
    #[serde(flatten)]
    pub pipeline: Pipeline,
    /// Added to the parameters of each run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
}

/// Where a pipeline comes from.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineRef {
    /// The resolver that fetches it, such as `git`. `cluster` is for debugging only.
    #[schemars(!default)]
    #[serde(default)]
    pub resolver: String,
    /// What the resolver is asked for.
    #[schemars(!default)]
    #[serde(default)]
    pub params: Vec<Param>,
    /// Repository for artifacts that tasks hand to each other; given to the run as parameter `ociStorage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci_storage: Option<String>,
    /// True if the run's workspace lives in the memory or disk of its node instead of a volume. Absent means false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_empty_dir: Option<bool>,
}

impl PipelineRef {
    /// `resolver`: pipelines of the cluster itself.
    pub const CLUSTER: &'static str = "cluster";
    /// `resolver`: pipelines of a Git repository.
    pub const GIT: &'static str = "git";
}

/// A parameter with a text value.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Param {
    /// Name of the parameter.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// Its value.
    #[schemars(!default)]
    #[serde(default)]
    pub value: String,
}

/// How long a run and its parts may take, such as `4h0m0s`. Zero counts as absent.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// The whole run: at least `tasks` and `finally` together.
    #[schemars(regex(pattern = DURATION))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// All tasks but those below `finally`.
    #[schemars(regex(pattern = DURATION))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<String>,
    /// The tasks below `finally`.
    #[schemars(regex(pattern = DURATION))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally: Option<String>,
}

/// A duration as Go writes and reads it, not negative.
const DURATION: &str = "^(0|([0-9]+([.][0-9]*)?(ns|us|µs|ms|s|m|h))+)$";
