//! Logs, as large as they may be and whatever happens to them.

use std::cell::Cell;

use anyhow::ensure;
use pipelines_engine_api::TaskRun;
use testkit::{DEADLINE, eventually};

use crate::kubelet::Printed;
use crate::runs::{end, task_run, task_status};
use crate::service::{Service, annotation};

/// Of the large log.
const SIZE: usize = 200 << 20;
/// What may be under way between the node and the archive: buffers of five sockets and of three programs.
const UNDER_WAY: usize = 48 << 20;

#[tokio::test]
async fn scenario_11_a_large_log_is_never_held_as_a_whole() -> anyhow::Result<()> {
    let service = Service::start(&[]).await?;
    service.api.pause_after(Some(1 << 20));
    let task_runs = service.task_runs();
    service.node.pod(&service.api(), "pod", &[("build", Printed::Bytes(SIZE))]).await?;
    task_run(&task_runs, "build").await?;
    end(&task_runs, "build", &task_status(true, "pod", &["build"])).await?;
    let before = Cell::new(0);
    eventually(DEADLINE, "everybody to wait for the archive", async || {
        let sent = service.node.sent();
        ensure!(sent > 1 << 20 && before.replace(sent) == sent, "{sent} bytes");
        Ok(())
    })
    .await?;
    let under_way = service.node.sent() - service.api.with(|state| state.received);
    ensure!(under_way < UNDER_WAY, "{under_way} bytes are under way");
    service.api.pause_after(None);
    let run = eventually(DEADLINE * 4, "the log", async || {
        let run = task_runs.get("build").await?;
        ensure!(annotation(&run, "stored") == Some("true"));
        Ok(run)
    })
    .await?;
    let log = annotation(&run, "log").unwrap_or_default();
    let (_, size) = service.api.with(|state| state.logs.get(log).cloned()).unwrap_or_default();
    // Each line of 64 bytes has `[build] ` in front.
    ensure!(size == SIZE / 64 * 72, "{size} bytes");
    Ok(())
}

#[tokio::test]
async fn an_upload_that_is_refused_is_tried_again_and_stored_once() -> anyhow::Result<()> {
    let service = Service::start(&[]).await?;
    service.api.with(|state| state.refuses_uploads = 2);
    let task_runs = service.task_runs();
    service.node.pod(&service.api(), "pod", &[("build", Printed::Text("once\n".into()))]).await?;
    task_run(&task_runs, "build").await?;
    end(&task_runs, "build", &task_status(true, "pod", &["build"])).await?;
    let run: TaskRun = service.stored("build").await?;
    let log = service.api.log(annotation(&run, "log").unwrap_or_default());
    ensure!(log.as_deref() == Some("[build] once\n"), "{log:?}");
    let note = service.told("build", "LogNotStored").await?;
    ensure!(note.contains("the store of logs is away"), "{note}");
    Ok(())
}

#[tokio::test]
async fn a_service_that_dies_amid_an_upload_leaves_nothing_incomplete() -> anyhow::Result<()> {
    let mut service = Service::start(&[]).await?;
    service.api.pause_after(Some(1 << 20));
    let task_runs = service.task_runs();
    service.node.pod(&service.api(), "pod", &[("build", Printed::Bytes(32 << 20))]).await?;
    task_run(&task_runs, "build").await?;
    end(&task_runs, "build", &task_status(true, "pod", &["build"])).await?;
    eventually(DEADLINE, "an upload", async || {
        ensure!(service.api.with(|state| state.received) > 1 << 19);
        Ok(())
    })
    .await?;
    service.kill();
    service.api.pause_after(None);
    eventually(DEADLINE, "its end", async || {
        ensure!(service.api.with(|state| state.broken_off) == 1);
        Ok(())
    })
    .await?;
    ensure!(service.api.with(|state| state.logs.is_empty()));
    service.run().await?;
    service.stored::<TaskRun>("build").await?;
    ensure!(service.api.with(|state| state.logs.len()) == 1);
    Ok(())
}

#[tokio::test]
async fn a_pod_that_is_gone_is_told() -> anyhow::Result<()> {
    let service = Service::start(&[]).await?;
    let task_runs = service.task_runs();
    task_run(&task_runs, "build").await?;
    end(&task_runs, "build", &task_status(true, "gone", &["build"])).await?;
    let run: TaskRun = service.stored("build").await?;
    let why = run.metadata.annotations.unwrap_or_default();
    let why = why.get("results.fleet.konflux-ci.dev/log-missing").cloned().unwrap_or_default();
    ensure!(why.contains("pod gone was gone"), "{why}");
    Ok(())
}
