//! Scenario 13: five hundred requests within ten seconds, or as fast as this machine can ask.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::ListParams;
use serde_json::json;
use testkit::eventually;
use testkit::faults::Plan;

use crate::service::{Service, reason};

const REQUESTS: usize = 500;
const PATIENCE: Duration = Duration::from_mins(4);
/// Finalizer on and off, status twice, an Event for each.
const WRITES: usize = 7;
/// MiB of the service's process.
const MEMORY: usize = 64;

#[tokio::test]
async fn scenario_13_five_hundred_requests_at_once_cost_seven_writes_each_at_most() -> anyhow::Result<()> {
    let mut service = Service::install(Plan::calm()).await?;
    service.serve_managed().await?;
    let program = service.run_program().await?;
    let process = program.id().context("it runs")?;
    let ledger = service.remote_plane.ledger()?;
    let mark = ledger.mark().await?;
    let began = Instant::now();
    let ask = |number: usize| {
        let service = &service;
        async move { service.ask(&format!("many-{number}"), json!({"request": "sign"})).await.map(drop) }
    };
    stream::iter(0..REQUESTS).map(ask).buffer_unordered(16).try_collect::<Vec<_>>().await?;
    let asked = began.elapsed();
    eventually(PATIENCE, "all to be done", async || {
        let all = service.requests().list(&ListParams::default()).await?.items;
        let done = all.iter().filter(|request| reason(request) == Some("Succeeded")).count();
        let held = all.iter().filter(|request| request.metadata.finalizers.is_some()).count();
        ensure!(done == REQUESTS && held == 0, "{done} are done, {held} are held");
        Ok(())
    })
    .await?;
    let took = began.elapsed();
    service.has_runs(0).await?;
    assert_eq!(service.engine.seen().len(), REQUESTS, "a run each");
    let writes = ledger.since(&mark).await?.by(&service.account.user()?).writes();
    ensure!(writes <= REQUESTS * WRITES, "{writes} writes");
    let memory = most_memory(process)? / 1024;
    ensure!(memory < MEMORY, "{memory} MiB");
    eprintln!(
        "{REQUESTS} requests: asked within {asked:?}, done after {took:?}, {writes} writes, at most {memory} MiB"
    );
    Ok(())
}

/// The most KiB that a process ever had.
fn most_memory(process: u32) -> anyhow::Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}
