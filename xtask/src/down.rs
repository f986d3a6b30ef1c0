//! `cargo xtask down`.
use crate::cluster::{self, Choice};

/// Stops the dev cluster and leaves nothing of it on the machine but its state folder.
#[derive(Debug, clap::Args)]
pub struct DownArgs {
    #[command(flatten)]
    pub cluster: Choice,

    /// Also remove its state: objects, volumes, images, keys.
    #[arg(long)]
    pub purge: bool,
}

pub async fn run(args: DownArgs) -> anyhow::Result<()> {
    cluster::down(&args.cluster, args.purge).await
}
