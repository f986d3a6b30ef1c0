//! Scenario 13: a run that cannot be made.

use std::time::Instant;

use anyhow::ensure;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::DeleteParams;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Phase, Release};
use serde_json::json;
use testkit::{DEADLINE, eventually};

use crate::run::admitted;
use crate::service::{Service, bundle, message, release};

const RUNS: &str = "count/pipelineruns.tekton.dev";

/// Lets so many runs be made. There is no controller for quotas here that would count.
async fn quota(service: &Service, free: u32) -> anyhow::Result<()> {
    let status = json!({"hard": {RUNS: "10"}, "used": {RUNS: (10 - free).to_string()}});
    service.managed.patch_status::<ResourceQuota>("runs", &status).await?;
    Ok(())
}

async fn with_quota() -> anyhow::Result<Service> {
    let service = Service::start().await?;
    let limit = json!({"metadata": {"name": "runs"}, "spec": {"hard": {RUNS: "10"}}});
    service.managed.create::<ResourceQuota>(&serde_json::from_value(limit)?).await?;
    quota(&service, 0).await?;
    Ok(service)
}

/// How many runs the service has tried to make.
async fn tries(service: &Service) -> anyhow::Result<usize> {
    let calls = service.plane.ledger()?.everything().await?.by(&service.installed.user()?);
    let runs = calls.about("pipelineruns").in_namespace(&service.managed.name);
    Ok(runs.filter(|call| call.verb == "create").len())
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_13_a_used_up_quota_is_waited_for() -> anyhow::Result<()> {
    let service = Box::pin(with_quota()).await?;
    service.tenant.create(&release("r")).await?;
    service.has_reason("r", "Released", "Progressing").await?;
    eventually(DEADLINE, "a second try", async || {
        ensure!(tries(&service).await? > 1, "there was none yet");
        Ok(())
    })
    .await?;
    let waiting: Release = service.tenant.api().get("r").await?;
    ensure!(message(&waiting, "Processed").is_empty(), "nothing has failed");
    // All tries share it.
    service.tenant.has::<RoleBinding>(1).await?;
    quota(&service, 5).await?;
    service.has_reason("r", "Released", "Succeeded").await?;
    service.tenant.has::<RoleBinding>(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_13_after_ten_minutes_the_quota_is_the_answer() -> anyhow::Result<()> {
    let began = Instant::now();
    let mut service = Box::pin(with_quota()).await?;
    service.tenant.create(&release("r")).await?;
    service.has_reason("r", "Released", "Progressing").await?;
    service.tenant.has::<RoleBinding>(1).await?;
    service.stop().await?;
    let ago = |minutes| fleet::Clock::system().now() - SignedDuration::from_mins(minutes);
    service.tenant.patch_status::<Release>("r", &json!({"startTime": ago(9).to_string()})).await?;
    service.run().await?;
    let before = tries(&service).await?;
    eventually(DEADLINE, "a further try", async || {
        ensure!(tries(&service).await? > before, "there was none yet");
        Ok(())
    })
    .await?;
    let waiting: Release = service.tenant.api().get("r").await?;
    ensure!(message(&waiting, "Processed").is_empty(), "nothing has failed after nine minutes");
    service.stop().await?;
    service.tenant.patch_status::<Release>("r", &json!({"startTime": ago(11).to_string()})).await?;
    service.run().await?;
    let failed = service.is_over("r").await?;
    assert_eq!(message(&failed, "Released"), "Release processing failed on managed pipelineRun creation");
    let cause = message(&failed, "Processed");
    assert!(cause.contains("exceeded quota: runs"), "{cause}");
    service.tenant.has::<RoleBinding>(0).await?;
    let tries = tries(&service).await?;
    // Three times it was started, and each time pauses doubled from a second on; a change or two may have come between.
    let most = 3 * (4 + began.elapsed().as_secs().max(1).ilog2() as usize);
    ensure!(tries <= most, "{tries} tries, more than {most}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_goes_is_an_answer() -> anyhow::Result<()> {
    let service = Service::start().await?;
    // Nobody here empties it, so that it stays as long as somebody looks at it.
    let namespaces: Api<Namespace> = Api::all(service.admin());
    namespaces.delete(&service.managed.name, &DeleteParams::default()).await?;
    service.tenant.create(&release("r")).await?;
    let failed = service.is_over("r").await?;
    assert_eq!(message(&failed, "Released"), "Release processing failed on managed pipelineRun creation");
    let cause = message(&failed, "Processed");
    assert!(cause.contains(&service.managed.name) && cause.contains("is being deleted"), "{cause}");
    service.tenant.has::<RoleBinding>(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duration_that_is_none_is_named() -> anyhow::Result<()> {
    let service = Service::start().await?;
    // Fits a duration, and is none.
    let pipeline = json!({"pipelineRef": bundle("push"), "serviceAccountName": "release-bot", "timeouts": {"pipeline": "99999999999999h"}});
    admitted(&service, "long", &json!({"pipeline": pipeline})).await?;
    let cause = message(&service.is_over("long").await?, "Processed");
    assert!(cause.contains("spec.pipeline: timeouts.pipeline"), "{cause}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_that_name_that_is_anothers_is_not_taken_over() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.prepare().await?;
    let made = service.tenant.create(&release("r")).await?;
    let name = Service::run_of(&made, Phase::Managed, 0);
    let foreign = json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": name},
        "spec": {"pipelineRef": {"name": "theirs"}},
    });
    service.managed.create::<PipelineRun>(&serde_json::from_value(foreign)?).await?;
    service.run().await?;
    let cause = message(&service.is_over("r").await?, "Processed");
    assert!(cause.contains(&name) && cause.contains("not ours; delete it"), "{cause}");
    service.tenant.has::<RoleBinding>(0).await?;
    let left: PipelineRun = service.managed.api().get(&name).await?;
    ensure!(left.metadata.finalizers.is_none() && left.metadata.deletion_timestamp.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_is_none_fails_each_release() -> anyhow::Result<()> {
    let service = Service::start_with(&["--workspace-size=large"]).await?;
    service.tenant.create(&release("r")).await?;
    let failed = service.is_over("r").await?;
    let cause = message(&failed, "Processed");
    assert!(cause.contains("DEFAULT_RELEASE_WORKSPACE_SIZE") && cause.contains("\"large\""), "{cause}");
    assert_eq!(message(&failed, "Released"), "Release processing failed on managed pipelineRun creation");
    service.managed.has::<PipelineRun>(0).await?;
    Ok(())
}
