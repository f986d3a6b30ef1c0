//! What it costs to be there: with nothing to do, with much that concerns others, and after a start.
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::PartialObjectMeta,
};
use pipelines_as_code_api::labels;
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::json;

use super::{
    Load, Sizes,
    asked::Meter,
    burst::answers,
    pushes::Pushes,
    seen::Seen,
    send::send,
    setup::{Setup, settle},
    teams::{TEAMS, name, namespace},
};
use crate::{
    bench::{
        process::Service,
        table::Table,
        units::{mebibytes, precise, time},
    },
    ui,
};

/// How long idle processor time is watched.
const WATCH: Duration = Duration::from_secs(20);
/// Webhooks in a second that are none of ours.
const FOREIGN: u32 = 200;
/// Runs that are created at once.
const CONCURRENCY: usize = 16;

/// Without a Repository.
pub(super) async fn empty(setup: &Setup<'_>, table: &mut Table) -> anyhow::Result<()> {
    let step = ui::step("with nothing to do");
    let size = std::fs::metadata(&setup.binary)?.len();
    table.row("binary, stripped", "≤ 15 MB", format!("{:.1} MB", precise(size) / 1e6));
    let service = setup.start().await?;
    settle(&service, &step).await?;
    table.row("memory, no Repositories", "≤ 20 MiB", memory(&service)?);
    let before = service.processor_time()?;
    tokio::time::sleep(WATCH).await;
    let used = service.processor_time()?.saturating_sub(before);
    table.row(
        "idle CPU",
        "< 0.2 % of a core",
        format!("{:.2} %", 100.0 * used.as_secs_f64() / WATCH.as_secs_f64()),
    );
    service.stop().await?;
    step.done();
    Ok(())
}

/// With Repositories for which nothing happens.
pub(super) async fn idle(service: &Service, sizes: Sizes, table: &mut Table) -> anyhow::Result<()> {
    let step = ui::step("idle with Repositories");
    settle(service, &step).await?;
    table.row(format!("memory, {} Repositories", sizes.repositories), "≤ 20 MiB", memory(service)?);
    step.done();
    Ok(())
}

/// Of which so much are pages of the program's file.
fn memory(service: &Service) -> anyhow::Result<String> {
    Ok(format!(
        "{}, of which {} of the program",
        mebibytes(service.memory()?),
        mebibytes(service.file_memory()?)
    ))
}

/// Webhooks of repositories that nobody has here, as where clusters share a GitHub App.
pub(super) async fn foreign(
    load: &Load<'_>,
    pushes: &mut Pushes<'_>,
    sizes: Sizes,
    table: &mut Table,
) -> anyhow::Result<()> {
    let step = ui::step(format!("{FOREIGN} foreign webhooks a second"));
    let number = usize::try_from(FOREIGN * sizes.foreign_seconds)?;
    let deliveries = pushes.foreign(number)?;
    let meter = Meter::begin(load.setup).await?;
    let (memory, cpu) = (load.service.memory()?, load.service.processor_time()?);
    let sent = send(load.setup, deliveries, Duration::from_secs(1) / FOREIGN, StatusCode::OK).await?;
    let used = load.service.processor_time()?.saturating_sub(cpu);
    settle(load.service, &step).await?;
    let asked = meter.end().await?;
    let what = format!("{number} foreign webhooks, {FOREIGN} a second, {} Repositories", sizes.repositories);
    table.row(
        format!("{what}: API calls, forge calls"),
        "0, 0",
        format!("{}, {}", asked.calls.len(), asked.forge.len()),
    );
    table.row(
        "… memory before and after",
        "the same",
        format!("{}, {}", mebibytes(memory), mebibytes(load.service.memory()?)),
    );
    table.row("… answer to the forge", "p99 ≤ 50 ms", answers(&sent));
    let micros = used.as_secs_f64() * 1e6 / precise(u64::try_from(number)?);
    table.row("… CPU per webhook", "", format!("{micros:.0} µs"));
    step.done();
    Ok(())
}

