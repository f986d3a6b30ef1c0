//! Runs that are deleted: kept while they are being signed, never stuck.

use anyhow::ensure;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use testkit::{DEADLINE, eventually};

use crate::runs::{child, end, ended_task_run, image, pipeline_run, pipeline_status, task_run};
use crate::service::{Service, annotation, wait_gone};

#[tokio::test]
async fn a_run_that_has_not_ended_goes_at_once() -> anyhow::Result<()> {
    let service = Service::start().await?;
    task_run(&service.task_runs(), "build").await?;
    pipeline_run(&service.pipeline_runs(), "run").await?;
    service.task_runs().delete("build", &DeleteParams::default()).await?;
    service.pipeline_runs().delete("run", &DeleteParams::default()).await?;
    wait_gone(&service.task_runs(), "build").await?;
    wait_gone(&service.pipeline_runs(), "run").await
}

#[tokio::test]
async fn a_run_that_is_deleted_before_it_is_signed_is_signed_first() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (repository, digest) = service.push_image("app");
    let task_runs = service.task_runs();
    task_run(&task_runs, "build").await?;
    service.stop().await?;
    end(&task_runs, "build", &crate::runs::task_status(&image(&repository, &digest))).await?;
    task_runs.delete("build", &DeleteParams::default()).await?;
    ensure!(task_runs.get_opt("build").await?.is_some(), "the finalizer keeps it");
    service.run().await?;
    wait_gone(&task_runs, "build").await?;
    ensure!(service.consumer()?.signatures(&repository, &digest).await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn scenario_9_a_child_that_was_deleted_first_blocks_nothing() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (pipeline_runs, task_runs) = (service.pipeline_runs(), service.task_runs());
    let parent = pipeline_run(&pipeline_runs, "run").await?;
    child(&task_runs, &parent, "build").await?;
    task_runs.delete("run-build", &DeleteParams::default()).await?;
    wait_gone(&task_runs, "run-build").await?;
    end(&pipeline_runs, "run", &pipeline_status(&parent, &["build"], &[])).await?;
    let run = service.pipeline_run_marked("run", "failed").await?;
    let reason = annotation(&run, "chains.fleet.konflux-ci.dev/reason").unwrap_or_default();
    ensure!(reason.contains("run-build"), "{reason}");
    pipeline_runs.delete("run", &DeleteParams::default()).await?;
    wait_gone(&pipeline_runs, "run").await?;
    service.stop().await
}

#[tokio::test]
async fn without_the_webhook_the_controllers_hold_runs() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.flag("--enable-webhooks=false");
    service.run().await?;
    task_run(&service.task_runs(), "build").await?;
    pipeline_run(&service.pipeline_runs(), "run").await?;
    eventually(DEADLINE, "finalizers", async || {
        let task_run = service.task_runs().get("build").await?;
        let pipeline_run = service.pipeline_runs().get("run").await?;
        ensure!(task_run.finalizers() == ["chains.tekton.dev"], "{:?}", task_run.finalizers());
        ensure!(pipeline_run.finalizers() == ["chains.tekton.dev/pipelinerun"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_finalizer_of_newer_originals_is_taken_off_too() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.flag("--enable-webhooks=false");
    let task_runs = service.task_runs();
    task_run(&task_runs, "build").await?;
    let theirs = json!({"metadata": {"finalizers": ["chains.tekton.dev/taskrun"]}});
    task_runs.patch("build", &PatchParams::default(), &Patch::Merge(&theirs)).await?;
    service.run().await?;
    end(&task_runs, "build", &crate::runs::task_status(&[])).await?;
    let run = service.task_run_marked("build", "true").await?;
    ensure!(run.finalizers().is_empty(), "{:?}", run.finalizers());
    ended_task_run(&task_runs, "next", &[]).await?;
    service.task_run_marked("next", "true").await?;
    Ok(())
}
