//! What it costs to be there: with nothing to do, with many Releases that are over, and after a start.
use std::time::{Duration, Instant};

use fleet_api::keys;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use pipelines_engine_api::PipelineRun;
use release_service_api::{Phase, Release, labels};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    setup::Setup,
    teams::{self, CONCURRENCY, Team},
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
const BEGAN: &str = "2024-04-01T10:00:00Z";
const ENDED: &str = "2024-04-01T10:05:00Z";
/// Far from now.
const LATER: &str = "2124-04-01T10:00:00Z";

/// Without any team.
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

/// Plans and admissions get their statuses; Releases that are over get nothing.
pub(super) async fn first_pass(setup: &Setup<'_>, standing: usize, table: &mut Table) -> anyhow::Result<()> {
    let step = ui::step(format!("first pass over {standing} Releases"));
    let service = setup.start().await?;
    let began = Instant::now();
    service.settle(CALM, |at| step.waiting(at)).await?;
    let took = began.elapsed().saturating_sub(CALM);
    let writes = service.writes().await?;
    table.row(format!("{}: first pass", told(standing)), "", format!("{}, {writes} writes", time(took)));
    service.stop().await?;
    step.done();
    Ok(())
}

/// With nothing new. The service goes on.
pub(super) async fn restart(
    setup: &Setup<'_>,
    standing: usize,
    table: &mut Table,
) -> anyhow::Result<Service> {
    let step = ui::step(format!("restart with {standing} Releases"));
    let ledger = setup.plane.ledger()?;
    let mark = ledger.mark().await?;
    let service = setup.start().await?;
    // What the API server takes to send them is not in this.
    let (ready_after, used) = (service.ready_after, service.processor_time()?);
    service.settle(CALM, |at| step.waiting(at)).await?;
    let calls = ledger.since(&mark).await?.by(&setup.user()?).except("leases");
    table.row(
        format!("{}: start to caches filled", told(standing)),
        "",
        format!("{}, of which {} of its own CPU", time(ready_after), time(used)),
    );
    table.row("… writes after a restart", "0", Tally::of_writes(&calls).to_string());
    table.row("… reads after a restart", "", Tally::of_reads(&calls).to_string());
    table.row(
        "… memory after a restart, now and at most",
        "< 64 MiB",
        format!("{}, {}", memory(&service)?, mebibytes(service.peak_memory()?)),
    );
    step.done();
    Ok(service)
}

fn told(standing: usize) -> String {
    format!("{standing} Releases that are over, each with its run")
}

/// Creates Releases that have succeeded, and their runs.
pub(super) async fn fill(client: &Client, teams: &[Team], standing: usize) -> anyhow::Result<()> {
    let step = ui::step(told(standing));
    let mut creations = futures::stream::iter(0..standing)
        .map(|number| over(client, &teams[number % teams.len()], format!("over-{number}"), LATER, true))
        .buffer_unordered(CONCURRENCY);
    let mut created = 0;
    while creations.try_next().await?.is_some() {
        created += 1;
        step.waiting(&format!("{created} of {standing}"));
    }
    step.done();
    Ok(())
}

/// A Release that has succeeded and expires then, and its run, unless that was pruned.
pub(super) async fn over(
    client: &Client,
    team: &Team,
    name: String,
    expires: &str,
    has_run: bool,
) -> anyhow::Result<()> {
    let mut release = teams::release(&name)?;
    release.metadata.finalizers = Some(vec![release_service_api::finalizers::RELEASE.as_str().to_owned()]);
    let api = Api::<Release>::namespaced(client.clone(), &team.tenant);
    let release = api.create(&PostParams::default(), &release).await?;
    let uid = release.uid().unwrap_or_default();
    let run = run_name(&uid);
    let status = json!({"status": succeeded(team, &run, expires)});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    if has_run { ended_run(client, team, &name, &run).await } else { Ok(()) }
}

/// The name that the service gives to the first managed run of a Release, else it would not take the run for its own.
fn run_name(uid: &str) -> String {
    let phase = Phase::Managed.as_str();
    let hash = Sha256::digest([uid, phase, "0"].join("\0"));
    let text = data_encoding::BASE32_NOPAD.encode(&hash).to_ascii_lowercase();
    format!("{phase}-{}", &text[..10])
}

fn succeeded(team: &Team, run: &str, expires: &str) -> Value {
    let run = format!("{}/{run}", team.managed);
    let condition = |type_: &str| json!({"type": type_, "status": "True", "reason": "Succeeded", "message": "", "lastTransitionTime": ENDED, "observedGeneration": 1});
    let processing = json!({"startTime": BEGAN, "completionTime": ENDED, "pipelineRun": run});
    json!({
        "conditions": Vec::from(["Released", "Validated", "Processed", "ManagedPipelineProcessed"].map(condition)),
        "attribution": {"author": "jane"}, "target": team.managed, "validation": {"time": BEGAN},
        "processing": processing, "managedProcessing": processing,
        "startTime": BEGAN, "completionTime": ENDED, "expirationTime": expires,
    })
}

async fn ended_run(client: &Client, team: &Team, release: &str, name: &str) -> anyhow::Result<()> {
    let mut run = runs::large(name, &team.managed)?;
    run.metadata.labels.get_or_insert_default().extend([
        (keys::PIPELINE_TYPE.as_str().to_owned(), Phase::Managed.as_str().to_owned()),
        (labels::NAME.as_str().to_owned(), release.to_owned()),
        (labels::NAMESPACE.as_str().to_owned(), team.tenant.clone()),
    ]);
    let api = Api::<PipelineRun>::namespaced(client.clone(), &team.managed);
    api.create(&PostParams::default(), &run).await?;
    end(&api, name, BEGAN, ENDED).await
}

/// Lets a run succeed.
pub(super) async fn end(api: &Api<PipelineRun>, name: &str, began: &str, ended: &str) -> anyhow::Result<()> {
    let status = json!({"status": {
        "startTime": began, "completionTime": ended,
        "conditions": [{
            "type": "Succeeded", "status": "True", "reason": "Succeeded", "message": "", "lastTransitionTime": ended,
        }],
    }});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}
