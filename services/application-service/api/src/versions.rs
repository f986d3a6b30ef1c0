//! The part of a Component that names several versions (branches) of one repository, each with builds of its
//! own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One version of a Component: a branch that is built.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentVersion {
    /// Name of the version, unique in the Component.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// Branch, tag or commit.
    #[schemars(!default)]
    #[serde(default)]
    pub revision: String,
    /// Directory in the repository. Absent means its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Path of the Dockerfile. Absent means that of the Component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile_uri: Option<String>,
    /// True if pushes and pull requests are not built. Absent means false.
    #[serde(default, rename = "skip-builds", skip_serializing_if = "Option::is_none")]
    pub skip_builds: Option<bool>,
    /// How it is built. Absent means the Component's default.
    #[serde(default, rename = "build-pipeline", skip_serializing_if = "Option::is_none")]
    pub build_pipeline: Option<BuildPipeline>,
}

/// Which pipelines build: one for pushes and pull requests alike, or one for each.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildPipeline {
    /// For pushes and pull requests. Excludes the others.
    #[serde(default, rename = "pull-and-push", skip_serializing_if = "Option::is_none")]
    pub pull_and_push: Option<PipelineSource>,
    /// For pull requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<PipelineSource>,
    /// For pushes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PipelineSource>,
}

/// Where a pipeline comes from: exactly one of these.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineSource {
    /// Referred to in a Git repository, and fetched by each run.
    #[serde(default, rename = "pipelineref-by-git-resolver", skip_serializing_if = "Option::is_none")]
    pub git_resolver: Option<PipelineInGit>,
    /// Referred to by its name in the repository that is built.
    #[serde(default, rename = "pipelineref-by-name", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Copied out of a bundle.
    #[serde(default, rename = "pipelinespec-from-bundle", skip_serializing_if = "Option::is_none")]
    pub bundle: Option<PipelineInBundle>,
}

/// A pipeline in a file of a Git repository.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineInGit {
    /// URL of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Branch, tag or commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Path of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_in_repo: Option<String>,
}

/// A pipeline in a bundle of a registry.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineInBundle {
    /// The bundle's image; `latest` means the platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Name of the pipeline in the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What to do once with a Component.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentActions {
    /// Propose the build pipelines to the repository by pull request.
    #[serde(default, rename = "create-pipeline-configuration-pr", skip_serializing_if = "Option::is_none")]
    pub create_pipeline_configuration_pr: Option<VersionChoice>,
    /// Build the newest commit of this version.
    #[serde(default, rename = "trigger-push-build", skip_serializing_if = "Option::is_none")]
    pub trigger_push_build: Option<String>,
    /// Build the newest commits of these versions.
    #[serde(default, rename = "trigger-push-builds", skip_serializing_if = "Vec::is_empty")]
    pub trigger_push_builds: Vec<String>,
}

/// Versions of a Component: all, one, or several.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionChoice {
    /// True means all.
    #[serde(default, rename = "all-versions", skip_serializing_if = "Option::is_none")]
    pub all_versions: Option<bool>,
    /// Name of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Names of several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
}

/// Settings of a repository at Pipelines-as-Code.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositorySettings {
    /// When comments are written on pull requests. Absent means the default of Pipelines-as-Code.
    #[serde(default, rename = "comment-strategy", skip_serializing_if = "Option::is_none")]
    pub comment_strategy: Option<String>,
    /// Further repositories that the token of a run may read.
    #[serde(default, rename = "github-app-token-scope-repos", skip_serializing_if = "Vec::is_empty")]
    pub github_app_token_scope_repos: Vec<String>,
}

/// How far one version of a Component has come.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentVersionStatus {
    /// Name of the version.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// Its revision when it was last processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Whether its builds are set up: `succeeded` or `failed`.
    #[serde(default, rename = "onboarding-status", skip_serializing_if = "Option::is_none")]
    pub onboarding_status: Option<String>,
    /// When that was found.
    #[serde(default, rename = "onboarding-time", skip_serializing_if = "Option::is_none")]
    pub onboarding_time: Option<String>,
    /// URL of the pull request that proposes its build pipelines.
    #[serde(default, rename = "configuration-merge-url", skip_serializing_if = "Option::is_none")]
    pub configuration_merge_url: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether its builds are switched off.
    #[serde(default, rename = "skip-builds", skip_serializing_if = "Option::is_none")]
    pub skip_builds: Option<bool>,
}

impl ComponentVersionStatus {
    /// `onboarding-status`: its builds are set up.
    pub const SUCCEEDED: &'static str = "succeeded";
    /// `onboarding-status`: they are not. `message` says why.
    pub const FAILED: &'static str = "failed";
}
