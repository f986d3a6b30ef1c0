//! `MintMaker` as it is deployed, but for the pod: its code runs here, with the rights of its own base. Runs are played, and so is
//! what a kubelet says of a pod.

use std::fs;

use application_service_api::Component;
use build_service::mintmaker::{self, Args};
use build_service_api::{DependencyUpdateCheck, DependencyUpdateCheckStatus};
use clap::Parser as _;
use fleet::Fleet;
use futures::{StreamExt as _, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use prometheus::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::engine::{RunScript, Runs};
use testkit::faults::{Moment, Plan, Proxy};
use testkit::forge::{Access, App, AppKey, Fault, GitHub};
use testkit::pki::Authority;
use testkit::rbac::Rare;
use testkit::{
    ControlPlane, DEADLINE, Installed, Namespace, PlayedEngine, builders, eventually, wait_for, wait_gone,
};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const HASH: &str = "mintmaker.appstudio.redhat.com/repo-branch-hash";
const COMPONENT: &str = "mintmaker.appstudio.redhat.com/component";
const PROCESSED: &str = "mintmaker.appstudio.redhat.com/processed";

/// The route by which tokens of the App are made.
const TOKENS: &str = "POST /app/installations/{installation_id}/access_tokens";

struct Mint {
    plane: &'static ControlPlane,
    tenant: Namespace<'static>,
    installed: Installed<'static>,
    github: GitHub,
    engine: PlayedEngine,
    metrics: Registry,
    flags: Vec<String>,
    folder: TempDir,
    /// Between the program and its API server, on a bad day.
    proxy: Option<Proxy>,
    running: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), fleet::Error>>,
    /// Its own, so that it can end with all that the program has started.
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

impl Mint {
    /// A tenant with Components of two repositories, one of which is built from two branches, and all that runs have to wait for.
    async fn install() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        for neighbour in ["application-service", "build-service", "pipelines-engine"] {
            plane.install_kinds(neighbour).await?;
        }
        let tenant = plane.namespace("tenant").await?;
        let installed = plane.install("mintmaker", None).await?;
        let authority = Authority::new("everything in this test")?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        let (github, key) = (GitHub::start(&authority)?, AppKey::generate()?);
        github.edit(|model| -> anyhow::Result<()> {
            model.organization("acme");
            model.member("acme", "jane", Access::Admin)?;
            for (name, branch) in [("acme/app", "main"), ("acme/app", "release/1.x"), ("acme/cli", "main")] {
                if model.repo(name).is_err() {
                    model.repository(name)?;
                }
                model.commit(name, branch, "Begin", &[("Dockerfile", Some(b"FROM scratch\n".as_slice()))])?;
            }
            model.add_app(App {
                id: 4711,
                slug: "konflux".to_owned(),
                name: "Konflux".to_owned(),
                owner: "acme".to_owned(),
                public_key: key.public_der(),
            });
            model.install(
                4711,
                "acme",
                &["contents", "pull_requests", "metadata"].map(|right| (right, "write")),
            );
            Ok(())
        })?;
        let data = [("github-application-id", "4711"), ("github-private-key", key.private_pem())];
        let secret = builders::secret(installed.namespace(), "pipelines-as-code-secret", data);
        let secrets: Api<Secret> = Api::namespaced(plane.admin(), installed.namespace());
        secrets.create(&PostParams::default(), &secret).await?;
        let engine = PlayedEngine::start(plane.admin(), installed.namespace()).await?;
        engine.play(Runs::any(), RunScript::never_ends());
        let mint = Self {
            plane,
            tenant,
            installed,
            github,
            engine,
            metrics: Registry::new(),
            flags: Vec::new(),
            folder,
            proxy: None,
            running: None,
        };
        for (name, application, repository, branch) in [
            ("api", "shop", "acme/app", None),
            ("web", "shop", "acme/app", Some("main")),
            ("old", "shop", "acme/app", Some("release/1.x")),
            ("cli", "tools", "acme/cli", None),
        ] {
            mint.component(name, application, repository, branch).await?;
        }
        Ok(mint)
    }

    async fn start() -> anyhow::Result<Self> {
        let mut mint = Self::install().await?;
        mint.run().await?;
        Ok(mint)
    }

    async fn run(&mut self) -> anyhow::Result<()> {
        self.metrics = Registry::new();
        let mut flags = vec![
            "mintmaker".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            "--health-addr=127.0.0.1:0".to_owned(),
            "--identity=test".to_owned(),
            // One that was killed has not given its lease back.
            format!("--leader-elect={}", self.proxy.is_none()),
            format!("--watch-namespaces={}", self.tenant),
            format!("--namespace={}", self.installed.namespace()),
            format!("--github-app-server={}", self.github.url()),
            format!("--outbound-allow={}", self.github.url().trim_start_matches("https://")),
            format!("--ca-bundle={}/ca.crt", self.folder.path().display()),
        ];
        flags.extend(self.flags.iter().cloned());
        let args = Args::try_parse_from(flags)?;
        let config = match &self.proxy {
            Some(proxy) => {
                let kubeconfig = Kubeconfig::from_yaml(&proxy.kubeconfig())?;
                Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
            }
            None => self.installed.config().await?,
        };
        let registry = self.metrics.clone();
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let ended = runtime.spawn({
            let stop = stop.clone();
            async move {
                let client = fleet::client::build(config, &registry)?;
                let fleet = Fleet::new("mintmaker", args.fleet.clone(), client, registry, stop)?;
                mintmaker::run(args, fleet).await
            }
        });
        self.running = Some(Running { stop, ended, runtime: Some(runtime) });
        Ok(())
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut running) = self.running.take() {
            running.stop.cancel();
            (&mut running.ended).await??;
        }
        Ok(())
    }

    /// Ends the program in the middle of what it does, as a crash would.
    fn kill(&mut self) {
        drop(self.running.take());
    }

    fn admin(&self) -> Client {
        self.plane.admin()
    }

    /// Objects of a kind in the program's own namespace.
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.admin(), self.installed.namespace())
    }

    fn components(&self) -> Api<Component> {
        Api::namespaced(self.admin(), &self.tenant)
    }

    async fn component(
        &self,
        name: &str,
        application: &str,
        repository: &str,
        branch: Option<&str>,
    ) -> anyhow::Result<()> {
        let url = format!("{}/{repository}", self.github.url());
        let component = component(name, application, &url, branch);
        self.components().create(&PostParams::default(), &component).await?;
        Ok(())
    }

    /// Asks for a check, and waits until it is over.
    async fn check(&self, name: &str, spec: &Value) -> anyhow::Result<DependencyUpdateCheckStatus> {
        self.ask(name, spec).await?;
        self.over(name).await
    }

    async fn ask(&self, name: &str, spec: &Value) -> anyhow::Result<()> {
        let check = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?;
        self.api::<DependencyUpdateCheck>().create(&PostParams::default(), &check).await?;
        Ok(())
    }

    async fn over(&self, name: &str) -> anyhow::Result<DependencyUpdateCheckStatus> {
        let is_over = |check: &DependencyUpdateCheck| {
            check.status.as_ref().is_some_and(|status| status.completion_time.is_some())
        };
        let check = wait_for(&self.api(), name, "its completion", DEADLINE, is_over).await?;
        assert_eq!(check.annotations()[PROCESSED], "true");
        Ok(check.status.unwrap_or_default())
    }

    /// All runs, by the Component that they were made for.
    async fn runs(&self) -> anyhow::Result<Vec<PipelineRun>> {
        let mut runs = self.api::<PipelineRun>().list(&ListParams::default()).await?.items;
        runs.sort_by_key(|run| run.labels().get(COMPONENT).cloned());
        Ok(runs)
    }

    async fn names(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.runs().await?.iter().map(|run| run.labels()[COMPONENT].clone()).collect())
    }

    /// Lets all runs succeed, and waits until that is noted.
    async fn let_go(&self) -> anyhow::Result<()> {
        self.engine.play(Runs::any(), RunScript::new());
        eventually(DEADLINE, "all runs to be over", async || {
            let runs = self.runs().await?;
            anyhow::ensure!(runs.iter().all(|run| run.annotations().contains_key(PROCESSED)), "some are not");
            Ok(())
        })
        .await
    }

    /// Has the pod of a run start, as far as its token is concerned: the kubelet misses it.
    async fn pod_starts(&self, run: &PipelineRun) -> anyhow::Result<String> {
        let name = format!("{}-build-pod", run.name_any());
        let tasks = &run.spec.pipeline_spec.as_ref().expect("a pipeline").tasks;
        let volumes = json!(tasks[0].task_spec.as_ref().expect("a task").task.volumes);
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "automountServiceAccountToken": false,
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "volumes": volumes,
                "containers": [{
                    "name": "step", "image": "images.example/x",
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        }))?;
        let pod = self.api::<Pod>().create(&PostParams::default(), &pod).await?;
        let event: Event = serde_json::from_value(json!({
            "metadata": {"name": format!("{name}.1"), "namespace": self.installed.namespace()},
            "involvedObject": {"kind": "Pod", "name": name, "namespace": self.installed.namespace(), "uid": pod.uid()},
            "reason": "FailedMount",
            "message": "MountVolume.SetUp failed for volume \"token\" : references non-existent secret key: renovate-token",
            "type": "Warning",
        }))?;
        self.api::<Event>().create(&PostParams::default(), &event).await?;
        Ok(event.name_any())
    }

    async fn is_answered(&self, event: &str) -> anyhow::Result<()> {
        let is_answered = |event: &Event| event.annotations().contains_key(PROCESSED);
        wait_for(&self.api::<Event>(), event, "an answer", DEADLINE, is_answered).await?;
        Ok(())
    }
}

