//! Runs that are deleted when they are archived.

use std::time::Duration;

use anyhow::ensure;
use kube::api::{Patch, PatchParams};
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::json;
use testkit::{DEADLINE, eventually};

use crate::runs::{child, end, pipeline_run, pipeline_status, task_run, task_status};
use crate::service::{Service, annotation, wait_for, wait_gone};

#[tokio::test]
async fn scenario_3_nothing_is_deleted_before_it_is_archived() -> anyhow::Result<()> {
    let service = Service::start(&["--completed-run-grace-period=-1s", "--check-owner=false"]).await?;
    let (pipeline_runs, task_runs) = (service.pipeline_runs(), service.task_runs());
    let parent = pipeline_run(&pipeline_runs, "run").await?;
    let result = service.result_of(&parent);
    for task in ["one", "two"] {
        child(&task_runs, &parent, task).await?;
    }
    wait_for(&task_runs, "run-two", "its names", |run: &TaskRun| annotation(run, "record").is_some()).await?;
    service.api.with(|state| state.is_away = true);
    end(&task_runs, "run-one", &task_status(true, "", &[])).await?;
    end(&pipeline_runs, "run", &pipeline_status(true, "run", &["one", "two"])).await?;
    let asked = service.api.with(|state| state.calls.len());
    eventually(DEADLINE, "attempts", async || {
        ensure!(service.api.with(|state| state.calls.len()) >= asked + 4);
        Ok(())
    })
    .await?;
    ensure!(pipeline_runs.get("run").await?.metadata.deletion_timestamp.is_none());
    service.api.with(|state| state.is_away = false);
    let one: TaskRun = service.stored("run-one").await?;
    ensure!(annotation(&one, "childReadyForDeletion") == Some("true"));
    // One of its TaskRuns has not ended.
    ensure!(pipeline_runs.get("run").await?.metadata.deletion_timestamp.is_none());
    end(&task_runs, "run-two", &task_status(true, "", &[])).await?;
    wait_gone(&pipeline_runs, "run").await?;
    let objects = service.api.objects(&result);
    for name in ["PipelineRun run", "TaskRun run-one", "TaskRun run-two"] {
        ensure!(objects[name]["status"]["completionTime"].is_string(), "{name}: {objects:#?}");
    }
    ensure!(service.sum("watcher_pipelinerun_delete_count") > 0.5);
    Ok(())
}

#[tokio::test]
async fn a_run_waits_for_who_has_to_see_its_end() -> anyhow::Result<()> {
    let rule = "--wait-for-annotations=type=build:chains.tekton.dev/signed,a/snapshot|a/status";
    let service = Service::start(&["--completed-run-grace-period=-1s", "--logs-api=false", rule]).await?;
    let task_runs = service.task_runs();
    task_run(&task_runs, "build").await?;
    // It would have waited for a day, and ended long ago.
    let mut status = task_status(true, "", &[]);
    status["completionTime"] = json!(fleet::Clock::system().now().to_string());
    let patch = |body: serde_json::Value| {
        let task_runs = task_runs.clone();
        async move { task_runs.patch("build", &PatchParams::default(), &Patch::Merge(&body)).await }
    };
    patch(json!({"metadata": {"labels": {"type": "build"}}})).await?;
    end(&task_runs, "build", &status).await?;
    service.stored::<TaskRun>("build").await?;
    patch(json!({"metadata": {"annotations": {"chains.tekton.dev/signed": "true"}}})).await?;
    ensure!(task_runs.get("build").await?.metadata.deletion_timestamp.is_none());
    patch(json!({"metadata": {"annotations": {"a/status": "ok"}}})).await?;
    wait_gone(&task_runs, "build").await
}

#[tokio::test]
async fn a_run_stays_for_its_grace_period() -> anyhow::Result<()> {
    let service = Service::start(&["--completed-run-grace-period=2s", "--logs-api=false"]).await?;
    let pipeline_runs = service.pipeline_runs();
    pipeline_run(&pipeline_runs, "run").await?;
    let now = fleet::Clock::system().now();
    let mut status = pipeline_status(true, "run", &[]);
    status["completionTime"] = json!(now.to_string());
    end(&pipeline_runs, "run", &status).await?;
    service.stored::<PipelineRun>("run").await?;
    wait_gone(&pipeline_runs, "run").await?;
    let lived = fleet::Clock::system().now().duration_since(now);
    ensure!(lived.unsigned_abs() >= Duration::from_secs(2), "{lived}");
    Ok(())
}
