//! What an attempt gets more of than the one before. Pure.

use std::time::Duration;

use pipelines_engine_api::GoDuration;
use pipelines_engine_api::pipeline_run::TimeoutFields;
use release_service_api::release::{Attempt, Mitigation};
use serde_json::{Value, json};

use super::super::track::Failure;
use super::memory;
use super::policy::{Limits, MemoryLimits, TimeLimits, duration};

/// What a run was told to do, as far as it can be changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Spec {
    pub(super) task_run_specs: Vec<Value>,
    pub(super) timeouts: TimeoutFields,
}

/// What the next attempt is made with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mitigated {
    With {
        mitigation: Mitigation,
        task_run_specs: Vec<Value>,
    },
    /// The settings say nothing of this kind of failure.
    AsBefore {
        task_run_specs: Vec<Value>,
    },
    /// It has all that it may have: the same would happen again.
    Exhausted,
}

/// `carried`: the mitigation of the attempt that failed, to which this one is added.
pub(super) fn mitigate(
    limits: &Limits,
    failure: &Failure,
    spec: &Spec,
    carried: Option<&Mitigation>,
) -> Mitigated {
    let mut task_run_specs = spec.task_run_specs.clone();
    let mut mitigation = carried.cloned().unwrap_or_default();
    let is_more = match (failure.reason.as_str(), &limits.memory, &limits.time) {
        (Attempt::OOM_KILL, Some(limits), _) => {
            more_memory(limits, failure, &mut task_run_specs, &mut mitigation)
        }
        (Attempt::TASK_RUN_TIMEOUT, _, Some(limits)) => {
            more_time_for_task(limits, failure, spec, &mut task_run_specs, &mut mitigation)
        }
        (Attempt::PIPELINE_RUN_TIMEOUT, _, Some(limits)) => {
            more_time(limits, &spec.timeouts, &mut mitigation)
        }
        _ => return Mitigated::AsBefore { task_run_specs },
    };
    match is_more {
        Some(()) => Mitigated::With { mitigation, task_run_specs },
        None => Mitigated::Exhausted,
    }
}

/// More memory for the step that had too little. `None` if it has all that it may have.
fn more_memory(
    limits: &MemoryLimits,
    failure: &Failure,
    specs: &mut Vec<Value>,
    mitigation: &mut Mitigation,
) -> Option<()> {
    let (task, step) = (failure.last_task.as_ref()?, failure.last_step.as_ref()?);
    let most = limits.most.unwrap_or(u64::MAX);
    let had = failure.had.memory_limit.as_deref().and_then(memory::bytes);
    let limit = match had {
        Some(had) => memory::times(had, limits.thousandths)?.min(most),
        // Something else limited it.
        None => limits.most?,
    };
    if had.is_some_and(|had| limit <= had) {
        return None;
    }
    let request = failure.had.memory_request.as_deref().and_then(memory::bytes);
    let request = request.and_then(|had| memory::times(had, limits.thousandths)).map(|more| more.min(limit));
    let (limit, request) = (memory::text(limit), request.map(memory::text));
    let resources = resources_of(specs, task, step);
    resources["limits"]["memory"] = json!(limit);
    if let Some(request) = &request {
        resources["requests"]["memory"] = json!(request);
    }
    mitigation.memory_limit = Some(limit);
    mitigation.memory_request = request;
    Some(())
}

/// Where the resources of a step are said: with those of its task where these are said as a whole.
fn resources_of<'a>(specs: &'a mut Vec<Value>, task: &str, step: &str) -> &'a mut Value {
    let spec = spec_of(specs, task);
    if spec["computeResources"].is_object() {
        return &mut spec["computeResources"];
    }
    let steps = list(&mut spec["stepSpecs"]);
    let entry = entry(steps, "name", step);
    &mut entry["computeResources"]
}

fn spec_of<'a>(specs: &'a mut Vec<Value>, task: &str) -> &'a mut Value {
    entry(specs, "pipelineTaskName", task)
}

/// The entry of a list of objects with this value of a field, which is added if there is none.
fn entry<'a>(list: &'a mut Vec<Value>, field: &str, value: &str) -> &'a mut Value {
    let at = list.iter().position(|entry| entry[field] == value).unwrap_or_else(|| {
        let mut entry = json!({});
        entry[field] = json!(value);
        list.push(entry);
        list.len() - 1
    });
    &mut list[at]
}

fn list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = json!([]);
    }
    value.as_array_mut().expect("made one above")
}

/// More time for the task that had too little, and so much more for all. `None` if it has all that it may have.
fn more_time_for_task(
    limits: &TimeLimits,
    failure: &Failure,
    spec: &Spec,
    specs: &mut Vec<Value>,
    mitigation: &mut Mitigation,
) -> Option<()> {
    let task = failure.last_task.as_ref()?;
    let had = failure.had.task_timeout.as_deref().and_then(duration)?;
    let more = raised(had, limits)?;
    let text = GoDuration::from(more).to_string();
    spec_of(specs, task)["timeout"] = json!(text);
    mitigation.task_timeout = Some(text);
    raise_run(&spec.timeouts, more.saturating_sub(had), mitigation);
    Some(())
}

/// More time for all tasks together. `None` if they have all that they may have, or nothing limits them.
fn more_time(limits: &TimeLimits, timeouts: &TimeoutFields, mitigation: &mut Mitigation) -> Option<()> {
    let of = |text: &Option<String>| text.as_deref().and_then(duration);
    let had = of(&timeouts.tasks).or(of(&timeouts.pipeline))?;
    let more = raised(had, limits)?;
    raise_run(timeouts, more.saturating_sub(had), mitigation);
    Some(())
}

fn raised(had: Duration, limits: &TimeLimits) -> Option<Duration> {
    let more = had.saturating_add(limits.increment).min(limits.most.unwrap_or(Duration::MAX));
    (more > had).then_some(more)
}

/// So much more for all tasks, and for the run what these and those below `finally` need together.
fn raise_run(timeouts: &TimeoutFields, by: Duration, mitigation: &mut Mitigation) {
    let of = |text: &Option<String>| text.as_deref().and_then(duration);
    let (pipeline, tasks, finally) = (of(&timeouts.pipeline), of(&timeouts.tasks), of(&timeouts.finally));
    let raised = tasks.map(|tasks| tasks.saturating_add(by));
    // What nobody says of `finally` is what is left of the whole.
    let left = || Some(pipeline?.saturating_sub(tasks?));
    let needed = raised.map(|tasks| tasks.saturating_add(finally.or_else(left).unwrap_or_default()));
    let whole = match needed {
        Some(needed) => pipeline.map(|pipeline| pipeline.max(needed)),
        None => pipeline.map(|pipeline| pipeline.saturating_add(by)),
    };
    let text = |time: Duration| GoDuration::from(time).to_string();
    mitigation.tasks_timeout = raised.map(text).or_else(|| mitigation.tasks_timeout.take());
    mitigation.pipelines_timeout = whole.map(text).or_else(|| mitigation.pipelines_timeout.take());
}

#[cfg(test)]
mod tests;