fn component(name: &str, application: &str, url: &str, branch: Option<&str>) -> Component {
    serde_json::from_value(json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name, "annotations": {"git-provider": "github"}},
        "spec": {
            "componentName": name, "application": application,
            "source": {"git": {"url": url, "revision": branch}},
        },
    }))
    .expect("test objects have the type that they are made for")
}

fn counts(status: &DependencyUpdateCheckStatus) -> [i64; 4] {
    [status.found, status.scheduled, status.skipped, status.failed].map(Option::unwrap_or_default)
}

#[tokio::test]
async fn scenario_22_each_branch_has_one_run_at_a_time() -> anyhow::Result<()> {
    let mut mint = Mint::start().await?;
    // `api` is built from the default branch, which is what `web` names: a run of one is for both.
    let shop =
        json!({"namespaces": [{"namespace": &*mint.tenant, "applications": [{"application": "shop"}]}]});
    assert_eq!(counts(&mint.check("shop", &shop).await?), [3, 2, 1, 0]);
    let runs = mint.runs().await?;
    assert_eq!(runs.len(), 2, "{:?}", mint.names().await?);
    let run = runs.iter().find(|run| run.labels()[COMPONENT] == "old").expect("a run of the branch");
    assert!(run.name_any().starts_with("renovate-"), "{}", run.name_any());
    for (key, value) in [
        ("application", "shop"),
        ("namespace", &*mint.tenant),
        ("git-platform", "github"),
        ("repository", "acme_app"),
        ("branch", "release_1.x"),
    ] {
        assert_eq!(run.labels()[&format!("mintmaker.appstudio.redhat.com/{key}")], value);
    }
    assert_eq!(run.labels()[HASH].len(), 12);
    assert_eq!(run.spec.task_run_template.service_account_name, "mintmaker-controller-manager");
    let config = mint.api::<ConfigMap>().get(&run.name_any()).await?.data.unwrap_or_default();
    let config = config["config.js"].strip_prefix("module.exports = ").expect("JavaScript").trim_end();
    let config: Value = serde_json::from_str(config.trim_end_matches(';'))?;
    assert_eq!(
        (&config["repository"], &config["baseBranches"]),
        (&json!("acme/app"), &json!(["release/1.x"]))
    );
    assert_eq!(config["branchPrefix"], "konflux/mintmaker/");
    let secret = mint.api::<Secret>().get(&run.name_any()).await?;
    assert!(!secret.data.unwrap_or_default().contains_key("renovate-token"), "it comes when the pod starts");

    // Everything goes on, so that a second check finds but one branch to begin with.
    let all = json!({});
    assert_eq!(counts(&mint.check("all", &all).await?), [4, 1, 3, 0]);
    assert_eq!(mint.names().await?.len(), 3);
    mint.stop().await?;
    mint.run().await?;
    mint.let_go().await?;
    for run in &runs {
        wait_gone(&mint.api::<Secret>(), &run.name_any(), DEADLINE).await?;
    }
    // Nothing has changed since they were looked through.
    assert_eq!(counts(&mint.check("again", &all).await?), [4, 0, 4, 0]);
    mint.github.edit(|model| {
        model.commit("acme/cli", "main", "Change it", &[("x", Some(b"y".as_slice()))]).map(drop)
    })?;
    assert_eq!(counts(&mint.check("changed", &all).await?), [4, 1, 3, 0]);
    let names = mint.names().await?;
    assert_eq!((names.len(), names.iter().filter(|name| *name == "cli").count()), (4, 2), "{names:?}");
    Ok(())
}

