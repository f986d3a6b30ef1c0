//! From a signed build to its test run: at a steady rate, many at once, and by hand.
use std::time::Duration;

use anyhow::{Context as _, ensure};
use application_service_api::Snapshot;
use futures::{StreamExt as _, TryStreamExt as _, stream::FuturesOrdered};
use integration_service_api::labels;
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use pipelines_engine_api::PipelineRun;
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Load, Stage,
    builds::{self, Build},
    seen::{Key, Seen, Sighting},
    setup::Setup,
    standing::CALM,
    teams::{self, APPLICATION},
};
use crate::{
    bench::{
        engine::runs,
        table::Table,
        tally::Tally,
        units::{count, mebibytes, percentile, time},
    },
    ui,
};

/// Builds that are signed in a second.
pub(super) const RATE: u32 = 10;
/// Builds before anything is measured.
const WARM_UP: usize = 20;
/// How often it is done by hand.
const BY_HAND: usize = 20;

/// What nobody can be faster than: the same writes by hand, each seen before the next. The service does not run.
pub(super) async fn floor(setup: &Setup<'_>, seen: &Seen, table: &mut Table) -> anyhow::Result<()> {
    let step = ui::step("the same by hand");
    let client = setup.plane.admin();
    let here = [teams::team(&client, "bench-by-hand".to_owned()).await?];
    let namespace = &here[0].namespace;
    let builds: Vec<_> = (0..BY_HAND).map(|number| Build::of_push("by-hand", number, &here)).collect();
    builds::make(&client, &builds.iter().collect::<Vec<_>>()).await?;
    let snapshots = Api::<Snapshot>::namespaced(client.clone(), namespace);
    let pipeline_runs = Api::<PipelineRun>::namespaced(client.clone(), namespace);
    let mut took = Vec::new();
    for build in &builds {
        let name = &build.key.1;
        let began = builds::sign(client.clone(), build.key.clone()).await?;
        let snapshot: Snapshot = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {labels::BUILD_PIPELINE_RUN.as_str(): name}},
            "spec": {"application": APPLICATION},
        }))?;
        snapshots.create(&PostParams::default(), &snapshot).await?;
        seen.has_snapshot(&build.key).await?;
        let mut run = runs::large(&format!("{name}-test"), namespace)?;
        run.metadata.labels.get_or_insert_default().extend([
            ("pipelines.appstudio.openshift.io/type".to_owned(), labels::PIPELINE_TYPE_TEST.to_owned()),
            (labels::SNAPSHOT.as_str().to_owned(), name.clone()),
        ]);
        pipeline_runs.create(&PostParams::default(), &run).await?;
        let tested = seen.tested(std::slice::from_ref(&build.key), |_| {}).await?;
        took.extend(tested.iter().map(|seen| seen.test.saturating_duration_since(began)));
    }
    table.row(
        "for comparison: the same writes by hand, each seen before the next",
        "",
        format!("p50 {}, p99 {}, n = {BY_HAND}", time(percentile(&took, 50)), time(percentile(&took, 99))),
    );
    // The service is to find nothing of it.
    snapshots.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    pipeline_runs.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    step.done();
    Ok(())
}

