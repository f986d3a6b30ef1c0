//! Follows a run to its end (spec, section 4.4, tracking).
//!
//! ```text
//! run ─▶ running: how many of its tasks are done
//!     ├▶ succeeded
//!     ├▶ deleted, or gone
//!     └▶ failed ─▶ failed: which task ─▶ verdict: what a policy has against which image ─▶ log: what the step said last
//! ```

mod failed;
mod log;
mod verdict;

use fleet::patience;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use pipelines_engine_api::status::{RunCondition, succeeded};
use pipelines_engine_api::{ParamValue, PipelineRun, TaskRun, labels};
use release_service_api::conditions::causes::RUN_DELETED;
use release_service_api::release::Mitigation;
use serde_json::Value;
use tokio::time::timeout;

use super::observe::Slot;
use crate::service::Context;

/// How long logs are waited for: the end of a Release is told without them rather than late.
const PATIENCE: Duration = Duration::from_secs(15);

/// Result of a run of collectors: what they found.
const COLLECTORS: &str = "collectors";

/// How a run does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tracked {
    /// `what`: name of the run, and how many of its tasks are done.
    Running {
        what: String,
    },
    Succeeded {
        at: Timestamp,
    },
    Failed {
        at: Timestamp,
        cause: String,
        failure: Box<Failure>,
    },
}

/// How a run failed, as attempts record it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Failure {
    /// `failureReason` of [`Attempt`](release_service_api::release::Attempt); empty if it is none that counts.
    pub(crate) reason: String,
    pub(crate) last_task: Option<String>,
    pub(crate) last_step: Option<String>,
    pub(crate) successful_tasks: Vec<String>,
    /// Memory of that step and time of that task, as far as they were limited.
    pub(crate) had: Mitigation,
}

/// How this run does; `None` for one that the status names and that is gone. Reads TaskRuns and logs of one that failed. Fails only
/// where asking again helps: a log that cannot be read does not hold up the end.
pub(crate) async fn track(
    context: &Context,
    slot: Slot,
    run: Option<&PipelineRun>,
    now: Timestamp,
) -> Result<Tracked, kube::Error> {
    let Some(run) = run else { return Ok(deleted(now)) };
    let (at, condition) = match state(run, now) {
        State::Over(tracked) => return Ok(tracked),
        State::Failed { at, condition } => (at, condition),
    };
    let (cause, failure) = explain(&context.client, run, condition).await?;
    tracing::debug!(
        phase = slot.phase.as_str(),
        attempt = slot.attempt,
        reason = failure.reason,
        task = failure.last_task,
        "A run failed"
    );
    Ok(Tracked::Failed { at, cause, failure: Box::new(failure) })
}

/// What the run itself says.
#[derive(Debug, PartialEq)]
enum State<'a> {
    Over(Tracked),
    /// Why is still to be found out.
    Failed {
        at: Timestamp,
        condition: &'a RunCondition,
    },
}

fn state(run: &PipelineRun, now: Timestamp) -> State<'_> {
    let status = run.status.as_ref();
    let condition = status.and_then(|status| succeeded(&status.conditions));
    let at = status.and_then(|status| status.completion_time.as_ref()).map_or(now, |time| time.0);
    match condition.map(|condition| (condition, condition.status.as_str())) {
        Some((_, "True")) => State::Over(Tracked::Succeeded { at }),
        Some((condition, "False")) => State::Failed { at, condition },
        // It may end well even so; but nobody would see it, for it goes at that moment.
        _ if run.metadata.deletion_timestamp.is_some() => State::Over(deleted(now)),
        other => {
            let message = other.map_or("", |(condition, _)| &condition.message);
            State::Over(Tracked::Running { what: progress(&run.name_any(), message) })
        }
    }
}

fn deleted(at: Timestamp) -> Tracked {
    Tracked::Failed { at, cause: RUN_DELETED.to_owned(), failure: Box::default() }
}

