//! The service as it is deployed, but for the pod: its code runs here, with the rights of its base. Runs of tests are played; those
//! of builds are made, ended and signed by the tests.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use application_service_api::{Application, Component, Snapshot};
use clap::Parser as _;
use fleet::{Fleet, Stored};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use integration_service::Args;
use integration_service_api::status::ScenarioStatus;
use integration_service_api::{IntegrationTestScenario, annotations, labels};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use pipelines_engine_api::PipelineRun;
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use release_service_api::ReleasePlan;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::builders::Build as _;
use testkit::engine::{RunScript, Runs};
use testkit::pki::Authority;
use testkit::wait::conditions;
use testkit::{ControlPlane, DEADLINE, Installed, Namespace, PlayedEngine, eventually};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Name of the Application of most tests.
pub(crate) const SHOP: &str = "shop";

const TYPE: &str = "pipelines.appstudio.openshift.io/type";
pub(crate) const SIGNED: &str = "chains.tekton.dev/signed";
/// On the runs of builds and tests.
pub(crate) const RUN_FINALIZER: &str = "test.appstudio.openshift.io/pipelinerun";

/// Kinds of neighbours that do not run.
pub(crate) const NEIGHBOURS: [&str; 5] =
    ["application-service", "gitops-service", "pipelines-as-code", "pipelines-engine", "release-service"];

/// A tenant's namespace, an engine that is played, and an installation of the service that works in this namespace alone.
pub(crate) struct Service {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Namespace<'static>,
    pub(crate) installed: Installed<'static>,
    /// Plays the runs of tests, which succeed where nothing else is said.
    pub(crate) engine: PlayedEngine,
    /// Of the service that runs, or ran last.
    pub(crate) metrics: Registry,
    /// The service trusts what it signs.
    pub(crate) authority: Authority,
    folder: TempDir,
    flags: Vec<String>,
    /// What it may call, by host and port.
    hosts: Vec<String>,
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
    /// Installs the service and starts it. There is the Application [`SHOP`].
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, with these further flags.
    pub(crate) async fn start_with(flags: &[&str]) -> anyhow::Result<Self> {
        let mut service = Self::install().await?;
        for flag in flags {
            service.flag(flag);
        }
        service.run().await?;
        Ok(service)
    }

