//! The service as it is deployed, but for the pod: its code runs here, with the rights of its base. GitHub is a fake with a
//! GitHub App, and the registry with the pipelines is played. Applications are not modelled: tests set what
//! application-service would.

use std::fs;
use std::io::Write as _;

use application_service_api::Component;
use build_service::Args;
use build_service_api::{BuildPipelineSelector, BuildStatus};
use clap::Parser as _;
use fleet::Fleet;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event as Told;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use prometheus::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::forge::{Access, App, AppKey, GitHub};
use testkit::pki::Authority;
use testkit::registry::{BundleLayer, PlayedRegistry};
use testkit::{ControlPlane, DEADLINE, Installed, Namespace, builders, eventually, wait_for};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The repository at GitHub, of an organisation that has the App.
pub(crate) const REPOSITORY: &str = "acme/app";

/// Id of the GitHub App.
pub(crate) const APP: u64 = 4711;

/// Where webhooks of repositories are sent to.
pub(crate) const WEBHOOK_TARGET: &str = "https://pac.example";

pub(crate) const REQUEST: &str = "build.appstudio.openshift.io/request";
pub(crate) const STATUS: &str = "build.appstudio.openshift.io/status";
pub(crate) const CLAIM: &str = "fleet.konflux-ci.dev/build-claim";

