//! Which task of a run failed, and for want of what. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use pipelines_engine_api::param::ParamValue;
use pipelines_engine_api::reasons::{PipelineRunReason, SkippingReason, TaskRunReason, TerminationReason};
use pipelines_engine_api::status::{RunCondition, succeeded};
use pipelines_engine_api::task_run::{CANCELLED, CANCELLED_BY_PIPELINE_TIMEOUT, StepState};
use pipelines_engine_api::{PipelineRun, TaskRun, labels};
use release_service_api::release::{Attempt, Mitigation};
use serde_json::Value;

use super::Failure;

/// Result of a task that checks something: its outcome, as JSON.
const TEST_OUTPUT: &str = "TEST_OUTPUT";

/// What the kubelet says of a container that needed more memory than it had.
const OOM_KILLED: &str = "OOMKilled";

/// How a run failed.
pub(super) fn failure(run: &PipelineRun, condition: &RunCondition, task_runs: &[TaskRun]) -> Failure {
    let failed = first(task_runs);
    let succeeded = task_runs.iter().filter(|task_run| has(task_run, "True"));
    Failure {
        reason: reason(run, condition, task_runs, failed).to_owned(),
        last_task: failed.map(|task_run| task(task_run).to_owned()),
        last_step: failed.and_then(failed_step).map(|step| step.name.clone()),
        successful_tasks: succeeded.map(|task_run| task(task_run).to_owned()).collect(),
        had: failed.map(had).unwrap_or_default(),
    }
}

/// The TaskRun that failed first. Those that were ended with the run did not fail by themselves, and count only if there is no other.
pub(super) fn first(task_runs: &[TaskRun]) -> Option<&TaskRun> {
    let failed = || task_runs.iter().filter(|task_run| has(task_run, "False") && !is_ignored(task_run));
    let by_end = |task_run: &&TaskRun| ended_at(task_run);
    failed()
        .filter(|task_run| task_run.spec.status != CANCELLED)
        .min_by_key(by_end)
        .or_else(|| failed().filter(|task_run| is_late(task_run)).min_by_key(by_end))
}

/// Name of its task within the pipeline.
pub(super) fn task(task_run: &TaskRun) -> &str {
    let name = task_run.metadata.name.as_deref().unwrap_or_default();
    labels::PIPELINE_TASK.of(&task_run.metadata.labels).unwrap_or(name)
}

pub(super) fn condition(task_run: &TaskRun) -> Option<&RunCondition> {
    succeeded(&task_run.status.as_ref()?.conditions)
}

/// The step that failed. Those after it did not run, and have an exit code of their own all the same.
pub(super) fn failed_step(task_run: &TaskRun) -> Option<&StepState> {
    use TerminationReason as R;
    let steps = &task_run.status.as_ref()?.steps;
    steps.iter().find(|step| {
        let is_of_another = matches!(step.termination_reason.parse(), Ok(R::Skipped | R::Continued));
        !is_of_another && step.terminated.as_ref().is_some_and(|terminated| terminated.exit_code != 0)
    })
}

pub(super) fn step<'a>(task_run: &'a TaskRun, name: &str) -> Option<&'a StepState> {
    task_run.status.as_ref()?.steps.iter().find(|step| step.name == name)
}

pub(super) fn container(step: &StepState) -> String {
    if step.container.is_empty() { format!("step-{}", step.name) } else { step.container.clone() }
}

/// What a check says of its outcome. `None` if the task is none, or did not get that far.
pub(super) fn note(task_run: &TaskRun) -> Option<String> {
    let results = &task_run.status.as_ref()?.results;
    let ParamValue::String(output) = &results.iter().find(|result| result.name == TEST_OUTPUT)?.value else {
        return None;
    };
    let output: Value = serde_json::from_str(output).ok()?;
    let has_passed = matches!(output["result"].as_str(), Some("SUCCESS" | "WARNING" | "SKIPPED"));
    let note = output["note"].as_str().filter(|note| !note.trim().is_empty())?;
    (!has_passed).then(|| note.to_owned())
}

