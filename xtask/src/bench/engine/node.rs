//! Where runs get real pods: an embedded cluster of the benchmark's own, or one that is there.
use std::{
    ffi::OsString,
    fs,
    net::Ipv4Addr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use tempfile::TempDir;
use testkit::ControlPlane;

use super::setup;
use crate::{
    cluster::{self, Choice, Cluster, Settings, Subnet},
    ui,
};

/// The embedded cluster to use.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArgs {
    /// Use this embedded cluster, which must have no engine, and leave it up. Default: one of the benchmark's own,
    /// which goes with it.
    #[arg(long)]
    pub name: Option<String>,
    /// Folder for everything that the cluster keeps. Default: as for `cargo xtask up`.
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
    /// Addresses of pods, node and registries: a private /16. Default: one that follows from the name.
    #[arg(long, value_name = "SUBNET")]
    pub pods_subnet: Option<Subnet>,
    /// Cluster IPs of Services: a private /16. Default: one that follows from the name.
    #[arg(long, value_name = "SUBNET")]
    pub services_subnet: Option<Subnet>,
}

/// A cluster with a kubelet, and without an engine.
pub(super) struct Node {
    /// Its API server, whose ledger can be read.
    pub(super) plane: ControlPlane,
    /// This machine, as the cluster reaches it.
    pub(super) host: Ipv4Addr,
    // Fields are dropped in this order: whoever uses the cluster goes first.
    _folder: TempDir,
    _own: Option<Own>,
}

impl Node {
    /// Brings a cluster up.
    pub(super) async fn up(args: &NodeArgs) -> anyhow::Result<Self> {
        let choice = Choice {
            name: args
                .name
                .clone()
                .unwrap_or_else(|| format!("bench-{:06x}", rand::random_range(0..1 << 24))),
            state_dir: args.state_dir.clone(),
        };
        let own = args.name.is_none().then(|| Own { choice: choice.clone() });
        let wishes =
            cluster::Wishes { pods: args.pods_subnet, services: args.services_subnet, forge: Some(false) };
        let cluster = Box::pin(cluster::up(&choice, wishes)).await?;
        let Settings::Embedded(embedded) = cluster.settings() else {
            bail!(
                "{:?} is a cluster that is only used: give its --kubeconfig, or another --name",
                choice.name
            )
        };
        let host = embedded.link().0;
        let folder = tempfile::tempdir().context("create a folder for the kubeconfig")?;
        let plane = attach(&cluster, folder.path()).await?;
        let deployments = Api::<Deployment>::namespaced(plane.admin(), setup::NAMESPACE);
        if deployments.get_opt(setup::SERVICE).await?.is_some() {
            bail!(
                "cluster {:?} has an engine: leave --name out for a cluster without one, or measure that engine by \
                 --kubeconfig {}",
                choice.name,
                cluster.kubeconfig().display()
            );
        }
        Ok(Self { plane, host, _folder: folder, _own: own })
    }
}

/// The cluster's API server with its audit log, which the test kit looks for beside the kubeconfig.
async fn attach(cluster: &Cluster, folder: &Path) -> anyhow::Result<ControlPlane> {
    let kubeconfig = folder.join("kubeconfig");
    fs::copy(cluster.kubeconfig(), &kubeconfig).context("copy the administrator's kubeconfig")?;
    symlink(cluster.audit_log(), folder.join("audit.log")).context("link the audit log")?;
    ControlPlane::attach(&kubeconfig).await
}

/// A cluster that ends with the benchmark, however that ends.
struct Own {
    choice: Choice,
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut arguments: Vec<OsString> =
            ["down", "--purge", "--name", &self.choice.name].map(Into::into).into();
        if let Some(folder) = &self.choice.state_dir {
            arguments.extend(["--state-dir".into(), folder.into()]);
        }
        // Not through the runtime, whose work may have been cancelled.
        let outcome = std::env::current_exe()
            .and_then(|ourselves| std::process::Command::new(ourselves).args(arguments).status());
        if !outcome.is_ok_and(|status| status.success()) {
            let flags = self.choice.flags();
            ui::note(&format!("its cluster is not gone: run `cargo xtask down --purge{flags}`"));
        }
    }
}
