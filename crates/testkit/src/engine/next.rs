//! What comes next about a PipelineRun: a pure function of the run, its TaskRuns and its script.

use jiff::Timestamp;
use kube::api::ResourceExt as _;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::object::{self, CHAINS};
use super::plan::{Plan, Task, pipeline_label};
use super::script::{Ending, RunScript, TaskEnding};
use super::status::{Counts, conditions, is_recorded, resolved, task_ended, task_started, text};

/// The engine's own name in `spec.managedBy`.
const MANAGER: &str = "tekton.dev/pipeline";
/// On a run: its pipeline.
const PIPELINE: &str = "tekton.dev/pipeline";
/// Why a TaskRun is cancelled: its run …
const CANCELLED: &str = "has been cancelled";
const TIMED_OUT: &str = "has timed out";

/// All that the decision may look at.
pub(super) struct Seen<'a> {
    pub(super) run: &'a DynamicObject,
    /// Those that the run controls.
    pub(super) task_runs: Vec<&'a DynamicObject>,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Write<'a> {
    /// Merged into the run's metadata.
    Metadata(Value),
    /// Merged into the run's status.
    Status(Value),
    CreateTask(Box<DynamicObject>),
    CancelTask {
        name: String,
        spec: Value,
    },
    TaskStatus {
        task_run: &'a DynamicObject,
        status: Value,
    },
}

/// What `spec.status` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Pending,
    Cancel,
    CancelThenFinally,
    StopThenFinally,
}

/// The next thing to do; `None` when the run is over, or somebody else has to do something first.
pub(super) fn next<'a>(seen: &Seen<'a>, script: &RunScript, now: Timestamp) -> Option<Write<'a>> {
    let run = seen.run;
    let manager = run.data["spec"]["managedBy"].as_str();
    if object::is_done(run)
        || script.ending == Ending::NeverStarts
        || manager.is_some_and(|manager| manager != MANAGER)
    {
        return None;
    }
    let asked = match text(&run.data["spec"]["status"]) {
        "Cancelled" => Asked::Cancel,
        "CancelledRunFinally" => Asked::CancelThenFinally,
        "StoppedRunFinally" => Asked::StopThenFinally,
        "PipelineRunPending" => Asked::Pending,
        _ => Asked::Nothing,
    };
    if !object::has_started(run) {
        return begin(run, asked, now);
    }
    if let Ending::Refused { reason, message } = &script.ending
        && seen.task_runs.is_empty()
    {
        return Some(Write::Status(final_status(run, "False", reason, message, now)));
    }
    if !run.labels().contains_key(PIPELINE) {
        return Some(Write::Metadata(json!({"labels": {PIPELINE: pipeline_label(run)}})));
    }
    Play { run, task_runs: &seen.task_runs, asked, script, plan: Plan::new(run, script), now }.next()
}

/// A run that has not started.
fn begin<'a>(run: &DynamicObject, asked: Asked, now: Timestamp) -> Option<Write<'a>> {
    if object::is_deleting(run) {
        return None;
    }
    // The engine's webhook does this before anybody sees the run: what is there now was not written by chains.
    let foreign = run.annotations().keys().filter(|key| key.starts_with(CHAINS));
    let dropped: serde_json::Map<String, Value> = foreign.map(|key| (key.clone(), Value::Null)).collect();
    if !dropped.is_empty() {
        return Some(Write::Metadata(json!({ "annotations": dropped })));
    }
    if asked == Asked::Pending {
        let message = format!("PipelineRun \"{}\" is pending", run.name_any());
        let status = json!({"conditions": conditions(run, "Unknown", "PipelineRunPending", &message, now)});
        return (!is_recorded(run, &status)).then_some(Write::Status(status));
    }
    let started = conditions(run, "Unknown", "Started", "", now);
    Some(Write::Status(json!({"startTime": now, "conditions": started})))
}

fn final_status(run: &DynamicObject, truth: &str, reason: &str, message: &str, now: Timestamp) -> Value {
    json!({"conditions": conditions(run, truth, reason, message, now), "completionTime": now})
}

/// A run that has started and is not over.
struct Play<'p, 'a> {
    run: &'a DynamicObject,
    task_runs: &'p [&'a DynamicObject],
    asked: Asked,
    script: &'p RunScript,
    plan: Plan,
    now: Timestamp,
}

