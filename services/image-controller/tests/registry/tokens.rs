//! The token endpoint as it is deployed, but for the pod, beside a real registry.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use fleet::outbound::{self, Options as OutboundOptions};
use fleet::{Clock, Fleet};
use image_controller::registry::{Backend, BackendKind, Connector, Options};
use image_controller::tokens;
use image_controller_api::names::REGISTRY_TOKEN_ISSUER;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use prometheus::Registry;
use testkit::docker_registry::{DockerRegistry, TokenAuth};
use testkit::faults::{Plan, Proxy};
use testkit::pki::Authority;
use testkit::{ControlPlane, DEADLINE, Installed, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::Docker;

pub(crate) const ORGANIZATION: &str = "org";

/// A registry, its token endpoint, and who manages both.
pub(crate) struct Tenants {
    pub(crate) docker: Docker,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) registry: DockerRegistry,
    pub(crate) installed: Installed<'static>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) health: String,
    metrics: Registry,
    stop: CancellationToken,
    _ended: JoinHandle<Result<(), fleet::Error>>,
}

impl Drop for Tenants {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn write(path: &Path, certificate: &str, key: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(path)?;
    std::fs::write(path.join("tls.crt"), certificate)?;
    std::fs::write(path.join("tls.key"), key)?;
    Ok(())
}

impl Tenants {
    /// With the rights of the endpoint's own base; robots are managed with those of an administrator.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_on(ControlPlane::shared().await, None).await
    }

    /// The endpoint hears of the API server through the proxy only.
    pub(crate) async fn start_behind_a_proxy() -> anyhow::Result<(Self, Proxy)> {
        let mut proxy = None;
        let tenants = Self::start_on(ControlPlane::shared().await, Some(&mut proxy)).await?;
        Ok((tenants, proxy.context("it was started")?))
    }

    async fn start_on(
        plane: &'static ControlPlane,
        proxy: Option<&mut Option<Proxy>>,
    ) -> anyhow::Result<Self> {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let base =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomize/base/image-controller/tokens");
        let installed = plane.install_from(&base, None, None).await?;

        let (authority, signer) = (Authority::new("ca")?, Authority::new("tokens")?);
        let folder = tempfile::tempdir()?;
        let [serving, key, secret] = ["serving", "key", "secret"].map(|name| folder.path().join(name));
        let leaf = authority.server("tokens", &["localhost"])?;
        write(&serving, &leaf.cert_pem, &leaf.key_pem)?;
        write(&key, signer.cert_pem(), &signer.key_pem())?;
        std::fs::create_dir(&secret)?;
        let ca_bundle = folder.path().join("ca.crt");
        std::fs::write(&ca_bundle, authority.cert_pem())?;

        let [port, health] = [testkit::free_port()?, testkit::free_port()?];
        let realm = format!("https://localhost:{port}/token");
        let auth = TokenAuth { realm: &realm, issuer: REGISTRY_TOKEN_ISSUER, certificate: signer.cert_pem() };
        let registry = DockerRegistry::start(&authority, &auth).await?;
        let args = tokens::Args::try_parse_from([
            "image-registry-tokens".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            format!("--health-addr=127.0.0.1:{health}"),
            format!("--token-addr=127.0.0.1:{port}"),
            format!("--token-cert-dir={}", serving.display()),
            format!("--registry-token-key-dir={}", key.display()),
            format!("--registry-host={}", registry.address()),
            format!("--namespace={}", installed.namespace()),
            "--leader-elect=false".to_owned(),
        ])?;
        let metrics = Registry::new();
        let mut config = installed.config().await?;
        if let Some(place) = proxy {
            let started = Proxy::start("tokens", Plan::new(1, []), config).await?;
            let kubeconfig = Kubeconfig::from_yaml(&started.kubeconfig())?;
            config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            *place = Some(started);
        }
        let client = fleet::client::build(config, &metrics)?;
        let stop = CancellationToken::new();
        let fleet =
            Fleet::new("image-registry-tokens", args.fleet.clone(), client, metrics.clone(), stop.clone())?;
        let ended = tokio::spawn(tokens::run(args, fleet));

        let outbound = outbound::Client::new(
            "image-controller",
            OutboundOptions {
                allow: registry.address().parse()?,
                ca_bundle: Some(ca_bundle),
                ..OutboundOptions::default()
            },
            Clock::system(),
            &Registry::new(),
        )?;
        let options = Options {
            registry_backend: BackendKind::Distribution,
            registry_secret_dir: secret,
            registry_organization: Some(ORGANIZATION.to_owned()),
            registry_host: Some(registry.address().to_owned()),
            registry_calls_per_second: 1000,
            quay_additional_ca: None,
            registry_token_key_dir: key,
        };
        let connector =
            Connector::new(options, outbound, plane.admin(), installed.namespace(), Clock::system());
        let backend = connector.connect().await?;
        let docker = Docker::new(&authority, registry.address(), &realm)?;
        let health = format!("http://127.0.0.1:{health}/readyz");
        let tenants =
            Self { docker, backend, registry, installed, folder, health, metrics, stop, _ended: ended };
        tenants.becomes_ready().await?;
        Ok(tenants)
    }

    /// Waits until its watch has failed.
    pub(crate) async fn endpoint_misses_its_api_server(&self) -> anyhow::Result<()> {
        eventually(DEADLINE, "a watch to fail", async || {
            let families = self.metrics.gather();
            let failed = families.iter().filter(|family| family.name() == "fleet_watch_errors_total");
            let count: f64 = failed
                .flat_map(prometheus::proto::MetricFamily::get_metric)
                .map(|one| one.get_counter().get_value())
                .sum();
            anyhow::ensure!(count > 0.0, "none failed");
            Ok(())
        })
        .await
    }

    async fn becomes_ready(&self) -> anyhow::Result<()> {
        eventually(DEADLINE, "the endpoint to be ready", async || {
            let answer = reqwest::get(&self.health).await?;
            let status = answer.status();
            anyhow::ensure!(status.is_success(), "{status} {}", answer.text().await?);
            Ok(())
        })
        .await
    }
}
