//! `cargo xtask bench pac`: what it costs to make runs of what happens at a forge, and how long that takes.
//!
//! ```text
//! load ── signed pushes ──▶ pipelines-as-code ──▶ API server ──▶ a watch sees the run
//!                                 └─────────────▶ fake GitHub with the App
//! ```
//! The service is a process of its own, watched from outside; load and forge are in this process, all on loopback. Runs are
//! played: none has a pod.
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use testkit::{ControlPlane, Options};

use super::{release, table::Table};
use crate::{ourselves, program::interruptible, ui};

mod asked;
mod burst;
mod pushes;
mod seen;
mod send;
mod setup;
mod standing;
mod steady;
mod teams;

use pushes::Pushes;
use seen::Seen;
use setup::Setup;

/// Measures pipelines-as-code: from a webhook to a run, bursts, and what it asks for.
#[derive(Debug, clap::Args)]
pub(super) struct PacArgs {
    /// Little of everything: whether the command works, not how fast the service is.
    #[arg(long)]
    quick: bool,
    /// Measure this binary instead of a release build of this checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// How long deliveries come at a steady rate, with and without runs that end.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u32>,
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Of deliveries at a steady rate.
    seconds: u32,
    /// Deliveries at once.
    bursts: [usize; 2],
    /// How often one delivery comes.
    repeated: usize,
    /// In the whole cluster; pushes come for few of them.
    repositories: usize,
    /// Runs that are over, while starts are measured.
    finished: usize,
    /// Of webhooks for repositories that nobody has here.
    foreign_seconds: u32,
}

const FULL: Sizes = Sizes {
    seconds: 60,
    bursts: [200, 500],
    repeated: 20,
    repositories: 1000,
    finished: 2000,
    foreign_seconds: 20,
};
const QUICK: Sizes = Sizes {
    seconds: 10,
    bursts: [20, 50],
    repeated: 20,
    repositories: 50,
    finished: 200,
    foreign_seconds: 3,
};

/// Writes a Markdown table for docs/benchmarks.md to standard output.
pub(super) async fn run(args: PacArgs) -> anyhow::Result<()> {
    let mut sizes = if args.quick { QUICK } else { FULL };
    sizes.seconds = args.seconds.unwrap_or(sizes.seconds).max(1);
    let table = interruptible(async {
        ourselves::kube_binary().await?;
        let binary = match &args.binary {
            Some(binary) => binary
                .canonicalize()
                .with_context(|| format!("--binary {}: is there such a file?", binary.display()))?,
            None => release(setup::SERVICE).await?,
        };
        // On the heap: it holds a whole control plane.
        Box::pin(measure(&binary, sizes)).await
    })
    .await?;
    ui::answer(&table.to_string());
    Ok(())
}

async fn measure(binary: &Path, sizes: Sizes) -> anyhow::Result<Table> {
    let step = ui::step("control plane and forge");
    let plane = ControlPlane::start(Options::default()).await?;
    let setup = Setup::install(&plane, binary).await?;
    let seen = Seen::begin(&plane.admin()).await?;
    step.done();

    let mut table = Table::new(setup::SERVICE);
    standing::empty(&setup, &mut table).await?;
    teams::create(&setup, sizes.repositories).await?;
    let service = setup.start().await?;
    standing::idle(&service, sizes, &mut table).await?;
    let load = Load { setup: &setup, service: &service, seen: &seen };
    let mut pushes = Pushes::new(&setup.github);
    steady::measure(&load, &mut pushes, sizes, &mut table).await?;
    for size in sizes.bursts {
        burst::measure(&load, &mut pushes, size, &mut table).await?;
    }
    burst::repeated(&load, &mut pushes, sizes.repeated, &mut table).await?;
    standing::foreign(&load, &mut pushes, sizes, &mut table).await?;
    steady::end_all(&load, &mut table).await?;
    service.stop().await?;
    standing::restart(&setup, &seen, sizes, &mut table).await?;
    Ok(table)
}

/// Deliveries come, runs are seen.
struct Load<'a> {
    setup: &'a Setup<'a>,
    service: &'a super::process::Service,
    seen: &'a Seen,
}
