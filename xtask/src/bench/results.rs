//! `cargo xtask bench results`: what the archive takes in, how fast it is found, and what that takes of memory.
//!
//! ```text
//! load: calls by gRPC ─▶ results-api ─▶ PostgreSQL ◀─ pgbench: the same rows
//!                             └─▶ API server: who calls, and whether they may
//! runs that end ─▶ results-watcher ─▶ results-api
//! ```
//! The database waits for no disk, neither for ours nor for pgbench.
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use testkit::{ControlPlane, Options, ledger::Target};

use super::{
    release,
    table::Table,
    tally::Tally,
    units::{count, mebibytes, percentile, precise},
};
use crate::{cluster::packages, ourselves, program::interruptible, ui};

mod client;
mod database;
mod lists;
mod load;
mod logs;
mod runs;
mod setup;
mod watcher;

use load::{Answered, Load, Work};
use setup::{Api, Setup, Transport};

/// Callers of the rows that have an aim.
const CALLERS: usize = 8;
/// Callers of the row about many at once.
const MANY: usize = 64;
/// Ours and pgbench take turns: what else the machine does should hit both.
const ROUNDS: u32 = 3;
/// Quiet for this long is idle.
const CALM: Duration = Duration::from_secs(3);
/// With fewer records a filter by label and type finds no full page and one more.
const FEWEST: usize = 10_000;

/// Measures results: ingest against pgbench, lists, authorised calls, memory, a long log.
#[derive(Debug, clap::Args)]
pub(super) struct ResultsArgs {
    /// Measure this results-api instead of a release build of this checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Measure this results-watcher instead of a release build of this checkout.
    #[arg(long, value_name = "FILE")]
    watcher: Option<PathBuf>,
    /// Records in the archive, at least 10,000.
    #[arg(long, default_value_t = 100_000, value_name = "COUNT")]
    records: usize,
    /// How long each measurement of a rate takes.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u32,
    /// Size of the log that is stored and read again.
    #[arg(long, default_value_t = 256, value_name = "MEBIBYTES")]
    log_mib: usize,
    /// PipelineRuns that the watcher archives.
    #[arg(long, default_value_t = 300, value_name = "COUNT")]
    runs: usize,
}

/// Writes a Markdown table for docs/benchmarks.md to standard output.
pub(super) async fn run(args: ResultsArgs) -> anyhow::Result<()> {
    anyhow::ensure!(args.records >= FEWEST, "--records: at least {FEWEST}, or pages do not fill");
    anyhow::ensure!(args.log_mib > 0, "--log-mib: at least 1");
    anyhow::ensure!(args.seconds > 0, "--seconds: at least 1");
    let table = interruptible(async {
        ourselves::kube_binary().await?;
        packages::install_postgres().await?;
        let api = program(args.binary.as_deref(), "--binary", setup::API).await?;
        let watcher = program(args.watcher.as_deref(), "--watcher", setup::WATCHER).await?;
        // On the heap: it holds a whole control plane.
        Box::pin(measure(&api, &watcher, &args)).await
    })
    .await?;
    ui::answer(&table.to_string());
    Ok(())
}

/// The file that a flag names, or a release build.
async fn program(given: Option<&Path>, flag: &str, name: &str) -> anyhow::Result<PathBuf> {
    match given {
        Some(file) => {
            file.canonicalize().with_context(|| format!("{flag} {}: is there such a file?", file.display()))
        }
        None => release(name).await,
    }
}

async fn measure(api: &Path, watcher: &Path, args: &ResultsArgs) -> anyhow::Result<Table> {
    let step = ui::step("control plane and PostgreSQL");
    let plane = ControlPlane::start(Options::default()).await?;
    let setup = Setup::install(&plane, api).await?;
    step.done();
    let mut table = Table::new("results");
    let bench = Bench { setup: &setup, args };

    let api = setup.start(Transport::Plain).await?;
    let idle = ui::step("with nothing to do");
    tokio::time::sleep(CALM).await;
    let memory = shared(api.memory()?, api.file_memory()?);
    table.row("API: memory, idle", "≤ 12 MiB", memory);
    database::indexed(&setup.postgres, &setup.database).await?;
    setup.create_result(&api, "first").await?;
    idle.done();
    bench.fill().await?;
    bench.lists(&api, &mut table).await?;
    bench.calls(&api, &mut table).await?;
    bench.ingest(&api, &mut table).await?;
    let memory = format!("{}, {}", shared(api.memory()?, api.file_memory()?), mebibytes(api.peak_memory()?));
    table.row("API: memory after all of these, and at most", "≤ 40 MiB", memory);
    api.stop().await?;

    let api = setup.start(Transport::Plain).await?;
    let step = ui::step(format!("log of {} MiB stored and read", args.log_mib));
    logs::measure(&setup, &api, args.log_mib, &mut table).await?;
    step.done();
    api.stop().await?;

    if args.runs > 0 {
        let api = setup.start(Transport::Tls).await?;
        watcher::measure(&setup, &api, watcher, args.runs, &mut table).await?;
        api.stop().await?;
    }
    Ok(table)
}

struct Bench<'a> {
    setup: &'a Setup<'a>,
    args: &'a ResultsArgs,
}

