//! `cargo xtask bench chains`: what it costs to sign, and how long a run waits for it.
//!
//! ```text
//! load ── a PipelineRun and its TaskRun end ──▶ API server ──▶ chains ──▶ registry in this process
//!   └───────────────── a watch sees the mark ◀──────┘
//! ```
//! Runs are played: none has a pod. Each pair has an image of its own, a signature and two attestations, or one where the statement
//! about the TaskRun is not stored.
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use testkit::{ControlPlane, Options};
use tokio::time::{Instant, sleep};

use super::{
    process::Service,
    release,
    table::Table,
    units::{count, mebibytes, percentile, time},
};
use crate::{ourselves, program::interruptible, ui};

mod load;
mod setup;

use load::Load;
use setup::Setup;

/// Between two runs at a steady rate.
const PACE: Duration = Duration::from_secs(1);
/// Quiet for this long is idle.
const CALM: Duration = Duration::from_secs(3);

/// Measures chains: from the end of a run to its mark, bursts, and what it asks for.
#[derive(Debug, clap::Args)]
pub(super) struct ChainsArgs {
    /// Measure this binary instead of a release build of this checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// How long pairs of runs end at a steady rate, one a second.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u32,
    /// Pairs that end at once.
    #[arg(long, default_value_t = 200, value_name = "COUNT")]
    burst: usize,
}

/// Writes a Markdown table for docs/benchmarks.md to standard output.
pub(super) async fn run(args: ChainsArgs) -> anyhow::Result<()> {
    let table = interruptible(async {
        ourselves::kube_binary().await?;
        let binary = match &args.binary {
            Some(binary) => binary
                .canonicalize()
                .with_context(|| format!("--binary {}: is there such a file?", binary.display()))?,
            None => release(setup::SERVICE).await?,
        };
        // On the heap: it holds a whole control plane.
        Box::pin(measure(&binary, &args)).await
    })
    .await?;
    ui::answer(&table.to_string());
    Ok(())
}

async fn measure(binary: &Path, args: &ChainsArgs) -> anyhow::Result<Table> {
    let step = ui::step("control plane and registry");
    let plane = ControlPlane::start(Options::default()).await?;
    let setup = Setup::install(&plane, binary).await?;
    step.done();
    let mut table = Table::new(setup::SERVICE);
    for stores_task_runs in [true, false] {
        setup.store_task_runs(stores_task_runs).await?;
        let service = setup.start().await?;
        let bench = Bench { setup: &setup, service: &service, stores_task_runs };
        bench.idle(&mut table).await?;
        bench.steady(args.seconds, &mut table).await?;
        bench.burst(args.burst, &mut table).await?;
        service.stop().await?;
    }
    Ok(table)
}

struct Bench<'a> {
    setup: &'a Setup<'a>,
    service: &'a Service,
    stores_task_runs: bool,
}

impl Bench<'_> {
    /// `what`, with the settings.
    fn row(&self, what: &str) -> String {
        let storage = if self.stores_task_runs { "oci" } else { "none" };
        format!("TaskRun storage {storage}: {what}")
    }

    async fn idle(&self, table: &mut Table) -> anyhow::Result<()> {
        let step = ui::step("with nothing to do");
        self.service.settle(CALM, |at| step.waiting(at)).await?;
        if self.stores_task_runs {
            table.row("memory, idle", "≤ 15 MiB", mebibytes(self.service.memory()?));
        }
        step.done();
        Ok(())
    }

    /// One pair a second.
    async fn steady(&self, seconds: u32, table: &mut Table) -> anyhow::Result<()> {
        let step = ui::step(format!("one pair of runs a second, for {seconds} s"));
        let load = Load::begin(self.setup, "steady", seconds as usize + 1).await?;
        // The logins of the account and the registry's token are read once.
        load.end(0).await?;
        load.signed(1, |at| step.waiting(at)).await?;
        let (ledger, user) = (self.setup.plane.ledger()?, self.setup.user()?);
        let mark = ledger.mark().await?;
        let (before, busy) = (self.setup.registry.calls().len(), self.service.processor_time()?);
        let began = Instant::now();
        let mut times = Vec::new();
        for pair in 1..=seconds {
            sleep((PACE * pair).saturating_sub(began.elapsed())).await;
            let ended = load.end(pair as usize).await?;
            times.push(load.signed(pair as usize + 1, |at| step.waiting(at)).await?.duration_since(ended));
        }
        let total = seconds as usize;
        let busy = self.service.processor_time()?.saturating_sub(busy);
        let requested = self.setup.registry.calls().len() - before;
        let requests = ledger.since(&mark).await?.by(&user).except("leases");
        let share = |number: usize| format!("{:.2}", count(number) / count(total));
        table.row(
            self.row("run ended → signed, p50, p95 at 1/s"),
            "p95 ≤ 220 ms",
            format!("{}, {}", time(percentile(&times, 50)), time(percentile(&times, 95))),
        );
        table.row(
            self.row("API writes, reads for each pair"),
            "≤ 2, 0",
            format!("{}, {}", share(requests.writes()), share(requests.reads())),
        );
        table.row(self.row("registry requests for each pair"), "≤ 14", share(requested));
        let busy = busy.as_secs_f64() * 1e3 / count(total);
        table.row(self.row("CPU for each pair"), "≤ 8 ms", format!("{busy:.1} ms"));
        step.done();
        Ok(())
    }

    /// Many that end at once.
    async fn burst(&self, pairs: usize, table: &mut Table) -> anyhow::Result<()> {
        let step = ui::step(format!("{pairs} pairs of runs at once"));
        let load = Load::begin(self.setup, "burst", pairs).await?;
        self.service.settle(CALM, |at| step.waiting(at)).await?;
        let began = Instant::now();
        load.end_all().await?;
        let took = load.signed(pairs, |at| step.waiting(at)).await?.duration_since(began);
        table.row(self.row(&format!("{pairs} pairs at once, all signed after")), "≤ 12 s", time(took));
        self.service.settle(CALM, |at| step.waiting(at)).await?;
        let memory =
            format!("{}, {}", mebibytes(self.service.memory()?), mebibytes(self.service.peak_memory()?));
        table.row(self.row("memory afterwards, and at most"), "≤ 30 MiB", memory);
        step.done();
        Ok(())
    }
}
