//! The service as it is deployed, but for the pod: its code runs here, with the rights and the webhook of its base. GitHub is
//! a fake with a GitHub App, and runs are played.

use std::fs;
use std::net::SocketAddr;

use clap::Parser as _;
use fleet::Fleet;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event as Told;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use pipelines_as_code::Args;
use pipelines_as_code_api::Repository;
use pipelines_engine_api::PipelineRun;
use prometheus::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::forge::github::event::Event;
use testkit::forge::{App, AppKey, CheckRun, CommentOn, GitHub, NO_COMMIT, NewPull};
use testkit::pki::Authority;
use testkit::{
    ControlPlane, DEADLINE, Installed, Namespace, PlayedEngine, Webhooks, builders, eventually, wait_for,
};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What GitHub signs its events with.
pub(crate) const WEBHOOK_SECRET: &str = "a-secret-of-both";

/// The repository at GitHub, whose owner is an organisation with the member `jane`.
pub(crate) const REPOSITORY: &str = "acme/app";

const APP: u64 = 4711;

/// A tenant with a Repository, a GitHub with the App, an engine that is played, and the service.
pub(crate) struct Service {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Namespace<'static>,
    pub(crate) installed: Installed<'static>,
    pub(crate) github: GitHub,
    pub(crate) engine: PlayedEngine,
    pub(crate) http: reqwest::Client,
    /// Of the service that runs, or ran last.
    pub(crate) metrics: Registry,
    /// The service trusts what it signs.
    pub(crate) authority: Authority,
    /// Listeners of the other replicas, for when it starts.
    pub(crate) peers: Vec<String>,
    folder: TempDir,
    ports: Ports,
    /// Forges that it may call, by host and port.
    forges: Vec<String>,
    running: Option<Running>,
}

#[derive(Clone, Copy)]
struct Ports {
    listener: u16,
    webhook: u16,
}

/// A second replica beside the first, with a spool of its own. It speaks TLS and has no admission webhook.
pub(crate) struct Replica {
    port: u16,
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

/// A run in `.tekton/` of one task.
pub(crate) fn definition(name: &str, annotations: &[(&str, &str)]) -> String {
    let annotations: serde_json::Map<String, Value> = annotations
        .iter()
        .map(|(key, value)| (format!("pipelinesascode.tekton.dev/{key}"), json!(value)))
        .collect();
    let step = json!({"name": "work", "image": "images.example/work", "script": "true"});
    let tasks = json!([{"name": "work", "taskSpec": {"steps": [step]}}]);
    json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"pipelineSpec": {"tasks": tasks}},
    })
    .to_string()
}

pub(crate) const ON_PUSH: [(&str, &str); 2] = [("on-event", "[push]"), ("on-target-branch", "[main]")];
pub(crate) const ON_PULL: [(&str, &str); 2] =
    [("on-event", "[pull_request]"), ("on-target-branch", "[main]")];