impl<'a> Play<'_, 'a> {
    fn next(&self) -> Option<Write<'a>> {
        if self.asked == Asked::Cancel {
            return Some(self.cancel_tasks(None, CANCELLED).unwrap_or_else(|| self.ended()));
        }
        self.create_task(false)
            .or_else(|| self.are_done(Some(false)).then(|| self.create_task(true)).flatten())
            .or_else(|| self.record(false))
            .or_else(|| self.start_task())
            .or_else(|| self.cancel_gracefully())
            .or_else(|| self.end_task())
            .or_else(|| self.cut_off())
            .or_else(|| self.are_done(None).then(|| self.ended()))
            .or_else(|| self.record(true))
    }

    /// The tasks of one part, or of both, each with its TaskRun if it has one.
    fn tasks(&self, finally: Option<bool>) -> impl Iterator<Item = (&Task, Option<&'a DynamicObject>)> {
        let part =
            self.plan.tasks.iter().filter(move |task| finally.is_none_or(|part| part == task.is_finally));
        part.map(|task| (task, self.task_runs.iter().copied().find(|task_run| task.is_of(task_run))))
    }

    /// The next TaskRun that is missing. A run that is being deleted gets no more, one that stops only those of
    /// `finally`, and one that is cut off not even those.
    fn create_task(&self, finally: bool) -> Option<Write<'a>> {
        let has_no_more = if finally { self.is_cut_off() } else { self.stops() };
        if object::is_deleting(self.run) || has_no_more {
            return None;
        }
        let missing = self.tasks(Some(finally)).find(|(_, task_run)| task_run.is_none());
        missing.map(|(task, _)| Write::CreateTask(Box::new(task.task_run(self.run))))
    }

    fn stops(&self) -> bool {
        matches!(self.asked, Asked::CancelThenFinally | Asked::StopThenFinally)
    }

    fn start_task(&self) -> Option<Write<'a>> {
        let unstarted = |task_run: &&DynamicObject| !object::has_started(task_run);
        let task_run = self.tasks(None).filter_map(|(_, task_run)| task_run).find(unstarted)?;
        Some(Write::TaskStatus { task_run, status: task_started(task_run, self.now) })
    }

    /// Ends the next task that ends by itself.
    fn end_task(&self) -> Option<Write<'a>> {
        self.tasks(None).find_map(|(task, task_run)| {
            let task_run = task_run.filter(|task_run| !object::is_done(task_run))?;
            let condition = match &task.script.ending {
                TaskEnding::Succeeds => ("True", "Succeeded", "All Steps have completed executing"),
                TaskEnding::Fails { reason, message } => ("False", reason.as_str(), message.as_str()),
                TaskEnding::NeverEnds => return None,
            };
            let status = task_ended(task_run, Some(&task.script), condition, self.now);
            Some(Write::TaskStatus { task_run, status })
        })
    }

    fn cancel_gracefully(&self) -> Option<Write<'a>> {
        (self.asked == Asked::CancelThenFinally).then(|| self.cancel_tasks(Some(false), CANCELLED)).flatten()
    }

    fn is_cut_off(&self) -> bool {
        matches!(self.script.ending, Ending::Cancelled | Ending::TimesOut)
    }

    /// Ends a run, tasks first, that its script cuts off.
    fn cut_off(&self) -> Option<Write<'a>> {
        let why = if self.script.ending == Ending::TimesOut { TIMED_OUT } else { CANCELLED };
        self.is_cut_off().then(|| self.cancel_tasks(None, why).unwrap_or_else(|| self.ended()))
    }

    /// Cancels the next task that is not done.
    fn cancel_tasks(&self, finally: Option<bool>, why: &str) -> Option<Write<'a>> {
        let message = format!("TaskRun cancelled as the PipelineRun it belongs to {why}.");
        let mut unfinished = self.tasks(finally).filter_map(|(_, task_run)| task_run);
        let task_run = unfinished.find(|task_run| !object::is_done(task_run))?;
        if task_run.data["spec"]["status"].is_null() {
            let spec = json!({"status": "TaskRunCancelled", "statusMessage": message});
            return Some(Write::CancelTask { name: task_run.name_any(), spec });
        }
        let message = format!("TaskRun \"{}\" was cancelled. {message}", task_run.name_any());
        let condition = ("False", "TaskRunCancelled", message.as_str());
        Some(Write::TaskStatus { task_run, status: task_ended(task_run, None, condition, self.now) })
    }

    /// Whether no task of this part is left to wait for.
    fn are_done(&self, finally: Option<bool>) -> bool {
        self.tasks(finally)
            .all(|(task, task_run)| task_run.map_or(!task.is_finally && self.stops(), object::is_done))
    }

    /// What is known of a run that goes on, unless that is written already. With `counts`, how far its tasks are, too;
    /// without, only once for all TaskRuns that are made together.
    fn record(&self, counts: bool) -> Option<Write<'a>> {
        let reason = match self.asked {
            Asked::CancelThenFinally => "CancelledRunningFinally",
            Asked::StopThenFinally => "StoppedRunningFinally",
            _ => "Running",
        };
        let mut status = self.resolved();
        let is_old = is_recorded(self.run, &status) && object::reason(self.run) == reason;
        status["conditions"] = conditions(self.run, "Unknown", reason, &self.counts().running(), self.now);
        (!is_old || counts && !is_recorded(self.run, &status)).then_some(Write::Status(status))
    }

    fn resolved(&self) -> Value {
        let mut status = resolved(self.run, &self.plan, self.task_runs, &self.skipped());
        let finally_has_begun = self.tasks(Some(true)).any(|(_, task_run)| task_run.is_some());
        if finally_has_begun {
            let before = object::status(self.run)["finallyStartTime"].clone();
            status["finallyStartTime"] = if before.is_null() { json!(self.now) } else { before };
        }
        status
    }

    fn skipped(&self) -> Vec<(String, String)> {
        let why = match self.asked {
            Asked::CancelThenFinally => "PipelineRun was gracefully cancelled",
            _ => "PipelineRun was gracefully stopped",
        };
        let unstarted = self.tasks(Some(false)).filter(|(_, task_run)| self.stops() && task_run.is_none());
        let unstarted = unstarted.map(|(task, _)| (task.name.clone(), why.to_owned()));
        self.plan.skipped.iter().cloned().chain(unstarted).collect()
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts { skipped: self.skipped().len(), ..Counts::default() };
        for (task, task_run) in self.tasks(None) {
            match task_run {
                None if self.stops() && !task.is_finally => {}
                Some(task_run) if object::is_successful(task_run) => counts.succeeded += 1,
                Some(task_run) if object::reason(task_run) == "TaskRunCancelled" => counts.cancelled += 1,
                Some(task_run) if object::is_done(task_run) => counts.failed += 1,
                _ => counts.incomplete += 1,
            }
        }
        counts
    }

    /// The final state.
    fn ended(&self) -> Write<'a> {
        let name = self.run.name_any();
        let counts = self.counts();
        let was_cancelled = || format!("PipelineRun \"{name}\" was cancelled");
        let (truth, reason, message) = match &self.script.ending {
            _ if self.asked == Asked::Cancel => ("False", "Cancelled", was_cancelled()),
            Ending::Cancelled => ("False", "Cancelled", was_cancelled()),
            Ending::TimesOut => {
                let limit = self.run.data["spec"]["timeouts"]["pipeline"].as_str().unwrap_or("1h0m0s");
                let message = format!("PipelineRun \"{name}\" failed to finish within \"{limit}\"");
                ("False", "PipelineRunTimeout", message)
            }
            Ending::Fails { reason, message } => ("False", reason.as_str(), message.clone()),
            _ if counts.failed > 0 => ("False", "Failed", counts.ended()),
            _ if self.stops() || counts.cancelled > 0 => ("False", "Cancelled", counts.ended()),
            _ if counts.skipped > 0 => ("True", "Completed", counts.ended()),
            _ => ("True", "Succeeded", counts.ended()),
        };
        let mut status = self.resolved();
        if let (Some(all), Value::Object(last)) =
            (status.as_object_mut(), final_status(self.run, truth, reason, &message, self.now))
        {
            all.extend(last);
        }
        let results = &self.script.results;
        if !results.is_empty() {
            status["results"] =
                results.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        }
        Write::Status(status)
    }
}

#[cfg(test)]
mod tests;
