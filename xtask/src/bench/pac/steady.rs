//! Deliveries at a steady rate, first with runs that go on, then with runs that end.
use std::time::Duration;

use anyhow::ensure;
use futures::future::try_join_all;
use http::StatusCode;
use kube::{Api, api::PostParams};
use testkit::PlayedEngine;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    Load, Sizes,
    asked::{Asked, Meter},
    pushes::Pushes,
    seen::Sighting,
    send::{Sent, send},
    setup::settle,
    teams::{TEAMS, namespace},
};
use crate::{
    bench::{
        engine::runs,
        table::Table,
        tally::Tally,
        units::{count, median, percentile, time},
    },
    ui,
};

/// Deliveries in a second.
const RATE: u32 = 2;
/// Deliveries before anything is measured: the forge's tokens are asked for, programs are in memory.
const WARM_UP: usize = 2 * TEAMS;
/// Runs that are created by hand, to see what the machine takes.
const BY_HAND: usize = 20;

/// What came of a phase.
struct Phase {
    sent: Vec<Sent>,
    seen: Vec<Sighting>,
    asked: Asked,
    /// Processor time of the service.
    cpu: Duration,
}

pub(super) async fn measure(
    load: &Load<'_>,
    pushes: &mut Pushes<'_>,
    sizes: Sizes,
    table: &mut Table,
) -> anyhow::Result<()> {
    phase(load, pushes, "warm-up", WARM_UP, false).await?;
    by_hand(load, table).await?;
    let number = usize::try_from(sizes.seconds * RATE)?;
    let going_on = phase(load, pushes, &format!("{RATE} deliveries a second"), number, false).await?;
    rows(&going_on, number, table);
    end_all(load, &mut Table::new("")).await?;
    let ending =
        phase(load, pushes, &format!("{RATE} deliveries a second, of runs that end"), number, true).await?;
    let more =
        |of: fn(&Asked) -> Tally| of(&ending.asked).beyond(&of(&going_on.asked)).per(number).to_string();
    table.row("API writes per finished run", "≤ 2", more(Asked::writes));
    table.row("API reads per finished run", "0, no LIST", more(Asked::reads));
    table.row("forge calls per finished run", "", more(Asked::forge));
    let reports = ending.asked.reports();
    table.row(
        "a run has ended → the forge was told, and the run says so",
        "",
        format!(
            "p50 {}, p95 {}, n = {}",
            time(median(&reports)),
            time(percentile(&reports, 95)),
            reports.len()
        ),
    );
    let cpu = ending.cpu.saturating_sub(going_on.cpu);
    table.row("CPU per finished run", "", millis(cpu, number));
    Ok(())
}

/// Runs created by hand, one after another: request to event of a watch.
async fn by_hand(load: &Load<'_>, table: &mut Table) -> anyhow::Result<()> {
    let step = ui::step("runs created by hand");
    let namespace = namespace(0);
    let runs = Api::namespaced(load.setup.plane.admin(), &namespace);
    let mut took = Vec::new();
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    for number in 0..BY_HAND {
        ticks.tick().await;
        let name = format!("by-hand-{number}");
        let mut run = runs::large(&name, &namespace)?;
        // Over at once: nobody has to end it.
        let state = [(pipelines_as_code_api::labels::STATE.to_string(), "completed".to_owned())];
        run.metadata.labels.get_or_insert_default().extend(state);
        let began = Instant::now();
        runs.create(&PostParams::default(), &run).await?;
        let seen = load.seen.runs_of(&[&name], |_| {}).await?;
        took.extend(seen.iter().map(|seen| seen.at.saturating_duration_since(began)));
    }
    table.row(
        "for comparison: a run created by hand → seen by a watch",
        "",
        format!("p50 {}, p95 {}, n = {BY_HAND}", time(median(&took)), time(percentile(&took, 95))),
    );
    step.done();
    Ok(())
}

