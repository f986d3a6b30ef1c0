//! The service as it is deployed, but for the pod: its code runs here, with the rights, settings and webhook of its base.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use attest::PrivateKey;
use chains::Args;
use clap::Parser as _;
use fleet::{Fleet, Stored};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use pipelines_engine_api::{PipelineRun, TaskRun};
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use serde::Serialize;
use serde_json::json;
use tempfile::TempDir;
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;
use testkit::{ControlPlane, DEADLINE, Installed, Namespace, Webhooks, eventually};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A tenant's namespace, a registry, and an installation of the service that works in this namespace alone.
pub(crate) struct Service {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Namespace<'static>,
    pub(crate) installed: Installed<'static>,
    pub(crate) registry: PlayedRegistry,
    /// Of the service that runs, or ran last.
    pub(crate) metrics: Registry,
    /// What it signs with.
    pub(crate) key: PrivateKey,
    pub(crate) authority: Authority,
    pub(crate) folder: TempDir,
    flags: Vec<String>,
    /// What it may call beside the registry.
    others: Vec<String>,
    webhook_port: u16,
    running: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), fleet::Error>>,
    /// Its own, so that it can be killed with all that the service has started.
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Within another runtime, where one must not wait for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Service {
    /// Installs the service and starts it, with the settings of its base.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, with these settings beside those of its base.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut service = Self::install().await?;
        service.set(settings).await?;
        service.run().await?;
        Ok(service)
    }

    /// Installs the service. Nothing runs yet.
    pub(crate) async fn install() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        plane.install_kinds("pipelines-engine").await?;
        let tenant = plane.namespace("tenant").await?;
        let webhook_port = testkit::free_port()?;
        let webhooks = Webhooks { port: webhook_port, ca_pem: None, namespaces: &[&tenant] };
        let installed = plane.install("chains", Some(webhooks)).await?;
        let authority = Authority::new("everything in this test")?;
        let registry = PlayedRegistry::start(&authority)?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        fs::create_dir(folder.path().join("keys"))?;
        let key = new_key(folder.path())?;
        Ok(Self {
            plane,
            tenant,
            installed,
            registry,
            metrics: Registry::new(),
            key,
            authority,
            folder,
            flags: Vec::new(),
            others: Vec::new(),
            webhook_port,
            running: None,
        })
    }

    /// Gives it a further flag when it starts.
    pub(crate) fn flag(&mut self, flag: &str) {
        self.flags.push(flag.to_owned());
    }

    /// Lets it call a further address.
    pub(crate) fn allow(&mut self, address: &str) {
        self.others.push(address.to_owned());
    }

    /// Starts the service, also after it was stopped, and waits until it acts.
    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.path().display();
        let mut flags = vec![
            "chains".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            "--health-addr=127.0.0.1:0".to_owned(),
            format!("--webhook-addr=127.0.0.1:{}", self.webhook_port),
            "--webhook-names=127.0.0.1".to_owned(),
            format!("--webhook-configuration={}", self.installed.name_of("chains")),
            "--identity=test".to_owned(),
            format!("--watch-namespaces={}", self.tenant),
            format!("--namespace={}", self.installed.namespace()),
            format!("--outbound-allow={},{}", self.registry.address(), self.others.join(",")),
            "--outbound-calls-per-host=32".to_owned(),
            format!("--ca-bundle={folder}/ca.crt"),
            format!("--signing-secrets={folder}/keys"),
        ];
        flags.extend(self.flags.iter().cloned());
        let args = Args::try_parse_from(flags)?;
        self.metrics = Registry::new();
        let (registry, config, stop) =
            (self.metrics.clone(), self.installed.config().await?, CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let ended = runtime.spawn({
            let stop = stop.clone();
            async move {
                let client = fleet::client::build(config, &registry)?;
                let fleet = Fleet::new("chains", args.fleet.clone(), client, registry, stop)?;
                chains::run(args, fleet).await
            }
        });
        self.running = Some(Running { stop, ended, runtime: Some(runtime) });
        eventually(DEADLINE, "the controllers to start", async || {
            if let Some(mut running) = self.running.take_if(|running| running.ended.is_finished()) {
                (&mut running.ended).await??;
                anyhow::bail!("the service has ended");
            }
            anyhow::ensure!(self.sum("controller_runtime_max_concurrent_reconciles") >= 3.0 * 8.0);
            Ok(())
        })
        .await
    }

    /// Waits until runs are held when they are made. The API server passes over a webhook whose certificate it has not heard of yet.
    pub(crate) async fn webhook_is_called(&self) -> anyhow::Result<()> {
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let asked = serde_json::from_value(json!({
            "metadata": {"name": "asked"},
            "spec": {"taskSpec": {"steps": [{"name": "none", "image": "registry.example/tool"}]}},
        }))?;
        eventually(DEADLINE, "the webhook to be called", async || {
            let made = self.task_runs().create(&dry_run, &asked).await?;
            anyhow::ensure!(!made.finalizers().is_empty(), "the run is not held");
            Ok(())
        })
        .await
    }

    /// Stops the service gracefully.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut running) = self.running.take() {
            running.stop.cancel();
            (&mut running.ended).await??;
        }
        Ok(())
    }

    /// Ends the service in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// Adds to its ConfigMap, or changes it.
    pub(crate) async fn set(&self, settings: &[(&str, &str)]) -> anyhow::Result<()> {
        let data: BTreeMap<_, _> = settings.iter().copied().collect();
        let patch = json!({ "data": data });
        self.settings().patch("chains-config", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// ConfigMaps beside the service.
    pub(crate) fn settings(&self) -> Api<ConfigMap> {
        Api::namespaced(self.admin(), self.installed.namespace())
    }

    /// Has it sign with a new key from now on.
    pub(crate) fn rotate(&mut self) -> anyhow::Result<()> {
        self.key = new_key(self.folder.path())?;
        Ok(())
    }

    /// Takes its key away.
    pub(crate) fn lose_key(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.folder.path().join("keys/cosign.key"))?)
    }

    /// The sum of a metric over its labels; 0 if there is none.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let families = self.metrics.gather();
        let metrics = families.iter().filter(|family| family.name() == name);
        let values = metrics.flat_map(MetricFamily::get_metric);
        values.map(|metric| metric.get_gauge().get_value() + metric.get_counter().get_value()).sum()
    }

    pub(crate) fn admin(&self) -> Client {
        self.plane.admin()
    }

    /// The tenant's objects of a kind, as an administrator sees them.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.admin(), &self.tenant)
    }

    pub(crate) fn task_runs(&self) -> Api<TaskRun> {
        self.api()
    }

    pub(crate) fn pipeline_runs(&self) -> Api<PipelineRun> {
        self.api()
    }

    /// Waits until a TaskRun has the mark, and answers it.
    pub(crate) async fn task_run_marked(&self, name: &str, mark: &str) -> anyhow::Result<TaskRun> {
        wait_for(&self.task_runs(), name, mark, |run| signed(run) == Some(mark)).await
    }

    /// Waits until a PipelineRun has the mark, and answers it.
    pub(crate) async fn pipeline_run_marked(&self, name: &str, mark: &str) -> anyhow::Result<PipelineRun> {
        wait_for(&self.pipeline_runs(), name, mark, |run| signed(run) == Some(mark)).await
    }

    /// Waits for an Event with this reason about the object of this name.
    pub(crate) async fn told(&self, namespace: &str, name: &str, reason: &str) -> anyhow::Result<String> {
        let events: Api<Event> = Api::namespaced(self.admin(), namespace);
        eventually(DEADLINE, reason, async || {
            let events = events.list(&ListParams::default()).await?.items;
            let about = |event: &&Event| {
                event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(name)
            };
            let found = events.iter().find(about).and_then(|event| event.note.clone());
            found.ok_or_else(|| anyhow::anyhow!("there is none among {} events", events.len()))
        })
        .await
    }
}

