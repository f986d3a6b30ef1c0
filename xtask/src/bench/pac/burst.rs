//! Many deliveries at once, of which none may be lost or count twice.
use std::time::Duration;

use anyhow::Context as _;
use http::StatusCode;
use kube::Client;

use super::{
    Load,
    asked::Meter,
    pushes::{Push, Pushes},
    send::{Sent, send},
    setup::settle,
};
use crate::{
    bench::{
        process::{sum, time_of},
        table::Table,
        units::{mebibytes, median, percentile, time},
    },
    ui,
};

pub(super) async fn measure(
    load: &Load<'_>,
    pushes: &mut Pushes<'_>,
    size: usize,
    table: &mut Table,
) -> anyhow::Result<()> {
    let step = ui::step(format!("{size} deliveries at once"));
    let (commits, deliveries): (Vec<_>, Vec<_>) =
        pushes.take(size)?.into_iter().map(|Push { commit, delivery }| (commit, delivery)).unzip();
    let commits: Vec<&str> = commits.iter().map(String::as_str).collect();
    let meter = Meter::begin(load.setup).await?;
    let before = Times::now(load).await?;
    let sent = send(load.setup, deliveries, Duration::ZERO, StatusCode::ACCEPTED).await?;
    let seen = load.seen.runs_of(&commits, |at| step.waiting(at)).await?;
    let used = Times::now(load).await?.since(&before);
    settle(load.service, &step).await?;
    let asked = meter.end().await?;

    let began = sent.iter().map(|sent| sent.at).min().context("nothing was sent")?;
    let last = seen.iter().map(|seen| seen.at).max().context("nothing was seen")?;
    let (took, runs) = (time(last.saturating_duration_since(began)), load.seen.count(&commits));
    let aim = if size == 200 { "≤ 6 s, none lost" } else { "none lost" };
    table.row(
        format!("{size} deliveries at once: until all runs exist"),
        aim,
        format!("{took}; {runs} runs of {size}"),
    );
    table.row("… answer to the forge", "p99 ≤ 50 ms", answers(&sent));
    table.row("… API writes per delivery", "≤ 3", asked.writes().per(size).to_string());
    table.row("… API reads, forge calls per delivery", "0, ≤ 3", {
        format!("{}; {}", asked.reads().per(size), asked.forge().per(size))
    });
    table.row("… CPU until then: service, API server, load with forge", "", used.to_string());
    table.row("… most memory", "≤ 60 MiB", mebibytes(load.service.peak_memory()?));
    step.done_with(&format!(
        "{took}, answers {}, {}",
        answers(&sent),
        mebibytes(load.service.peak_memory()?)
    ));
    Ok(())
}

/// One delivery again and again, all at once.
pub(super) async fn repeated(
    load: &Load<'_>,
    pushes: &mut Pushes<'_>,
    times: usize,
    table: &mut Table,
) -> anyhow::Result<()> {
    let what = format!("one commit delivered {times} times at once");
    let step = ui::step(what.clone());
    let Push { commit, delivery } = pushes.next()?;
    send(load.setup, vec![delivery.clone(); times], Duration::ZERO, StatusCode::ACCEPTED).await?;
    load.seen.runs_of(&[&commit], |at| step.waiting(at)).await?;
    settle(load.service, &step).await?;
    // And once more, when all is over.
    send(load.setup, [delivery], Duration::ZERO, StatusCode::ACCEPTED).await?;
    settle(load.service, &step).await?;
    table.row(
        format!("{what}, and once more later"),
        "1 run",
        match load.seen.count(&[&commit]) {
            1 => "1 run".to_owned(),
            runs => format!("{runs} runs"),
        },
    );
    step.done();
    Ok(())
}

/// `p50 12 ms, p99 40 ms`
pub(super) fn answers(sent: &[Sent]) -> String {
    let times: Vec<_> = sent.iter().map(|sent| sent.answered).collect();
    format!("p50 {}, p99 {}", time(median(&times)), time(percentile(&times, 99)))
}

/// Processor time since the start of each.
struct Times {
    service: Duration,
    api_server: Duration,
    ourselves: Duration,
}

impl Times {
    async fn now(load: &Load<'_>) -> anyhow::Result<Self> {
        Ok(Self {
            service: load.service.processor_time()?,
            api_server: api_server(&load.setup.plane.admin()).await?,
            ourselves: time_of(i32::try_from(std::process::id())?)?,
        })
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            service: self.service.saturating_sub(before.service),
            api_server: self.api_server.saturating_sub(before.api_server),
            ourselves: self.ourselves.saturating_sub(before.ourselves),
        }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}, {}", time(self.service), time(self.api_server), time(self.ourselves))
    }
}

/// By its own count.
async fn api_server(client: &Client) -> anyhow::Result<Duration> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let metrics = client.request_text(request).await.context("ask the API server for its metrics")?;
    Ok(Duration::from_secs_f64(sum(&metrics, "process_cpu_seconds_total", "")))
}
