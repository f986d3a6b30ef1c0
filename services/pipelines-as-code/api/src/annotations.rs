//! Keys of annotations: on a run in `.tekton/` (`read`), on the run that is made of it (`written`), on a
//! Repository.

use fleet_api::AnnotationKey;

/// On a Repository: asks for runs, a list of [`IncomingRequest`](crate::IncomingRequest) in JSON. Ours.
pub const INCOMING: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/incoming");

/// On a Repository: what became of them, a list of [`IncomingOutcome`](crate::IncomingOutcome) in JSON. Ours.
pub const INCOMING_OUTCOME: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/incoming-outcome");

/// On a Repository with a `concurrency_limit`: the runs that were let begin, a JSON object of names and uids. Written before a run
/// begins, under the version that was read, so that two writers never let more begin than may. Ours.
pub const STARTED_RUNS: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/started-runs");

/// On a run: by what the archive finds it, a [`RecordSummary`](crate::pipeline_run::RecordSummary) in JSON.
/// Read by results.
pub const RECORD_SUMMARY: AnnotationKey = AnnotationKey::new("results.tekton.dev/recordSummaryAnnotations");

/// What begins the keys of this group. No other kind of run carries them.
pub const PREFIX: &str = "pipelinesascode.tekton.dev/";

/// On a run in `.tekton/`: when it starts, and what it needs. A list is a word, or `[a, b]`.
pub mod read {
    use fleet_api::AnnotationKey;

    /// Events that start the run.
    pub const ON_EVENT: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/on-event");

    /// Branches that start the run when they are pushed to, or a pull request leads to them. Globs.
    pub const ON_TARGET_BRANCH: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/on-target-branch");

    /// CEL that decides whether the run starts. Where it is present, [`ON_EVENT`] and [`ON_TARGET_BRANCH`] do
    /// not count.
    pub const ON_CEL_EXPRESSION: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/on-cel-expression");

    /// Regular expression for comments that start the run.
    pub const ON_COMMENT: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/on-comment");

    /// Globs for files whose change starts the run.
    pub const ON_PATH_CHANGE: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/on-path-change");

    /// Globs for files whose change does not.
    pub const ON_PATH_CHANGE_IGNORE: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/on-path-change-ignore");

    /// Labels of a pull request that start the run.
    pub const ON_LABEL: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/on-label");

    /// The run starts for the Repository of this namespace only.
    pub const TARGET_NAMESPACE: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/target-namespace");

    /// How many ended runs of this name are kept, a decimal number.
    pub const MAX_KEEP_RUNS: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/max-keep-runs");

    /// `true` if a newer run ends those that go on for the same branch or pull request, `false` if not.
    pub const CANCEL_IN_PROGRESS: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/cancel-in-progress");

    /// Where Tasks come from that `.tekton/` does not hold. Further ones are in `task-1`, `task-2` and so on:
    /// see [`TASK_PREFIX`].
    pub const TASK: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/task");

    /// What the keys of further [`TASK`]s begin with; a number follows.
    pub const TASK_PREFIX: &str = "pipelinesascode.tekton.dev/task-";

    /// Where the Pipeline comes from that `.tekton/` does not hold.
    pub const PIPELINE: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/pipeline");
}

/// On the run that is made: where it comes from.
pub mod written {
    use fleet_api::AnnotationKey;

    /// Organisation that the repository belongs to. Also on the Secret of its credentials.
    pub const URL_ORG: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/url-org");

    /// Name of the repository. Also on the Secret of its credentials.
    pub const URL_REPOSITORY: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/url-repository");

    /// The commit. Also on the Secret of its credentials.
    pub const SHA: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/sha");

    /// Name of the Repository object. Also on Events about it.
    pub const REPOSITORY: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/repository");

    /// What started the run, an [`EventType`](crate::pipeline_run::EventType).
    pub const EVENT_TYPE: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/event-type");

    /// How far the run has come, a [`State`](crate::pipeline_run::State). Written by nobody else.
    pub const STATE: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/state");

    /// Name of the run in `.tekton/`.
    pub const ORIGINAL_PIPELINE_RUN: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/original-prname");

    /// Number of the pull request. Absent for other events.
    pub const PULL_REQUEST: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/pull-request");

    /// Id of the check run at GitHub, where the GitHub App reports.
    pub const CHECK_RUN_ID: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/check-run-id");

    /// Title of the commit.
    pub const SHA_TITLE: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/sha-title");

    /// URL that shows the commit to a person.
    pub const SHA_URL: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/sha-url");

    /// URL that shows the repository to a person.
    pub const REPO_URL: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/repo-url");

    /// User at the forge whose doing started the run.
    pub const SENDER: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/sender");

    /// Branch that was pushed to, or that the pull request leads to.
    pub const BRANCH: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/branch");

    /// Branch that was pushed to, or where the changes of the pull request are.
    pub const SOURCE_BRANCH: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/source-branch");

    /// Kind of the forge, a [`GitProvider`](crate::pipeline_run::GitProvider).
    pub const GIT_PROVIDER: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/git-provider");

    /// Secret with the credentials of the run. It goes with the run.
    pub const GIT_AUTH_SECRET: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/git-auth-secret");

    /// URL that shows the run to a person.
    pub const LOG_URL: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/log-url");

    /// Runs of one event that wait for each other, as `<namespace>/<name>` with commas between them. A hint:
    /// the time of creation counts where it is absent.
    pub const EXECUTION_ORDER: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/execution-order");

    /// Id of the installation of the GitHub App.
    pub const INSTALLATION_ID: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/installation-id");

    /// URL of the GitHub Enterprise server.
    pub const GHE_URL: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/ghe-url");

    /// Id of the GitLab project that a merge request comes from.
    pub const SOURCE_PROJECT_ID: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/source-project-id");

    /// Id of the GitLab project that a merge request leads to.
    pub const TARGET_PROJECT_ID: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/target-project-id");

    /// The settings that it was started under, a [`ControllerInfo`](crate::pipeline_run::ControllerInfo) in
    /// JSON.
    pub const CONTROLLER_INFO: AnnotationKey =
        AnnotationKey::new("pipelinesascode.tekton.dev/controller-info");

    /// URL of the repository. On the Secret of credentials only.
    pub const URL: AnnotationKey = AnnotationKey::new("pipelinesascode.tekton.dev/url");
}