#[tokio::test]
async fn scenario_22_filters_and_what_is_left_out() -> anyhow::Result<()> {
    let mint = Mint::install().await?;
    let disabled = json!({"metadata": {"annotations": {"mintmaker.appstudio.redhat.com/disabled": "true"}}});
    mint.components().patch("old", &PatchParams::default(), &Patch::Merge(&disabled)).await?;
    mint.component("tagged", "shop", "acme/cli", Some("v1")).await?;
    mint.component("lost", "shop", "acme/cli", Some("nowhere")).await?;
    mint.component("strange", "shop", "others/app", None).await?;
    mint.github.edit(|model| -> anyhow::Result<()> {
        let head = model.repo("acme/cli")?.head("main").unwrap_or_default().to_owned();
        model.repo_mut("acme/cli")?.refs.insert("refs/tags/v1".to_owned(), head);
        Ok(())
    })?;
    let mut mint = mint;
    mint.run().await?;
    let names = ["old", "cli", "tagged", "lost", "strange", "web"];
    let shop = json!({"application": "shop", "components": names});
    let spec = json!({"namespaces": [{"namespace": &*mint.tenant, "applications": [shop]}, {"namespace": "elsewhere"}]});
    let status = mint.check("some", &spec).await?;
    assert_eq!(counts(&status), [4, 1, 1, 2], "{:?}", status.errors);
    let mut failed: Vec<_> = status.errors.iter().map(|error| error.component.as_str()).collect();
    failed.sort_unstable();
    assert_eq!(failed, ["lost", "strange"]);
    let strange = status.errors.iter().find(|error| error.component == "strange").expect("an error");
    assert!(strange.message.contains("70"), "{}", strange.message);
    assert_eq!(mint.names().await?, ["web"]);
    Ok(())
}

