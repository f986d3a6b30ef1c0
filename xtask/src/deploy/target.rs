//! The cluster that is deployed to.
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::cluster;

#[derive(Clone)]
pub struct Target {
    pub client: Client,
    pub kubeconfig: PathBuf,
    /// What to type for kubectl with this kubeconfig.
    pub kubectl: String,
    /// PEM of the embedded cluster's authority, which signs its registry and forge; none for other clusters.
    pub certificate_authority: Option<String>,
    /// The embedded cluster itself; none if it is another.
    pub embedded: Option<cluster::Cluster>,
}

impl Target {
    /// The cluster of this kubeconfig, else the one that `up` has made or recorded.
    pub async fn choose(choice: &cluster::Choice, kubeconfig: Option<&Path>) -> anyhow::Result<Self> {
        match kubeconfig {
            Some(file) => Self::existing(file).await,
            None => Self::known(choice).await,
        }
    }

    async fn existing(file: &Path) -> anyhow::Result<Self> {
        let wrong = || format!("use kubeconfig {}", file.display());
        let kubeconfig = Kubeconfig::read_from(file).with_context(wrong)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.with_context(wrong)?).with_context(wrong)?;
        let kubectl = format!("kubectl --kubeconfig {}", file.display());
        Ok(Self { client, kubeconfig: file.to_owned(), kubectl, certificate_authority: None, embedded: None })
    }

    async fn known(choice: &cluster::Choice) -> anyhow::Result<Self> {
        let cluster = cluster::Cluster::load(choice)?;
        let is_ours = matches!(cluster.settings(), cluster::Settings::Embedded(_));
        Ok(Self {
            client: cluster.client().await?,
            kubectl: if is_ours {
                cluster.kubectl_wrapper().display().to_string()
            } else {
                format!("kubectl --kubeconfig {}", cluster.kubeconfig().display())
            },
            kubeconfig: cluster.kubeconfig(),
            certificate_authority: is_ours.then(|| cluster.ca_pem()).transpose()?,
            embedded: is_ours.then_some(cluster),
        })
    }
}
