//! `cargo xtask kubeconfig`.
use crate::{
    cluster::{Choice, Cluster},
    ui,
};

/// Prints the path of the cluster's admin kubeconfig: `export KUBECONFIG=$(cargo xtask kubeconfig)`.
#[derive(Debug, clap::Args)]
pub struct KubeconfigArgs {
    #[command(flatten)]
    pub cluster: Choice,
}

#[expect(clippy::unused_async, reason = "every command has this shape")]
pub async fn run(args: KubeconfigArgs) -> anyhow::Result<()> {
    ui::answer(&Cluster::load(&args.cluster)?.kubeconfig().display().to_string());
    Ok(())
}
