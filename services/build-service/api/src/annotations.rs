//! Keys of annotations.

use fleet_api::AnnotationKey;

/// Component annotation: what to do now, one of [`Request`](crate::Request). Removed when it has been dealt
/// with.
pub const REQUEST: AnnotationKey = AnnotationKey::new("build.appstudio.openshift.io/request");

/// Component annotation: what has become of its builds, a [`BuildStatus`](crate::BuildStatus) in JSON.
pub const STATUS: AnnotationKey = AnnotationKey::new("build.appstudio.openshift.io/status");

/// Component annotation: id under which the request in hand is dealt with, written before anything outside is
/// done. Removed together with the request. Ours.
pub const CLAIM: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/build-claim");

/// Component annotation: the pipeline to build with, a [`PipelineChoice`](crate::request::PipelineChoice) in
/// JSON. Only where there is no `BuildPipelineSelector`.
pub const PIPELINE: AnnotationKey = AnnotationKey::new("build.appstudio.openshift.io/pipeline");

/// Component annotation: `1` or `true`, in upper or lower case, if a build without Pipelines-as-Code skips
/// the checks of its pipeline.
pub const SKIP_INITIAL_CHECKS: AnnotationKey = AnnotationKey::new("skip-initial-checks");

/// Component annotation: kind of the forge, where its host does not tell: `github`, `gitlab`, `bitbucket`,
/// `gitea` or `forgejo`.
pub const GIT_PROVIDER: AnnotationKey = AnnotationKey::new("git-provider");

/// Component annotation: URL of the forge, with the https scheme. Absent means the host of the repository.
pub const GIT_PROVIDER_URL: AnnotationKey = AnnotationKey::new("git-provider-url");

/// Component annotation: `true` if the branch that proposes its image to others is named after it alone, not
/// after the Component that is nudged too.
pub const NUDGE_SIMPLE_BRANCH: AnnotationKey =
    AnnotationKey::new("build.appstudio.openshift.io/build-nudge-simple-branch");

/// Component annotation: ConfigMap of the same namespace with settings for the pull requests that propose its
/// image.
pub const NUDGE_RENOVATE_CONFIG_MAP: AnnotationKey =
    AnnotationKey::new("build.appstudio.openshift.io/nudge_renovate_config_map");

/// `PipelineRun` annotation: name of the pipeline that was chosen.
pub const PIPELINE_NAME: AnnotationKey = AnnotationKey::new("build.appstudio.redhat.com/pipeline_name");

/// `PipelineRun` annotation: bundle of the pipeline that was chosen.
pub const BUNDLE: AnnotationKey = AnnotationKey::new("build.appstudio.redhat.com/bundle");

/// `PipelineRun` annotation: branch that is built, or that a pull request leads to.
pub const TARGET_BRANCH: AnnotationKey = AnnotationKey::new("build.appstudio.redhat.com/target_branch");

/// `PipelineRun` annotation: commit that is built.
pub const COMMIT_SHA: AnnotationKey = AnnotationKey::new("build.appstudio.redhat.com/commit_sha");

/// `PipelineRun` annotation: number of the pull request that is built.
pub const PULL_REQUEST_NUMBER: AnnotationKey =
    AnnotationKey::new("build.appstudio.redhat.com/pull_request_number");

/// `PipelineRun` annotation: URL that shows the commit to a person.
pub const REPO: AnnotationKey = AnnotationKey::new("build.appstudio.openshift.io/repo");

/// What the keys begin with that integration-service copies from a build to its Snapshot and test runs.
pub const COPIED_PREFIX: &str = "build.appstudio";

/// `PipelineRun` annotation: which files a new image is proposed in, regular expressions with commas between
/// them. Absent means [`DEFAULT_NUDGE_FILES`].
pub const NUDGE_FILES: AnnotationKey = AnnotationKey::new("build.appstudio.openshift.io/build-nudge-files");

/// See [`NUDGE_FILES`].
pub const DEFAULT_NUDGE_FILES: &str = ".*Dockerfile.*, .*.yaml, .*Containerfile.*";

/// `PipelineRun` annotation: `true` when its image has been proposed, or will not be.
pub const NUDGE_PROCESSED: AnnotationKey =
    AnnotationKey::new("build.appstudio.openshift.io/component-nudge-processed");

/// `PipelineRun` annotation: how often proposing its image failed, a decimal number. At [`NUDGE_ATTEMPTS`] it
/// is given up.
pub const NUDGE_FAILURES: AnnotationKey =
    AnnotationKey::new("build.appstudio.openshift.io/build-nudge-failures");

/// How often proposing an image is tried.
pub const NUDGE_ATTEMPTS: u32 = 3;

/// Secret annotation: paths of the repositories that its credentials are for, with commas between them; one
/// that ends with `*` means all that begin so. Absent means all of the host.
pub const SCM_REPOSITORY: AnnotationKey = AnnotationKey::new("appstudio.redhat.com/scm.repository");

/// Annotations of the runs that propose a new image.
pub mod nudge {
    use fleet_api::AnnotationKey;

    /// Names of the Components that it is proposed to.
    pub const NUDGED_COMPONENTS: AnnotationKey =
        AnnotationKey::new("build.appstudio.redhat.com/nudged-components");

    /// Commit that the image was built from.
    pub const NUDGING_COMMIT: AnnotationKey = AnnotationKey::new("build.appstudio.redhat.com/nudging-commit");

    /// Name of the Component that was built.
    pub const NUDGING_COMPONENT: AnnotationKey =
        AnnotationKey::new("build.appstudio.redhat.com/nudging-component");

    /// The image.
    pub const NUDGING_IMAGE: AnnotationKey = AnnotationKey::new("build.appstudio.redhat.com/nudging-image");

    /// Name of the run that built it.
    pub const NUDGING_PIPELINE: AnnotationKey =
        AnnotationKey::new("build.appstudio.redhat.com/nudging-pipeline");
}

/// Annotations by which dependencies are looked through.
pub mod mintmaker {
    use fleet_api::AnnotationKey;

    /// On a `DependencyUpdateCheck`, or an Event that asks for a token: `true` when it has been taken up.
    pub const PROCESSED: AnnotationKey = AnnotationKey::new("mintmaker.appstudio.redhat.com/processed");

    /// On a Component: `true` if its dependencies are left alone.
    pub const DISABLED: AnnotationKey = AnnotationKey::new("mintmaker.appstudio.redhat.com/disabled");
}
