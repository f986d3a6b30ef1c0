//! Reading and making objects of tekton.dev/v1, as far as a stand-in has to.

use kube::api::ResourceExt as _;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::builders;

pub(super) const GROUP: &str = "tekton.dev";
pub(super) const VERSION: &str = "v1";

/// On a TaskRun: the run that it belongs to.
pub(super) const PIPELINE_RUN: &str = "tekton.dev/pipelineRun";
/// On a TaskRun: the task of the pipeline that it is of.
pub(super) const PIPELINE_TASK: &str = "tekton.dev/pipelineTask";
/// Whose annotations an engine takes off new runs.
pub(super) const CHAINS: &str = "chains.tekton.dev/";

pub(super) fn pipeline_runs() -> ApiResource {
    resource("PipelineRun", "pipelineruns")
}

pub(super) fn task_runs() -> ApiResource {
    resource("TaskRun", "taskruns")
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural)
}

/// A run of one task, as small as the API allows. For tests that need a run of a service that is not there.
pub fn pipeline_run(namespace: &str, name: &str) -> DynamicObject {
    let spec = json!({"pipelineSpec": {"tasks": [{"name": "task", "taskSpec": task_spec()}]}});
    let mut run = DynamicObject::new(name, &pipeline_runs()).data(json!({ "spec": spec }));
    run.metadata = builders::metadata(namespace, name);
    run
}

/// What a task consists of that nobody has described.
pub(super) fn task_spec() -> Value {
    json!({"steps": [{"name": "played", "image": "none.invalid/none"}]})
}

/// The patch of a status, refused if the object has changed since it was looked at.
pub(super) fn status_patch(object: &DynamicObject, status: &Value) -> Value {
    json!({"metadata": {"resourceVersion": object.resource_version()}, "status": status})
}

pub(super) fn status(object: &DynamicObject) -> &Value {
    &object.data["status"]
}

/// The condition Succeeded, `null` if there is none.
pub(super) fn succeeded(object: &DynamicObject) -> &Value {
    let conditions = status(object)["conditions"].as_array();
    let found = conditions.and_then(|list| list.iter().find(|condition| condition["type"] == "Succeeded"));
    found.unwrap_or(&Value::Null)
}

pub(super) fn reason(object: &DynamicObject) -> &str {
    succeeded(object)["reason"].as_str().unwrap_or_default()
}

/// Whether the object has its final state.
pub(super) fn is_done(object: &DynamicObject) -> bool {
    matches!(succeeded(object)["status"].as_str(), Some("True" | "False"))
}

pub(super) fn is_successful(object: &DynamicObject) -> bool {
    succeeded(object)["status"] == "True"
}

pub(super) fn has_started(object: &DynamicObject) -> bool {
    status(object)["startTime"].is_string()
}

pub(super) fn is_deleting(object: &DynamicObject) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

/// The uid of the owner that controls the object.
pub(super) fn controller(object: &DynamicObject) -> Option<&str> {
    let owners = object.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

/// The string value of a param.
pub(super) fn string_param<'a>(params: &'a Value, name: &str) -> Option<&'a str> {
    params.as_array()?.iter().find(|param| param["name"] == name)?["value"].as_str()
}
