//! Several pipelines, one after the other: scenario 19.

use anyhow::ensure;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Phase, Release, ReleasePlan};
use serde_json::{Value, json};
use testkit::engine::{RunScript, Runs};

use crate::service::{SNAPSHOT, Service, bundle, message, plan_with, reason, release_with, truth};
use crate::track::endless;

const TYPE: &str = "pipelines.appstudio.openshift.io/type";

fn pipeline(name: &str) -> Value {
    json!({"pipelineRef": bundle(name), "params": [{"name": "mine", "value": name}]})
}

/// The service, with plan `all`: a tenant's pipeline, the admission's, and a last one.
async fn start() -> anyhow::Result<Service> {
    let service = Service::start().await?;
    let fields = json!({
        "target": service.managed.name, "tenantPipeline": pipeline("first"), "finalPipeline": pipeline("last"),
    });
    service.tenant.create(&plan_with("all", &fields)).await?;
    Ok(service)
}

async fn release_by(service: &Service, plan: &str) -> anyhow::Result<Release> {
    service.tenant.create(&release_with("r", SNAPSHOT, plan, &json!({}))).await
}

/// Type, status and reason of all conditions, in their order.
fn conditions(release: &Release) -> Vec<String> {
    let status = release.status.clone().unwrap_or_default();
    status.conditions.iter().map(|c| format!("{} {} {}", c.type_, c.status, c.reason)).collect()
}

#[tokio::test]
async fn scenario_19_one_after_the_other() -> anyhow::Result<()> {
    let service = start().await?;
    service.tenant_engine.play(Runs::labelled(TYPE, "tenant"), endless());
    release_by(&service, "all").await?;
    let released = service.has_reason("r", "TenantPipelineProcessed", "Progressing").await?;
    assert_eq!(
        conditions(&released),
        [
            "Released False Progressing",
            "Validated True Succeeded",
            "TenantCollectorsPipelineProcessed True Skipped",
            "ManagedCollectorsPipelineProcessed True Skipped",
            "TenantPipelineProcessed False Progressing",
        ]
    );
    ensure!(service.managed.all::<PipelineRun>().await?.is_empty(), "the managed one is not due");
    let run = Service::run_of(&released, Phase::Tenant, 0);
    let ended = json!({"conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
        "completionTime": fleet::Clock::system().now()});
    service.tenant.patch_status::<PipelineRun>(&run, &ended).await?;

    let released = service.is_over("r").await?;
    assert_eq!(truth(&released, "Released").as_deref(), Some("True"), "{:?}", released.status);
    for type_ in
        ["TenantPipelineProcessed", "Processed", "ManagedPipelineProcessed", "FinalPipelineProcessed"]
    {
        assert_eq!(reason(&released, type_).as_deref(), Some("Succeeded"), "{type_}");
    }
    let status = released.status.clone().unwrap_or_default();
    let [tenant, managed, last] =
        [status.tenant_processing, status.managed_processing, status.final_processing]
            .map(Option::unwrap_or_default);
    ensure!(tenant.completion_time <= managed.start_time && managed.completion_time <= last.start_time);
    let runs = service.tenant.has::<PipelineRun>(2).await?;
    let params = runs.iter().map(|run| json!(run.spec.params)).collect::<Vec<_>>();
    for (params, own) in params.iter().zip(["last", "first"]) {
        let names: Vec<_> = params.as_array().unwrap().iter().map(|param| &param["name"]).collect();
        assert_eq!(names, ["release", "releasePlan", "snapshot", "mine"]);
        assert_eq!(params[3]["value"], own);
    }
    Ok(())
}

#[tokio::test]
async fn scenario_19_the_last_runs_after_a_failure() -> anyhow::Result<()> {
    let service = start().await?;
    service.engine.play(Runs::any(), RunScript::is_refused("CouldntGetPipeline", "no such pipeline"));
    release_by(&service, "all").await?;
    let released = service.has_reason("r", "FinalPipelineProcessed", "Succeeded").await?;
    assert_eq!(
        conditions(&released),
        [
            "Released False Failed",
            "Validated True Succeeded",
            "Processed False Failed",
            "TenantCollectorsPipelineProcessed True Skipped",
            "ManagedCollectorsPipelineProcessed True Skipped",
            "TenantPipelineProcessed True Succeeded",
            "ManagedPipelineProcessed False Failed",
            "FinalPipelineProcessed True Succeeded",
        ]
    );
    assert_eq!(message(&released, "Released"), "Release processing failed on managed pipelineRun");
    service.tenant.told("r", "PhaseFailed").await?;
    Ok(())
}

#[tokio::test]
async fn scenario_19_what_comes_after_a_failure_is_skipped() -> anyhow::Result<()> {
    let service = start().await?;
    service
        .tenant_engine
        .play(Runs::labelled(TYPE, "tenant"), RunScript::is_refused("CouldntGetPipeline", "no"));
    release_by(&service, "all").await?;
    let released = service.has_reason("r", "FinalPipelineProcessed", "Succeeded").await?;
    assert_eq!(reason(&released, "ManagedPipelineProcessed").as_deref(), Some("Skipped"));
    assert_eq!(reason(&released, "Processed").as_deref(), Some("Skipped"));
    assert_eq!(message(&released, "Released"), "Release processing failed on tenant pipelineRun");
    ensure!(service.managed.all::<PipelineRun>().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_plan_of_its_own_needs_no_admission() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.tenant.create(&plan_with("own", &json!({"tenantPipeline": pipeline("first")}))).await?;
    release_by(&service, "own").await?;
    let released = service.has_reason("r", "Released", "Succeeded").await?;
    assert_eq!(released.status.clone().unwrap_or_default().target.as_ref(), Some(&service.tenant.name));
    assert_eq!(reason(&released, "ManagedPipelineProcessed").as_deref(), Some("Skipped"));
    assert_eq!(reason(&released, "FinalPipelineProcessed").as_deref(), Some("Skipped"));
    Ok(())
}

#[tokio::test]
async fn none_starts_of_a_release_that_was_never_valid() -> anyhow::Result<()> {
    let service = start().await?;
    let of_cluster =
        json!({"spec": {"finalPipeline": {"pipelineRef": {"resolver": "cluster", "params": []}}}});
    service.tenant.patch::<ReleasePlan>("all", &of_cluster).await?;
    release_by(&service, "all").await?;
    let released = service.has_reason("r", "Released", "Failed").await?;
    assert_eq!(
        conditions(&released),
        [
            "Released False Failed",
            "Validated False Failed",
            "Processed True Skipped",
            "TenantCollectorsPipelineProcessed True Skipped",
            "ManagedCollectorsPipelineProcessed True Skipped",
            "TenantPipelineProcessed True Skipped",
            "ManagedPipelineProcessed True Skipped",
            "FinalPipelineProcessed True Skipped",
        ]
    );
    ensure!(service.tenant.all::<PipelineRun>().await?.is_empty());
    Ok(())
}