/// A tenant, a GitHub with the App, a registry with a pipeline, and the service.
pub(crate) struct Service {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Namespace<'static>,
    pub(crate) installed: Installed<'static>,
    pub(crate) github: GitHub,
    pub(crate) registry: PlayedRegistry,
    /// Of the service that runs, or ran last.
    pub(crate) metrics: Registry,
    /// The service trusts what it signs.
    pub(crate) authority: Authority,
    /// Beside those that every test needs.
    pub(crate) flags: Vec<String>,
    /// Where webhooks, and calls of Pipelines-as-Code, go. Empty if the service is not told.
    pub(crate) webhook_target: String,
    app_key: AppKey,
    folder: TempDir,
    /// What it may call, by host and port.
    hosts: Vec<String>,
    running: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), fleet::Error>>,
    /// Its own, so that it can end with all that the service has started.
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
    /// Installs the service with the GitHub App and a selector for all Components of the tenant, and starts it.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut service = Self::install().await?;
        service.add_app_secret().await?;
        service.select("build-pipeline-selector", &json!([{"pipelineRef": service.pipeline_ref()}])).await?;
        service.run().await?;
        Ok(service)
    }

    /// Installs the service. Nothing runs yet, and there is neither the App's Secret nor a selector.
    pub(crate) async fn install() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        for neighbour in ["application-service", "pipelines-as-code", "pipelines-engine", "release-service"] {
            plane.install_kinds(neighbour).await?;
        }
        let tenant = plane.namespace("tenant").await?;
        let installed = plane.install("build-service", None).await?;
        let authority = Authority::new("everything in this test")?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        let (github, app_key) = (GitHub::start(&authority)?, AppKey::generate()?);
        github.edit(|model| -> anyhow::Result<()> {
            model.organization("acme");
            model.member("acme", "jane", Access::Admin)?;
            model.repository(REPOSITORY)?;
            model.add_app(App {
                id: APP,
                slug: "konflux".to_owned(),
                name: "Konflux".to_owned(),
                owner: "acme".to_owned(),
                public_key: app_key.public_der(),
            });
            model.install(APP, "acme", &APP_PERMISSIONS.map(|permission| (permission, "write")));
            Ok(())
        })?;
        let registry = PlayedRegistry::start(&authority)?;
        registry.push_bundle("pipelines/docker-build", "v1", &[pipeline_layer("docker-build", &pipeline())]);
        let hosts = vec![host(github.url()), registry.address().to_owned()];
        Ok(Self {
            plane,
            tenant,
            installed,
            github,
            registry,
            metrics: Registry::new(),
            authority,
            flags: Vec::new(),
            webhook_target: WEBHOOK_TARGET.to_owned(),
            app_key,
            folder,
            hosts,
            running: None,
        })
    }

    /// Starts the service, also after it was stopped.
    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        self.metrics = Registry::new();
        let args = Args::try_parse_from(self.all_flags())?;
        let (registry, config) = (self.metrics.clone(), self.installed.config().await?);
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let ended = runtime.spawn({
            let stop = stop.clone();
            async move {
                let client = fleet::client::build(config, &registry)?;
                let fleet = Fleet::new("build-service", args.fleet.clone(), client, registry, stop)?;
                build_service::run(args, fleet).await
            }
        });
        self.running = Some(Running { stop, ended, runtime: Some(runtime) });
        Ok(())
    }

    fn all_flags(&self) -> Vec<String> {
        let mut flags = vec![
            "build-service".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            "--health-addr=127.0.0.1:0".to_owned(),
            "--identity=test".to_owned(),
            format!("--watch-namespaces={}", self.tenant),
            format!("--namespace={}", self.installed.namespace()),
            format!("--github-app-server={}", self.github.url()),
            format!("--outbound-allow={}", self.hosts.join(",")),
            format!("--ca-bundle={}/ca.crt", self.folder.path().display()),
        ];
        if !self.webhook_target.is_empty() {
            flags.push(format!("--pac-webhook-url={}", self.webhook_target));
        }
        flags.extend(self.flags.iter().cloned());
        flags
    }

    /// Lets the service, when it starts, call a server whose certificate is by this authority.
    pub(crate) fn trust(&mut self, url: &str, authority_pem: &str) -> anyhow::Result<()> {
        self.hosts.push(host(url));
        let mut bundle = fs::File::options().append(true).open(self.folder.path().join("ca.crt"))?;
        bundle.write_all(b"\n")?;
        bundle.write_all(authority_pem.as_bytes())?;
        Ok(())
    }

    /// Lets the service, when it starts, call a server whose certificate is by this test's authority.
    pub(crate) fn permit_tls(&mut self, url: &str) {
        self.hosts.push(host(url));
    }

    /// Lets the service, when it starts, call a server that speaks plain text.
    pub(crate) fn permit(&mut self, url: &str) {
        self.hosts.push(url.trim_end_matches('/').to_owned());
    }

    /// Stops the service gracefully.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut running) = self.running.take() {
            running.stop.cancel();
            (&mut running.ended).await??;
        }
        Ok(())
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

    /// Puts the credentials of the GitHub App where the service looks for them.
    pub(crate) async fn add_app_secret(&self) -> anyhow::Result<()> {
        let id = APP.to_string();
        let data = [("github-application-id", &*id), ("github-private-key", self.app_key.private_pem())];
        let secret = builders::secret(self.installed.namespace(), "pipelines-as-code-secret", data);
        let secrets: Api<Secret> = Api::namespaced(self.admin(), self.installed.namespace());
        secrets.create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    /// Makes a Secret of the tenant with a token for the host of a forge, for these repositories (all if empty).
    pub(crate) async fn add_token(
        &self,
        name: &str,
        forge: &str,
        token: &str,
        repositories: &str,
    ) -> anyhow::Result<()> {
        let host = host(forge);
        let mut secret = builders::secret(&self.tenant, name, [("password", token)]);
        secret.type_ = Some("kubernetes.io/basic-auth".to_owned());
        secret.metadata.labels = Some(
            [
                ("appstudio.redhat.com/credentials".to_owned(), "scm".to_owned()),
                (
                    "appstudio.redhat.com/scm.host".to_owned(),
                    host.split(':').next().unwrap_or_default().to_owned(),
                ),
            ]
            .into(),
        );
        if !repositories.is_empty() {
            let key = "appstudio.redhat.com/scm.repository".to_owned();
            secret.metadata.annotations = Some([(key, repositories.to_owned())].into());
        }
        self.api::<Secret>().create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    /// The pipeline of the registry, as a selector has it.
    pub(crate) fn pipeline_ref(&self) -> Value {
        pipeline_ref("docker-build", &self.bundle())
    }

    /// Image that holds the pipeline.
    pub(crate) fn bundle(&self) -> String {
        format!("{}/pipelines/docker-build:v1", self.registry.address())
    }

    /// Makes a selector of the tenant.
    pub(crate) async fn select(&self, name: &str, selectors: &Value) -> anyhow::Result<()> {
        self.select_in(&self.tenant, name, selectors).await
    }

    /// Makes a selector in some namespace.
    pub(crate) async fn select_in(
        &self,
        namespace: &str,
        name: &str,
        selectors: &Value,
    ) -> anyhow::Result<()> {
        let selector: BuildPipelineSelector =
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"selectors": selectors}}))?;
        let api = Api::namespaced(self.admin(), namespace);
        api.create(&PostParams::default(), &selector).await?;
        Ok(())
    }

    /// URL of the repository at GitHub.
    pub(crate) fn url(&self) -> String {
        self.url_of(REPOSITORY)
    }

    pub(crate) fn url_of(&self, repository: &str) -> String {
        format!("{}/{repository}", self.github.url())
    }

    /// A Component of the repository at GitHub that has all that it needs but a request. It is not there yet.
    pub(crate) fn component(&self, name: &str) -> Component {
        self.component_of(name, &self.url())
    }

    /// As [`Self::component`], of another repository of the same GitHub.
    #[expect(clippy::unused_self, reason = "beside `component`")]
    pub(crate) fn component_of(&self, name: &str, url: &str) -> Component {
        let component = json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1",
            "kind": "Component",
            "metadata": {"name": name, "annotations": {"git-provider": "github"}},
            "spec": {
                "componentName": name, "application": "shop", "containerImage": format!("images.example/shop/{name}"),
                "source": {"git": {"url": url}},
            },
        });
        serde_json::from_value(component).expect("test objects have the type that they are made for")
    }

    /// Creates a Component, and then its model as application-service does.
    pub(crate) async fn create(&self, component: &Component) -> anyhow::Result<()> {
        self.api::<Component>().create(&PostParams::default(), component).await?;
        self.model(&component.name_any(), DEVFILE).await
    }

    /// Creates a Component that asks for something.
    pub(crate) async fn create_asking(&self, mut component: Component, request: &str) -> anyhow::Result<()> {
        component.annotations_mut().insert(REQUEST.to_owned(), request.to_owned());
        self.create(&component).await
    }

    /// Sets the model of a Component.
    pub(crate) async fn model(&self, name: &str, devfile: &str) -> anyhow::Result<()> {
        let body = json!({"status": {"devfile": devfile}});
        self.api::<Component>().patch_status(name, &PatchParams::default(), &Patch::Merge(&body)).await?;
        Ok(())
    }

    /// Sets annotations of a Component, or removes them (null).
    pub(crate) async fn annotate(&self, name: &str, annotations: &Value) -> anyhow::Result<()> {
        let body = json!({"metadata": {"annotations": annotations}});
        self.api::<Component>().patch(name, &PatchParams::default(), &Patch::Merge(&body)).await?;
        Ok(())
    }

    /// Asks for something, and waits until that has been dealt with.
    pub(crate) async fn ask(&self, name: &str, request: &str) -> anyhow::Result<BuildStatus> {
        self.annotate(name, &json!({REQUEST: request})).await?;
        self.handled(name).await
    }

    /// Waits until nothing is asked for any more, and returns what became of it.
    pub(crate) async fn handled(&self, name: &str) -> anyhow::Result<BuildStatus> {
        let what = format!("the request of {name} to be dealt with");
        let is_handled = |component: &Component| {
            let annotations = component.annotations();
            annotations.contains_key(STATUS) && !annotations.contains_key(REQUEST)
        };
        let component = wait_for(&self.api::<Component>(), name, &what, DEADLINE, is_handled).await?;
        anyhow::ensure!(!component.annotations().contains_key(CLAIM), "the claim is left");
        Ok(status(&component))
    }

    /// All runs of the tenant, by name.
    pub(crate) async fn runs(&self) -> anyhow::Result<Vec<PipelineRun>> {
        let mut runs = self.api::<PipelineRun>().list(&ListParams::default()).await?.items;
        runs.sort_by_key(kube::ResourceExt::name_any);
        Ok(runs)
    }

    /// Waits until there are so many runs, and returns them.
    pub(crate) async fn has_runs(&self, count: usize) -> anyhow::Result<Vec<PipelineRun>> {
        eventually(DEADLINE, &format!("{count} runs"), async || {
            let runs = self.runs().await?;
            let names: Vec<_> = runs.iter().map(kube::ResourceExt::name_any).collect();
            anyhow::ensure!(runs.len() == count, "there are {names:?}");
            Ok(runs)
        })
        .await
    }

    /// Waits for an Event with this reason, and returns its note.
    pub(crate) async fn told(&self, reason: &str) -> anyhow::Result<String> {
        self.told_in(&self.tenant, reason).await
    }

    pub(crate) async fn told_in(&self, namespace: &str, reason: &str) -> anyhow::Result<String> {
        let events: Api<Told> = Api::namespaced(self.admin(), namespace);
        eventually(DEADLINE, &format!("an Event {reason}"), async || {
            let events = events.list(&ListParams::default()).await?.items;
            let seen: Vec<_> =
                events.iter().map(|event| (event.reason.clone(), event.note.clone())).collect();
            let found = events.into_iter().find(|event| event.reason.as_deref() == Some(reason));
            let found = found.ok_or_else(|| anyhow::anyhow!("there are {seen:?}"))?;
            Ok(found.note.unwrap_or_default())
        })
        .await
    }

    /// A file of a branch at GitHub.
    pub(crate) fn file(&self, repository: &str, branch: &str, path: &str) -> Option<String> {
        self.github.edit(|model| {
            let found = model.repo(repository).ok()?;
            let commit = model.resolve(found, branch)?;
            let content = model.objects(found).file(&commit.tree, path)?;
            Some(String::from_utf8_lossy(content).into_owned())
        })
    }
}

