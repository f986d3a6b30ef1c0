//! `cargo xtask bench integration`: what it costs to gate builds, and how long a signed build waits for its test.
//!
//! ```text
//! load ── a build is signed ──▶ API server ──▶ integration-service ──▶ Snapshot ──▶ test run
//!   └──────────────── a watch sees both ◀──────────┘          └──▶ fake GitHub, of which one hangs
//! ```
//! Runs are played: none has a pod, and those of tests never begin. What stands there besides has come to an end long ago.
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use testkit::{ControlPlane, Options};

use super::{process::Service, release, table::Table};
use crate::{ourselves, program::interruptible, ui};

mod builds;
mod flow;
mod hanging;
mod seen;
mod setup;
mod standing;
mod teams;

use seen::Seen;
use setup::Setup;

/// Measures integration-service: from a signed build to its test run, memory, restarts, and a forge that hangs.
#[derive(Debug, clap::Args)]
pub(super) struct IntegrationArgs {
    /// Little of everything: whether the command works, not how fast the service is.
    #[arg(long)]
    quick: bool,
    /// Measure this binary instead of a release build of this checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// How long builds are signed at a steady rate, ten a second.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u32>,
    /// Builds that are signed at once.
    #[arg(long, value_name = "COUNT")]
    burst: Option<usize>,
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    applications: usize,
    /// What stands there, in ascending order.
    stages: [Stage; 3],
    /// Of builds at a steady rate.
    seconds: u32,
    /// Builds that are signed at once.
    burst: usize,
    /// Pull requests that are reported, and as many whose forge hangs.
    pulls: usize,
}

/// What has come to an end before anything is measured.
#[derive(Clone, Copy, Debug)]
struct Stage {
    snapshots: usize,
    /// Builds and tests.
    runs: usize,
    /// Whether builds are signed then.
    is_driven: bool,
}

const FULL: Sizes = Sizes {
    applications: 500,
    stages: [
        Stage { snapshots: 1250, runs: 312, is_driven: true },
        Stage { snapshots: 2000, runs: 2000, is_driven: false },
        Stage { snapshots: 20_000, runs: 5000, is_driven: true },
    ],
    seconds: 60,
    burst: 300,
    pulls: 40,
};
const QUICK: Sizes = Sizes {
    applications: 20,
    stages: [
        Stage { snapshots: 40, runs: 20, is_driven: true },
        Stage { snapshots: 80, runs: 40, is_driven: false },
        Stage { snapshots: 160, runs: 80, is_driven: true },
    ],
    seconds: 5,
    burst: 20,
    pulls: 5,
};

/// Writes a Markdown table for docs/benchmarks.md to standard output.
pub(super) async fn run(args: IntegrationArgs) -> anyhow::Result<()> {
    let mut sizes = if args.quick { QUICK } else { FULL };
    sizes.seconds = args.seconds.unwrap_or(sizes.seconds).max(1);
    sizes.burst = args.burst.unwrap_or(sizes.burst).max(1);
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
    let step = ui::step("control plane and forges");
    let plane = ControlPlane::start(Options::default()).await?;
    let setup = Setup::install(&plane, binary).await?;
    let seen = Seen::begin(&plane.admin()).await?;
    step.done();

    let mut table = Table::new(setup::SERVICE);
    standing::empty(&setup, &mut table).await?;
    flow::floor(&setup, &seen, &mut table).await?;
    let teams = teams::create(&plane.admin(), sizes.applications).await?;
    let mut existing = Stage { snapshots: 0, runs: 0, is_driven: false };
    for stage in sizes.stages {
        standing::fill(&plane.admin(), &teams, existing, stage).await?;
        existing = stage;
        standing::first_pass(&setup, stage, &mut table).await?;
        let service = standing::restart(&setup, stage, sizes.applications, &mut table).await?;
        if stage.is_driven {
            let load = Load { setup: &setup, service: &service, seen: &seen, teams: &teams };
            let name = format!("steady-{}", stage.snapshots);
            flow::steady(&load, &name, stage, sizes.seconds, &mut table).await?;
            if stage.snapshots == sizes.stages[2].snapshots {
                flow::burst(&load, sizes.burst, &mut table).await?;
                hanging::measure(&load, sizes.pulls, &mut table).await?;
            }
        }
        service.stop().await?;
    }
    Ok(table)
}

/// Builds are signed, and what comes of them is seen.
struct Load<'a> {
    setup: &'a Setup<'a>,
    service: &'a Service,
    seen: &'a Seen,
    teams: &'a [teams::Team],
}
