//! How a run ends, and what the Release says of it: scenarios 2, 3 and 15.

use anyhow::ensure;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Phase, Release};
use serde_json::json;
use testkit::engine::{RunScript, Runs, TaskScript};

use crate::service::{Service, message, release};

/// On a Release and on its runs.
pub(crate) const FINALIZER: &str = "appstudio.redhat.com/release-finalizer";

const DELETED: &str = "PipelineRun was deleted while still running";

pub(crate) fn is_held(run: &PipelineRun) -> bool {
    run.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// A run that goes on: of a pipeline that is only referred to, the engine has to be told of a task.
pub(crate) fn endless() -> RunScript {
    RunScript::never_ends().task("push", TaskScript::never_ends())
}

/// Nothing is left but the run, which is free.
async fn is_cleaned(service: &Service, release: &Release) -> anyhow::Result<()> {
    let run = Service::run_of(release, Phase::Managed, 0);
    service.managed.until(&run, "to be let go", |run: &PipelineRun| !is_held(run)).await?;
    service.tenant.has::<RoleBinding>(0).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_2_success() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.tenant.create(&release("r")).await?;
    let released = service.is_over("r").await?;
    let status = released.status.clone().unwrap_or_default();
    for type_ in ["Released", "Processed", "ManagedPipelineProcessed"] {
        service.has_reason("r", type_, "Succeeded").await?;
    }
    let processing = status.processing.unwrap_or_default();
    ensure!(status.completion_time.is_some() && processing.completion_time.is_some(), "{processing:?}");
    ensure!(status.managed_pipeline_attempts.is_empty(), "{:?}", status.managed_pipeline_attempts);
    is_cleaned(&service, &released).await
}

#[tokio::test]
async fn scenario_3_failure() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), RunScript::is_refused("CouldntGetPipeline", "no pipeline of that name"));
    service.tenant.create(&release("r")).await?;
    let released = service.is_over("r").await?;
    service.has_reason("r", "Released", "Failed").await?;
    service.has_reason("r", "Processed", "Failed").await?;
    ensure!(message(&released, "Processed") == "no pipeline of that name", "{released:?}");
    ensure!(message(&released, "Released") == "Release processing failed", "{released:?}");
    is_cleaned(&service, &released).await
}

#[tokio::test]
async fn a_failed_task_is_named_and_so_is_what_its_check_says() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let output = json!({"result": "FAILURE", "note": "violated a.signed: images.example/web is not signed"});
    let verify = TaskScript::fails("Failed", "exited with code 1").result("TEST_OUTPUT", output.to_string());
    service.engine.play(Runs::any(), RunScript::new().task("verify", verify));
    service.tenant.create(&release("r")).await?;
    let released = service.is_over("r").await?;
    let expected = "task verify failed: violated a.signed: images.example/web is not signed";
    ensure!(message(&released, "Processed") == expected, "{}", message(&released, "Processed"));
    is_cleaned(&service, &released).await
}

#[tokio::test]
async fn a_failed_task_without_a_log_says_what_its_run_says() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let push = TaskScript::fails("Failed", "\"step-push\" exited with code 1");
    service.engine.play(Runs::any(), RunScript::new().task("push", push));
    service.tenant.create(&release("r")).await?;
    let released = service.is_over("r").await?;
    let expected = "task push failed: \"step-push\" exited with code 1";
    ensure!(message(&released, "Processed") == expected, "{}", message(&released, "Processed"));
    Ok(())
}

#[tokio::test]
async fn scenario_15_run_is_deleted() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), endless());
    service.tenant.create(&release("r")).await?;
    let release = service.has_reason("r", "Processed", "Progressing").await?;
    let run = Service::run_of(&release, Phase::Managed, 0);
    service.managed.delete::<PipelineRun>(&run).await?;
    let released = service.is_over("r").await?;
    ensure!(message(&released, "Processed") == DELETED, "{released:?}");
    service.managed.gone::<PipelineRun>(&run).await?;
    service.tenant.has::<RoleBinding>(0).await?;
    Ok(())
}

#[tokio::test]
async fn a_run_that_went_while_nobody_looked_fails_its_release() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.engine.play(Runs::any(), endless());
    service.tenant.create(&release("r")).await?;
    let release = service.has_reason("r", "Processed", "Progressing").await?;
    service.kill().await?;
    let run = Service::run_of(&release, Phase::Managed, 0);
    service.managed.patch::<PipelineRun>(&run, &json!({"metadata": {"finalizers": null}})).await?;
    service.managed.delete::<PipelineRun>(&run).await?;
    service.managed.gone::<PipelineRun>(&run).await?;
    service.run().await?;
    let released = service.is_over("r").await?;
    ensure!(message(&released, "Processed") == DELETED, "{released:?}");
    service.tenant.has::<RoleBinding>(0).await?;
    Ok(())
}
