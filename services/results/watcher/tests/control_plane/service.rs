//! The service as it is deployed, but for the pod: its code runs here, with the rights of its base.

use clap::Parser as _;
use fleet::{Fleet, Stored};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt as _};
use pipelines_engine_api::{PipelineRun, TaskRun};
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use results_watcher::Args;
use serde::Serialize;
use testkit::{ControlPlane, DEADLINE, Installed, Namespace, eventually};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::PlayedApi;
use crate::kubelet::PlayedNode;

pub(crate) const ACCOUNT: &str = "tekton-results-watcher";

/// A tenant's namespace, a played archive, and an installation of the service that works in this namespace alone.
pub(crate) struct Service {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Namespace<'static>,
    pub(crate) installed: Installed<'static>,
    pub(crate) api: PlayedApi,
    pub(crate) node: PlayedNode,
    metrics: Registry,
    flags: Vec<String>,
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
    /// Installs the service and starts it with these flags beside those of a test.
    pub(crate) async fn start(flags: &[&str]) -> anyhow::Result<Self> {
        let mut service = Self::install().await?;
        service.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        service.run().await?;
        Ok(service)
    }

    /// Installs the service. Nothing runs yet.
    pub(crate) async fn install() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        plane.install_kinds("pipelines-engine").await?;
        let tenant = plane.namespace("tenant").await?;
        let installed = plane.install("results", None).await?;
        let node = PlayedNode::start(plane.admin(), &tenant).await?;
        Ok(Self {
            plane,
            installed,
            api: PlayedApi::start().await?,
            node,
            metrics: Registry::new(),
            flags: Vec::new(),
            running: None,
            tenant,
        })
    }

    /// Starts the service, also after it was stopped, and waits until it acts.
    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        let mut flags = vec![
            "results-watcher".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            "--health-addr=127.0.0.1:0".to_owned(),
            "--identity=test".to_owned(),
            format!("--watch-namespaces={}", self.tenant),
            format!("--namespace={}", self.installed.namespace()),
            format!("--api-addr={}", self.api.address),
            "--auth-mode=insecure".to_owned(),
        ];
        flags.extend(self.flags.iter().cloned());
        let args = Args::try_parse_from(flags)?;
        self.metrics = Registry::new();
        let registry = self.metrics.clone();
        let (config, stop) = (self.installed.config_as(ACCOUNT).await?, CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let ended = runtime.spawn({
            let stop = stop.clone();
            async move {
                let client = fleet::client::build(config, &registry)?;
                let fleet = Fleet::new("results-watcher", args.fleet.clone(), client, registry, stop)?;
                results_watcher::run(args, fleet).await
            }
        });
        self.running = Some(Running { stop, ended, runtime: Some(runtime) });
        eventually(DEADLINE, "the controllers to start", async || {
            if let Some(mut running) = self.running.take_if(|running| running.ended.is_finished()) {
                (&mut running.ended).await??;
                anyhow::bail!("the service has ended");
            }
            anyhow::ensure!(self.sum("controller_runtime_max_concurrent_reconciles") >= 2.0 * (8.0 + 16.0));
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

    /// Name of the Result of a run with no annotation about it.
    pub(crate) fn result_of(&self, run: &impl Resource) -> String {
        format!("{}/results/{}", &*self.tenant, run.uid().unwrap_or_default())
    }

    /// Waits until a run is stored, and answers it.
    pub(crate) async fn stored<K>(&self, name: &str) -> anyhow::Result<K>
    where
        K: Stored + Serialize + Resource<Scope = NamespaceResourceScope>,
    {
        wait_for(&self.api::<K>(), name, "its mark", |run| annotation(run, "stored") == Some("true")).await
    }

    /// Waits for an Event with this reason about the object of this name.
    pub(crate) async fn told(&self, name: &str, reason: &str) -> anyhow::Result<String> {
        let events: Api<Event> = self.api();
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

/// An annotation of results.
pub(crate) fn annotation<'a>(run: &'a impl Resource, name: &str) -> Option<&'a str> {
    run.annotations().get(&format!("results.tekton.dev/{name}")).map(String::as_str)
}