#[tokio::test]
async fn a_forge_that_fails_for_a_while_loses_nothing() -> anyhow::Result<()> {
    let mint = Mint::start().await?;
    mint.github.traffic().fail(TOKENS, 2, Fault::Answer(502));
    let tools =
        json!({"namespaces": [{"namespace": &*mint.tenant, "applications": [{"application": "tools"}]}]});
    assert_eq!(counts(&mint.check("tools", &tools).await?), [1, 1, 0, 0]);
    Ok(())
}

#[tokio::test]
async fn the_queue_goes_on_after_a_restart_within_its_limits() -> anyhow::Result<()> {
    let mut mint = Mint::install().await?;
    mint.flags.push("--max-runs=1".to_owned());
    mint.run().await?;
    mint.ask("all", &json!({})).await?;
    let first = eventually(DEADLINE, "a first run", async || {
        let names = mint.names().await?;
        anyhow::ensure!(names.len() == 1, "there are {names:?}");
        Ok(names)
    })
    .await?;
    let is_begun = |check: &DependencyUpdateCheck| {
        check.status.as_ref().is_some_and(|status| status.scheduled == Some(1))
    };
    let check =
        wait_for(&mint.api::<DependencyUpdateCheck>(), "all", "a first run", DEADLINE, is_begun).await?;
    assert_eq!(check.status.unwrap_or_default().completion_time, None);
    assert_eq!(mint.names().await?, first, "there is room for one");
    mint.stop().await?;
    mint.engine.play(Runs::any(), RunScript::new());
    mint.run().await?;
    let status = mint.over("all").await?;
    assert_eq!(status.found, Some(4));
    assert_eq!(status.failed, Some(0));
    assert_eq!(mint.names().await?.len(), 3);
    Ok(())
}