fn has(task_run: &TaskRun, status: &str) -> bool {
    condition(task_run).is_some_and(|condition| condition.status == status)
}

/// Its pipeline goes on after it.
fn is_ignored(task_run: &TaskRun) -> bool {
    condition(task_run).is_some_and(|condition| is(condition, TaskRunReason::FailureIgnored))
}

fn is(condition: &RunCondition, reason: impl Into<&'static str>) -> bool {
    condition.reason == reason.into()
}

/// Ended because its run, or a part of that, took too long.
fn is_late(task_run: &TaskRun) -> bool {
    task_run.spec.status_message == CANCELLED_BY_PIPELINE_TIMEOUT
}

fn ended_at(task_run: &TaskRun) -> Timestamp {
    let at = task_run.status.as_ref().and_then(|status| status.completion_time.as_ref());
    at.map_or(Timestamp::MAX, |time| time.0)
}

fn reason(
    run: &PipelineRun,
    condition: &RunCondition,
    task_runs: &[TaskRun],
    failed: Option<&TaskRun>,
) -> &'static str {
    let of_task = failed.filter(|failed| failed.spec.status != CANCELLED);
    if is(condition, PipelineRunReason::PipelineRunTimeout) {
        Attempt::PIPELINE_RUN_TIMEOUT
    } else if of_task.is_some_and(ran_out_of_memory) {
        Attempt::OOM_KILL
    } else if of_task
        .and_then(self::condition)
        .is_some_and(|condition| is(condition, TaskRunReason::TaskRunTimeout))
    {
        Attempt::TASK_RUN_TIMEOUT
    } else if of_task.is_none() && (task_runs.iter().any(is_late) || has_late_tasks(run)) {
        // The engine says `Failed` where all tasks together took too long.
        Attempt::PIPELINE_RUN_TIMEOUT
    } else {
        Attempt::ERROR
    }
}

fn ran_out_of_memory(task_run: &TaskRun) -> bool {
    condition(task_run).is_some_and(|condition| is(condition, TaskRunReason::StepOom))
        || failed_step(task_run)
            .and_then(|step| step.terminated.as_ref())
            .is_some_and(|terminated| terminated.reason.as_deref() == Some(OOM_KILLED))
}

fn has_late_tasks(run: &PipelineRun) -> bool {
    use SkippingReason as R;
    let skipped = run.status.iter().flat_map(|status| &status.skipped_tasks);
    skipped
        .map(|task| task.reason.parse())
        .any(|reason| matches!(reason, Ok(R::PipelineTimeout | R::TasksTimeout | R::FinallyTimeout)))
}

/// Memory of the step that failed, and time of the task: what a run says for itself goes before what its task says.
fn had(task_run: &TaskRun) -> Mitigation {
    let step = failed_step(task_run).map(|step| step.name.as_str()).unwrap_or_default();
    let spec = task_run.status.as_ref().and_then(|status| status.task_spec.as_ref());
    let of_step = spec.and_then(|spec| spec.steps.iter().find(|other| other.name == step));
    let of_template = spec.and_then(|spec| spec.step_template.as_ref());
    let sources: Vec<&ResourceRequirements> = task_run
        .spec
        .step_specs
        .iter()
        .filter(|over| over.name == step)
        .map(|over| &over.compute_resources)
        .chain(&task_run.spec.compute_resources)
        .chain(of_step.and_then(|step| step.compute_resources.as_ref()))
        .chain(of_template.and_then(|template| template.compute_resources.as_ref()))
        .collect();
    let memory = |of: fn(&ResourceRequirements) -> &Option<BTreeMap<String, Quantity>>| {
        sources.iter().find_map(|source| Some(of(source).as_ref()?.get("memory")?.0.clone()))
    };
    Mitigation {
        memory_limit: memory(|source| &source.limits),
        memory_request: memory(|source| &source.requests),
        task_timeout: task_run.spec.timeout.clone(),
        ..Mitigation::default()
    }
}
