//! The resolvers as they are deployed, but for the pod: their code runs here, with the rights of their account.

use clap::Parser as _;
use fleet::Fleet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use pipelines_engine::resolvers::{self, Args};
use prometheus::Registry;
use serde_json::{Value, json};
use testkit::git_server::GitServer;
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::service::Service;

/// Name of their account.
pub(crate) const ACCOUNT: &str = "pipelines-resolvers";

/// What is outside the cluster.
pub(crate) struct Outside {
    pub(crate) registry: PlayedRegistry,
    pub(crate) git: GitServer,
    /// Has signed the registry's certificate.
    pub(crate) authority: Authority,
}

impl Outside {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let authority = Authority::new("outside")?;
        let registry = PlayedRegistry::start(&authority)?;
        Ok(Self { registry, git: GitServer::start().await?, authority })
    }
}

/// Merges entries into a ConfigMap of the installation; `null` takes one away.
pub(crate) async fn set(service: &Service, name: &str, data: &Value) -> anyhow::Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(service.admin(), service.installed.namespace());
    maps.patch(name, &PatchParams::default(), &Patch::Merge(json!({"data": data}))).await?;
    Ok(())
}

/// The resolvers of an installation; stopped when dropped.
pub(crate) struct Resolvers {
    stop: CancellationToken,
    ended: Option<JoinHandle<Result<(), fleet::Error>>>,
}

impl Resolvers {
    /// For requests in these namespaces. Of what is outside they may reach this machine's loopback.
    pub(crate) async fn start(
        service: &Service,
        namespaces: &[&str],
        outside: &Outside,
    ) -> anyhow::Result<Self> {
        let args = Args::try_parse_from([
            "pipelines-resolvers",
            "--metrics-addr=127.0.0.1:0",
            "--health-addr=127.0.0.1:0",
            &format!("--watch-namespaces={}", namespaces.join(",")),
            &format!("--namespace={}", service.installed.namespace()),
            &format!("--outbound-allow=127.0.0.1,{}", outside.git.origin()),
            "--identity=test",
        ])?;
        let registry = Registry::new();
        let client = fleet::client::build(service.installed.config_as(ACCOUNT).await?, &registry)?;
        let stop = CancellationToken::new();
        let fleet = Fleet::new("pipelines-resolvers", args.fleet.clone(), client, registry, stop.clone())?;
        let ended = Some(tokio::spawn(resolvers::run(args, fleet)));
        Ok(Self { stop, ended })
    }

    /// Stops them gracefully.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        if let Some(ended) = self.ended.take() {
            ended.await??;
        }
        Ok(())
    }
}

impl Drop for Resolvers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