/// The original says that it has taken a check up before it does anything.
#[tokio::test]
async fn what_the_original_has_taken_up_is_not_done_again() -> anyhow::Result<()> {
    let mint = Mint::install().await?;
    let check = serde_json::from_value(
        json!({"metadata": {"name": "old", "annotations": {PROCESSED: "true"}}, "spec": {}}),
    )?;
    mint.api::<DependencyUpdateCheck>().create(&PostParams::default(), &check).await?;
    let mut mint = mint;
    mint.run().await?;
    let tools =
        json!({"namespaces": [{"namespace": &*mint.tenant, "applications": [{"application": "tools"}]}]});
    mint.check("tools", &tools).await?;
    assert_eq!(mint.names().await?, ["cli"]);
    assert_eq!(mint.api::<DependencyUpdateCheck>().get("old").await?.status, None);
    Ok(())
}

#[tokio::test]
async fn scenario_23_the_token_comes_when_the_pod_starts() -> anyhow::Result<()> {
    let mint = Mint::start().await?;
    mint.check("all", &json!({})).await?;
    let runs = mint.runs().await?;
    let of = |name: &str| runs.iter().find(|run| run.labels()[COMPONENT] == name).expect("a run of it");
    let (cli, old) = (of("cli"), of("old"));
    let event = mint.pod_starts(cli).await?;
    mint.is_answered(&event).await?;
    let secret = mint.api::<Secret>().get(&cli.name_any()).await?.data.unwrap_or_default();
    assert!(!secret["renovate-token"].0.is_empty());

    // Without its Component nobody knows which token is right.
    mint.components().delete("old", &DeleteParams::default()).await?;
    let event =
        eventually(DEADLINE, "the run to be cancelled", async || Ok(mint.pod_starts(old).await?)).await?;
    mint.is_answered(&event).await?;
    let run = mint.api::<PipelineRun>().get(&old.name_any()).await?;
    assert_eq!(run.spec.status, "Cancelled");
    let reason = &run.annotations()["mintmaker.appstudio.redhat.com/cancel-reason"];
    assert!(reason.contains("is gone"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let mut mint = Mint::install().await?;
    let ledger = mint.plane.ledger()?;
    let mark = ledger.mark().await?;
    mint.flags.push("--max-runs=2".to_owned());
    mint.run().await?;
    let account = json!({"metadata": {"name": "appstudio-pipeline"}, "secrets": [{"name": "login"}]});
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
        Api::namespaced(mint.admin(), &mint.tenant);
    accounts.create(&PostParams::default(), &serde_json::from_value(account)?).await?;
    mint.ask("all", &json!({})).await?;
    eventually(DEADLINE, "runs", async || {
        anyhow::ensure!(mint.runs().await?.len() == 2, "not yet");
        Ok(())
    })
    .await?;
    let runs = mint.runs().await?;
    mint.components().delete(&runs[1].labels()[COMPONENT], &DeleteParams::default()).await?;
    for run in &runs {
        let event = mint.pod_starts(run).await?;
        mint.is_answered(&event).await?;
    }
    mint.engine.play(Runs::any(), RunScript::new());
    mint.over("all").await?;
    mint.let_go().await?;
    mint.stop().await?;

    let calls = ledger.since(&mark).await?.by(&mint.installed.user()?);
    let no_streaming = "API servers without streaming lists";
    let rare = [
        Rare { verb: "list", resource: "components", because: no_streaming },
        Rare { verb: "list", resource: "dependencyupdatechecks", because: no_streaming },
        Rare { verb: "list", resource: "pipelineruns", because: no_streaming },
        Rare { verb: "list", resource: "events", because: no_streaming },
        Rare { verb: "get", resource: "pipelineruns", because: "a run was made before a crash" },
        Rare { verb: "delete", resource: "pipelineruns", because: "a run was made for a check that is gone" },
        Rare { verb: "patch", resource: "events", because: "the same Event twice" },
        Rare { verb: "create", resource: "events", because: "a token cannot be had" },
        Rare { verb: "create", resource: "leases", because: "the lease is made once" },
    ];
    mint.installed.compare_rules(&calls, &rare)?.check()
}

/// A check of one repository from its beginning to the end of its run, and another that finds nothing new. The program is killed
/// at its nth write, and started again. How many writes it made, and what is left.
async fn drilled(kill: Option<(usize, Moment)>) -> anyhow::Result<(usize, Vec<String>)> {
    let mut mint = Mint::install().await?;
    let proxy = Proxy::start("mintmaker", Plan::calm(), mint.installed.config().await?).await?;
    if let Some((n, moment)) = kill {
        proxy.arm(n, moment);
    }
    mint.proxy = Some(proxy);
    mint.run().await?;
    let tools =
        json!({"namespaces": [{"namespace": &*mint.tenant, "applications": [{"application": "tools"}]}]});
    mint.ask("first", &tools).await?;
    until(&mut mint, async |mint| is_over(mint, "first").await).await?;
    let run = mint.runs().await?.remove(0);
    mint.pod_starts(&run).await?;
    let secrets = mint.api::<Secret>();
    until(&mut mint, async |_| {
        let data = secrets.get(&run.name_any()).await?.data.unwrap_or_default();
        anyhow::ensure!(data.contains_key("renovate-token"), "the token is missing");
        Ok(())
    })
    .await?;
    mint.engine.play(Runs::any(), RunScript::new());
    until(&mut mint, async |mint| {
        let runs = mint.runs().await?;
        anyhow::ensure!(
            runs.iter().all(|run| run.annotations().contains_key(PROCESSED)),
            "some are not over"
        );
        Ok(())
    })
    .await?;
    mint.ask("second", &tools).await?;
    until(&mut mint, async |mint| is_over(mint, "second").await).await?;
    let left = left(&mint).await?;
    Ok((mint.proxy.as_ref().map_or(0, Proxy::writes), left))
}

async fn is_over(mint: &Mint, check: &str) -> anyhow::Result<()> {
    let status = mint.api::<DependencyUpdateCheck>().get(check).await?.status.unwrap_or_default();
    anyhow::ensure!(status.completion_time.is_some(), "{check} is not over");
    Ok(())
}

/// Waits until something holds, and starts the program again when it was killed.
async fn until(mint: &mut Mint, holds: impl AsyncFn(&Mint) -> anyhow::Result<()>) -> anyhow::Result<()> {
    loop {
        let is_killed = {
            let proxy = mint.proxy.as_ref().expect("a proxy");
            tokio::select! {
                () = proxy.sprung() => true,
                held = eventually(DEADLINE, "the flow to go on", async || holds(mint).await) => { held?; false }
            }
        };
        if !is_killed {
            return Ok(());
        }
        mint.kill();
        mint.proxy.as_ref().expect("a proxy").serve_next_process();
        mint.run().await?;
    }
}

/// What tells two days apart, without names and times.
async fn left(mint: &Mint) -> anyhow::Result<Vec<String>> {
    let mut left = Vec::new();
    for run in mint.runs().await? {
        left.push(format!("run of {}, paused: {}", run.labels()[COMPONENT], !run.spec.status.is_empty()));
    }
    for secret in mint.api::<Secret>().list(&ListParams::default()).await? {
        left.push(format!("secret {}", secret.name_any()));
    }
    for map in mint.api::<ConfigMap>().list(&ListParams::default()).await? {
        let words: Vec<_> =
            map.data.iter().flatten().map(|(_, word)| word.chars().take(1).collect::<String>()).collect();
        let purpose = map.labels().get("mintmaker.appstudio.redhat.com/purpose").cloned().unwrap_or_default();
        left.push(format!("map {purpose} {}", words.len()));
    }
    for check in mint.api::<DependencyUpdateCheck>().list(&ListParams::default()).await? {
        left.push(format!("check {} {:?}", check.name_any(), counts(&check.status.unwrap_or_default())));
    }
    left.sort();
    Ok(left)
}

#[tokio::test]
async fn killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    let (writes, calm) = Box::pin(drilled(None)).await?;
    assert!(writes > 10, "it wrote {writes} times");
    assert!(calm.iter().any(|line| line == "check second [1, 0, 1, 0]"), "{calm:#?}");
    let moments = (1..=writes).flat_map(|n| [(n, Moment::Before), (n, Moment::After)]);
    let ended = stream::iter(moments)
        .map(async |(n, moment)| (n, moment, Box::pin(drilled(Some((n, moment)))).await));
    let ended: Vec<_> = ended.buffer_unordered(4).collect().await;
    for (n, moment, outcome) in ended {
        let (_, left) = outcome.map_err(|error| error.context(format!("killed at write {n}, {moment:?}")))?;
        assert_eq!(left, calm, "killed at write {n}, {moment:?}");
    }
    eprintln!("crash drill of mintmaker: {writes} writes, killed before and after each");
    Ok(())
}
