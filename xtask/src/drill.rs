//! `cargo xtask drill`: long tests of what goes wrong in practice.
use crate::cluster::{self, Choice};

/// Kills parts of a cluster of its own, and looks whether it recovers and leaves nothing behind.
#[derive(Debug, clap::Args)]
pub struct DrillArgs {
    /// Name of the drill's cluster. One of that name is dropped with all that it holds.
    #[arg(long, default_value = "drill")]
    pub name: String,
}

pub async fn run(args: DrillArgs) -> anyhow::Result<()> {
    cluster::lifecycle::run(&Choice::named(&args.name)).await
}
