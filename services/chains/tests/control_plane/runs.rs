//! Runs, as the engine leaves them.

use fleet::Stored;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt as _};
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde::Serialize;
use serde_json::{Value, json};
use testkit::builders;

/// When all runs of the tests began and ended.
const STARTED: &str = "2024-04-01T10:00:00Z";
const ENDED: &str = "2024-04-01T10:05:00Z";

/// A result with a text.
pub(crate) fn result(name: &str, value: &str) -> Value {
    json!({"name": name, "type": "string", "value": value})
}

/// The results that name one image.
pub(crate) fn image(url: &str, digest: &str) -> Vec<Value> {
    vec![result("IMAGE_URL", url), result("IMAGE_DIGEST", digest)]
}

/// The status of a TaskRun that has succeeded.
pub(crate) fn task_status(results: &[Value]) -> Value {
    let image = format!("registry.example/tool@sha256:{}", "a".repeat(64));
    json!({
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded", "lastTransitionTime": ENDED}],
        "startTime": STARTED, "completionTime": ENDED, "podName": "pod",
        "steps": [{
            "name": "build", "container": "step-build", "imageID": image,
            "terminated": {"exitCode": 0, "reason": "Completed", "startedAt": STARTED, "finishedAt": ENDED},
        }],
        "taskSpec": {"steps": [{"name": "build", "image": image, "script": "make"}]},
        "results": results,
    })
}

/// Makes a TaskRun that has not ended.
pub(crate) async fn task_run(api: &Api<TaskRun>, name: &str) -> anyhow::Result<TaskRun> {
    let run = json!({
        "metadata": {"name": name},
        "spec": {"taskSpec": {"steps": [{"name": "build", "image": "registry.example/tool", "script": "make"}]}},
    });
    Ok(api.create(&PostParams::default(), &serde_json::from_value(run)?).await?)
}

/// Makes a TaskRun that has ended with these results.
pub(crate) async fn ended_task_run(
    api: &Api<TaskRun>,
    name: &str,
    results: &[Value],
) -> anyhow::Result<TaskRun> {
    task_run(api, name).await?;
    end(api, name, &task_status(results)).await
}

/// Gives a run this status.
pub(crate) async fn end<K>(api: &Api<K>, name: &str, status: &Value) -> anyhow::Result<K>
where
    K: Stored + Serialize,
{
    let patch = json!({ "status": status });
    Ok(api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await?)
}

/// Makes a PipelineRun that has not ended.
pub(crate) async fn pipeline_run(api: &Api<PipelineRun>, name: &str) -> anyhow::Result<PipelineRun> {
    let task = json!({"steps": [{"name": "build", "image": "registry.example/tool", "script": "make"}]});
    let run = json!({
        "metadata": {"name": name},
        "spec": {"pipelineSpec": {"tasks": [{"name": "build", "taskSpec": task}]}},
    });
    Ok(api.create(&PostParams::default(), &serde_json::from_value(run)?).await?)
}

/// Makes a TaskRun of a PipelineRun, which has not ended.
pub(crate) async fn child(api: &Api<TaskRun>, parent: &PipelineRun, task: &str) -> anyhow::Result<TaskRun> {
    let name = format!("{}-{task}", parent.name_any());
    let labels = [
        ("tekton.dev/pipelineRun".to_owned(), parent.name_any()),
        ("tekton.dev/pipelineTask".to_owned(), task.to_owned()),
    ];
    let mut run: TaskRun = serde_json::from_value(json!({
        "metadata": {},
        "spec": {"taskSpec": {"steps": [{"name": "build", "image": "registry.example/tool", "script": "make"}]}},
    }))?;
    run.metadata = ObjectMeta {
        name: Some(name),
        labels: Some(labels.into()),
        owner_references: Some(vec![builders::controller_reference(parent)]),
        ..ObjectMeta::default()
    };
    Ok(api.create(&PostParams::default(), &run).await?)
}

/// The status of a PipelineRun that has succeeded, with these tasks.
pub(crate) fn pipeline_status(parent: &impl Resource, tasks: &[&str], results: &[Value]) -> Value {
    let children = tasks.iter().map(|task| {
        json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
            "name": format!("{}-{task}", parent.name_any()), "pipelineTaskName": task,
        })
    });
    let specs = tasks.iter().map(|task| json!({"name": task, "taskSpec": {"steps": []}}));
    json!({
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded", "lastTransitionTime": ENDED}],
        "startTime": STARTED, "completionTime": ENDED,
        "pipelineSpec": {"tasks": specs.collect::<Vec<_>>()},
        "childReferences": children.collect::<Vec<_>>(),
        "results": results,
    })
}
