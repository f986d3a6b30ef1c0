//! The ConfigMap.

use anyhow::ensure;
use testkit::{DEADLINE, eventually};

use crate::runs::{ended_task_run, image};
use crate::service::Service;

#[tokio::test]
async fn scenario_14_a_fault_is_told_and_changes_nothing() -> anyhow::Result<()> {
    let service = Service::start_with(&[("builder.id", "https://example.com/before")]).await?;
    service
        .set(&[("artifacts.taskrun.format", "slsa/v9"), ("builder.id", "https://example.com/after")])
        .await?;
    let told = service.told(service.installed.namespace(), "chains-config", "InvalidSettings").await?;
    ensure!(told.contains("artifacts.taskrun.format") && told.contains("slsa/v9"), "{told}");
    ensure!(service.sum("chains_configuration_valid") < 0.5);

    let (repository, digest) = service.push_image("app");
    ended_task_run(&service.task_runs(), "build", &image(&repository, &digest)).await?;
    service.task_run_marked("build", "true").await?;
    let statements = service.consumer()?.statements(&repository, &digest).await?;
    ensure!(statements[0]["predicate"]["builder"]["id"] == "https://example.com/before", "{statements:?}");

    service.set(&[("artifacts.taskrun.format", "in-toto")]).await?;
    eventually(DEADLINE, "the settings to be in force", async || {
        ensure!(service.sum("chains_configuration_valid") > 0.5);
        Ok(())
    })
    .await?;
    let (repository, digest) = service.push_image("next");
    ended_task_run(&service.task_runs(), "next", &image(&repository, &digest)).await?;
    service.task_run_marked("next", "true").await?;
    let statements = service.consumer()?.statements(&repository, &digest).await?;
    ensure!(statements[0]["predicate"]["builder"]["id"] == "https://example.com/after", "{statements:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_not_stored_is_marked_all_the_same() -> anyhow::Result<()> {
    let service =
        Service::start_with(&[("artifacts.taskrun.storage", ""), ("artifacts.oci.storage", "")]).await?;
    let (repository, digest) = service.push_image("app");
    ended_task_run(&service.task_runs(), "build", &image(&repository, &digest)).await?;
    service.task_run_marked("build", "true").await?;
    ensure!(service.consumer()?.signatures(&repository, &digest).await.is_err());
    Ok(())
}
