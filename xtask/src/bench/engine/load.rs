//! The rows that need many runs and no pod: a control plane without nodes, where pods are played.
//!
//! ```text
//! idle ─▶ 500 runs live ─▶ some go on, at a steady rate ─▶ 2,000 runs live ─▶ stop ─▶ start: nothing to do
//! ```
use std::{net::Ipv4Addr, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::{Api, Client, api::PostParams};
use testkit::{ControlPlane, Options, builders};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    Sizes,
    player::{Player, Run},
    pods::create_account,
    runs,
    setup::{Programs, Setup},
};
use crate::{
    bench::{
        process::Service,
        table::Table,
        units::{count, mebibytes, median, percentile, precise, time},
    },
    ui,
};

/// Quiet for this long is idle.
const CALM: Duration = Duration::from_secs(3);
/// How long processor time is watched in which nothing happens.
const WATCH: Duration = Duration::from_secs(20);
/// Teams that the runs belong to.
const NAMESPACES: usize = 10;
/// Runs that are created at once.
const CONCURRENCY: usize = 16;
/// Pods that end in a second.
const RATE: u32 = 5;

/// Measures the engine with a control plane of its own.
pub(super) async fn measure(programs: &Programs, sizes: &Sizes, table: &mut Table) -> anyhow::Result<()> {
    let step = ui::step("control plane");
    let plane = ControlPlane::start(Options::default()).await?;
    let setup = Setup::install(&plane, programs, Ipv4Addr::LOCALHOST).await?;
    let client = plane.admin();
    for number in 0..NAMESPACES {
        let name = namespace(number);
        let namespaces = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &builders::namespace(&name)).await?;
        create_account(&client, &name).await?;
    }
    step.done();

    let service = setup.start().await?;
    setup.await_webhooks().await?;
    idle(&service, programs, table).await?;
    let player = Player::begin(&client);
    live(&client, &player, 0, sizes.live, &service).await?;
    gaps(&player, sizes, &service, table).await?;
    live(&client, &player, sizes.live, sizes.load, &service).await?;
    table.row(
        format!("{} PipelineRuns live: memory, now and at most", sizes.load),
        "≤ 150 MiB",
        format!("{}, {}", mebibytes(service.memory()?), mebibytes(service.peak_memory()?)),
    );
    table.row(
        format!("{} PipelineRuns live: CPU while nothing happens", sizes.load),
        "< 0.2 % of a core",
        processor_share(&service).await?,
    );
    service.stop().await?;
    restart(&plane, &setup, sizes, table).await
}

async fn idle(service: &Service, programs: &Programs, table: &mut Table) -> anyhow::Result<()> {
    let step = ui::step("with nothing to do");
    let size = std::fs::metadata(&programs.engine)?.len();
    table.row("binary, stripped", "≤ 15 MB", format!("{:.1} MB", precise(size) / 1e6));
    service.settle(CALM, |at| step.waiting(at)).await?;
    table.row("memory, empty", "≤ 15 MiB", mebibytes(service.memory()?));
    table.row("idle CPU", "< 0.2 % of a core", processor_share(service).await?);
    step.done();
    Ok(())
}

async fn processor_share(service: &Service) -> anyhow::Result<String> {
    let before = service.processor_time()?;
    tokio::time::sleep(WATCH).await;
    let used = service.processor_time()?.saturating_sub(before);
    Ok(format!("{:.2} %", 100.0 * used.as_secs_f64() / WATCH.as_secs_f64()))
}

/// Creates runs `from..to`, and waits until a pod of each runs.
async fn live(
    client: &Client,
    player: &Player,
    from: usize,
    to: usize,
    service: &Service,
) -> anyhow::Result<()> {
    let step = ui::step(format!("{to} PipelineRuns live"));
    let create = async {
        let mut creations = futures::stream::iter(from..to)
            .map(|number| async move {
                let (namespace, name) = run(number);
                let run = runs::large(&name, &namespace)?;
                Api::namespaced(client.clone(), &namespace).create(&PostParams::default(), &run).await?;
                anyhow::Ok(())
            })
            .buffer_unordered(CONCURRENCY);
        while creations.try_next().await?.is_some() {}
        anyhow::Ok(())
    };
    let running =
        player.running(to, |running| step.waiting(&format!("{running} of {to} have a pod that runs")));
    tokio::try_join!(create, running)?;
    service.settle(CALM, |at| step.waiting(at)).await?;
    step.done();
    Ok(())
}

/// Pods end at a steady rate, each of another run, so that as many runs stay live.
async fn gaps(player: &Player, sizes: &Sizes, service: &Service, table: &mut Table) -> anyhow::Result<()> {
    let (live, samples) = (sizes.live, sizes.samples.min(sizes.live));
    let step =
        ui::step(format!("{samples} of {live} PipelineRuns go on to their next task, {RATE} a second"));
    let before = service.processor_time()?;
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for sample in 0..samples {
        ticks.tick().await;
        player.succeed(&run(sample * live / samples)).await?;
        step.waiting(&format!("{} of {samples}", sample + 1));
    }
    let gaps = player.gaps(samples).await?;
    service.settle(CALM, |at| step.waiting(at)).await?;
    let used = service.processor_time()?.saturating_sub(before);
    table.row(
        format!(
            "{live} PipelineRuns live, {RATE} pods end a second: pod completed → next task's pod created"
        ),
        "p95 ≤ 250 ms",
        format!("p95 {}, median {}, n = {samples}", time(percentile(&gaps, 95)), time(median(&gaps))),
    );
    table.row(
        format!("{live} PipelineRuns live: CPU per task that follows another"),
        "",
        format!("{:.1} ms", used.as_secs_f64() * 1e3 / count(samples)),
    );
    step.done();
    Ok(())
}

/// Starts the engine on what it has done before.
async fn restart(
    plane: &ControlPlane,
    setup: &Setup<'_>,
    sizes: &Sizes,
    table: &mut Table,
) -> anyhow::Result<()> {
    let step = ui::step(format!("restart with {} PipelineRuns live", sizes.load));
    let ledger = plane.ledger()?;
    let mark = ledger.mark().await?;
    let service = setup.start().await?;
    // What the API server takes to send them is not in this.
    let (ready_after, used) = (service.ready_after, service.processor_time()?);
    service.settle(CALM, |at| step.waiting(at)).await?;
    let calls = ledger.since(&mark).await?.by(&Setup::user()).except("leases");
    let what = format!("{0} PipelineRuns, {0} TaskRuns and {0} pods or more", sizes.load);
    table.row(
        format!("{what}: start to caches filled"),
        "≤ 0.3 s",
        format!("{}, of which {} of its own CPU", time(ready_after), time(used)),
    );
    table.row(format!("{what}: writes after a restart"), "0", calls.writes().to_string());
    table.row(
        format!("{what}: memory after a restart, now and at most"),
        "≤ 150 MiB",
        format!("{}, {}", mebibytes(service.memory()?), mebibytes(service.peak_memory()?)),
    );
    service.stop().await?;
    step.done();
    Ok(())
}

fn namespace(team: usize) -> String {
    format!("bench-{team}")
}

fn run(number: usize) -> Run {
    (namespace(number % NAMESPACES), format!("run-{number}"))
}