/// Waits until an object is as it should be. On the heap: what is read into is large, and tests are not optimised.
pub(crate) fn wait_for<'a, K>(
    api: &'a Api<K>,
    name: &'a str,
    what: &'a str,
    is_so: impl Fn(&K) -> bool + 'a,
) -> LocalBoxFuture<'a, anyhow::Result<K>>
where
    K: Stored + Serialize,
{
    testkit::wait_for(api, name, what, DEADLINE, is_so).boxed_local()
}

/// Waits until an object is gone.
pub(crate) fn wait_gone<'a, K>(api: &'a Api<K>, name: &'a str) -> LocalBoxFuture<'a, anyhow::Result<()>>
where
    K: Stored + Serialize,
{
    testkit::wait_gone(api, name, DEADLINE).boxed_local()
}

/// Writes a new key and its password as `cosign` has them.
pub(crate) fn new_key(folder: &Path) -> anyhow::Result<PrivateKey> {
    let key = PrivateKey::generate()?;
    fs::write(folder.join("keys/cosign.password"), "secret")?;
    fs::write(folder.join("keys/cosign.key"), key.to_encrypted("secret")?)?;
    Ok(key)
}

pub(crate) fn annotation<'a>(run: &'a impl Resource, name: &str) -> Option<&'a str> {
    run.annotations().get(name).map(String::as_str)
}

pub(crate) fn signed(run: &impl Resource) -> Option<&str> {
    annotation(run, "chains.tekton.dev/signed")
}
