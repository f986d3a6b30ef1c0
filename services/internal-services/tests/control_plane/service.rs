//! The service as it is deployed, but for the pod: its code runs here, with the rights of its base in the one cluster and of what the base
//! has for the remote cluster in the other. Runs are played.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use clap::Parser as _;
use fleet::Fleet;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use internal_services::Args;
use internal_services_api::{InternalRequest, InternalServicesConfig};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Config, ResourceExt as _};
use pipelines_engine_api::{Pipeline, PipelineRun};
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::faults::{Plan, Proxy};
use testkit::wait::conditions;
use testkit::{ControlPlane, DEADLINE, Installed, Namespace, Options, PlayedEngine, eventually};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) const NAME: &str = "internal-services.appstudio.openshift.io/name";

/// The remote cluster of nearly all tests. Each has a namespace of its own there, and its service sees no other.
async fn shared_remote() -> &'static ControlPlane {
    static REMOTE: OnceCell<ControlPlane> = OnceCell::const_new();
    let start = async || ControlPlane::start(Options::default()).await.expect("a second control plane");
    REMOTE.get_or_init(start).await
}

/// The way to the remote cluster, which can be closed.
pub(crate) struct Link {
    address: SocketAddr,
    is_open: Arc<watch::Sender<bool>>,
    server: AbortHandle,
}

impl Link {
    async fn to(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let is_open = Arc::new(watch::Sender::new(true));
        let state = Arc::clone(&is_open);
        let server = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut open = state.subscribe();
                if !*open.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Ok(Self { address, is_open, server: server.abort_handle() })
    }

    pub(crate) fn set_open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Two clusters, an engine that is played in the one, a namespace in the other whose requests are served, and the service between them.
pub(crate) struct Service {
    pub(crate) remote_plane: &'static ControlPlane,
    /// In the remote cluster.
    pub(crate) managed: Namespace<'static>,
    /// In the local cluster.
    pub(crate) installed: Installed<'static>,
    /// In the remote cluster.
    pub(crate) account: Installed<'static>,
    pub(crate) engine: PlayedEngine,
    pub(crate) metrics: Registry,
    pub(crate) link: Link,
    local: Proxy,
    _remote: Proxy,
    folder: TempDir,
    flags: Vec<String>,
    health_port: u16,
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
    /// Installs the service and starts it. The namespace is allowed, and there is a Pipeline `sign`.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut service = Self::install(Plan::calm()).await?;
        service.serve_managed().await?;
        service.run().await?;
        Ok(service)
    }

    /// Nothing runs yet, and nobody is served. What goes wrong in the local cluster says the plan.
    pub(crate) async fn install(local: Plan) -> anyhow::Result<Self> {
        let mut service = Box::pin(Self::between(shared_remote().await, local)).await?;
        service.flag("--watch-all-remote=false");
        Ok(service)
    }

    /// With a remote cluster that no other test uses: the service looks at all of it.
    pub(crate) async fn alone() -> anyhow::Result<Self> {
        let remote = Box::leak(Box::new(ControlPlane::start(Options::default()).await?));
        Box::pin(Self::between(remote, Plan::calm())).await
    }

    async fn between(remote_plane: &'static ControlPlane, plan: Plan) -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        plane.install_kinds("pipelines-engine").await?;
        let installed = plane.install("internal-services", None).await?;
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomize");
        let (base, crds) =
            (deploy.join("base/internal-services/remote"), deploy.join("crds/internal-services"));
        let account = remote_plane.install_from(&base, Some(&crds), None).await?;
        let managed = remote_plane.namespace("managed").await?;
        let engine = PlayedEngine::start(plane.admin(), installed.namespace()).await?;

        let local = Proxy::start("local", plan, installed.config().await?).await?;
        let remote = Proxy::start("remote", Plan::calm(), account.config().await?).await?;
        let proxied = config(&remote).await?;
        let port = proxied.cluster_url.port_u16().unwrap_or_default();
        let link = Link::to(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        let folder = tempfile::tempdir()?;
        let kubeconfig = remote.kubeconfig().replace(&format!("127.0.0.1:{port}"), &link.address.to_string());
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig)?;
        Ok(Self {
            remote_plane,
            managed,
            installed,
            account,
            engine,
            metrics: Registry::new(),
            link,
            local,
            _remote: remote,
            folder,
            flags: Vec::new(),
            health_port: testkit::free_port()?,
            running: None,
        })
    }

    /// Gives it a further flag when it starts.
    pub(crate) fn flag(&mut self, flag: &str) {
        self.flags.push(flag.to_owned());
    }

