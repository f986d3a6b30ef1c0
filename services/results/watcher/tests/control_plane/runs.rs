//! Runs, as the engine leaves them.

use fleet::Stored;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde::Serialize;
use serde_json::{Value, json};
use testkit::builders;

/// When all runs of the tests began and ended.
const STARTED: &str = "2024-04-01T10:00:00Z";
const ENDED: &str = "2024-04-01T10:05:00Z";

fn conditions(is_success: bool) -> Value {
    let (status, reason) = if is_success { ("True", "Succeeded") } else { ("False", "Failed") };
    json!([{"type": "Succeeded", "status": status, "reason": reason, "lastTransitionTime": ENDED}])
}

/// The status of a run under way.
pub(crate) fn running() -> Value {
    let condition =
        json!({"type": "Succeeded", "status": "Unknown", "reason": "Running", "lastTransitionTime": STARTED});
    json!({"conditions": [condition], "startTime": STARTED})
}

/// The status of a TaskRun that has ended, with a pod of these steps.
pub(crate) fn task_status(is_success: bool, pod: &str, steps: &[&str]) -> Value {
    let steps = steps.iter().map(|step| json!({"name": step, "container": format!("step-{step}")}));
    json!({
        "conditions": conditions(is_success), "startTime": STARTED, "completionTime": ENDED,
        "podName": pod, "steps": steps.collect::<Vec<_>>(),
    })
}

/// The status of a PipelineRun that has ended, with these tasks.
pub(crate) fn pipeline_status(is_success: bool, run: &str, tasks: &[&str]) -> Value {
    let children = tasks.iter().map(|task| {
        json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
            "name": format!("{run}-{task}"), "pipelineTaskName": task,
        })
    });
    json!({
        "conditions": conditions(is_success), "startTime": STARTED, "completionTime": ENDED,
        "childReferences": children.collect::<Vec<_>>(),
    })
}

fn steps() -> Value {
    json!({"steps": [{"name": "build", "image": "registry.example/tool", "script": "make"}]})
}

/// Makes a TaskRun that has not ended.
pub(crate) async fn task_run(api: &Api<TaskRun>, name: &str) -> anyhow::Result<TaskRun> {
    let run = json!({"metadata": {"name": name}, "spec": {"taskSpec": steps()}});
    Ok(api.create(&PostParams::default(), &serde_json::from_value(run)?).await?)
}

/// Makes a PipelineRun that has not ended.
pub(crate) async fn pipeline_run(api: &Api<PipelineRun>, name: &str) -> anyhow::Result<PipelineRun> {
    let tasks = json!([{"name": "build", "taskSpec": steps()}]);
    let run = json!({"metadata": {"name": name}, "spec": {"pipelineSpec": {"tasks": tasks}}});
    Ok(api.create(&PostParams::default(), &serde_json::from_value(run)?).await?)
}

/// Makes a TaskRun of a PipelineRun, which has not ended.
pub(crate) async fn child(api: &Api<TaskRun>, parent: &PipelineRun, task: &str) -> anyhow::Result<TaskRun> {
    let mut run: TaskRun = serde_json::from_value(json!({
        "metadata": {
            "name": format!("{}-{task}", parent.name_any()),
            "labels": {"tekton.dev/pipelineRun": parent.name_any(), "tekton.dev/pipelineTask": task},
        },
        "spec": {"taskSpec": steps()},
    }))?;
    run.metadata.owner_references = Some(vec![builders::controller_reference(parent)]);
    Ok(api.create(&PostParams::default(), &run).await?)
}

/// Gives a run this status.
pub(crate) async fn end<K>(api: &Api<K>, name: &str, status: &Value) -> anyhow::Result<K>
where
    K: Stored + Serialize,
{
    let patch = json!({ "status": status });
    Ok(api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await?)
}