async fn phase(
    load: &Load<'_>,
    pushes: &mut Pushes<'_>,
    what: &str,
    number: usize,
    runs_end: bool,
) -> anyhow::Result<Phase> {
    let step = ui::step(what.to_owned());
    let engines = if runs_end { engines(load).await? } else { Vec::new() };
    let meter = Meter::begin(load.setup).await?;
    let before = load.service.processor_time()?;
    let (mut sent, mut commits) = (Vec::new(), Vec::new());
    // A push is made right before its delivery, as with a forge: one after another is enough at this rate.
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..number {
        ticks.tick().await;
        let push = pushes.next()?;
        sent.extend(send(load.setup, [push.delivery], Duration::ZERO, StatusCode::ACCEPTED).await?);
        commits.push(push.commit);
        step.waiting(&format!("{} of {number}", commits.len()));
    }
    let commits: Vec<&str> = commits.iter().map(String::as_str).collect();
    let seen = load.seen.runs_of(&commits, |at| step.waiting(at)).await?;
    if runs_end {
        load.seen.all_over(|at| step.waiting(at)).await?;
    }
    settle(load.service, &step).await?;
    let cpu = load.service.processor_time()?.saturating_sub(before);
    let asked = meter.end().await?;
    ensure!(load.seen.count(&commits) == number, "a delivery has started several runs");
    for engine in engines {
        engine.stop().await;
    }
    step.done();
    Ok(Phase { sent, seen, asked, cpu })
}

fn rows(phase: &Phase, number: usize, table: &mut Table) {
    let Phase { sent, seen, asked, cpu } = phase;
    let pairs = || sent.iter().zip(seen);
    let whole: Vec<_> = pairs().map(|(sent, seen)| seen.at.saturating_duration_since(sent.at)).collect();
    table.row(
        format!("{RATE} deliveries a second: sent → run seen by a watch"),
        "p95 ≤ 95 ms",
        format!("p50 {}, p95 {}, n = {number}", time(median(&whole)), time(percentile(&whole, 95))),
    );
    let answers: Vec<_> = sent.iter().map(|sent| sent.answered).collect();
    table.row(
        "of it: → answered",
        "",
        format!("p50 {}, p99 {}", time(median(&answers)), time(percentile(&answers, 99))),
    );
    let created = asked.created();
    let between = |from: &dyn Fn(&Sent, Instant, Instant) -> Duration| -> Vec<Duration> {
        pairs()
            .filter_map(|(sent, seen)| created.get(&seen.run).map(|created| from(sent, *created, seen.at)))
            .collect()
    };
    let working = between(&|sent, created, _| created.saturating_duration_since(sent.at + sent.answered));
    let creating = between(&|_, created, seen| seen.saturating_duration_since(created));
    table.row("of it: → the API server is asked to create the run", "", time(median(&working)));
    table.row("of it: → seen", "", time(median(&creating)));
    table.row("API writes per delivery", "≤ 3", asked.writes().per(number).to_string());
    table.row("API reads per delivery", "0", asked.reads().per(number).to_string());
    table.row("forge calls per delivery", "≤ 3", asked.forge().per(number).to_string());
    table.row("CPU per delivery", "", millis(*cpu, number));
}

fn millis(cpu: Duration, number: usize) -> String {
    format!("{:.1} ms", cpu.as_secs_f64() * 1e3 / count(number))
}

/// Ends all runs that go on.
pub(super) async fn end_all(load: &Load<'_>, table: &mut Table) -> anyhow::Result<()> {
    let (over, known) = load.seen.over();
    let step = ui::step(format!("{} runs end", known - over));
    let began = Instant::now();
    let engines = engines(load).await?;
    load.seen.all_over(|at| step.waiting(at)).await?;
    table.row(
        format!("{} runs end, as soon as the played engine can: until all are reported", known - over),
        "",
        time(began.elapsed()),
    );
    settle(load.service, &step).await?;
    for engine in engines {
        engine.stop().await;
    }
    step.done();
    Ok(())
}

async fn engines(load: &Load<'_>) -> anyhow::Result<Vec<PlayedEngine>> {
    let client = &load.setup.plane.admin();
    try_join_all(
        (0..TEAMS).map(|team| async move { PlayedEngine::start(client.clone(), &namespace(team)).await }),
    )
    .await
}