impl Bench<'_> {
    fn time(&self) -> Duration {
        Duration::from_secs(self.args.seconds.into())
    }

    fn load(&self, api: &Api) -> Load<'_> {
        Load {
            address: api.address,
            token: &self.setup.token,
            namespace: &self.setup.tenant,
            results: self.args.records.div_ceil(runs::OF_A_RESULT),
        }
    }

    async fn fill(&self) -> anyhow::Result<()> {
        let Setup { postgres, database, tenant, .. } = self.setup;
        let step = ui::step(format!("{} records in the archive", self.args.records));
        runs::fill(postgres, database, tenant, self.args.records, &step).await?;
        step.done();
        Ok(())
    }

    async fn lists(&self, api: &Api, table: &mut Table) -> anyhow::Result<()> {
        let step = ui::step("pages of 50");
        let mut client = self.setup.client(api)?;
        lists::measure(self.setup, &mut client, self.args.records, table).await?;
        step.done();
        Ok(())
    }

    /// What a call takes that reads one record.
    async fn calls(&self, api: &Api, table: &mut Table) -> anyhow::Result<()> {
        let step = ui::step(format!("GetRecord by {CALLERS} callers"));
        let ledger = self.setup.plane.ledger()?;
        let mark = ledger.mark().await?;
        let busy = api.processor_time()?;
        let work = Work::Get { records: self.args.records };
        let answered = self.load(api).run(CALLERS, work, self.time()).await?;
        let busy = api.processor_time()?.saturating_sub(busy);
        let asked = ledger.since(&mark).await?.by(&self.setup.user()).except("leases");
        table.row(format!("authorised calls, {CALLERS} callers: GetRecord"), "≥ 500/s", shown(&answered));
        table.row("… CPU per call", "", cpu(busy, answered.times.len()));
        let asked = Tally::of(asked.iter().map(|call| {
            let resource = call.target.as_ref().map_or_else(String::new, Target::rbac_resource);
            format!("{} {resource}", call.verb)
        }));
        table.row(
            format!("… requests to the API server in these {} s", self.args.seconds),
            "",
            asked.to_string(),
        );
        step.done();
        Ok(())
    }

    async fn ingest(&self, api: &Api, table: &mut Table) -> anyhow::Result<()> {
        let Setup { postgres, database, tenant, .. } = self.setup;
        let step = ui::step(format!("records one by one, {CALLERS} callers, and pgbench"));
        let load = self.load(api);
        let document: std::sync::Arc<str> = runs::document(tenant).into();
        let work = |prefix: String| Work::Create { prefix, document: document.clone() };
        // A round is a third of the time, and pgbench counts whole seconds.
        let time = Duration::from_secs((self.args.seconds / ROUNDS).max(1).into());
        let (mut theirs, mut ours, mut times, mut busy) =
            (Vec::new(), Vec::new(), Vec::new(), Duration::ZERO);
        for round in 0..ROUNDS {
            step.waiting(&format!("round {} of {ROUNDS}", round + 1));
            theirs.push(database::pgbench(postgres, database, tenant, load.results, CALLERS, time).await?);
            let before = api.processor_time()?;
            let answered = load.run(CALLERS, work(format!("few-{round}")), time).await?;
            busy += api.processor_time()?.saturating_sub(before);
            ours.push(answered.rate());
            times.extend(answered.times);
        }
        let (theirs, ours) = (middle(theirs), middle(ours));
        let size = precise(document.len() as u64) / 1e3;
        table.row(
            format!("pgbench: single rows of {size:.1} kB, {CALLERS} connections, prepared, median of {ROUNDS} rounds"),
            "",
            format!("{theirs:.0}/s"),
        );
        let latency = format!("p50 {}, p99 {}", milliseconds(&times, 50), milliseconds(&times, 99));
        table.row(
            format!("ingest: CreateRecord, the same rows, {CALLERS} connections, in turn with pgbench"),
            "",
            format!("{ours:.0}/s, {latency}"),
        );
        table.row("… of pgbench's rate in the same run", "≥ 0.8", format!("{:.2}", ours / theirs));
        table.row("… CPU of the API per record", "", cpu(busy, times.len()));
        step.done();
        let step = ui::step(format!("records one by one, {MANY} callers"));
        let many = load.run(MANY, work("many".to_owned()), self.time()).await?;
        table.row(format!("ingest: {MANY} connections (the API has no batches)"), "≥ 3,000/s", shown(&many));
        step.done();
        Ok(())
    }
}

/// Resident memory, and what of it are pages of the program's file.
fn shared(memory: u64, file: u64) -> String {
    format!("{}, of which {} of the program", mebibytes(memory), mebibytes(file))
}

/// Rate and latencies.
fn shown(answered: &Answered) -> String {
    let (p50, p99) = (milliseconds(&answered.times, 50), milliseconds(&answered.times, 99));
    format!("{:.0}/s, p50 {p50}, p99 {p99}", answered.rate())
}

/// Tenths count here.
fn milliseconds(times: &[Duration], percent: usize) -> String {
    format!("{:.1} ms", percentile(times, percent).as_secs_f64() * 1e3)
}

fn cpu(busy: Duration, calls: usize) -> String {
    format!("{:.2} ms", busy.as_secs_f64() * 1e3 / count(calls).max(1.0))
}

/// The middle one; zero without any.
fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}
