//! Killed at any moment, or cut off from its API server, the service ends where it ends on a calm day.

use anyhow::ensure;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use pipelines_engine_api::{PipelineRun, TaskRun};
use testkit::drill::{Drill, Tenant};
use testkit::faults;

use crate::api::PlayedApi;
use crate::runs::{child, end, pipeline_run, pipeline_status, task_run, task_status};
use crate::service::{ACCOUNT, annotation, wait_for, wait_gone};

fn drill(api: &PlayedApi) -> Drill {
    let address = format!("--api-addr={}", api.address);
    let flags =
        [&*address, "--auth-mode=insecure", "--completed-run-grace-period=-1s", "--check-owner=false"];
    Drill::of("results", env!("CARGO_BIN_EXE_results-watcher"))
        .account(ACCOUNT)
        .beside(["pipelines-engine"])
        .flags(flags)
}

/// A PipelineRun with one task ends and is pruned; a TaskRun is deleted while it runs.
async fn flow(api: &PlayedApi, tenant: &Tenant) -> anyhow::Result<()> {
    let (pipeline_runs, task_runs) = (tenant.api::<PipelineRun>(), tenant.api::<TaskRun>());
    let parent = pipeline_run(&pipeline_runs, "run").await?;
    wait_for(&pipeline_runs, "run", "its finalizer", |run: &PipelineRun| !run.finalizers().is_empty())
        .await?;
    child(&task_runs, &parent, "build").await?;
    wait_for(&task_runs, "run-build", "its finalizer", |run: &TaskRun| !run.finalizers().is_empty()).await?;
    end(&task_runs, "run-build", &task_status(true, "", &[])).await?;
    let is_stored = |run: &TaskRun| annotation(run, "stored") == Some("true");
    wait_for(&task_runs, "run-build", "the mark", is_stored).await?;
    end(&pipeline_runs, "run", &pipeline_status(true, "run", &["build"])).await?;
    wait_gone(&pipeline_runs, "run").await?;
    // There is nobody here who collects it.
    task_runs.delete("run-build", &DeleteParams::default()).await?;
    wait_gone(&task_runs, "run-build").await?;
    task_run(&task_runs, "alone").await?;
    wait_for(&task_runs, "alone", "its finalizer", |run: &TaskRun| !run.finalizers().is_empty()).await?;
    task_runs.delete("alone", &DeleteParams::default()).await?;
    wait_gone(&task_runs, "alone").await?;
    let result = format!("{}/results/{}", &**tenant, parent.uid().unwrap_or_default());
    let objects = api.objects(&result);
    for name in ["PipelineRun run", "TaskRun run-build"] {
        ensure!(objects[name]["status"]["completionTime"].is_string(), "{name}: {objects:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    let api = PlayedApi::start().await?;
    let crashes = drill(&api).crash_after_each_write(async |tenant| flow(&api, tenant).await).await?;
    eprintln!("crash drill: {crashes}");
    Ok(())
}

#[tokio::test]
async fn it_survives_every_fault_of_its_api_server() -> anyhow::Result<()> {
    let api = PlayedApi::start().await?;
    let survived =
        drill(&api).survives_faults(async |tenant| flow(&api, tenant).await, faults::every()).await?;
    eprintln!("{survived}");
    Ok(())
}