/// `<run>: <k>/<n> tasks done`, by what the engine says: `Tasks Completed: 2 (Failed: 0, Cancelled 0), Incomplete: 3, Skipped: 1`.
/// The name alone before it says so.
fn progress(run: &str, message: &str) -> String {
    let number = |word: &str| -> Option<u64> {
        let rest = &message[message.find(word)? + word.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    let counts = (number("Tasks Completed: "), number("Incomplete: "), number("Skipped: "));
    let (Some(completed), Some(incomplete), Some(skipped)) = counts else { return run.to_owned() };
    let done = completed.saturating_add(skipped);
    format!("{run}: {done}/{} tasks done", done.saturating_add(incomplete))
}

/// Why a run failed, for people and for the record of its attempt.
async fn explain(
    client: &Client,
    run: &PipelineRun,
    condition: &RunCondition,
) -> Result<(String, Failure), kube::Error> {
    let task_runs = task_runs(client, run).await?;
    let whole = whole(client, run).await?;
    let failure = failed::failure(whole.as_ref().unwrap_or(run), condition, &task_runs);
    let Some(failed) = failed::first(&task_runs) else { return Ok((condition.message.clone(), failure)) };
    let namespace = run.namespace().unwrap_or_default();
    // What was found out in time counts.
    let said = timeout(PATIENCE, say(client, &namespace, failed)).await.unwrap_or_else(|_| {
        tracing::info!(namespace, name = failed.name_any(), "Logs of a failed task cannot be read in time");
        failed::note(failed)
    });
    Ok((cause(failed, said.as_deref(), condition), failure))
}

/// All of a run, of which the store keeps but how it does. `None` if it is gone.
async fn whole(client: &Client, run: &PipelineRun) -> Result<Option<PipelineRun>, kube::Error> {
    let name = run.name_any();
    let api: Api<PipelineRun> = Api::namespaced(client.clone(), &run.namespace().unwrap_or_default());
    let found = patience::read(|| api.get_opt(&name)).await?;
    Ok(found.filter(|found| found.metadata.uid == run.metadata.uid))
}

/// What a run of collectors that succeeded has found, by collector. `None` if it says nothing, or is gone.
pub(crate) async fn collected(context: &Context, run: &PipelineRun) -> Result<Option<Value>, kube::Error> {
    Ok(whole(&context.client, run).await?.as_ref().and_then(found))
}

/// Its result, which a task has written: an object, or the text of one.
fn found(run: &PipelineRun) -> Option<Value> {
    let results = &run.status.as_ref()?.results;
    let found = match &results.iter().find(|result| result.name == COLLECTORS)?.value {
        ParamValue::String(text) => serde_json::from_str(text).ok()?,
        ParamValue::Object(fields) => serde_json::json!(fields),
        ParamValue::Array(_) => return None,
    };
    Some(found).filter(Value::is_object)
}

/// `task <name> failed: ` and what is known best: what a check or a log said, else the task, else the run.
fn cause(failed: &TaskRun, said: Option<&str>, condition: &RunCondition) -> String {
    let of_task = failed::condition(failed).map(|condition| condition.message.as_str());
    let known = [said, of_task].into_iter().flatten().map(str::trim_end).find(|text| !text.trim().is_empty());
    match known {
        Some(text) => format!("task {} failed: {text}", failed::task(failed)),
        None => condition.message.clone(),
    }
}

/// What a failed task itself says of it. `None` where it says nothing, or nobody can read it.
async fn say(client: &Client, namespace: &str, failed: &TaskRun) -> Option<String> {
    let pod = failed.status.as_ref().map(|status| status.pod_name.as_str()).unwrap_or_default();
    let pod = log::Pod { client, namespace, name: pod };
    let Some(note) = failed::note(failed) else {
        return pod.tail(&failed::container(failed::failed_step(failed)?)).await;
    };
    // The note names rules; the report beside it also images.
    let report = match failed::step(failed, verdict::STEP) {
        Some(step) => pod.whole(&failed::container(step)).await,
        None => None,
    };
    let violations = report.as_deref().and_then(verdict::violations);
    if violations.is_some() {
        return violations;
    }
    let last = match failed::failed_step(failed) {
        Some(step) => pod.tail(&failed::container(step)).await,
        None => None,
    };
    Some(last.map_or(note.clone(), |last| format!("{note}\n{last}")))
}

/// The TaskRuns of a run. None where they cannot be had, which does not change.
async fn task_runs(client: &Client, run: &PipelineRun) -> Result<Vec<TaskRun>, kube::Error> {
    let namespace = run.namespace().unwrap_or_default();
    let api: Api<TaskRun> = Api::namespaced(client.clone(), &namespace);
    let of_run = format!("{}={}", labels::PIPELINE_RUN, run.name_any());
    let of_run = ListParams::default().labels(&of_run);
    match patience::read(|| api.list(&of_run)).await {
        Ok(list) => Ok(list.items.into_iter().filter(|task_run| is_of(task_run, run)).collect()),
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403 | 404) => {
            tracing::warn!(namespace, error = status.message, "TaskRuns cannot be read");
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Labels can be written by anybody who makes TaskRuns.
fn is_of(task_run: &TaskRun, run: &PipelineRun) -> bool {
    task_run.owner_references().iter().any(|owner| Some(&owner.uid) == run.metadata.uid.as_ref())
}

#[cfg(test)]
mod tests;
