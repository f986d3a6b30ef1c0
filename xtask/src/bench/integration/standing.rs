//! What it costs to be there: with nothing to do, with much that has come to an end, and after a start.
use std::time::{Duration, Instant};

use anyhow::Context as _;
use application_service_api::Snapshot;
use fleet_api::keys;
use futures::{StreamExt as _, TryStreamExt as _};
use integration_service_api::{annotations, labels};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};

use super::{
    Stage,
    builds::{Build, SIGNED},
    setup::Setup,
    teams::{
        APPLICATION, COMPONENTS, CONCURRENCY, SCENARIO, Team, commit, component, image, repository, succeeded,
    },
};
use crate::{
    bench::{
        engine::runs,
        process::Service,
        table::Table,
        tally::Tally,
        units::{mebibytes, precise, time},
    },
    ui,
};

/// Quiet for this long is idle.
pub(super) const CALM: Duration = Duration::from_secs(3);
/// How long idle processor time is watched.
const WATCH: Duration = Duration::from_secs(20);

/// Without any Application.
pub(super) async fn empty(setup: &Setup<'_>, table: &mut Table) -> anyhow::Result<()> {
    let step = ui::step("with nothing to do");
    let size = std::fs::metadata(&setup.binary)?.len();
    table.row("binary, stripped", "≤ 15 MB", format!("{:.1} MB", precise(size) / 1e6));
    let service = setup.start().await?;
    service.settle(CALM, |at| step.waiting(at)).await?;
    table.row("memory, empty", "≤ 15 MiB", memory(&service)?);
    let before = service.processor_time()?;
    tokio::time::sleep(WATCH).await;
    let used = service.processor_time()?.saturating_sub(before);
    let share = 100.0 * used.as_secs_f64() / WATCH.as_secs_f64();
    table.row("idle CPU", "< 0.2 % of a core", format!("{share:.2} %"));
    service.stop().await?;
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

/// What is new to the service is looked at once; some of it gets what only the service writes.
pub(super) async fn first_pass(setup: &Setup<'_>, stage: Stage, table: &mut Table) -> anyhow::Result<()> {
    let step = ui::step(format!("first pass over {} Snapshots", stage.snapshots));
    let service = setup.start().await?;
    let began = Instant::now();
    service.settle(CALM, |at| step.waiting(at)).await?;
    let took = began.elapsed().saturating_sub(CALM);
    let writes = service.writes().await?;
    table.row(format!("{}: first pass", told(stage)), "", format!("{}, {writes} writes", time(took)));
    service.stop().await?;
    step.done();
    Ok(())
}

/// With nothing new. The service goes on.
pub(super) async fn restart(
    setup: &Setup<'_>,
    stage: Stage,
    applications: usize,
    table: &mut Table,
) -> anyhow::Result<Service> {
    let step = ui::step(format!("restart with {} Snapshots", stage.snapshots));
    let ledger = setup.plane.ledger()?;
    let mark = ledger.mark().await?;
    let service = setup.start().await?;
    // What the API server takes to send them is not in this.
    let (ready_after, used) = (service.ready_after, service.processor_time()?);
    service.settle(CALM, |at| step.waiting(at)).await?;
    let calls = ledger.since(&mark).await?.by(&setup.user()?).except("leases");
    let is_small = stage.snapshots + stage.runs <= 4000;
    table.row(
        format!("{}, {applications} Applications: start to caches filled", told(stage)),
        if is_small { "≤ 0.3 s" } else { "" },
        format!("{}, of which {} of its own CPU", time(ready_after), time(used)),
    );
    table.row("… writes after a restart", "0", Tally::of_writes(&calls).to_string());
    table.row(
        "… memory after a restart, now and at most",
        if is_small { "≤ 45 MiB" } else { "≤ 80 MiB" },
        format!("{}, {}", memory(&service)?, mebibytes(service.peak_memory()?)),
    );
    step.done();
    Ok(service)
}

fn told(stage: Stage) -> String {
    format!("{} Snapshots, {} runs", stage.snapshots, stage.runs)
}

/// Creates what has come to an end, from what `existing` has to what `stage` has.
pub(super) async fn fill(
    client: &Client,
    teams: &[Team],
    existing: Stage,
    stage: Stage,
) -> anyhow::Result<()> {
    let step = ui::step(told(stage));
    let mut created = existing.snapshots;
    let mut creations = futures::stream::iter(existing.snapshots..stage.snapshots)
        .map(|number| snapshot(client, &teams[number % teams.len()], number))
        .buffer_unordered(CONCURRENCY);
    while creations.try_next().await?.is_some() {
        created += 1;
        step.waiting(&format!("{created} Snapshots"));
    }
    let mut created = existing.runs;
    let mut creations = futures::stream::iter(existing.runs..stage.runs)
        .map(|number| run(client, teams, number))
        .buffer_unordered(CONCURRENCY);
    while creations.try_next().await?.is_some() {
        created += 1;
        step.waiting(&format!("{created} runs"));
    }
    step.done();
    Ok(())
}

/// Of a push; tested, promoted and offered for release.
async fn snapshot(client: &Client, team: &Team, number: usize) -> anyhow::Result<()> {
    let at = "2024-04-01T10:06:00Z";
    let record = json!([{
        "scenario": SCENARIO, "status": "TestPassed", "lastUpdateTime": at, "details": "Integration test passed",
        "startTime": at, "completionTime": at, "testPipelineRunName": test_name(number),
    }]);
    let components: Vec<Value> = (0..COMPONENTS)
        .map(|of_component| {
            let name = component(of_component);
            json!({
                "name": name, "containerImage": image(&name, number),
                "source": {"git": {"url": repository(&name), "revision": commit(number)}},
            })
        })
        .collect();
    let object: Snapshot = serde_json::from_value(json!({
        "metadata": {
            "name": snapshot_name(number),
            "labels": {
                labels::TYPE.as_str(): labels::snapshot_type::COMPONENT,
                labels::BUILD_PIPELINE_RUN.as_str(): build_name(number),
                labels::PIPELINE_RUN_FINISH_TIME.as_str(): (1_711_965_900 + number).to_string(),
                keys::APPLICATION.as_str(): APPLICATION,
                keys::COMPONENT.as_str(): component(number),
                "pac.test.appstudio.openshift.io/event-type": "push",
                "pac.test.appstudio.openshift.io/sha": commit(number),
            },
            "annotations": {
                annotations::STATUS.as_str(): record.to_string(),
                "pac.test.appstudio.openshift.io/repo-url": repository(&component(number)),
            },
            "ownerReferences": [team.owner],
        },
        "spec": {"application": APPLICATION, "components": components},
    }))?;
    let condition = |type_: &str, reason: &str| json!({"type": type_, "status": "True", "reason": reason, "message": "As it should be", "lastTransitionTime": at});
    let status = json!({"status": {"conditions": [
        condition("AppStudioTestSucceeded", "Passed"),
        condition("AppStudioIntegrationStatus", "Finished"),
        condition("AddedToGlobalCandidateList", "Added"),
        condition("DeployedToRootEnvironments", "Deployed"),
        condition("AutoReleased", "AutoReleased"),
    ]}});
    let api = Api::<Snapshot>::namespaced(client.clone(), &team.namespace);
    api.create(&PostParams::default(), &object).await?;
    api.patch_status(&snapshot_name(number), &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// By turns a build and a test, of 8 kB, which has succeeded and been read.
async fn run(client: &Client, teams: &[Team], number: usize) -> anyhow::Result<()> {
    let (of_snapshot, is_build) = (number / 2, number.is_multiple_of(2));
    let namespace = &teams[of_snapshot % teams.len()].namespace;
    let (run, results) = if is_build {
        let build = Build::of_push("built", of_snapshot, teams);
        let mut run = build.run()?;
        run.metadata.annotations.get_or_insert_default().extend([
            (SIGNED.to_owned(), "true".to_owned()),
            (annotations::SNAPSHOT.as_str().to_owned(), snapshot_name(of_snapshot)),
            (
                annotations::CREATE_SNAPSHOT_STATUS.as_str().to_owned(),
                json!({"status": "success", "message": ""}).to_string(),
            ),
        ]);
        (run, build.results())
    } else {
        let mut run = runs::large(&test_name(of_snapshot), namespace)?;
        run.metadata.labels.get_or_insert_default().extend([
            (keys::PIPELINE_TYPE.as_str().to_owned(), labels::PIPELINE_TYPE_TEST.to_owned()),
            (labels::SNAPSHOT.as_str().to_owned(), snapshot_name(of_snapshot)),
            (labels::SCENARIO.as_str().to_owned(), SCENARIO.to_owned()),
        ]);
        (run, json!([]))
    };
    let name = run.metadata.name.clone().context("a run has a name")?;
    let api = Api::<PipelineRun>::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &run).await?;
    let status = json!({"status": succeeded(&results)});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

fn snapshot_name(number: usize) -> String {
    format!("{APPLICATION}-{number}")
}

/// As [`Build::of_push`] names it.
fn build_name(number: usize) -> String {
    format!("built-{number}")
}

fn test_name(number: usize) -> String {
    format!("tested-{number}")
}