/// Builds at a steady rate.
pub(super) async fn steady(
    load: &Load<'_>,
    name: &str,
    stage: Stage,
    seconds: u32,
    table: &mut Table,
) -> anyhow::Result<()> {
    let what = format!("{RATE} builds a second, {} Snapshots stand there", stage.snapshots);
    let step = ui::step(what.clone());
    let number = usize::try_from(seconds * RATE)?;
    let keys = prepare(load, name, WARM_UP + number, &step).await?;
    let (warm_up, measured) = keys.split_at(WARM_UP);
    sign(load, warm_up, Some(RATE)).await?;
    load.seen.tested(warm_up, |_| {}).await?;
    load.service.settle(CALM, |at| step.waiting(at)).await?;

    let (ledger, user) = (load.setup.plane.ledger()?, load.setup.user()?);
    let (mark, before) = (ledger.mark().await?, load.service.processor_time()?);
    let signed = sign(load, measured, Some(RATE)).await?;
    let seen = load.seen.tested(measured, |at| step.waiting(at)).await?;
    load.service.settle(CALM, |at| step.waiting(at)).await?;
    let cpu = load.service.processor_time()?.saturating_sub(before);
    let calls = ledger.since(&mark).await?.by(&user).except("leases");
    ensure!(load.seen.tests_of(measured) == number, "a build has several test runs");

    let since = |of: fn(&Sighting) -> Instant| -> Vec<Duration> {
        signed.iter().zip(&seen).map(|(signed, seen)| of(seen).saturating_duration_since(*signed)).collect()
    };
    let times = |times: &[Duration]| {
        format!(
            "p50 {}, p95 {}, p99 {}",
            time(percentile(times, 50)),
            time(percentile(times, 95)),
            time(percentile(times, 99))
        )
    };
    let (snapshot, test) = (since(|seen| seen.snapshot), since(|seen| seen.test));
    table.row(
        format!("{what}: signed → test run seen"),
        "p99 ≤ 150 ms, or 5 × by hand",
        format!("{}, n = {number}", times(&test)),
    );
    table.row("… of it: → Snapshot seen", "", times(&snapshot));
    table.row("… API writes per build", "≤ 6 (floor 5)", Tally::of_writes(&calls).per(number).to_string());
    table.row("… API reads per build", "0", Tally::of_reads(&calls).per(number).to_string());
    let millis = cpu.as_secs_f64() * 1e3 / count(number);
    table.row("… CPU per build", "≤ 5 ms", format!("{millis:.1} ms"));
    step.done_with(&times(&test));
    Ok(())
}

/// Many builds at once.
pub(super) async fn burst(load: &Load<'_>, number: usize, table: &mut Table) -> anyhow::Result<()> {
    let what = format!("{number} builds signed at once");
    let step = ui::step(what.clone());
    let keys = prepare(load, "burst", number, &step).await?;
    let (ledger, user) = (load.setup.plane.ledger()?, load.setup.user()?);
    let (mark, before) = (ledger.mark().await?, load.service.processor_time()?);
    let signed = sign(load, &keys, None).await?;
    let seen = load.seen.tested(&keys, |at| step.waiting(at)).await?;
    let began = signed.iter().min().context("nothing was signed")?;
    let last = seen.iter().map(|seen| seen.test).max().context("nothing was seen")?;
    let took = last.saturating_duration_since(*began);
    let cpu = load.service.processor_time()?.saturating_sub(before);
    load.service.settle(CALM, |at| step.waiting(at)).await?;
    let calls = ledger.since(&mark).await?.by(&user).except("leases");
    ensure!(load.seen.tests_of(&keys) == number, "a build has several test runs");
    let rate = count(number) / took.as_secs_f64().max(f64::EPSILON);
    table.row(
        format!("{what}: until the last test run is seen"),
        "≥ 10 a second",
        format!("{}, {rate:.0} a second", time(took)),
    );
    let made = seen.iter().map(|seen| seen.snapshot).max().context("nothing was seen")?;
    table.row(
        "… of it: until the last Snapshot is seen; CPU of the service",
        "",
        format!("{}; {}", time(made.saturating_duration_since(*began)), time(cpu)),
    );
    table.row("… API writes per build", "≤ 6", Tally::of_writes(&calls).per(number).to_string());
    table.row("… most memory", "≤ 80 MiB", mebibytes(load.service.peak_memory()?));
    step.done();
    Ok(())
}

/// Makes builds that wait to be signed, and lets the service know them.
async fn prepare(load: &Load<'_>, name: &str, number: usize, step: &ui::Step) -> anyhow::Result<Vec<Key>> {
    let builds: Vec<_> = (0..number).map(|number| Build::of_push(name, number, load.teams)).collect();
    builds::make(&load.setup.plane.admin(), &builds.iter().collect::<Vec<_>>()).await?;
    load.service.settle(CALM, |at| step.waiting(at)).await?;
    Ok(builds.into_iter().map(|build| build.key).collect())
}

/// Signs builds, so many a second or all at once. When, in that order.
pub(super) async fn sign(load: &Load<'_>, builds: &[Key], rate: Option<u32>) -> anyhow::Result<Vec<Instant>> {
    let client = load.setup.plane.admin();
    let mut ticks = rate.map(|rate| {
        let mut ticks = interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        ticks
    });
    let mut signed = FuturesOrdered::<JoinHandle<anyhow::Result<Instant>>>::new();
    for build in builds {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        signed.push_back(tokio::spawn(builds::sign(client.clone(), build.clone())));
    }
    signed.map(|signed| signed.context("a signature")?).try_collect().await
}
