//! The service as it is deployed, but for the pod: its code runs here, with the rights of its base. Runs are played.
//!
//! ```text
//! let mut service = Service::start().await?;              // Application, Snapshot, plan and admission that fit, policy, account
//! service.tenant.create(&release("r")).await?;            // by ALICE, of SNAPSHOT, by PLAN
//! service.has_reason("r", "Released", "Succeeded").await?;
//! ```

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use application_service_api::{Application, Snapshot};
use clap::Parser as _;
use enterprise_contract_api::EnterpriseContractPolicy;
use fleet::{Fleet, Stored};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource, ResourceExt};
use pipelines_engine_api::PipelineRun;
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use release_service::Args;
use release_service_api::{Phase, Release, ReleasePlan, ReleasePlanAdmission, ReleaseServiceConfig, labels};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::builders::{self, Build as _};
use testkit::faults::{Plan, Proxy};
use testkit::pki::Authority;
use testkit::wait::conditions;
use testkit::{ControlPlane, DEADLINE, Installed, Namespace, PlayedEngine, Webhooks, eventually};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Name of the Application of most tests.
pub(crate) const SHOP: &str = "shop";
/// Name of its Snapshot.
pub(crate) const SNAPSHOT: &str = "shop-1";
/// Name of its plan.
pub(crate) const PLAN: &str = "plan";
/// Name of the admission that takes it.
pub(crate) const ADMISSION: &str = "admission";
/// Name of the policy of that admission.
pub(crate) const POLICY: &str = "strict";
/// The account of its pipeline.
pub(crate) const ACCOUNT: &str = "release-bot";
/// Whose name is on a [`release`].
pub(crate) const ALICE: &str = "alice";
/// What `ec-defaults` says.
pub(crate) const EC_BUNDLE: &str = "images.example/ec-task@sha256:0123";

/// Kinds of neighbours that do not run.
pub(crate) const NEIGHBOURS: [&str; 4] =
    ["application-service", "enterprise-contract", "internal-services", "pipelines-engine"];

/// A tenant's namespace and a managed one, each with an engine that is played, and an installation of the service that works in
/// these two alone.
pub(crate) struct Service {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Place,
    pub(crate) managed: Place,
    /// Where the service is: its ReleaseServiceConfig and `ec-defaults` are there.
    pub(crate) home: Place,
    pub(crate) installed: Installed<'static>,
    /// Plays runs of the managed namespace, which succeed where nothing else is said.
    pub(crate) engine: PlayedEngine,
    /// Plays those of the tenant's.
    pub(crate) tenant_engine: PlayedEngine,
    /// Of the service that runs, or ran last.
    pub(crate) metrics: Registry,
    /// Between the service and its API server, after [`Service::meets`].
    pub(crate) proxy: Option<Proxy>,
    folder: TempDir,
    flags: Vec<String>,
    /// What it may call, by host and port.
    hosts: Vec<String>,
    health_port: u16,
    webhook_port: Option<u16>,
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
    /// Installs the service without its webhooks, makes what a Release needs, and starts it.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, with these further flags.
    pub(crate) async fn start_with(flags: &[&str]) -> anyhow::Result<Self> {
        let mut service = Self::install().await?;
        for flag in flags {
            service.flag(flag);
        }
        service.prepare().await?;
        service.run().await?;
        Ok(service)
    }

    /// Installs the service without its webhooks. Nothing runs yet, and nothing is there but `ec-defaults` and the role that
    /// pipelines are bound to.
    pub(crate) async fn install() -> anyhow::Result<Self> {
        Self::install_as(false).await
    }

    /// The same with its webhooks, which are shown objects of the tenant's and of the managed namespace. Until the service runs,
    /// no Release can be made there.
    pub(crate) async fn install_with_webhooks() -> anyhow::Result<Self> {
        Self::install_as(true).await
    }

