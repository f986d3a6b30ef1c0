//! What all subcommands share: the registry, the logins of the pod, the log, the API server.

use std::ops::Deref;
use std::path::PathBuf;

use fleet::outbound::AllowList;
pub use step::{Flag, bound, say};

use crate::cluster::Cluster;

/// The program, as servers are told.
const AGENT: &str = "konflux-release-tasks";

/// Flags of all subcommands.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// PEM of certificate authorities that are trusted beside the machine's own. One that is missing or empty adds none.
    #[arg(long, env = "RELEASE_CA_BUNDLE", value_name = "FILE", global = true)]
    ca_bundle: Option<PathBuf>,
    #[command(flatten)]
    logins: step::Logins,
    /// What may be called beside the internet.
    ///
    /// By default private networks, where registries and forges of an organisation are. Not the pod itself and not link-local
    /// addresses, where clouds hand out the node's credentials: tenants name the hosts that a release team's step calls.
    #[arg(
        long,
        env = "RELEASE_OUTBOUND_ALLOW",
        value_name = "LIST",
        global = true,
        default_value = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fc00::/7"
    )]
    outbound_allow: AllowList,
    /// Cluster to work with instead of the one of the pod.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE", global = true)]
    kubeconfig: Option<PathBuf>,
}

/// Paths of results of a task, each named as its result.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Results {
    /// The files of the task's results, such as $(results.data.path). Results that are not named are not written.
    #[arg(long, num_args = 0.., value_name = "FILE")]
    results: Vec<PathBuf>,
}

impl Results {
    pub fn write(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let file = self.results.iter().find(|file| file.file_name().is_some_and(|found| found == name));
        file.map_or(Ok(()), |file| step::results::write(file, value))
    }
}

/// What a subcommand works with: all of [`step::Context`], and the cluster.
#[derive(Debug)]
pub struct Context {
    step: step::Context,
    kubeconfig: Option<PathBuf>,
}

impl Context {
    pub fn new(global: Global) -> anyhow::Result<Self> {
        let kubeconfig = global.kubeconfig;
        let settings = step::Settings {
            agent: AGENT,
            logins: global.logins,
            ca_bundle: global.ca_bundle,
            allow: global.outbound_allow,
        };
        Ok(Self { step: step::Context::new(settings)?, kubeconfig })
    }

    /// The cluster, by the rights of the pod's account. Most steps need none.
    pub async fn cluster(&self) -> anyhow::Result<Cluster> {
        Cluster::connect(AGENT, self.kubeconfig.as_deref()).await
    }
}

impl Deref for Context {
    type Target = step::Context;

    fn deref(&self) -> &step::Context {
        &self.step
    }
}