/// What the App may do where it is installed.
const APP_PERMISSIONS: [&str; 6] = ["checks", "contents", "issues", "pull_requests", "statuses", "members"];

/// The model of a Component with a Dockerfile.
pub(crate) const DEVFILE: &str = "schemaVersion: 2.2.0\nmetadata:\n  name: app\n  language: python\ncomponents:\n- name: \
     dockerfile-build\n  image:\n    imageName: app\n    dockerfile:\n      uri: Dockerfile\n      buildContext: .\n";

/// What stands in the status annotation.
pub(crate) fn status(component: &Component) -> BuildStatus {
    let text = component.annotations().get(STATUS).map_or("{}", String::as_str);
    serde_json::from_str(text).unwrap_or_default()
}

/// A pipeline with the params and workspaces of a build.
pub(crate) fn pipeline() -> Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "docker-build"},
        "spec": {
            "params": [
                {"name": "git-url", "type": "string"},
                {"name": "revision", "type": "string", "default": ""},
                {"name": "output-image", "type": "string"},
                {"name": "path-context", "type": "string", "default": "."},
                {"name": "dockerfile", "type": "string", "default": "Dockerfile"},
                {"name": "skip-checks", "type": "string", "default": "false"},
                {"name": "image-expires-after", "default": ""},
                {"name": "hermetic", "type": "string", "default": "true"},
            ],
            "workspaces": [{"name": "workspace"}, {"name": "git-auth", "optional": true}, {"name": "other", "optional": true}],
            "tasks": [{
                "name": "build",
                "taskRef": {"resolver": "bundles", "params": [
                    {"name": "name", "value": "buildah"},
                    {"name": "bundle", "value": "images.example/task-buildah:1"},
                    {"name": "kind", "value": "task"},
                ]},
            }],
        },
    })
}

/// A layer of a bundle with an object.
pub(crate) fn pipeline_layer<'a>(name: &'a str, pipeline: &Value) -> BundleLayer<'a> {
    BundleLayer { kind: "pipeline", name, content: pipeline.to_string().into_bytes() }
}

/// A pipeline of a bundle, as a selector has it.
pub(crate) fn pipeline_ref(name: &str, bundle: &str) -> Value {
    json!({"resolver": "bundles", "params": [
        {"name": "name", "value": name},
        {"name": "bundle", "value": bundle},
        {"name": "kind", "value": "pipeline"},
    ]})
}

/// Host and port of an address.
pub(crate) fn host(url: &str) -> String {
    let rest = url.trim_start_matches("https://");
    rest.split('/').next().unwrap_or_default().to_owned()
}
