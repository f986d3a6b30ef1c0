//! The latest runs of a Repository, in its `pipelinerun_status` (spec section 2.2).
//!
//! Level-triggered: whoever has ended and is in no history yet comes in, all at once and in one write; the newest five stay.
//! Who is older than all five has been there for long enough.

use std::cmp::Ordering;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use pipelines_as_code_api::RepositoryContent;
use pipelines_as_code_api::annotations::written as annotations;
use pipelines_as_code_api::run_history::{RunCondition, RunStatus, TaskFailure};
use pipelines_engine_api::PipelineRun;

use super::run;
use crate::report::failure::Failure;

/// Bytes of a message or log of a task that failed.
const MAX_TEXT: usize = 2048;

/// A run that has ended, and why its tasks failed.
pub type Ended = (Arc<PipelineRun>, Arc<[Failure]>);

/// The history with those who ended. `None` if it stays as it is.
pub fn with(history: &[RunStatus], ended: &[Ended]) -> Option<Vec<RunStatus>> {
    let missing: Vec<RunStatus> = ended
        .iter()
        .filter(|(run, _)| !is_in(history, run))
        .map(|(run, failures)| entry(run, failures))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let is_told_anew =
        |old: &RunStatus| missing.iter().any(|new| new.pipeline_run_name == old.pipeline_run_name);
    let mut all: Vec<RunStatus> = history.iter().filter(|old| !is_told_anew(old)).cloned().collect();
    all.extend(missing);
    all.sort_by(|a, b| moment(a).cmp(&moment(b)));
    all.drain(..all.len().saturating_sub(RepositoryContent::MAX_RUNS));
    Some(all)
}

/// Whether a run that has ended is in the history, or was pushed out by newer ones.
pub fn is_in(history: &[RunStatus], run: &PipelineRun) -> bool {
    let own = entry(run, &[]);
    let is_there = |old: &RunStatus| {
        old.pipeline_run_name == own.pipeline_run_name && old.completion_time == own.completion_time
    };
    let is_full = history.len() >= RepositoryContent::MAX_RUNS;
    history.iter().any(is_there)
        || is_full && history.iter().all(|old| moment(old).cmp(&moment(&own)) == Ordering::Greater)
}

/// What entries are ordered by. Those that do not tell when they ended come first.
fn moment(entry: &RunStatus) -> (Option<jiff::Timestamp>, Option<&str>) {
    let time = entry.completion_time.as_ref().or(entry.start_time.as_ref());
    (time.map(|time| time.0), entry.pipeline_run_name.as_deref())
}

fn entry(run: &PipelineRun, failures: &[Failure]) -> RunStatus {
    let text = |key| run::annotation(run, key).map(str::to_owned);
    let status = run.status.clone().unwrap_or_default();
    let branch = run::annotation(run, annotations::BRANCH);
    RunStatus {
        conditions: status.conditions.into_iter().map(condition).collect(),
        observed_generation: status.observed_generation,
        annotations: status.annotations,
        pipeline_run_name: Some(run.name_any()),
        start_time: status.start_time,
        completion_time: status.completion_time,
        sha: text(annotations::SHA),
        sha_url: text(annotations::SHA_URL),
        title: text(annotations::SHA_TITLE),
        log_url: text(annotations::LOG_URL),
        target_branch: branch.map(|branch| branch.strip_prefix("refs/heads/").unwrap_or(branch).to_owned()),
        event_type: text(annotations::EVENT_TYPE),
        failure_reason: failures.iter().map(|failure| (failure.task.clone(), reason(failure))).collect(),
    }
}

fn condition(condition: pipelines_engine_api::RunCondition) -> RunCondition {
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    RunCondition {
        type_: condition.type_,
        status: condition.status,
        severity: text(condition.severity),
        reason: text(condition.reason),
        message: text(condition.message),
        last_transition_time: condition.last_transition_time,
    }
}

fn reason(failure: &Failure) -> TaskFailure {
    let text = |text: &String| Some(cut(text)).filter(|text| !text.is_empty());
    TaskFailure {
        name: Some(failure.task.clone()),
        message: text(&failure.message),
        log_snippet: failure.log.as_ref().and_then(text),
        reason: text(&failure.reason),
        display_name: text(&failure.display_name),
        completion_time: failure.completed_at.map(Time),
    }
}

/// The end of a text: the object holds those of five runs.
fn cut(text: &str) -> String {
    let too_long = text.len().saturating_sub(MAX_TEXT);
    let begin = (too_long..=text.len()).find(|begin| text.is_char_boundary(*begin)).unwrap_or_default();
    text[begin..].to_owned()
}

#[cfg(test)]
mod tests;
