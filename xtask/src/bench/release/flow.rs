//! From a Release to its managed run, and on to its end.
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream::FuturesOrdered};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client, api::PostParams};
use release_service_api::Release;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    seen::{Key, Seen},
    setup::Setup,
    standing::{self, CALM},
    teams::{self, CONCURRENCY, Team},
};
use crate::{
    bench::{
        process::Service,
        table::Table,
        tally::Tally,
        units::{count, mebibytes, percentile, time},
    },
    ui,
};

/// Releases before anything is measured.
const WARM_UP: usize = 10;

/// Releases are made, and what comes of them is seen.
pub(super) struct Load<'a> {
    pub(super) setup: &'a Setup<'a>,
    pub(super) service: &'a Service,
    pub(super) seen: &'a Seen,
    pub(super) teams: &'a [Team],
}

/// Releases at a steady rate, each to its end.
pub(super) async fn steady(
    load: &Load<'_>,
    rate: u32,
    seconds: u32,
    table: &mut Table,
) -> anyhow::Result<()> {
    let what = format!("{rate} Releases a second");
    let step = ui::step(what.clone());
    let number = usize::try_from(seconds * rate)?;
    let (warm_up, _) = make(load, &format!("warm-{rate}"), WARM_UP, rate).await?;
    let runs = load.seen.run(&warm_up, |at| step.waiting(at)).await?;
    end(load, &runs).await?;
    load.service.settle(CALM, |at| step.waiting(at)).await?;

    let (ledger, user) = (load.setup.plane.ledger()?, load.setup.user()?);
    let (mark, before) = (ledger.mark().await?, load.service.processor_time()?);
    let (releases, made) = make(load, &format!("steady-{rate}"), number, rate).await?;
    let runs = load.seen.run(&releases, |at| step.waiting(at)).await?;
    end(load, &runs).await?;
    load.service.settle(CALM, |at| step.waiting(at)).await?;
    let cpu = load.service.processor_time()?.saturating_sub(before);
    let calls = ledger.since(&mark).await?.by(&user).except("leases");
    ensure!(load.seen.runs_of(&releases) == number, "a Release has several managed runs");
    let good = released(load, &releases).await?;
    ensure!(good == number, "{good} of {number} Releases are Released");

    let took: Vec<Duration> =
        made.iter().zip(&runs).map(|(made, (seen, _))| seen.saturating_duration_since(*made)).collect();
    let times = [50, 95, 99].map(|percent| format!("p{percent} {}", time(percentile(&took, percent))));
    table.row(
        format!("{what}: created → managed run seen"),
        if rate <= 5 { "p99 ≤ 70 ms" } else { "p99 ≤ 150 ms" },
        format!("{}, n = {number}", times.join(", ")),
    );
    table.row(
        "… API writes per Release, to its end",
        "≤ 8",
        Tally::of_writes(&calls).per(number).to_string(),
    );
    table.row("… API reads per Release", "", Tally::of_reads(&calls).per(number).to_string());
    let millis = cpu.as_secs_f64() * 1e3 / count(number);
    table.row("… CPU per Release", "", format!("{millis:.1} ms"));
    table.row("… most memory", "", mebibytes(load.service.peak_memory()?));
    step.done_with(&times.join(", "));
    Ok(())
}

/// Makes Releases, so many a second, for one team after the other. Which, and when each was asked for.
async fn make(
    load: &Load<'_>,
    name: &str,
    number: usize,
    rate: u32,
) -> anyhow::Result<(Vec<Key>, Vec<Instant>)> {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let keys: Vec<Key> = (0..number)
        .map(|number| (load.teams[number % load.teams.len()].tenant.clone(), format!("{name}-{number}")))
        .collect();
    let mut made = FuturesOrdered::<JoinHandle<anyhow::Result<Instant>>>::new();
    for key in &keys {
        ticks.tick().await;
        made.push_back(tokio::spawn(create(load.setup.plane.admin(), key.clone())));
    }
    let made = made.map(|made| made.context("a Release")?).try_collect().await?;
    Ok((keys, made))
}

async fn create(client: Client, (namespace, name): Key) -> anyhow::Result<Instant> {
    let release = teams::release(&name)?;
    let at = Instant::now();
    Api::namespaced(client, &namespace).create(&PostParams::default(), &release).await?;
    Ok(at)
}

/// Lets the runs succeed.
async fn end(load: &Load<'_>, runs: &[(Instant, Key)]) -> anyhow::Result<()> {
    let client = load.setup.plane.admin();
    let now = Timestamp::try_from(SystemTime::now()).context("read this machine's clock")?.to_string();
    let mut ends = futures::stream::iter(runs)
        .map(|(_, (namespace, name))| {
            let (api, now) = (Api::namespaced(client.clone(), namespace), now.clone());
            async move { standing::end(&api, name, &now, &now).await }
        })
        .buffer_unordered(CONCURRENCY);
    while ends.try_next().await?.is_some() {}
    Ok(())
}

/// How many of these are Released.
async fn released(load: &Load<'_>, releases: &[Key]) -> anyhow::Result<usize> {
    let client = load.setup.plane.admin();
    let answers = futures::stream::iter(releases)
        .map(|(namespace, name)| {
            let api = Api::<Release>::namespaced(client.clone(), namespace);
            async move { api.get(name).await }
        })
        .buffer_unordered(CONCURRENCY);
    let is_released = |release: &Release| {
        let conditions = release.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|condition| condition.type_ == "Released" && condition.status == "True")
    };
    let all: Vec<Release> = answers.try_collect().await?;
    Ok(all.iter().filter(|release| is_released(release)).count())
}