    async fn install_as(has_webhooks: bool) -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        for neighbour in NEIGHBOURS {
            plane.install_kinds(neighbour).await?;
        }
        let (tenant, managed) = (plane.namespace("tenant").await?, plane.namespace("managed").await?);
        let webhook_port = has_webhooks.then(testkit::free_port).transpose()?;
        let shown = [tenant.name(), managed.name()];
        let webhooks = webhook_port.map(|port| Webhooks { port, ca_pem: None, namespaces: &shown });
        let installed = plane.install("release-service", webhooks).await?;
        tenant.apply_yaml(&fs::read_to_string(in_repository(ROLE))?).await?;
        let authority = Authority::new("everything in this test")?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        let admin = plane.admin();
        let home = Place { name: installed.namespace().to_owned(), namespace: None, admin: admin.clone() };
        let defaults =
            builders::config_map(&home.name, "ec-defaults", [("verify_ec_task_bundle", EC_BUNDLE)]);
        home.create::<ConfigMap>(&defaults).await?;
        Ok(Self {
            plane,
            engine: PlayedEngine::start(admin.clone(), &managed).await?,
            tenant_engine: PlayedEngine::start(admin.clone(), &tenant).await?,
            tenant: Place::of(tenant, &admin),
            managed: Place::of(managed, &admin),
            home,
            installed,
            metrics: Registry::new(),
            proxy: None,
            folder,
            flags: Vec::new(),
            hosts: Vec::new(),
            health_port: testkit::free_port()?,
            webhook_port,
            running: None,
        })
    }

    /// Makes what a Release needs: [`SHOP`], [`SNAPSHOT`], [`PLAN`], [`ADMISSION`], [`POLICY`], [`ACCOUNT`].
    pub(crate) async fn prepare(&self) -> anyhow::Result<()> {
        self.tenant.create(&application(SHOP)).await?;
        self.tenant.create(&snapshot(SNAPSHOT)).await?;
        self.managed.create(&policy(POLICY)).await?;
        let account: ServiceAccount = builders::service_account(&self.managed.name, ACCOUNT);
        self.managed.create(&account).await?;
        self.managed.create(&admission(ADMISSION, &self.tenant.name)).await?;
        self.tenant.create(&plan(PLAN, &self.managed.name)).await?;
        Ok(())
    }

    /// Gives it a further flag when it starts.
    pub(crate) fn flag(&mut self, flag: &str) {
        self.flags.push(flag.to_owned());
    }

    /// Lets it call a further host when it starts: an address with its port, or a URL; by plain HTTP if that says so.
    pub(crate) fn allow(&mut self, url: &str) {
        let host = url.trim_start_matches("https://");
        self.hosts.push(host.trim_end_matches('/').to_owned());
    }

    /// From its next start on, its requests meet what `plan` says.
    pub(crate) async fn meets(&mut self, plan: Plan) -> anyhow::Result<()> {
        self.proxy = Some(Proxy::start("release-service", plan, self.installed.config().await?).await?);
        Ok(())
    }

    /// Starts the service, also after it was stopped or killed, and waits until it is ready and its webhooks are called.
    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        let args = Args::try_parse_from(self.command_line())?;
        self.metrics = Registry::new();
        let (registry, config, stop) =
            (self.metrics.clone(), self.config_of_service().await?, CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let ended = runtime.spawn({
            let stop = stop.clone();
            async move {
                let client = fleet::client::build(config, &registry)?;
                let fleet = Fleet::new("release-service", args.fleet.clone(), client, registry, stop)?;
                release_service::run(args, fleet).await
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
        .await?;
        if self.webhook_port.is_some() {
            self.await_webhooks().await?;
        }
        Ok(())
    }

    fn command_line(&self) -> Vec<String> {
        let home = &self.home.name;
        let mut flags = vec![
            "release-service".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            format!("--health-addr=127.0.0.1:{}", self.health_port),
            "--identity=test".to_owned(),
            format!("--watch-namespaces={},{}", self.tenant.name, self.managed.name),
            format!("--namespace={home}"),
            format!("--service-namespace={home}"),
            format!("--enterprise-contract-config-map={home}/ec-defaults"),
            format!("--outbound-allow={}", self.hosts.join(",")),
            format!("--ca-bundle={}/ca.crt", self.folder.path().display()),
            format!("--enable-webhooks={}", self.webhook_port.is_some()),
        ];
        if let Some(port) = self.webhook_port {
            flags.extend([
                format!("--webhook-addr=127.0.0.1:{port}"),
                "--webhook-names=127.0.0.1".to_owned(),
                format!("--webhook-configuration={}", self.installed.name_of("release-service")),
            ]);
        }
        flags.extend(self.flags.iter().cloned());
        flags
    }

    async fn config_of_service(&self) -> anyhow::Result<Config> {
        let Some(proxy) = &self.proxy else { return self.installed.config().await };
        let kubeconfig = Kubeconfig::from_yaml(&proxy.kubeconfig())?;
        Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }

    /// The API server learns of webhooks and their authority a moment after they are written.
    async fn await_webhooks(&self) -> anyhow::Result<()> {
        let trial = PostParams { dry_run: true, ..PostParams::default() };
        eventually(DEADLINE, "its webhooks to be called", async || {
            let (plans, admissions) =
                (self.tenant.api::<ReleasePlan>(), self.managed.api::<ReleasePlanAdmission>());
            let made = plans.create(&trial, &plan("probe", "nowhere")).await?;
            let is_labelled = label(&made, labels::AUTO_RELEASE.as_str()).is_some();
            anyhow::ensure!(is_labelled, "a plan is not labelled");
            let made = admissions.create(&trial, &admission("probe", "nowhere")).await?;
            let is_labelled = label(&made, labels::BLOCK_RELEASES.as_str()).is_some();
            anyhow::ensure!(is_labelled, "an admission is not labelled");
            let made = self.tenant.api::<Release>().create(&trial, &release("probe")).await?;
            let author = label(&made, labels::AUTHOR.as_str());
            anyhow::ensure!(author != Some(ALICE), "a Release keeps the author that it came with");
            let wrong = plan("probe", "nowhere").label(labels::AUTO_RELEASE.as_str(), "perhaps");
            anyhow::ensure!(plans.create(&trial, &wrong).await.is_err(), "nonsense is accepted");
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

    /// A client of somebody who may do everything, and whom webhooks know by this name.
    pub(crate) fn user(&self, name: &str) -> anyhow::Result<Client> {
        let mut config = self.plane.admin_config();
        config.auth_info.impersonate = Some(name.to_owned());
        config.auth_info.impersonate_groups =
            Some(vec!["system:masters".to_owned(), "system:authenticated".to_owned()]);
        Ok(Client::try_from(config)?)
    }

    /// Makes the ReleaseServiceConfig, or replaces its spec.
    pub(crate) async fn configure(&self, spec: &Value) -> anyhow::Result<()> {
        const NAME: &str = "release-service-config";
        let config: ReleaseServiceConfig =
            object("appstudio.redhat.com/v1alpha1", "ReleaseServiceConfig", NAME, spec);
        let api = self.home.api::<ReleaseServiceConfig>();
        api.patch(NAME, &PatchParams::apply("test").force(), &Patch::Apply(&config)).await?;
        Ok(())
    }

    /// Waits until a Release of the tenant has a condition with this reason.
    pub(crate) async fn has_reason(
        &self,
        release: &str,
        type_: &str,
        reason: &str,
    ) -> anyhow::Result<Release> {
        let what = format!("{type_} {reason}");
        let is_so = |release: &Release| self::reason(release, type_).as_deref() == Some(reason);
        self.tenant.until(release, &what, is_so).await
    }

    /// Waits until `Released` of a Release of the tenant is final, good or bad.
    pub(crate) async fn is_over(&self, release: &str) -> anyhow::Result<Release> {
        let is_over = |release: &Release| {
            let reason = self::reason(release, "Released");
            reason.is_some_and(|reason| reason != "Progressing")
        };
        self.tenant.until(release, "to be over", is_over).await
    }

    /// The name that the run of a phase has, the attempt being counted from 0.
    pub(crate) fn run_of(release: &Release, phase: Phase, attempt: u32) -> String {
        let uid = release.metadata.uid.as_deref().unwrap_or_default();
        let hash = fleet::names::hash(10, &[uid, phase.as_str(), &attempt.to_string()]);
        format!("{}-{hash}", phase.as_str())
    }

    /// Waits for the managed run of a Release, which has this name in the tenant's namespace.
    pub(crate) async fn managed_run(&self, release: &str) -> anyhow::Result<PipelineRun> {
        let release: Release = self.tenant.api().get(release).await?;
        self.managed.until(&Self::run_of(&release, Phase::Managed, 0), "to be there", |_| true).await
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

    /// A write of somebody who has nothing to do with it, to know that the audit log has what was before.
    pub(crate) async fn touch(&self, name: &str) -> anyhow::Result<()> {
        let marker = builders::config_map(&self.tenant.name, name, []);
        self.tenant.create::<ConfigMap>(&marker).await?;
        Ok(())
    }
}

/// A namespace, and what an administrator does there.
pub(crate) struct Place {
    pub(crate) name: String,
    /// Goes with it.
    #[expect(dead_code, reason = "kept until the test is over")]
    namespace: Option<Namespace<'static>>,
    admin: Client,
}

impl Place {
    fn of(namespace: Namespace<'static>, admin: &Client) -> Self {
        Self { name: namespace.name().to_owned(), namespace: Some(namespace), admin: admin.clone() }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.admin.clone(), &self.name)
    }

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

    /// Changes an object by a merge patch.
    pub(crate) async fn patch<K>(&self, name: &str, body: &Value) -> anyhow::Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        Ok(self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(body)).await?)
    }

    /// Changes the status of an object by a merge patch: `body` is what is in `status`.
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

    /// All objects of a kind, by name.
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

    /// Waits until an object is as it should be.
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

    /// Waits until an object is gone.
    pub(crate) async fn gone<K>(&self, name: &str) -> anyhow::Result<()>
    where
        K: Stored + Serialize + Resource<Scope = NamespaceResourceScope>,
    {
        testkit::wait_gone(&self.api::<K>(), name, DEADLINE).boxed_local().await
    }

    /// Waits for an Event with this reason about the object of this name, and returns its note.
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

/// Where the role is that pipelines are bound to.
const ROLE: &str = "deploy/kustomize/components/tenant-roles/release-pipeline.yaml";

/// A file of the repository.
pub(crate) fn in_repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

pub(crate) fn application(name: &str) -> Application {
    object("appstudio.redhat.com/v1alpha1", "Application", name, &json!({"displayName": name}))
}

/// A Snapshot of [`SHOP`] with one image.
pub(crate) fn snapshot(name: &str) -> Snapshot {
    let image = format!("images.example/shop/web@sha256:{:064x}", 1);
    let spec = json!({"application": SHOP, "components": [{"name": "web", "containerImage": image}]});
    object("appstudio.redhat.com/v1alpha1", "Snapshot", name, &spec)
}

pub(crate) fn policy(name: &str) -> EnterpriseContractPolicy {
    let spec = json!({"description": "strict", "publicKey": "k8s://keys/public", "sources": [{"policy": ["oci::images.example/rules:1"]}]});
    object("appstudio.redhat.com/v1alpha1", "EnterpriseContractPolicy", name, &spec)
}

/// A plan to release [`SHOP`] in this managed namespace.
pub(crate) fn plan(name: &str, target: &str) -> ReleasePlan {
    plan_with(name, &json!({"target": target}))
}

/// A plan to release [`SHOP`], with these fields of the spec.
pub(crate) fn plan_with(name: &str, fields: &Value) -> ReleasePlan {
    let spec = with(json!({"application": SHOP}), fields);
    object("appstudio.redhat.com/v1alpha1", "ReleasePlan", name, &spec)
}

/// An admission of [`SHOP`] from this tenant's namespace: [`POLICY`], [`ACCOUNT`], a pipeline by bundle.
pub(crate) fn admission(name: &str, origin: &str) -> ReleasePlanAdmission {
    admission_with(name, origin, &json!({}))
}

/// The same, with these fields of the spec beside.
pub(crate) fn admission_with(name: &str, origin: &str, fields: &Value) -> ReleasePlanAdmission {
    let spec = json!({
        "applications": [SHOP], "origin": origin, "policy": POLICY,
        "pipeline": {"pipelineRef": bundle("push"), "serviceAccountName": ACCOUNT},
    });
    object("appstudio.redhat.com/v1alpha1", "ReleasePlanAdmission", name, &with(spec, fields))
}

/// A `pipelineRef` by resolver `bundles`.
pub(crate) fn bundle(pipeline: &str) -> Value {
    json!({"resolver": "bundles", "params": [
        {"name": "bundle", "value": "images.example/pipelines:v1"},
        {"name": "name", "value": pipeline},
        {"name": "kind", "value": "pipeline"},
    ]})
}

/// A Release of [`SNAPSHOT`] by [`PLAN`], of [`ALICE`] where no webhook says whose it is.
pub(crate) fn release(name: &str) -> Release {
    release_with(name, SNAPSHOT, PLAN, &json!({}))
}

/// The same of another Snapshot or by another plan, with these fields of the spec beside.
pub(crate) fn release_with(name: &str, snapshot: &str, plan: &str, fields: &Value) -> Release {
    let spec = with(json!({"snapshot": snapshot, "releasePlan": plan}), fields);
    let release: Release = object("appstudio.redhat.com/v1alpha1", "Release", name, &spec);
    release.label(labels::AUTHOR.as_str(), ALICE)
}

fn with(mut spec: Value, fields: &Value) -> Value {
    for (field, value) in fields.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    spec
}

/// The reason of a condition, if there is one.
pub(crate) fn reason(object: &impl Serialize, type_: &str) -> Option<String> {
    let condition = conditions(object).into_iter().find(|condition| condition.type_ == type_);
    condition.map(|condition| condition.reason)
}

/// The status of a condition, `True` or `False`, if there is one.
pub(crate) fn truth(object: &impl Serialize, type_: &str) -> Option<String> {
    let condition = conditions(object).into_iter().find(|condition| condition.type_ == type_);
    condition.map(|condition| condition.status)
}

/// The message of a condition; empty if there is none.
pub(crate) fn message(object: &impl Serialize, type_: &str) -> String {
    let condition = conditions(object).into_iter().find(|condition| condition.type_ == type_);
    condition.map(|condition| condition.message).unwrap_or_default()
}

pub(crate) fn annotation<'a>(object: &'a impl ResourceExt, name: &str) -> Option<&'a str> {
    object.annotations().get(name).map(String::as_str)
}

pub(crate) fn label<'a>(object: &'a impl ResourceExt, name: &str) -> Option<&'a str> {
    object.labels().get(name).map(String::as_str)
}

pub(crate) fn object<K: DeserializeOwned>(api_version: &str, kind: &str, name: &str, spec: &Value) -> K {
    let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    serde_json::from_value(object).expect("test objects have the type that they are made for")
}
