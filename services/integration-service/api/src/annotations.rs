//! Keys of annotations of integration-service.

use fleet_api::AnnotationKey;

/// `IntegrationTestScenario` annotation: what kind of test it is, such as `enterprise-contract`. Copied to its runs.
pub const KIND: AnnotationKey = AnnotationKey::new("test.appstudio.openshift.io/kind");

/// `IntegrationTestScenario` annotation: `spec.environment` of the versions before `v1beta2`, as JSON. Written by
/// [`convert`](crate::convert).
pub const ENVIRONMENT: AnnotationKey =
    AnnotationKey::new("conversion.test.appstudio.openshift.io/v1beta1-environment");

/// `IntegrationTestScenario` annotation in `v1alpha1`: `spec.resolverRef` of the versions after it, as JSON, if
/// `pipeline` and `bundle` do not say all of it. Written by [`convert`](crate::convert).
pub const RESOLVER_REF: AnnotationKey =
    AnnotationKey::new("conversion.test.appstudio.openshift.io/v1beta2-resolver-ref");

/// `IntegrationTestScenario` annotation: fields of the spec that the version it was written in does not declare, and this
/// one does, as a JSON object. Written by [`convert`](crate::convert).
pub const UNDECLARED: AnnotationKey =
    AnnotationKey::new("conversion.test.appstudio.openshift.io/undeclared-fields");

/// `IntegrationTestScenario` annotation: how long a run may take, a Go duration.
pub const PIPELINE_TIMEOUT: AnnotationKey =
    AnnotationKey::new("test.appstudio.openshift.io/pipeline_timeout");

/// `IntegrationTestScenario` annotation: how long the tasks of a run may take, a Go duration.
pub const TASKS_TIMEOUT: AnnotationKey = AnnotationKey::new("test.appstudio.openshift.io/tasks_timeout");

/// `IntegrationTestScenario` annotation: how long the tasks below `finally` may take, a Go duration.
pub const FINALLY_TIMEOUT: AnnotationKey = AnnotationKey::new("test.appstudio.openshift.io/finally_timeout");

/// `IntegrationTestScenario` annotation: names of the scenarios of the same Application that have to pass before it is run,
/// with commas between. Ours.
pub const RUN_AFTER: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/run-after");

/// Snapshot annotation: how far each scenario has come, a JSON list.
pub const STATUS: AnnotationKey = AnnotationKey::new("test.appstudio.openshift.io/status");

/// Snapshot annotation: what was reported to the forge, a JSON object.
pub const GIT_REPORTER_STATUS: AnnotationKey =
    AnnotationKey::new("test.appstudio.openshift.io/git-reporter-status");

/// Snapshot annotation of older programs: when anything was last reported. Read, and replaced by
/// [`GIT_REPORTER_STATUS`].
pub const PR_LAST_UPDATE: AnnotationKey = AnnotationKey::new("test.appstudio.openshift.io/pr-last-update");

/// Snapshot annotation: why nothing is reported to the forge. Ours.
pub const GIT_REPORTING_FAILURE: AnnotationKey =
    AnnotationKey::new("test.appstudio.openshift.io/git-reporting-failure");

/// Snapshot annotation: `true` lets it be released although a newer build of its Component exists.
pub const IGNORE_SUPERSESSION: AnnotationKey =
    AnnotationKey::new("test.appstudio.openshift.io/ignore-supersession");

/// Snapshot annotation, of the user: `true`, or how long from its creation, as `720h`, it is kept from the garbage
/// collector.
pub const KEEP_SNAPSHOT: AnnotationKey = AnnotationKey::new("test.appstudio.openshift.io/keep-snapshot");

/// Annotation of a build's `PipelineRun` and of a Snapshot: the branch by which pull requests of several
/// repositories belong together.
pub const PR_GROUP: AnnotationKey = AnnotationKey::new("test.appstudio.openshift.io/pr-group");

/// Snapshot annotation: what became of making a Snapshot of its group.
pub const CREATE_GROUP_SNAPSHOT_STATUS: AnnotationKey =
    AnnotationKey::new("test.appstudio.openshift.io/create-groupsnapshot-status");

/// Annotation of a Snapshot of a group: its members, a JSON list.
pub const GROUP_TEST_INFO: AnnotationKey = AnnotationKey::new("test.appstudio.openshift.io/group-test-info");

/// Annotation of a build's `PipelineRun`: its Snapshot. On a test's run this is a label.
pub const SNAPSHOT: AnnotationKey = AnnotationKey::new("appstudio.openshift.io/snapshot");

/// Annotation of a build's `PipelineRun`: whether its Snapshot could be made, JSON with `status` (`success` or
/// `failed`) and `message`.
pub const CREATE_SNAPSHOT_STATUS: AnnotationKey =
    AnnotationKey::new("test.appstudio.openshift.io/create-snapshot-status");

/// Annotation of a build's `PipelineRun`: since when a quota forbids its Snapshot, in RFC 3339. Ours.
pub const SNAPSHOT_REFUSED_SINCE: AnnotationKey =
    AnnotationKey::new("fleet.konflux-ci.dev/snapshot-refused-since");

/// Annotation of a build's `PipelineRun`: what was reported while there was no Snapshot.
pub const SNAPSHOT_CREATION_REPORT: AnnotationKey =
    AnnotationKey::new("test.appstudio.openshift.io/snapshot-creation-report");

/// Annotation of a test's `PipelineRun`: `true` if a newer Snapshot made it needless.
pub const CANCELLED: AnnotationKey = AnnotationKey::new("pac.test.appstudio.openshift.io/cancelled");

/// Snapshot annotation: when the build that it was made for began, in seconds since 1970. Builds of a Component are
/// ordered by it.
pub const BUILD_START: AnnotationKey = AnnotationKey::new("test.appstudio.openshift.io/pipelinerunstarttime");

/// Component annotation: which build its `status.lastPromotedImage` is of, as `<start>/<end>` in seconds since 1970. An
/// older one does not replace it. Ours.
pub const PROMOTED_BUILD: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/promoted-build");

/// Component annotation: `false` keeps its `spec.containerImage` as it is when an image is promoted. Ours.
pub const MIRROR_CONTAINER_IMAGE: AnnotationKey =
    AnnotationKey::new("fleet.konflux-ci.dev/mirror-container-image");

/// `ReleasePlan` annotation: an expression in CEL that says of a Snapshot whether the plan releases it automatically. It counts
/// instead of the label of the same key.
pub const AUTO_RELEASE: AnnotationKey = AnnotationKey::new("release.appstudio.openshift.io/auto-release");

/// Begins the Snapshot annotation for a result of its build: the result's name follows, in lower case, with `-` for
/// `_`.
pub const RESULT_PREFIX: &str = "test.appstudio.openshift.io/result-";

/// Labels and annotations of Pipelines-as-Code are copied from a build's run with this prefix in place of
/// `pipelinesascode.tekton.dev`.
pub const PIPELINES_AS_CODE_PREFIX: &str = "pac.test.appstudio.openshift.io";

/// Labels and annotations with this beginning are copied from a build's run.
pub const BUILD_PREFIX: &str = "build.appstudio";