impl Service {
    /// Installs the service and starts it; the tenant has the Repository `app`.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut service = Self::install().await?;
        service.repository("app", &json!({"url": service.url()})).await?;
        service.run().await?;
        Ok(service)
    }

    /// Installs the service. Nothing runs yet.
    pub(crate) async fn install() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        let tenant = plane.namespace("tenant").await?;
        let engine = PlayedEngine::start(plane.admin(), &tenant).await?;
        let ports = Ports { listener: testkit::free_port()?, webhook: testkit::free_port()? };
        let authority = Authority::new("everything in this test")?;
        let webhooks =
            Webhooks { port: ports.webhook, ca_pem: Some(authority.cert_pem()), namespaces: &[&tenant] };
        let installed = plane.install("pipelines-as-code", Some(webhooks)).await?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        let leaf = authority.server("webhook", &["127.0.0.1"])?;
        fs::create_dir(folder.path().join("webhook"))?;
        fs::write(folder.path().join("webhook/tls.crt"), &leaf.cert_pem)?;
        fs::write(folder.path().join("webhook/tls.key"), &leaf.key_pem)?;

        let (github, key) = (GitHub::start(&authority)?, AppKey::generate()?);
        let forges = vec![host(github.url())];
        github.edit(|model| -> anyhow::Result<()> {
            model.organization("acme");
            model.member("acme", "jane", testkit::forge::Access::Write)?;
            model.user("mallory");
            model.repository(REPOSITORY)?;
            model.add_app(App {
                id: APP,
                slug: "konflux".to_owned(),
                name: "Konflux".to_owned(),
                owner: "acme".to_owned(),
                public_key: key.public_der(),
            });
            let permissions = ["checks", "contents", "issues", "pull_requests", "statuses", "members"];
            model.install(APP, "acme", &permissions.map(|permission| (permission, "write")));
            Ok(())
        })?;
        let data = [
            ("github-application-id", APP.to_string()),
            ("github-private-key", key.private_pem().to_owned()),
            ("webhook.secret", WEBHOOK_SECRET.to_owned()),
        ];
        let data = data.iter().map(|(key, value)| (*key, value.as_str()));
        let secret = builders::secret(installed.namespace(), "pipelines-as-code-secret", data);
        let secrets: Api<Secret> = Api::namespaced(plane.admin(), installed.namespace());
        secrets.create(&PostParams::default(), &secret).await?;
        Ok(Self {
            plane,
            tenant,
            installed,
            github,
            engine,
            http: reqwest::Client::new(),
            metrics: Registry::new(),
            authority,
            peers: Vec::new(),
            folder,
            ports,
            forges,
            running: None,
        })
    }

    /// Starts the service, also after it was stopped, and waits until it takes deliveries.
    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        self.metrics = Registry::new();
        self.running = Some(self.spawn(self.flags(), self.metrics.clone()).await?);
        // Of a repository that nobody has here: there is an answer to it as soon as all Repositories are known.
        let foreign = json!({
            "ref": "refs/heads/main",
            "before": NO_COMMIT,
            "after": "1".repeat(40),
            "pusher": {"name": "jane"},
            "sender": {"login": "jane"},
            "repository": {"id": 1, "full_name": "other/app", "html_url": "https://forge.example/other/app"},
        });
        eventually(DEADLINE, "the listener to know its Repositories", async || {
            if let Some(mut running) = self.running.take_if(|running| running.ended.is_finished()) {
                (&mut running.ended).await??;
                anyhow::bail!("the service has ended");
            }
            let request = self.http.post(self.listener()).header("x-github-event", "push").json(&foreign);
            let status = request.send().await?.status();
            anyhow::ensure!(status.is_success(), "it answers {status}");
            Ok(())
        })
        .await
    }

    async fn spawn(&self, flags: Vec<String>, registry: Registry) -> anyhow::Result<Running> {
        let args = Args::try_parse_from(flags)?.settled();
        let config = self.installed.config().await?;
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let ended = runtime.spawn({
            let stop = stop.clone();
            async move {
                let client = fleet::client::build(config, &registry)?;
                let fleet = Fleet::new("pipelines-as-code", args.fleet.clone(), client, registry, stop)?;
                pipelines_as_code::run(args, fleet).await
            }
        });
        Ok(Running { stop, ended, runtime: Some(runtime) })
    }

    /// A replica to be. The address of its listener may be told to others before it [runs](Self::run_replica).
    pub(crate) fn replica() -> anyhow::Result<Replica> {
        Ok(Replica { port: testkit::free_port()?, running: None })
    }

    /// Starts a second replica.
    pub(crate) async fn run_replica(&self, replica: &mut Replica) -> anyhow::Result<()> {
        let folder = self.folder.path().display();
        let mut flags = self.common_flags();
        flags.extend([
            "--identity=another".to_owned(),
            "--enable-webhooks=false".to_owned(),
            format!("--port={}", replica.port),
            format!("--spool-dir={folder}/spool-of-another"),
            format!("--tls-dir={folder}/webhook"),
            "--tls-cert=tls.crt".to_owned(),
            "--tls-key=tls.key".to_owned(),
        ]);
        replica.running = Some(self.spawn(flags, Registry::new()).await?);
        Ok(())
    }

    /// Lets the service, when it starts, call a forge whose certificate is by this authority.
    pub(crate) fn trust(&mut self, forge: &str, authority_pem: &str) -> anyhow::Result<()> {
        self.forges.push(host(forge));
        let bundle = self.folder.path().join("ca.crt");
        let known = fs::read_to_string(&bundle)?;
        fs::write(&bundle, format!("{known}\n{authority_pem}"))?;
        Ok(())
    }

    fn flags(&self) -> Vec<String> {
        let folder = self.folder.path().display();
        let mut flags = self.common_flags();
        flags.extend([
            "--identity=test".to_owned(),
            format!("--webhook-addr=127.0.0.1:{}", self.ports.webhook),
            format!("--webhook-cert-dir={folder}/webhook"),
            format!("--port={}", self.ports.listener),
            format!("--spool-dir={folder}/spool"),
        ]);
        if !self.peers.is_empty() {
            flags.push(format!("--peers={}", self.peers.join(",")));
        }
        flags
    }

    fn common_flags(&self) -> Vec<String> {
        vec![
            "pipelines-as-code".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            "--health-addr=127.0.0.1:0".to_owned(),
            format!("--watch-namespaces={}", self.tenant),
            format!("--namespace={}", self.installed.namespace()),
            format!("--github-app-server={}", self.github.url()),
            format!("--outbound-allow={}", self.forges.join(",")),
            format!("--ca-bundle={}/ca.crt", self.folder.path().display()),
        ]
    }

    /// Stops the service gracefully.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut running) = self.running.take() {
            running.stop.cancel();
            (&mut running.ended).await??;
        }
        Ok(())
    }

    /// Ends the service in the middle of what it does, as a crash would.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        drop(self.running.take());
        eventually(DEADLINE, "the port to be free", async || {
            let address = SocketAddr::from(([127, 0, 0, 1], self.ports.listener));
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

    /// Where deliveries go.
    pub(crate) fn listener(&self) -> String {
        format!("http://{}/", SocketAddr::from(([127, 0, 0, 1], self.ports.listener)))
    }

    /// What a person opens to see the repository.
    pub(crate) fn url(&self) -> String {
        format!("{}/{REPOSITORY}", self.github.url())
    }

    /// Sets entries of the service's ConfigMap.
    pub(crate) async fn configure(&self, data: &Value) -> anyhow::Result<()> {
        let maps: Api<ConfigMap> = Api::namespaced(self.admin(), self.installed.namespace());
        let body = json!({"data": data});
        maps.patch("pipelines-as-code", &PatchParams::default(), &Patch::Merge(&body)).await?;
        Ok(())
    }

    /// Makes a Repository of the tenant.
    pub(crate) async fn repository(&self, name: &str, spec: &Value) -> anyhow::Result<Repository> {
        let repository = serde_json::from_value(json!({
            "apiVersion": "pipelinesascode.tekton.dev/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": name, "namespace": &*self.tenant},
            "spec": spec,
        }))?;
        Ok(self.api::<Repository>().create(&PostParams::default(), &repository).await?)
    }

    /// Changes the spec of the Repository `app`.
    pub(crate) async fn change_repository(&self, spec: &Value) -> anyhow::Result<()> {
        let body = json!({"spec": spec});
        self.api::<Repository>().patch("app", &PatchParams::default(), &Patch::Merge(&body)).await?;
        Ok(())
    }

    /// Jane commits files to a branch: the commit, and the event of her push.
    pub(crate) fn commit(&self, branch: &str, files: &[(&str, &str)]) -> anyhow::Result<(String, Event)> {
        self.commit_with("Change it", branch, files)
    }

    pub(crate) fn commit_with(
        &self,
        message: &str,
        branch: &str,
        files: &[(&str, &str)],
    ) -> anyhow::Result<(String, Event)> {
        self.github.edit(|model| {
            let before = model.repo(REPOSITORY)?.head(branch).map_or(NO_COMMIT.to_owned(), str::to_owned);
            let files: Vec<(&str, Option<&[u8]>)> =
                files.iter().map(|(path, content)| (*path, Some(content.as_bytes()))).collect();
            let after = model.commit(REPOSITORY, branch, message, &files)?;
            let reference = format!("refs/heads/{branch}");
            let event =
                testkit::forge::github::event::push(model, REPOSITORY, &reference, &before, &after, "jane")?;
            Ok((after, event))
        })
    }

    /// Opens a pull request to `main`: its number and its event.
    pub(crate) fn open(&self, author: &str, from: &str, head: &str) -> anyhow::Result<(u64, Event)> {
        self.github.edit(|model| {
            let (title, body) = ("Mend it", "");
            let new = NewPull { title, body, author, from, head, base: "main", draft: false };
            let number = model.open_pull(REPOSITORY, new)?;
            let event =
                testkit::forge::github::event::pull_request(model, REPOSITORY, number, "opened", author)?;
            Ok((number, event))
        })
    }

    /// Somebody comments on a pull request, having looked at it: the event.
    pub(crate) fn comment(&self, author: &str, pull: u64, text: &str) -> anyhow::Result<Event> {
        self.github.edit(|model| {
            // GitHub's times are in whole seconds.
            model.advance(jiff::SignedDuration::from_secs(2));
            let id = model.comment(REPOSITORY, CommentOn::Pull(pull), author, text)?;
            testkit::forge::github::event::comment(model, REPOSITORY, id, "created")
        })
    }

    /// Sends a signed event, which has to be accepted.
    pub(crate) async fn deliver(&self, event: &Event) -> anyhow::Result<()> {
        let answer = event.signed(WEBHOOK_SECRET).send(&self.http, &self.listener()).await?;
        let (status, text) = (answer.status(), answer.text().await?);
        anyhow::ensure!(status == reqwest::StatusCode::ACCEPTED, "the delivery is answered {status}: {text}");
        Ok(())
    }

    /// All runs of the tenant, by name.
    pub(crate) async fn runs(&self) -> anyhow::Result<Vec<PipelineRun>> {
        let mut runs = self.api::<PipelineRun>().list(&ListParams::default()).await?.items;
        runs.sort_by_key(ResourceExt::name_any);
        Ok(runs)
    }

    /// Waits until there are so many runs, and returns them.
    pub(crate) async fn has_runs(&self, count: usize) -> anyhow::Result<Vec<PipelineRun>> {
        eventually(DEADLINE, &format!("{count} runs"), async || {
            let runs = self.runs().await?;
            let names: Vec<_> = runs.iter().map(ResourceExt::name_any).collect();
            anyhow::ensure!(runs.len() == count, "there are {names:?}");
            Ok(runs)
        })
        .await
    }

    /// Waits until a run is as it should be.
    pub(crate) async fn until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&PipelineRun) -> bool,
    ) -> anyhow::Result<PipelineRun> {
        wait_for(&self.api(), name, what, DEADLINE, holds).await
    }

    /// Waits for an Event on the Repository `app` with this reason, and returns its note.
    pub(crate) async fn told(&self, reason: &str) -> anyhow::Result<String> {
        eventually(DEADLINE, &format!("an Event {reason}"), async || {
            let events = self.api::<Told>().list(&ListParams::default()).await?.items;
            let seen: Vec<_> =
                events.iter().map(|event| (event.reason.clone(), event.note.clone())).collect();
            let found = events.into_iter().find(|event| event.reason.as_deref() == Some(reason));
            let found = found.ok_or_else(|| anyhow::anyhow!("there are {seen:?}"))?;
            Ok(found.note.unwrap_or_default())
        })
        .await
    }

    /// The check runs of a commit, in the order in which they were made.
    pub(crate) fn checks(&self, commit: &str) -> Vec<CheckRun> {
        self.github.edit(|model| {
            let repository = model.repo(REPOSITORY).ok();
            let checks = repository.map(|repository| repository.check_runs.clone()).unwrap_or_default();
            checks.into_iter().filter(|check| check.head_sha == commit).collect()
        })
    }

    /// Waits for a check run of a commit that is as it should be.
    pub(crate) async fn check(
        &self,
        commit: &str,
        what: &str,
        holds: impl Fn(&CheckRun) -> bool,
    ) -> anyhow::Result<CheckRun> {
        eventually(DEADLINE, &format!("a check run {what}"), async || {
            let checks = self.checks(commit);
            let seen: Vec<_> = checks
                .iter()
                .map(|check| {
                    (check.name.clone(), check.status.clone(), check.conclusion.clone(), check.output.clone())
                })
                .collect();
            let found = checks.into_iter().find(|check| holds(check));
            found.ok_or_else(|| anyhow::anyhow!("there are {seen:?}"))
        })
        .await
    }
}

impl Replica {
    /// Where its listener is.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/", self.port)
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        drop(self.running.take());
    }
}

/// Host and port of an address.
fn host(url: &str) -> String {
    url.trim_start_matches("https://").trim_end_matches('/').to_owned()
}

/// A label or annotation of ours, without its prefix.
pub(crate) fn label<'a>(run: &'a PipelineRun, key: &str) -> &'a str {
    run.labels().get(&format!("pipelinesascode.tekton.dev/{key}")).map_or("", String::as_str)
}

pub(crate) fn annotation<'a>(run: &'a PipelineRun, key: &str) -> &'a str {
    run.annotations().get(&format!("pipelinesascode.tekton.dev/{key}")).map_or("", String::as_str)
}