/// Starts the service on what it, or somebody like it, has done before.
pub(super) async fn restart(
    setup: &Setup<'_>,
    seen: &Seen,
    sizes: Sizes,
    table: &mut Table,
) -> anyhow::Result<()> {
    more_runs(setup, seen, sizes).await?;
    // What is new to it is written down once, as in the Repositories' histories.
    let step = ui::step("first pass");
    let service = setup.start().await?;
    settle(&service, &step).await?;
    service.stop().await?;
    step.done();

    let step = ui::step("restart");
    let meter = Meter::begin(setup).await?;
    let service = setup.start().await?;
    // What the API server takes to send them is not in this.
    let (ready_after, used) = (service.ready_after, service.processor_time()?);
    settle(&service, &step).await?;
    let asked = meter.end().await?;
    let task_runs = task_runs(setup).await?;
    let what =
        format!("{} Repositories, {} finished runs, {task_runs} TaskRuns", sizes.repositories, seen.over().0);
    table.row(
        format!("{what}: start to caches filled"),
        "≤ 0.3 s",
        format!("{}, of which {} of its own CPU", time(ready_after), time(used)),
    );
    table.row("… writes after a restart", "0", asked.writes().to_string());
    table.row("… reads after a restart", "", asked.reads().to_string());
    table.row("… forge calls after a restart", "0", asked.forge().to_string());
    table.row(
        "… memory after a restart, now and at most",
        "≤ 45 MiB",
        format!("{}, {}", memory(&service)?, mebibytes(service.peak_memory()?)),
    );
    service.stop().await?;
    step.done();

    let step = ui::step("restart without TaskRuns");
    for team in 0..TEAMS {
        let runs = Api::<TaskRun>::namespaced(setup.plane.admin(), &namespace(team));
        runs.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    }
    let service = setup.start().await?;
    let (ready_after, used) = (service.ready_after, service.processor_time()?);
    settle(&service, &step).await?;
    table.row(
        "… without the TaskRuns: start to caches filled, memory",
        "",
        format!("{} ({} of its own CPU), {}", time(ready_after), time(used), memory(&service)?),
    );
    service.stop().await?;
    step.done();
    Ok(())
}

async fn task_runs(setup: &Setup<'_>) -> anyhow::Result<usize> {
    let runs = Api::<PartialObjectMeta<TaskRun>>::all(setup.plane.admin());
    Ok(runs.list(&ListParams::default()).await?.items.len())
}

/// Copies of a run that was reported, until there are so many.
async fn more_runs(setup: &Setup<'_>, seen: &Seen, sizes: Sizes) -> anyhow::Result<()> {
    let step = ui::step(format!("{} finished runs", sizes.finished));
    let client = setup.plane.admin();
    let first = Api::<PipelineRun>::namespaced(client.clone(), &namespace(0));
    let selector = format!("{}=completed,{}", labels::STATE, labels::REPOSITORY);
    let model = first.list(&ListParams::default().labels(&selector)).await?.items.pop();
    let model = &model.context("no run is over")?;
    let mut creations = futures::stream::iter(seen.over().0..sizes.finished)
        .map(|number| {
            let (client, copy) = (client.clone(), copy(model, number, number % sizes.repositories));
            async move {
                let runs = Api::<PipelineRun>::namespaced(client, &copy.namespace().unwrap_or_default());
                runs.create(&PostParams::default(), &copy).await?;
                let status = Patch::Merge(json!({"status": copy.status}));
                runs.patch_status(&copy.name_any(), &PatchParams::default(), &status).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(CONCURRENCY);
    while creations.try_next().await?.is_some() {
        step.waiting(&format!("{} of {}", seen.over().0, sizes.finished));
    }
    seen.all_over(|at| step.waiting(at)).await?;
    step.done();
    Ok(())
}

/// A finished run of another Repository.
fn copy(model: &PipelineRun, number: usize, repository: usize) -> PipelineRun {
    let mut run = model.clone();
    let metadata = std::mem::take(&mut run.metadata);
    run.metadata.name = Some(format!("copy-{number}"));
    run.metadata.namespace = Some(namespace(repository % TEAMS));
    run.metadata.labels = metadata.labels;
    run.metadata.annotations = metadata.annotations;
    for entries in [&mut run.metadata.labels, &mut run.metadata.annotations] {
        entries.get_or_insert_default().insert(labels::REPOSITORY.to_string(), name(repository));
    }
    run
}
