//! `cargo xtask up`: the dev cluster, or the choice of another one.
use std::path::PathBuf;

use anyhow::Context as _;

use crate::{
    cluster::{self, Choice, Cluster, External, Settings, Subnet, Wishes},
    ui,
};

/// Starts the dev cluster, after installing and building what it needs. Run again, it repairs what is down.
#[derive(Debug, clap::Args)]
pub struct UpArgs {
    #[command(flatten)]
    pub cluster: Choice,

    /// Use the cluster of this kubeconfig instead of the embedded one, for this and later commands.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pods_subnet", "services_subnet", "forge", "build_only"])]
    pub kubeconfig: Option<PathBuf>,

    /// Registry that the nodes of that cluster can pull from, as `host:port`.
    #[arg(long, requires = "kubeconfig", value_name = "HOST")]
    pub registry: Option<String>,

    /// Addresses of pods, node, registries and forge: a private /16. Fixed once the cluster exists.
    #[arg(long, value_name = "SUBNET")]
    pub pods_subnet: Option<Subnet>,

    /// Cluster IPs of Services: a private /16. Fixed once the cluster exists.
    #[arg(long, value_name = "SUBNET")]
    pub services_subnet: Option<Subnet>,

    /// Whether a forge is part of the cluster: `yes` unless said otherwise once.
    #[arg(long, value_name = "yes|no", value_parser = clap::builder::BoolishValueParser::new())]
    pub forge: Option<bool>,

    /// Only build the programs that the cluster and the tests need. Needs no root.
    #[arg(long)]
    pub build_only: bool,
}

pub async fn run(args: UpArgs) -> anyhow::Result<()> {
    if args.build_only {
        cluster::programs::build(args.forge.unwrap_or(true)).await?;
        cluster::programs::build_cosign().await?;
        return cluster::programs::build_s3().await;
    }
    let Some(kubeconfig) = args.kubeconfig else {
        if let Ok(Settings::External(external)) =
            Cluster::load(&args.cluster).map(|known| known.settings().clone())
        {
            ui::note("as chosen before by --kubeconfig; `cargo xtask down` forgets that choice");
            return use_external(&args.cluster, external).await;
        }
        let wishes = Wishes { pods: args.pods_subnet, services: args.services_subnet, forge: args.forge };
        let cluster = cluster::up(&args.cluster, wishes).await?;
        ui::note(&format!("kubeconfig: {}", cluster.kubeconfig().display()));
        ui::note(&format!("kubectl:    {}", cluster.kubectl_wrapper().display()));
        if let Some(forge) = cluster.forge_access()? {
            ui::note(&format!("forge:      {} (at {})", forge.url, forge.address));
        }
        return Ok(());
    };
    let kubeconfig = kubeconfig
        .canonicalize()
        .with_context(|| format!("--kubeconfig {}: is there such a file?", kubeconfig.display()))?;
    use_external(&args.cluster, External { kubeconfig, registry: args.registry }).await
}

async fn use_external(choice: &Choice, external: External) -> anyhow::Result<()> {
    let step = ui::step("the cluster answers");
    let version = cluster::use_external(choice, external).await?;
    step.done_with(&format!("Kubernetes {version}"));
    Ok(())
}
