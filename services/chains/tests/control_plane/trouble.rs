//! What cannot be signed, for a while or for good.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::{DEADLINE, eventually};

use crate::runs::{ended_task_run, image, task_run};
use crate::service::{Service, annotation, signed, wait_for, wait_gone};

#[tokio::test]
async fn scenario_7_an_outage_of_the_registry_is_survived() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (repository, digest) = service.push_image("app");
    service.registry.break_writes(u32::MAX);
    let task_runs = service.task_runs();
    ended_task_run(&task_runs, "build", &image(&repository, &digest)).await?;
    let failing = wait_for(&task_runs, "build", "a failure", |run| {
        annotation(run, "chains.tekton.dev/retries") == Some("0")
    })
    .await?;
    ensure!(signed(&failing).is_none() && !failing.finalizers().is_empty());
    let told = service.told(&service.tenant, "build", "SigningFailed").await?;
    ensure!(told.contains(&repository), "{told}");
    service.registry.break_writes(0);
    let run = service.task_run_marked("build", "true").await?;
    ensure!(
        annotation(&run, "chains.fleet.konflux-ci.dev/progress").is_none() && run.finalizers().is_empty()
    );
    ensure!(service.consumer()?.signatures(&repository, &digest).await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn scenario_7_a_registry_that_refuses_ends_as_failed() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.flag("--retry-window=3s");
    service.run().await?;
    let (repository, digest) = service.push_image("app");
    let path = repository.split_once('/').map_or("", |(_, path)| path);
    service.registry.protect(path, "somebody", "hunter2");
    let task_runs = service.task_runs();
    ended_task_run(&task_runs, "build", &image(&repository, &digest)).await?;
    let run = service.task_run_marked("build", "failed").await?;
    let reason = annotation(&run, "chains.fleet.konflux-ci.dev/reason").unwrap_or_default();
    ensure!(reason.contains(&repository) && !reason.contains("hunter2"), "{reason}");
    ensure!(annotation(&run, "chains.tekton.dev/retries").is_some(), "{run:?}");
    service.told(&service.tenant, "build", "SigningFailed").await?;
    task_runs.delete("build", &DeleteParams::default()).await?;
    wait_gone(&task_runs, "build").await
}

#[tokio::test]
async fn the_login_of_the_runs_account_is_used_as_soon_as_it_is_linked() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (repository, digest) = service.push_image("app");
    let path = repository.split_once('/').map_or("", |(_, path)| path);
    service.registry.protect(path, "robot", "secret");
    let account = json!({"metadata": {"name": "default"}});
    let accounts = service.api::<ServiceAccount>();
    accounts.patch("default", &PatchParams::apply("test"), &Patch::Apply(&account_of(&account))).await?;
    let task_runs = service.task_runs();
    ended_task_run(&task_runs, "build", &image(&repository, &digest)).await?;
    wait_for(&task_runs, "build", "a failure", |run| annotation(run, "chains.tekton.dev/retries").is_some())
        .await?;

    let login = json!({"auths": {repository.clone(): {"username": "robot", "password": "secret"}}});
    let secret = json!({
        "metadata": {"name": "push"}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": login.to_string()},
    });
    service.api::<Secret>().create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
    let linked = json!({"secrets": [{"name": "push"}]});
    accounts.patch("default", &PatchParams::default(), &Patch::Merge(&linked)).await?;
    service.task_run_marked("build", "true").await?;
    Ok(())
}

fn account_of(metadata: &serde_json::Value) -> serde_json::Value {
    let mut account = metadata.clone();
    account["apiVersion"] = json!("v1");
    account["kind"] = json!("ServiceAccount");
    account
}

#[tokio::test]
async fn scenario_8_without_a_key_nothing_is_ever_signed() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.flag("--retry-window=2s");
    service.lose_key()?;
    service.run().await?;
    let (repository, digest) = service.push_image("app");
    ended_task_run(&service.task_runs(), "build", &image(&repository, &digest)).await?;
    let run = wait_for(&service.task_runs(), "build", "a mark", |run| signed(run).is_some()).await?;
    ensure!(signed(&run) == Some("failed"));
    let reason = annotation(&run, "chains.fleet.konflux-ci.dev/reason").unwrap_or_default();
    ensure!(reason.contains("no valid private key found, looked for: [x509.pem, cosign.key]"), "{reason}");
    ensure!(service.sum("watcher_taskrun_marked_signed_total") < 0.5);
    ensure!(service.sum("watcher_taskrun_signing_failures_total") >= 2.0);
    Ok(())
}

#[tokio::test]
async fn a_storage_that_is_not_there_is_a_failure() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.set(&[("artifacts.taskrun.storage", "oci,gcs")]).await?;
    service.flag("--retry-window=2s");
    service.run().await?;
    ended_task_run(&service.task_runs(), "build", &[]).await?;
    let run = service.task_run_marked("build", "failed").await?;
    let reason = annotation(&run, "chains.fleet.konflux-ci.dev/reason").unwrap_or_default();
    ensure!(reason.contains("gcs"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn annotations_that_no_object_holds_fail_at_once() -> anyhow::Result<()> {
    // With the default window of an hour.
    let service = Service::start_with(&[("artifacts.taskrun.storage", "tekton")]).await?;
    let task_runs = service.task_runs();
    task_run(&task_runs, "build").await?;
    let mut status = crate::runs::task_status(&[]);
    status["taskSpec"]["steps"][0]["script"] = json!("x".repeat(200_000));
    crate::runs::end(&task_runs, "build", &status).await?;
    let run = service.task_run_marked("build", "failed").await?;
    let reason = annotation(&run, "chains.fleet.konflux-ci.dev/reason").unwrap_or_default();
    ensure!(reason.contains("262144"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn a_registry_that_does_not_answer_delays_nobody_else() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let other = testkit::registry::PlayedRegistry::start(&service.authority)?;
    service.allow(other.address());
    service.run().await?;
    let (repository, digest) = service.push_image("app");
    other.stall(true);
    let silent = format!("{}/org/app", other.address());
    ended_task_run(&service.task_runs(), "silent", &image(&silent, &digest)).await?;
    eventually(DEADLINE, "a call of the silent registry", async || {
        ensure!(!other.calls().is_empty());
        Ok(())
    })
    .await?;
    let began = std::time::Instant::now();
    ended_task_run(&service.task_runs(), "build", &image(&repository, &digest)).await?;
    service.task_run_marked("build", "true").await?;
    ensure!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    Ok(())
}
