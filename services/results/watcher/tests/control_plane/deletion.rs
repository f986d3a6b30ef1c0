//! Runs that somebody deletes.

use anyhow::ensure;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use pipelines_engine_api::TaskRun;
use serde_json::json;
use testkit::{DEADLINE, eventually};

use crate::runs::{end, pipeline_run, task_run, task_status};
use crate::service::{Service, annotation, wait_for, wait_gone};

#[tokio::test]
async fn scenario_15_a_run_that_is_deleted_at_once_is_archived() -> anyhow::Result<()> {
    let service = Service::start(&[]).await?;
    let pipeline_runs = service.pipeline_runs();
    let run = pipeline_run(&pipeline_runs, "run").await?;
    wait_for(&pipeline_runs, "run", "its finalizer", |run: &pipelines_engine_api::PipelineRun| {
        run.finalizers() == ["results.tekton.dev/pipelinerun"]
    })
    .await?;
    pipeline_runs.delete("run", &DeleteParams::default()).await?;
    wait_gone(&pipeline_runs, "run").await?;
    ensure!(service.api.objects(&service.result_of(&run)).contains_key("PipelineRun run"));
    Ok(())
}

#[tokio::test]
async fn ours_is_the_last_finalizer() -> anyhow::Result<()> {
    let service = Service::start(&["--logs-api=false"]).await?;
    let task_runs = service.task_runs();
    let run = task_run(&task_runs, "build").await?;
    let patch = async |metadata: serde_json::Value| {
        let body = json!({ "metadata": metadata });
        task_runs.patch("build", &PatchParams::default(), &Patch::Merge(&body)).await
    };
    wait_for(&task_runs, "build", "its names", |run: &TaskRun| annotation(run, "record").is_some()).await?;
    patch(json!({"finalizers": ["results.tekton.dev/taskrun", "chains.tekton.dev"]})).await?;
    end(&task_runs, "build", &task_status(true, "", &[])).await?;
    service.stored::<TaskRun>("build").await?;
    task_runs.delete("build", &DeleteParams::default()).await?;
    let signed = json!({"chains.tekton.dev/signed": "true"});
    patch(json!({"annotations": signed, "finalizers": ["results.tekton.dev/taskrun"]})).await?;
    wait_gone(&task_runs, "build").await?;
    let archived = service.api.objects(&service.result_of(&run))["TaskRun build"].clone();
    ensure!(archived["metadata"]["annotations"]["chains.tekton.dev/signed"] == "true", "{archived:#}");
    Ok(())
}

#[tokio::test]
async fn an_archive_that_is_away_holds_up_nobody_for_ever() -> anyhow::Result<()> {
    let service = Service::start(&["--logs-api=false", "--store-deadline=3s"]).await?;
    service.api.with(|state| state.is_away = true);
    let task_runs = service.task_runs();
    task_run(&task_runs, "build").await?;
    wait_for(&task_runs, "build", "its finalizer", |run: &TaskRun| !run.finalizers().is_empty()).await?;
    task_runs.delete("build", &DeleteParams::default()).await?;
    wait_gone(&task_runs, "build").await?;
    eventually(DEADLINE, "the count", async || {
        ensure!(service.sum("watcher_runs_not_stored_count") > 0.5);
        Ok(())
    })
    .await?;
    service.told("build", "NotArchived").await?;
    Ok(())
}