    /// Allows the namespace, and makes a Pipeline `sign`.
    pub(crate) async fn serve_managed(&self) -> anyhow::Result<()> {
        self.configure(json!({"allowList": [self.managed.name()]})).await?;
        self.pipeline("sign", &[]).await
    }

    /// Makes the settings, or changes these.
    pub(crate) async fn configure(&self, spec: Value) -> anyhow::Result<()> {
        let config = json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "InternalServicesConfig",
            "metadata": {"name": "config"}, "spec": spec,
        });
        let params = PatchParams::apply("test").force();
        self.local::<InternalServicesConfig>().patch("config", &params, &Patch::Apply(&config)).await?;
        Ok(())
    }

    /// Makes a Pipeline that declares these workspaces.
    pub(crate) async fn pipeline(&self, name: &str, workspaces: &[&str]) -> anyhow::Result<()> {
        let workspaces: Vec<_> = workspaces.iter().map(|name| json!({ "name": name })).collect();
        let steps = json!([{"name": "sign", "image": "images.example/sign", "script": "true"}]);
        let pipeline = json!({
            "apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": name},
            "spec": {"workspaces": workspaces, "tasks": [{"name": "sign", "taskSpec": {"steps": steps}}]},
        });
        self.local::<Pipeline>().create(&PostParams::default(), &serde_json::from_value(pipeline)?).await?;
        Ok(())
    }

    /// Starts the service, also after it was stopped or killed, and waits until it is ready.
    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        let flags = self.flags();
        let args = Args::try_parse_from(std::iter::once("internal-services".to_owned()).chain(flags))?;
        self.metrics = Registry::new();
        let (registry, config, stop) =
            (self.metrics.clone(), config(&self.local).await?, CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let ended = runtime.spawn({
            let stop = stop.clone();
            async move {
                let client = fleet::client::build(config, &registry)?;
                let fleet = Fleet::new("internal-services", args.fleet.clone(), client, registry, stop)?;
                internal_services::run(args, fleet).await
            }
        });
        self.running = Some(Running { stop, ended, runtime: Some(runtime) });
        self.is_up().await
    }

    /// Starts its program instead, which ends when the answer is dropped.
    pub(crate) async fn run_program(&mut self) -> anyhow::Result<Child> {
        let kubeconfig = self.folder.path().join("local.kubeconfig");
        std::fs::write(&kubeconfig, self.local.kubeconfig())?;
        let mut program = Command::new(env!("CARGO_BIN_EXE_internal-services"));
        program.args(self.flags()).arg(format!("--kubeconfig={}", kubeconfig.display()));
        let program = program.stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        self.is_up().await?;
        Ok(program)
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            "--metrics-addr=127.0.0.1:0".to_owned(),
            format!("--health-addr=127.0.0.1:{}", self.health_port),
            "--identity=test".to_owned(),
            format!("--namespace={}", self.installed.namespace()),
            format!("--remote-cluster-config-file={}/kubeconfig", self.folder.path().display()),
        ];
        flags.extend(self.flags.iter().cloned());
        flags
    }

    /// Waits until it is ready.
    async fn is_up(&mut self) -> anyhow::Result<()> {
        let ready = format!("http://{}/readyz", SocketAddr::from(([127, 0, 0, 1], self.health_port)));
        eventually(DEADLINE, "the service to be ready", async || {
            if let Some(mut running) = self.running.take_if(|running| running.ended.is_finished()) {
                (&mut running.ended).await??;
                anyhow::bail!("the service has ended");
            }
            let answer = reqwest::get(&ready).await?;
            anyhow::ensure!(answer.status().is_success(), "{}", answer.text().await?);
            Ok(())
        })
        .await
    }

    /// Whether it says that it is ready.
    pub(crate) async fn is_ready(&self) -> anyhow::Result<bool> {
        let ready = format!("http://{}/readyz", SocketAddr::from(([127, 0, 0, 1], self.health_port)));
        Ok(reqwest::get(&ready).await?.status().is_success())
    }

    /// Stops the service gracefully.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut running) = self.running.take() {
            running.stop.cancel();
            (&mut running.ended).await??;
        }
        Ok(())
    }

    /// Ends the service in the middle of whatever it does, and waits until its port is free.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        drop(self.running.take());
        eventually(DEADLINE, "the port to be free", async || {
            let address = SocketAddr::from(([127, 0, 0, 1], self.health_port));
            anyhow::ensure!(TcpStream::connect(address).await.is_err(), "somebody listens");
            Ok(())
        })
        .await
    }

    /// Requests of the namespace that is served.
    pub(crate) fn requests(&self) -> Api<InternalRequest> {
        Api::namespaced(self.remote_plane.admin(), &self.managed)
    }

    /// Objects of the namespace that the service lives in.
    pub(crate) fn local<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        let plane = self.engine.pipeline_runs().into_client();
        Api::namespaced(plane, self.installed.namespace())
    }

    pub(crate) fn runs(&self) -> Api<PipelineRun> {
        self.local()
    }

    /// Makes a request of this name and spec.
    pub(crate) async fn ask(&self, name: &str, spec: Value) -> anyhow::Result<InternalRequest> {
        Ok(self.requests().create(&PostParams::default(), &request(name, spec)).await?)
    }

    /// Waits until a request has this reason.
    pub(crate) async fn has(&self, name: &str, reason: &str) -> anyhow::Result<InternalRequest> {
        wait_for(&self.requests(), name, reason, |request| self::reason(request) == Some(reason)).await
    }

    /// Waits until a request is over, and nothing of ours holds it.
    pub(crate) async fn settled(&self, name: &str) -> anyhow::Result<InternalRequest> {
        wait_for(&self.requests(), name, "to be settled", |request| {
            !matches!(reason(request), None | Some("Running")) && request.finalizers().is_empty()
        })
        .await
    }

    pub(crate) async fn delete(&self, name: &str) -> anyhow::Result<()> {
        self.requests().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    pub(crate) async fn gone(&self, name: &str) -> anyhow::Result<()> {
        testkit::wait_gone(&self.requests(), name, DEADLINE).boxed_local().await
    }

    /// Runs that are there.
    pub(crate) async fn all_runs(&self) -> anyhow::Result<Vec<PipelineRun>> {
        Ok(self.runs().list(&ListParams::default()).await?.items)
    }

    /// Waits until there are exactly so many runs.
    pub(crate) async fn has_runs(&self, count: usize) -> anyhow::Result<Vec<PipelineRun>> {
        eventually(DEADLINE, &format!("{count} runs"), async || {
            let runs = self.all_runs().await?;
            anyhow::ensure!(runs.len() == count, "there are {}", runs.len());
            Ok(runs)
        })
        .await
    }

    /// Waits for an Event of the remote cluster with this reason about a request, and returns its note.
    pub(crate) async fn told(&self, name: &str, reason: &str) -> anyhow::Result<String> {
        let events: Api<Event> = Api::namespaced(self.remote_plane.admin(), &self.managed);
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

    /// The sum of a metric where a label has this value, of a histogram that of its counts.
    pub(crate) fn sum(&self, name: &str, label: Option<(&str, &str)>) -> u64 {
        let families = self.metrics.gather();
        let metrics = families.iter().filter(|family| family.name() == name);
        let metrics = metrics.flat_map(MetricFamily::get_metric).filter(|metric| {
            label.is_none_or(|(name, value)| {
                metric.get_label().iter().any(|label| label.name() == name && label.value() == value)
            })
        });
        metrics
            .map(|metric| {
                // All of these are whole numbers.
                let number = metric.get_gauge().get_value() + metric.get_counter().get_value();
                let number: u64 = format!("{number:.0}").parse().expect("a number");
                number + metric.get_histogram().get_sample_count()
            })
            .sum()
    }
}

async fn config(proxy: &Proxy) -> anyhow::Result<Config> {
    let kubeconfig = Kubeconfig::from_yaml(&proxy.kubeconfig())?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// Waits until a request is as it should be. On the heap: what is read into is large, and tests are not optimised.
pub(crate) fn wait_for<'a>(
    api: &'a Api<InternalRequest>,
    name: &'a str,
    what: &'a str,
    is_so: impl Fn(&InternalRequest) -> bool + 'a,
) -> LocalBoxFuture<'a, anyhow::Result<InternalRequest>> {
    testkit::wait_for(api, name, what, DEADLINE, is_so).boxed_local()
}

#[expect(clippy::needless_pass_by_value, reason = "tests give `json!(…)` as it stands")]
pub(crate) fn request(name: &str, spec: Value) -> InternalRequest {
    let object = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "InternalRequest", "metadata": {"name": name}, "spec": spec,
    });
    serde_json::from_value(object).expect("a request")
}

/// The reason of its one condition.
pub(crate) fn reason(request: &InternalRequest) -> Option<&str> {
    let conditions = &request.status.as_ref()?.conditions;
    assert!(conditions.len() <= 1, "callers look at the first: {conditions:?}");
    conditions.first().map(|condition| condition.reason.as_str())
}

pub(crate) fn message(request: &InternalRequest) -> String {
    conditions(request).into_iter().map(|condition| condition.message).collect()
}
