//! `cargo xtask bench release`: what a Release costs, how long it waits for its run, and what those that are over cost.
//!
//! ```text
//! load ── Release ──▶ API server ──▶ release-service ──▶ RoleBinding, managed run
//!   ├──────── a watch sees the run ◀──────────┘                      │
//!   └──────── ends it ───────────────────────────────────────────────┘──▶ Released, binding gone
//! ```
//! Runs are played: none has a pod. What stands there besides has come to an end long ago.
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use testkit::{ControlPlane, Options};

use super::table::Table;
use crate::{ourselves, program::interruptible, ui};

mod expiry;
mod flow;
mod seen;
mod setup;
mod standing;
mod teams;

use seen::Seen;
use setup::Setup;

/// Measures release-service: from a Release to its run, writes, memory with many that are over, expiry.
#[derive(Debug, clap::Args)]
pub(super) struct ReleaseArgs {
    /// Little of everything: whether the command works, not how fast the service is.
    #[arg(long)]
    quick: bool,
    /// Measure this binary instead of a release build of this checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// How long Releases are made at each steady rate.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u32>,
    /// Releases that are over, each with its run, before anything is measured.
    #[arg(long, value_name = "COUNT")]
    standing: Option<usize>,
    /// Releases whose time has come all at once.
    #[arg(long, value_name = "COUNT")]
    expired: Option<usize>,
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    teams: usize,
    standing: usize,
    seconds: u32,
    expired: usize,
}

const FULL: Sizes = Sizes { teams: 100, standing: 10_000, seconds: 60, expired: 5000 };
const QUICK: Sizes = Sizes { teams: 5, standing: 50, seconds: 3, expired: 30 };

/// Releases that are made in a second.
const RATES: [u32; 2] = [5, 10];

/// Writes a Markdown table for docs/benchmarks.md to standard output.
pub(super) async fn run(args: ReleaseArgs) -> anyhow::Result<()> {
    let mut sizes = if args.quick { QUICK } else { FULL };
    sizes.seconds = args.seconds.unwrap_or(sizes.seconds).max(1);
    sizes.standing = args.standing.unwrap_or(sizes.standing);
    sizes.expired = args.expired.unwrap_or(sizes.expired).max(1);
    let table = interruptible(async {
        ourselves::kube_binary().await?;
        let binary = match &args.binary {
            Some(binary) => binary
                .canonicalize()
                .with_context(|| format!("--binary {}: is there such a file?", binary.display()))?,
            None => super::release(setup::SERVICE).await?,
        };
        // On the heap: it holds a whole control plane.
        Box::pin(measure(&binary, sizes)).await
    })
    .await?;
    ui::answer(&table.to_string());
    Ok(())
}

async fn measure(binary: &Path, sizes: Sizes) -> anyhow::Result<Table> {
    let step = ui::step("control plane");
    let plane = ControlPlane::start(Options::default()).await?;
    let setup = Setup::install(&plane, binary).await?;
    let seen = Seen::begin(&plane.admin()).await?;
    step.done();

    let mut table = Table::new(setup::SERVICE);
    standing::empty(&setup, &mut table).await?;
    let teams = teams::create(&plane.admin(), sizes.teams).await?;
    standing::fill(&plane.admin(), &teams, sizes.standing).await?;
    standing::first_pass(&setup, sizes.standing, &mut table).await?;
    let service = standing::restart(&setup, sizes.standing, &mut table).await?;
    for rate in RATES {
        let load = flow::Load { setup: &setup, service: &service, seen: &seen, teams: &teams };
        flow::steady(&load, rate, sizes.seconds, &mut table).await?;
    }
    service.stop().await?;
    expiry::measure(&setup, &teams, sizes.expired, &mut table).await?;
    Ok(table)
}
