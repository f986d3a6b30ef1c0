//! `cargo xtask bench sprayproxy`: what passing webhooks on costs, against nginx doing the same in the same run.
//!
//! ```text
//! load: 32 connections ─▶ sprayproxy or nginx ─▶ played back ends
//! ```
//! Load and back ends are in this process, all on loopback; the proxy is a process of its own, watched from outside.
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;

use super::{
    release,
    table::Table,
    units::{mebibytes, precise},
};
use crate::{cluster::packages, program::interruptible, ui};

mod backend;
mod load;
mod proxy;

use backend::Backend;
use load::{Load, Measured};
use proxy::Proxy;

/// Bytes of a webhook.
const BODY: usize = 8 * 1024;
/// Before each measurement.
const WARM_UP: Duration = Duration::from_secs(1);
/// Deliveries that may wait while a back end is dead: more than the run makes.
const SPOOL_COUNT: usize = 200_000;

/// Measures sprayproxy on loopback: requests per second, latency, processor time and memory.
#[derive(Debug, clap::Args)]
pub(super) struct SprayproxyArgs {
    /// Measure this binary instead of a release build of this checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u64,
    /// How many senders there are.
    #[arg(long, default_value_t = 32, value_name = "COUNT")]
    connections: usize,
}

pub(super) async fn run(args: SprayproxyArgs) -> anyhow::Result<()> {
    let table = interruptible(async {
        packages::install_program("nginx", "nginx-light").await?;
        let binary = match &args.binary {
            Some(binary) => binary
                .canonicalize()
                .with_context(|| format!("--binary {}: is there such a file?", binary.display()))?,
            None => release("sprayproxy").await?,
        };
        measure(&binary, &args).await
    })
    .await?;
    ui::answer(&table.to_string());
    Ok(())
}

async fn measure(binary: &Path, args: &SprayproxyArgs) -> anyhow::Result<Table> {
    let mut backends = Vec::new();
    for _ in 0..3 {
        backends.push(Backend::start().await?);
    }
    let all: Vec<SocketAddr> = backends.iter().map(Backend::address).collect();
    let dead = proxy::free_address()?;
    let bench = Bench { load: Load::new(args.connections, BODY), time: Duration::from_secs(args.seconds) };

    // Twice each, in turn: what else the machine does falls on both.
    let mut rounds = Vec::new();
    for round in 1..=2 {
        let nginx = bench.run(&format!("nginx, one back end, round {round}"), Proxy::nginx(all[0])?).await?;
        let ours = Proxy::sprayproxy(binary, &all[..1], None)?;
        rounds.push((nginx, bench.run(&format!("sprayproxy, one back end, round {round}"), ours).await?));
    }
    let (nginx, one): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
    let (nginx, one) = (best(nginx)?, best(one)?);
    let three = bench.run("sprayproxy, three back ends", Proxy::sprayproxy(binary, &all, None)?).await?;
    let broken = Proxy::sprayproxy(binary, &[all[0], all[1], dead], Some(SPOOL_COUNT))?;
    let broken = bench.run("sprayproxy, one of three back ends dead", broken).await?;

    let mut table = Table::new("sprayproxy");
    let size = std::fs::metadata(binary).with_context(|| format!("read {}", binary.display()))?.len();
    table.row("binary, stripped", "≤ 15 MB", format!("{:.1} MB", precise(size) / 1e6));
    table.row("nginx, one back end", "", nginx.summary());
    table.row("one back end", "≥ 10,000/s on a quiet machine", one.summary());
    table.row("… of nginx's rate in the same run", "≥ 0.7", format!("{:.2}", one.rate() / nginx.rate()));
    table.row("three back ends", "≥ 6,000/s on a quiet machine", three.summary());
    table.row("… p99, of that with one", "≤ 1.3", format!("{:.2}", three.p99_millis() / one.p99_millis()));
    table.row(
        "CPU per request, one and three back ends",
        "≤ 60, ≤ 120 µs",
        format!("{:.0}, {:.0} µs", one.cpu_micros(), three.cpu_micros()),
    );
    table.row(
        "memory loaded, one and three back ends (most)",
        "≤ 12 MiB",
        format!("{}, {}", mebibytes(one.memory), mebibytes(three.memory)),
    );
    table.row("one of three dead, all of its deliveries spooled", "", broken.summary());
    table.row(
        "… CPU per request, most memory",
        "",
        format!("{:.0} µs, {}", broken.cpu_micros(), mebibytes(broken.memory)),
    );
    Ok(table)
}

struct Bench {
    load: Load,
    time: Duration,
}

impl Bench {
    async fn run(&self, what: &str, proxy: Proxy) -> anyhow::Result<Measured> {
        let step = ui::step(what.to_owned());
        let address = proxy.address;
        let running = proxy.start().await?;
        self.load.run(address, WARM_UP).await?;
        let before = running.processor_time()?;
        let mut measured = self.load.run(address, self.time).await?;
        measured.cpu = running.processor_time()?.saturating_sub(before);
        measured.memory = running.peak_memory()?;
        step.done_with(&measured.summary());
        anyhow::ensure!(
            measured.failed == 0,
            "{what}: {} of {} requests failed",
            measured.failed,
            measured.count()
        );
        Ok(measured)
    }
}

/// The one with the highest rate: what disturbs only makes slower.
fn best(runs: Vec<Measured>) -> anyhow::Result<Measured> {
    runs.into_iter().max_by(|a, b| a.rate().total_cmp(&b.rate())).context("nothing was measured")
}
