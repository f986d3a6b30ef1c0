//! `ReleaseServiceConfig`: settings of release-service that its administrators change while it runs.

use fleet_api::schema::any_value;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pipeline::Timeouts;

/// Settings of the service.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "appstudio.redhat.com",
    version = "v1alpha1",
    kind = "ReleaseServiceConfig",
    plural = "releaseserviceconfigs",
    shortname = "rsc",
    doc = "Settings of release-service: the object release-service-config of its own namespace.",
    namespaced,
    status = "ReleaseServiceConfigStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[schemars(transform = fleet_api::schema::stored)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseServiceConfigSpec {
    /// True if pipelines may come from the resolver `cluster`. Absent means false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug: Option<bool>,
    /// Repository of advisories, for the pipelines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisory_repo: Option<String>,
    /// How long a run may take whose pipeline does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_timeouts: Option<Timeouts>,
    /// Pipelines whose workspace needs no volume.
    #[serde(default, rename = "EmptyDirOverrides", skip_serializing_if = "Vec::is_empty")]
    pub empty_dir_overrides: Vec<EmptyDirOverride>,
    /// Pipelines that are repeated when they fail for want of memory or time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retryable_pipelines: Vec<RetryablePipeline>,
}

impl ReleaseServiceConfigSpec {
    /// Name of the one object.
    pub const NAME: &'static str = "release-service-config";
}

/// Pipelines of Git repositories.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDirOverride {
    /// Regular expression for the URL of the repository.
    #[schemars(!default)]
    #[serde(default)]
    pub url: String,
    /// Regular expression for the revision.
    #[schemars(!default)]
    #[serde(default)]
    pub revision: String,
    /// Path of the file.
    #[schemars(!default)]
    #[serde(default)]
    pub path_in_repo: String,
}

/// Pipelines of Git repositories, and when they are repeated.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryablePipeline {
    /// Regular expression for the whole URL of the repository.
    #[schemars(!default)]
    #[serde(default)]
    pub url: String,
    /// Regular expression for the whole revision.
    #[schemars(!default)]
    #[serde(default)]
    pub revision: String,
    /// Path of the file.
    #[schemars(!default)]
    #[serde(default)]
    pub path_in_repo: String,
    /// When they are repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
}

/// When a pipeline is repeated.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// How often, unless the admission says it.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i64>,
    /// When it is not repeated after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_on: Option<DisableOn>,
    /// What an attempt gets more of than the one before. Its shape may change without notice.
    #[schemars(schema_with = "any_value")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mitigations: Option<Value>,
}

/// When a pipeline is not repeated.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DisableOn {
    /// Tags one of which is pushed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// Nothing.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = fleet_api::schema::stored, extend("x-kubernetes-preserve-unknown-fields" = true))]
#[serde(rename_all = "camelCase")]
pub struct ReleaseServiceConfigStatus {}
