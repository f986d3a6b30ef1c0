//! Keys and values of labels of integration-service.

use fleet_api::LabelKey;

/// Label of a test's `PipelineRun` and of an Environment made for a test: the Snapshot.
pub const SNAPSHOT: LabelKey = LabelKey::new("appstudio.openshift.io/snapshot");

/// Label of a test's `PipelineRun`: the Environment made for it.
pub const ENVIRONMENT: LabelKey = LabelKey::new("appstudio.openshift.io/environment");

/// Snapshot label: the `PipelineRun` of the build that it was made for.
pub const BUILD_PIPELINE_RUN: LabelKey = LabelKey::new("appstudio.openshift.io/build-pipelinerun");

/// Snapshot label: when that build ended, in seconds since 1970.
pub const PIPELINE_RUN_FINISH_TIME: LabelKey =
    LabelKey::new("test.appstudio.openshift.io/pipelinerunfinishtime");

/// Snapshot label: what it was made for, one of [`snapshot_type`].
pub const TYPE: LabelKey = LabelKey::new("test.appstudio.openshift.io/type");

/// Values of [`TYPE`].
pub mod snapshot_type {
    /// For a build of one Component.
    pub const COMPONENT: &str = "component";
    /// For what is tested together once more, because another build was promoted meanwhile.
    pub const COMPOSITE: &str = "composite";
    /// By a user, to set what is promoted.
    pub const OVERRIDE: &str = "override";
    /// For pull requests that belong together.
    pub const GROUP: &str = "group";
}

/// Label of a test's `PipelineRun`, and of an Environment and a `SnapshotEnvironmentBinding` made for a test: the
/// scenario.
pub const SCENARIO: LabelKey = LabelKey::new("test.appstudio.openshift.io/scenario");

/// `IntegrationTestScenario` label, copied to its runs: `true` if it may fail. Any other value, or none, means that
/// it must pass.
pub const OPTIONAL: LabelKey = LabelKey::new("test.appstudio.openshift.io/optional");

/// Snapshot label: the scenario that is to be run again; [`RUN_ALL`] means all.
pub const RUN: LabelKey = LabelKey::new("test.appstudio.openshift.io/run");

/// Value of [`RUN`].
pub const RUN_ALL: &str = "all";

/// Label of a build's `PipelineRun` and of a Snapshot: the annotation
/// [`PR_GROUP`](crate::annotations::PR_GROUP), hashed.
pub const PR_GROUP_SHA: LabelKey = LabelKey::new("test.appstudio.openshift.io/pr-group-sha");

/// `PipelineRun` label [`PIPELINE_TYPE`](fleet_api::keys::PIPELINE_TYPE) of builds, which integration-service reads.
pub const PIPELINE_TYPE_BUILD: &str = "build";

/// `PipelineRun` label [`PIPELINE_TYPE`](fleet_api::keys::PIPELINE_TYPE) of tests, which integration-service starts.
pub const PIPELINE_TYPE_TEST: &str = "test";

/// Snapshot label: hash of its images and sources, by which equal ones are found. Ours.
pub const CONTENT_HASH: LabelKey = LabelKey::new("fleet.konflux-ci.dev/content-hash");
