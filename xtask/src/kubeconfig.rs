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
    /// Make a kubeconfig for this user instead, who may only what roles allow: see `cargo xtask tenant`. Only for the
    /// embedded cluster.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
}

#[expect(clippy::unused_async, reason = "every command has this shape")]
pub async fn run(args: KubeconfigArgs) -> anyhow::Result<()> {
    let cluster = Cluster::load(&args.cluster)?;
    let path = match &args.user {
        Some(user) => cluster.kubeconfig_of(user)?,
        None => cluster.kubeconfig(),
    };
    ui::answer(&path.display().to_string());
    Ok(())
}
