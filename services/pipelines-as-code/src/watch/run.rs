//! What a run of ours says of itself.

use fleet::ObjectKey;
use fleet_api::{AnnotationKey, keys};
use jiff::Timestamp;
use kube::ResourceExt as _;
use pipelines_as_code_api::annotations::written as annotations;
use pipelines_as_code_api::pipeline_run::{GitProvider, State};
use pipelines_as_code_api::{finalizers, labels};
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::pipeline_run::PENDING;
use pipelines_engine_api::status::{RunCondition, succeeded};

/// An annotation that says something.
pub(crate) fn annotation(run: &PipelineRun, key: AnnotationKey) -> Option<&str> {
    key.of(&run.metadata.annotations).filter(|value| !value.is_empty())
}

/// The Repository that it was started for, which may be gone.
pub(crate) fn repository(run: &PipelineRun) -> Option<ObjectKey> {
    let name =
        annotation(run, annotations::REPOSITORY).or_else(|| labels::REPOSITORY.of(&run.metadata.labels))?;
    Some(ObjectKey::of(run).sibling(name))
}

pub(crate) fn state(run: &PipelineRun) -> Option<State> {
    annotation(run, annotations::STATE)?.parse().ok()
}

/// Whether all is done and said.
pub(crate) fn is_final(state: State) -> bool {
    matches!(state, State::Completed | State::Failed)
}

/// The condition that says how it does.
pub(crate) fn condition(run: &PipelineRun) -> Option<&RunCondition> {
    succeeded(&run.status.as_ref()?.conditions)
}

/// Whether it has ended, in whatever way.
pub(crate) fn is_done(run: &PipelineRun) -> bool {
    condition(run).is_some_and(|condition| matches!(condition.status.as_str(), "True" | "False"))
}

pub(crate) fn is_being_deleted(run: &PipelineRun) -> bool {
    run.metadata.deletion_timestamp.is_some()
}

/// Whether it waits for us to let it begin.
pub(crate) fn is_paused(run: &PipelineRun) -> bool {
    state(run) == Some(State::Queued) && run.spec.status == PENDING && !is_done(run)
}

pub(crate) fn has_finalizer(run: &PipelineRun) -> bool {
    finalizers::PIPELINE_RUN.is_in(run.metadata.finalizers.as_ref())
}

/// Whether it comes from a backup: it starts nothing and tells nobody anything (contracts.md, decision 27).
pub(crate) fn is_restored(object: &impl kube::Resource) -> bool {
    let metadata = object.meta();
    let recorded = keys::RECORDED_UID.of(&metadata.annotations);
    keys::VELERO_RESTORE.of(&metadata.labels).is_some()
        || recorded.is_some_and(|uid| Some(uid) != metadata.uid.as_deref())
}

/// Names of the runs of its event as `<namespace>/<name>`, in their order. Empty if it is not said.
pub(crate) fn order(run: &PipelineRun) -> Vec<String> {
    let order = annotation(run, annotations::EXECUTION_ORDER).unwrap_or_default();
    order.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Name of the run in `.tekton/`.
pub(crate) fn original(run: &PipelineRun) -> Option<&str> {
    annotation(run, annotations::ORIGINAL_PIPELINE_RUN)
}

pub(crate) fn provider(run: &PipelineRun) -> Option<GitProvider> {
    annotation(run, annotations::GIT_PROVIDER)?.parse().ok()
}

/// Number of the pull request.
pub(crate) fn pull_request(run: &PipelineRun) -> Option<u64> {
    annotation(run, annotations::PULL_REQUEST)?.parse().ok()
}

/// GitHub: the check run that tells of it.
pub(crate) fn check_run(run: &PipelineRun) -> Option<u64> {
    annotation(run, annotations::CHECK_RUN_ID)?.parse().ok()
}

/// Whether a GitHub App reports.
pub(crate) fn is_of_app(run: &PipelineRun) -> bool {
    let has_installation = annotation(run, annotations::INSTALLATION_ID).is_some_and(|id| id != "-1");
    has_installation && matches!(provider(run), Some(GitProvider::GitHub | GitProvider::GitHubEnterprise))
}

pub(crate) fn created_at(run: &PipelineRun) -> Timestamp {
    run.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

pub(crate) fn started_at(run: &PipelineRun) -> Option<Timestamp> {
    run.status.as_ref()?.start_time.as_ref().map(|time| time.0)
}

pub(crate) fn completed_at(run: &PipelineRun) -> Option<Timestamp> {
    run.status.as_ref()?.completion_time.as_ref().map(|time| time.0)
}
