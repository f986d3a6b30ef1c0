//! Runs as version `v1beta1` of their API has them, made of the JSON of `v1` (engine API specification, section 5.3).
//!
//! Only names differ: the types of this crate's neighbours know `v1` alone, and what is described here was read from it.

use serde_json::{Map, Value};

/// `spec` of a TaskRun.
pub(super) fn task_run_spec(spec: &mut Value) {
    overrides(spec);
    at(spec, "taskSpec", task_spec);
}

/// `status` of a TaskRun.
pub(super) fn task_run_status(status: &mut Value) {
    rename(status, "results", "taskResults");
    at(status, "taskSpec", task_spec);
    each(status, "retriesStatus", task_run_status);
}

/// `spec` of a PipelineRun.
pub(super) fn pipeline_run_spec(spec: &mut Value) {
    if let Some(fields) = spec.as_object_mut()
        && let Some(Value::Object(template)) = fields.remove("taskRunTemplate")
    {
        fields.extend(template);
    }
    each(spec, "taskRunSpecs", |task| {
        rename(task, "serviceAccountName", "taskServiceAccountName");
        rename(task, "podTemplate", "taskPodTemplate");
        overrides(task);
    });
    at(spec, "pipelineSpec", pipeline_spec);
}

fn pipeline_spec(pipeline: &mut Value) {
    for tasks in ["tasks", "finally"] {
        each(pipeline, tasks, |task| {
            at(task, "taskSpec", task_spec);
            at(task, "pipelineSpec", pipeline_spec);
        });
    }
}

fn task_spec(task: &mut Value) {
    each(task, "steps", resources);
    each(task, "sidecars", resources);
    at(task, "stepTemplate", resources);
}

/// What single steps and sidecars get instead.
fn overrides(spec: &mut Value) {
    each(spec, "stepSpecs", resources);
    each(spec, "sidecarSpecs", resources);
    rename(spec, "stepSpecs", "stepOverrides");
    rename(spec, "sidecarSpecs", "sidecarOverrides");
}

fn resources(container: &mut Value) {
    rename(container, "computeResources", "resources");
}

fn rename(object: &mut Value, from: &str, to: &str) {
    let move_field = |fields: &mut Map<String, Value>| {
        let value = fields.remove(from)?;
        fields.insert(to.to_owned(), value)
    };
    object.as_object_mut().and_then(move_field);
}

fn at(object: &mut Value, key: &str, change: impl FnOnce(&mut Value)) {
    if let Some(value) = object.get_mut(key) {
        change(value);
    }
}

fn each(object: &mut Value, key: &str, change: impl FnMut(&mut Value)) {
    if let Some(Value::Array(elements)) = object.get_mut(key) {
        elements.iter_mut().for_each(change);
    }
}