    /// Installs the service. Nothing runs yet. There is the Application [`SHOP`].
    pub(crate) async fn install() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        for neighbour in NEIGHBOURS {
            plane.install_kinds(neighbour).await?;
        }
        let tenant = plane.namespace("tenant").await?;
        let installed = plane.install("integration-service", None).await?;
        let engine = PlayedEngine::start(plane.admin(), &tenant).await?;
        engine.play(Runs::labelled(TYPE, labels::PIPELINE_TYPE_BUILD), RunScript::never_starts());
        let authority = Authority::new("everything in this test")?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        let service = Self {
            plane,
            tenant,
            installed,
            engine,
            metrics: Registry::new(),
            authority,
            folder,
            flags: Vec::new(),
            hosts: Vec::new(),
            health_port: testkit::free_port()?,
            running: None,
        };
        service.create(&application(SHOP)).await?;
        Ok(service)
    }

    /// Gives it a further flag when it starts.
    pub(crate) fn flag(&mut self, flag: &str) {
        self.flags.push(flag.to_owned());
    }

    /// Lets it call a further host when it starts: an address with its port.
    pub(crate) fn allow(&mut self, url: &str) {
        self.hosts.push(url.trim_start_matches("https://").trim_end_matches('/').to_owned());
    }

    /// Starts the service, also after it was stopped or killed, and waits until it is ready.
    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        let mut flags = vec![
            "integration-service".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            format!("--health-addr=127.0.0.1:{}", self.health_port),
            "--enable-webhooks=false".to_owned(),
            "--identity=test".to_owned(),
            format!("--watch-namespaces={}", self.tenant),
            format!("--namespace={}", self.installed.namespace()),
            format!("--outbound-allow={}", self.hosts.join(",")),
            format!("--ca-bundle={}/ca.crt", self.folder.path().display()),
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
                let fleet = Fleet::new("integration-service", args.fleet.clone(), client, registry, stop)?;
                integration_service::run(args, fleet).await
            }
        });
        self.running = Some(Running { stop, ended, runtime: Some(runtime) });
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
            anyhow::ensure!(tokio::net::TcpStream::connect(address).await.is_err(), "somebody listens");
            Ok(())
        })
        .await
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

    /// Makes an object of the tenant.
    pub(crate) async fn create<K>(&self, object: &K) -> anyhow::Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        Ok(self.api::<K>().create(&PostParams::default(), object).await?)
    }

    /// Changes an object of the tenant by a merge patch.
    pub(crate) async fn patch<K>(&self, name: &str, body: &Value) -> anyhow::Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        Ok(self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(body)).await?)
    }

    /// Changes the status of an object of the tenant by a merge patch: `body` is what is in `status`.
    pub(crate) async fn patch_status<K>(&self, name: &str, body: &Value) -> anyhow::Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let body = json!({ "status": body });
        Ok(self.api::<K>().patch_status(name, &PatchParams::default(), &Patch::Merge(&body)).await?)
    }

    pub(crate) async fn delete<K>(&self, name: &str) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        self.api::<K>().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// All objects of the tenant of a kind, by name.
    pub(crate) async fn all<K>(&self) -> anyhow::Result<Vec<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let mut all = self.api::<K>().list(&ListParams::default()).await?.items;
        all.sort_by_key(ResourceExt::name_any);
        Ok(all)
    }

    /// Waits until there are exactly so many objects of a kind, and returns them by name.
    pub(crate) async fn has<K>(&self, count: usize) -> anyhow::Result<Vec<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        eventually(DEADLINE, &format!("{count} objects of kind {}", K::kind(&())), async || {
            let all = self.all::<K>().await?;
            let names: Vec<_> = all.iter().map(ResourceExt::name_any).collect();
            anyhow::ensure!(all.len() == count, "there are {names:?}");
            Ok(all)
        })
        .await
    }

    /// Waits until an object of the tenant is as it should be.
    pub(crate) async fn until<K>(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&K) -> bool,
    ) -> anyhow::Result<K>
    where
        K: Stored + Serialize + Resource<Scope = NamespaceResourceScope>,
    {
        wait_for(&self.api::<K>(), name, what, holds).await
    }

    /// Waits until an object of the tenant is gone.
    pub(crate) async fn gone<K>(&self, name: &str) -> anyhow::Result<()>
    where
        K: Stored + Serialize + Resource<Scope = NamespaceResourceScope>,
    {
        testkit::wait_gone(&self.api::<K>(), name, DEADLINE).boxed_local().await
    }

    /// Lets a build end well, with these [results].
    pub(crate) async fn finish(&self, run: &str, results: &[(&str, &str)]) -> anyhow::Result<PipelineRun> {
        self.patch_status(run, &ended("True", "Succeeded", results)).await
    }

    /// Lets a build fail.
    pub(crate) async fn fail(&self, run: &str) -> anyhow::Result<PipelineRun> {
        self.patch_status(run, &ended("False", "Failed", &[])).await
    }

    /// Says of a build that it is signed, as chains does.
    pub(crate) async fn sign(&self, run: &str) -> anyhow::Result<PipelineRun> {
        self.patch(run, &json!({"metadata": {"annotations": {SIGNED: "true"}}})).await
    }

    /// A build of a Component, made by [`build_run`], runs, ends well with the image of that [number](image), and is signed.
    pub(crate) async fn build(&self, run: &PipelineRun, number: u64) -> anyhow::Result<()> {
        let name = run.name_any();
        let component = run.labels().get("appstudio.openshift.io/component").cloned().unwrap_or_default();
        self.create(run).await?;
        self.finish(&name, &as_pairs(&results(&component, number))).await?;
        self.sign(&name).await?;
        Ok(())
    }

    /// Waits for the Snapshot of a build, and until the build has no finalizer of ours any more.
    pub(crate) async fn snapshot_of(&self, run: &str) -> anyhow::Result<Snapshot> {
        let is_done = |run: &PipelineRun| {
            annotation(run, annotations::SNAPSHOT.as_str()).is_some()
                && !run.finalizers().iter().any(|finalizer| finalizer == RUN_FINALIZER)
        };
        let run: PipelineRun = self.until(run, "its Snapshot", is_done).await?;
        let name = annotation(&run, annotations::SNAPSHOT.as_str()).unwrap_or_default();
        Ok(self.api::<Snapshot>().get(name).await?)
    }

    /// Waits until a Snapshot has a condition with this reason.
    pub(crate) async fn has_reason(
        &self,
        snapshot: &str,
        type_: &str,
        reason: &str,
    ) -> anyhow::Result<Snapshot> {
        let what = format!("{type_} {reason}");
        self.until(snapshot, &what, |snapshot: &Snapshot| {
            self::reason(snapshot, type_).as_deref() == Some(reason)
        })
        .await
    }

    /// Waits until the entry of a scenario has this status.
    pub(crate) async fn has_entry(
        &self,
        snapshot: &str,
        scenario: &str,
        status: &str,
    ) -> anyhow::Result<Snapshot> {
        let what = format!("{scenario} {status}");
        self.until(snapshot, &what, |snapshot: &Snapshot| {
            entries(snapshot).get(scenario).map(String::as_str) == Some(status)
        })
        .await
    }

    /// Waits for an Event of the tenant with this reason about the object of this name, and returns its note.
    pub(crate) async fn told(&self, name: &str, reason: &str) -> anyhow::Result<String> {
        eventually(DEADLINE, reason, async || {
            let events = self.all::<Event>().await?;
            let about = |event: &&Event| {
                event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(name)
            };
            let found = events.iter().find(about).and_then(|event| event.note.clone());
            found.ok_or_else(|| anyhow::anyhow!("there is none among {} events", events.len()))
        })
        .await
    }

    /// The sum of a metric over its labels, of a histogram that of its counts; 0 if there is none.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let families = self.metrics.gather();
        let metrics = families.iter().filter(|family| family.name() == name);
        let values = metrics.flat_map(MetricFamily::get_metric);
        values
            .map(|metric| {
                let count = u32::try_from(metric.get_histogram().get_sample_count()).unwrap_or(u32::MAX);
                metric.get_gauge().get_value() + metric.get_counter().get_value() + f64::from(count)
            })
            .sum()
    }

    /// Objects beside the service, such as its Secrets.
    pub(crate) fn beside<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.admin(), self.installed.namespace())
    }

    /// A write of somebody who has nothing to do with it, to know that the audit log has what was before.
    pub(crate) async fn touch(&self, name: &str) -> anyhow::Result<()> {
        self.create(&testkit::builders::config_map(&self.tenant, name, [])).await.map(|_: ConfigMap| ())
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

pub(crate) fn application(name: &str) -> Application {
    object("appstudio.redhat.com/v1alpha1", "Application", name, &json!({"displayName": name}))
}

/// A Component of [`SHOP`] that has no image yet.
pub(crate) fn component(name: &str) -> Component {
    let url = format!("https://git.example/acme/{name}");
    let spec = json!({"componentName": name, "application": SHOP, "source": {"git": {"url": url, "revision": "main"}}});
    object("appstudio.redhat.com/v1alpha1", "Component", name, &spec)
}

/// A Component of [`SHOP`] with the image of this [number](image).
pub(crate) fn component_with_image(name: &str, number: u64) -> Component {
    let mut component = component(name);
    component.spec.container_image = Some(image(name, number));
    component
}

/// A required scenario of [`SHOP`] without contexts.
pub(crate) fn scenario(name: &str) -> IntegrationTestScenario {
    scenario_with(name, &json!({}))
}

/// The same, with these fields of the spec beside.
pub(crate) fn scenario_with(name: &str, fields: &Value) -> IntegrationTestScenario {
    let bundle = json!({"name": "bundle", "value": "images.example/tests:v1"});
    let mut spec = json!({
        "application": SHOP,
        "resolverRef": {"resolver": "bundles", "params": [
            bundle, {"name": "name", "value": "test"}, {"name": "kind", "value": "pipeline"},
        ]},
    });
    for (field, value) in fields.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    object("appstudio.redhat.com/v1beta2", "IntegrationTestScenario", name, &spec)
}

/// A scenario that may fail.
pub(crate) fn optional_scenario(name: &str) -> IntegrationTestScenario {
    scenario(name).label(labels::OPTIONAL.as_str(), "true")
}

/// A plan to release [`SHOP`]. `automatic` is the value of its label, absent if empty.
pub(crate) fn plan(name: &str, automatic: &str) -> ReleasePlan {
    let spec = json!({"application": SHOP, "target": "managed"});
    let plan: ReleasePlan = object("appstudio.redhat.com/v1alpha1", "ReleasePlan", name, &spec);
    if automatic.is_empty() {
        plan
    } else {
        plan.label("release.appstudio.openshift.io/auto-release", automatic)
    }
}

/// A Snapshot of [`SHOP`] as a user makes it: images by Component and [number](image).
pub(crate) fn snapshot(name: &str, images: &[(&str, u64)]) -> Snapshot {
    let components: Vec<_> = images
        .iter()
        .map(|(name, number)| json!({"name": name, "containerImage": image(name, *number)}))
        .collect();
    let spec = json!({"application": SHOP, "components": components});
    object("appstudio.redhat.com/v1alpha1", "Snapshot", name, &spec)
}

/// The run of a build of a Component of [`SHOP`], for a push.
pub(crate) fn build_run(name: &str, component: &str) -> PipelineRun {
    let steps = json!([{"name": "build", "image": "images.example/build", "script": "true"}]);
    let spec = json!({"pipelineSpec": {"tasks": [{"name": "build", "taskSpec": {"steps": steps}}]}});
    let run: PipelineRun = object("tekton.dev/v1", "PipelineRun", name, &spec);
    run.label(TYPE, labels::PIPELINE_TYPE_BUILD)
        .label("appstudio.openshift.io/application", SHOP)
        .label("appstudio.openshift.io/component", component)
        .label("pipelinesascode.tekton.dev/event-type", "push")
        .label("pipelinesascode.tekton.dev/git-provider", "github")
        .label("pipelinesascode.tekton.dev/sha", commit(1))
        .label("pipelinesascode.tekton.dev/url-org", "acme")
        .label("pipelinesascode.tekton.dev/url-repository", component)
        .annotation("pipelinesascode.tekton.dev/repo-url", format!("https://git.example/acme/{component}"))
}

/// The run of a build for a pull request at GitHub.
pub(crate) fn pull_request_run(name: &str, component: &str, number: u64) -> PipelineRun {
    build_run(name, component)
        .label("pipelinesascode.tekton.dev/event-type", "pull_request")
        .label("pipelinesascode.tekton.dev/pull-request", number.to_string())
        .annotation("pipelinesascode.tekton.dev/pull-request", number.to_string())
        .annotation("pipelinesascode.tekton.dev/source-branch", "feature")
        .annotation("pipelinesascode.tekton.dev/branch", "main")
}

/// The four results of a build that made the image of this [number](image).
pub(crate) fn results(component: &str, number: u64) -> Vec<(&'static str, String)> {
    vec![
        ("IMAGE_URL", format!("images.example/shop/{component}:latest")),
        ("IMAGE_DIGEST", digest(number)),
        ("CHAINS-GIT_URL", format!("https://git.example/acme/{component}")),
        ("CHAINS-GIT_COMMIT", commit(number)),
    ]
}

pub(crate) fn as_pairs<'a>(results: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    results.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// An image of a Component, by digest.
pub(crate) fn image(component: &str, number: u64) -> String {
    format!("images.example/shop/{component}@{}", digest(number))
}

pub(crate) fn digest(number: u64) -> String {
    format!("sha256:{number:064x}")
}

pub(crate) fn commit(number: u64) -> String {
    format!("{number:040x}")
}

/// The status of a run that has ended now.
pub(crate) fn ended(status: &str, reason: &str, results: &[(&str, &str)]) -> Value {
    ended_at(&fleet::Clock::system().now().to_string(), status, reason, results)
}

/// The status of a run that ended at this time, which is RFC 3339.
pub(crate) fn ended_at(time: &str, status: &str, reason: &str, results: &[(&str, &str)]) -> Value {
    let results: Vec<_> = results.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({
        "startTime": time, "completionTime": time, "results": results,
        "conditions": [{"type": "Succeeded", "status": status, "reason": reason, "message": "", "lastTransitionTime": time}],
    })
}

/// Status of each scenario of a Snapshot, by its name.
pub(crate) fn entries(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let statuses = statuses(snapshot).into_iter();
    statuses
        .map(|entry| (entry.scenario, json!(entry.status).as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// What a Snapshot says of its scenarios.
pub(crate) fn statuses(snapshot: &Snapshot) -> Vec<ScenarioStatus> {
    let annotation = annotation(snapshot, annotations::STATUS.as_str()).unwrap_or("[]");
    serde_json::from_str(annotation).expect("the service writes JSON")
}

/// The reason of a condition, if there is one.
pub(crate) fn reason(object: &impl Serialize, type_: &str) -> Option<String> {
    conditions(object)
        .into_iter()
        .find(|condition| condition.type_ == type_)
        .map(|condition| condition.reason)
}

pub(crate) fn annotation<'a>(object: &'a impl ResourceExt, name: &str) -> Option<&'a str> {
    object.annotations().get(name).map(String::as_str)
}

pub(crate) fn label<'a>(object: &'a impl ResourceExt, name: &str) -> Option<&'a str> {
    object.labels().get(name).map(String::as_str)
}

fn object<K: DeserializeOwned>(api_version: &str, kind: &str, name: &str, spec: &Value) -> K {
    let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    serde_json::from_value(object).expect("test objects have the type that they are made for")
}
