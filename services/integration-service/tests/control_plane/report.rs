//! Results at pull requests (spec, section 4.9; annex, L14), at forges that are played.

use anyhow::Context as _;
use application_service_api::Snapshot;
use integration_service_api::annotations;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::PostParams;
use pipelines_as_code_api::Repository;
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};
use testkit::builders::Build as _;
use testkit::engine::{RunScript, Runs, TaskScript};
use testkit::forge::{
    Access, App, AppKey, CheckRun, CommentOn, CommitStatus, Fault, GitHub, GitLab, Model, NewPull, Pipeline,
};
use testkit::gitea::{Gitea, NewPull as NewPullAtGitea, NewUser, Push};
use testkit::{DEADLINE, eventually};

use crate::service::{
    RUN_FINALIZER, Service, annotation, build_run, component, entries, optional_scenario, scenario, snapshot,
};

const CREATE: &str = "POST /repos/{owner}/{repo}/check-runs";
const PREFIX: &str = "pac.test.appstudio.openshift.io";

/// A pull request of a repository with a Component of its name, at a forge that is played.
struct Pull {
    url: String,
    provider: &'static str,
    sha: String,
    number: u64,
}

/// Opens a pull request of `full_name`, which is made.
fn open(model: &mut Model, full_name: &str, url: &str, provider: &'static str) -> anyhow::Result<Pull> {
    model.repository(full_name)?;
    let sha = model.commit(full_name, "fix", "Fix it", &[("a", Some(b"b"))])?;
    let new = NewPull {
        title: "Fix it",
        body: "",
        author: "alice",
        from: full_name,
        head: "fix",
        base: "main",
        draft: false,
    };
    let number = model.open_pull(full_name, new)?;
    Ok(Pull { url: format!("{url}/{full_name}"), provider, sha, number })
}

impl Pull {
    /// What Pipelines-as-Code says of it, under keys with this prefix.
    fn keys(&self, prefix: &str) -> Vec<(String, String)> {
        let number = self.number.to_string();
        let keys = [
            ("event-type", "pull_request"),
            ("git-provider", self.provider),
            ("sha", self.sha.as_str()),
            ("repo-url", self.url.as_str()),
            ("pull-request", number.as_str()),
        ];
        keys.iter().map(|(key, value)| (format!("{prefix}/{key}"), (*value).to_owned())).collect()
    }

    /// A Snapshot of a build of `component` for it.
    fn snapshot(&self, name: &str, component: &str) -> Snapshot {
        let snapshot = snapshot(name, &[(component, 1)])
            .label("appstudio.openshift.io/component", component)
            .label("test.appstudio.openshift.io/type", "component");
        self.keys(PREFIX)
            .into_iter()
            .fold(snapshot, |snapshot, (key, value)| snapshot.annotation(key.as_str(), value))
    }

    /// The Repository of Pipelines-as-Code. Without a `token` the GitHub App is meant.
    fn repository(&self, name: &str, server: &str, token: Option<&str>) -> Repository {
        let provider = token.map(|_| {
            json!({"type": self.provider, "url": server, "secret": {"name": format!("{name}-token"), "key": "token"}})
        });
        serde_json::from_value(json!({
            "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository",
            "metadata": {"name": name}, "spec": {"url": format!("{}.git", self.url), "git_provider": provider},
        }))
        .expect("it is a Repository")
    }
}

fn secret(name: &str, values: &[(&str, &str)]) -> Secret {
    let values: serde_json::Map<_, _> =
        values.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    serde_json::from_value(json!({"metadata": {"name": name}, "stringData": values})).expect("it is a Secret")
}

/// Makes the Repository, with its token.
async fn connect(service: &Service, pull: &Pull, server: &str, token: Option<&str>) -> anyhow::Result<()> {
    let name = pull.url.rsplit('/').next().context("a name")?;
    if let Some(token) = token {
        service.create(&secret(&format!("{name}-token"), &[("token", token)])).await?;
    }
    service.create(&pull.repository(name, server, token)).await?;
    service.create(&component(name)).await?;
    Ok(())
}

/// A service with the GitHub App 7, which is installed in `acme`.
struct Hub {
    service: Service,
    github: GitHub,
    installation: u64,
    app: Pull,
}

impl Hub {
    async fn start() -> anyhow::Result<Self> {
        let mut service = Service::install().await?;
        let github = GitHub::start(&service.authority)?;
        let key = AppKey::generate()?;
        let url = github.url().to_owned();
        let (app, installation) = github.edit(|model| {
            let pull = open(model, "acme/app", &url, "github")?;
            model.add_app(App {
                id: 7,
                slug: "konflux".to_owned(),
                name: "Konflux".to_owned(),
                owner: "acme".to_owned(),
                public_key: key.public_der(),
            });
            anyhow::Ok((pull, model.install(7, "acme", &[("checks", "write"), ("pull_requests", "write")])))
        })?;
        let app_secret = secret(
            "pipelines-as-code-secret",
            &[("github-application-id", "7"), ("github-private-key", key.private_pem())],
        );
        service.beside::<Secret>().create(&PostParams::default(), &app_secret).await?;
        connect(&service, &app, &url, None).await?;
        service.allow(&url);
        service.flag(&format!("--github-app-server={url}"));
        service.flag("--console-url=https://console.test/{{ namespace }}/{{ pr }}");
        service.flag("--console-url-tasklog=https://console.test/{{ namespace }}/{{ pr }}/{{ task }}");
        service.run().await?;
        Ok(Self { service, github, installation, app })
    }

    fn snapshot(&self, name: &str) -> Snapshot {
        self.of_app(self.app.snapshot(name, "app"))
    }

    fn of_app(&self, snapshot: Snapshot) -> Snapshot {
        snapshot.annotation(&*format!("{PREFIX}/installation-id"), self.installation.to_string())
    }

    fn checks(&self, full_name: &str) -> Vec<CheckRun> {
        self.github
            .edit(|model| model.repo(full_name).map(|found| found.check_runs.clone()).unwrap_or_default())
    }

    /// Waits until there is one check run of a name, and it has this conclusion.
    async fn concludes(&self, full_name: &str, name: &str, conclusion: &str) -> anyhow::Result<CheckRun> {
        eventually(DEADLINE, &format!("{name} {conclusion}"), async || {
            let found = self.checks(full_name);
            let mut of_name = found.iter().filter(|run| run.name == name);
            let (Some(run), None) = (of_name.next(), of_name.next()) else {
                anyhow::bail!("there are {:?}", found.iter().map(|run| &run.name).collect::<Vec<_>>())
            };
            anyhow::ensure!(run.conclusion.as_deref() == Some(conclusion), "it is {run:?}");
            Ok(run.clone())
        })
        .await
    }
}

/// Waits until no test run of a Snapshot has our finalizer.
async fn lets_go(service: &Service) -> anyhow::Result<()> {
    eventually(DEADLINE, "the runs to go", async || {
        let held = |run: &&PipelineRun| run.finalizers().iter().any(|finalizer| finalizer == RUN_FINALIZER);
        let runs = service.all::<PipelineRun>().await?;
        anyhow::ensure!(!runs.is_empty(), "there is no run");
        let held: Vec<_> = runs.iter().filter(held).map(ResourceExt::name_any).collect();
        anyhow::ensure!(held.is_empty(), "{held:?} are held");
        Ok(())
    })
    .await
}

fn tests(scenario: &str) -> Runs {
    Runs::labelled("test.appstudio.openshift.io/scenario", scenario)
}

/// A run with one task, which says this of its test.
fn says(result: &str, note: &str) -> RunScript {
    let output = json!({
        "result": result, "timestamp": "2024-05-22T06:42:21+00:00", "successes": 3, "failures": 1, "warnings": 0,
        "namespace": "suite", "note": note,
    });
    RunScript::new().task("verify", TaskScript::succeeds().result("TEST_OUTPUT", output.to_string()))
}

#[tokio::test]
async fn a13_one_check_for_each_scenario() -> anyhow::Result<()> {
    let hub = Hub::start().await?;
    let service = &hub.service;
    service.engine.play(tests("lint"), says("SUCCESS", "met a.b\nmet c.d"));
    service.engine.play(tests("may-fail"), says("FAILURE", "violated a.b: <b>no</b>"));
    service.engine.play(tests("scan"), says("FAILURE", ""));
    service.create(&scenario("lint")).await?;
    service.create(&scenario("scan")).await?;
    service.create(&optional_scenario("may-fail")).await?;
    service.create(&hub.snapshot("one")).await?;

    let lint = hub.concludes("acme/app", "Konflux / lint / app", "success").await?;
    assert_eq!((lint.external_id.as_str(), &lint.output["title"]), ("lint-app", &json!("Succeeded")));
    let text = lint.output["text"].as_str().unwrap_or_default();
    assert!(text.contains("| [verify](https://console.test/"), "{text}");
    assert!(text.contains("\n- met a.b\n- met c.d"), "{text}");
    assert!(lint.details_url.is_some_and(|url| url.starts_with("https://console.test/")));
    hub.concludes("acme/app", "Konflux / scan / app", "failure").await?;
    let optional = hub.concludes("acme/app", "Konflux / may-fail / app", "neutral").await?;
    assert!(!optional.output.to_string().contains("<b>"), "{:?}", optional.output);

    lets_go(service).await?;
    let found: Snapshot = service
        .until("one", "all reported", |found: &Snapshot| {
            let reported = annotation(found, annotations::GIT_REPORTER_STATUS.as_str()).unwrap_or_default();
            let reported: Value = serde_json::from_str(reported).unwrap_or_default();
            reported["scenarios"].as_object().is_some_and(|scenarios| scenarios.len() == 3)
        })
        .await?;
    assert_eq!(annotation(&found, annotations::GIT_REPORTING_FAILURE.as_str()), None);
    assert_eq!(hub.checks("acme/app").len(), 3);
    Ok(())
}

#[tokio::test]
async fn a19_errors_of_the_forge_make_no_second_check() -> anyhow::Result<()> {
    let hub = Hub::start().await?;
    hub.github.traffic().fail(CREATE, 2, Fault::Answer(500));
    // Of the last one nobody hears that it was made.
    hub.github.traffic().fail(CREATE, 1, Fault::LoseReply);
    hub.service.create(&scenario("lint")).await?;
    hub.service.create(&hub.snapshot("one")).await?;
    hub.concludes("acme/app", "Konflux / lint / app", "success").await?;
    lets_go(&hub.service).await?;
    assert!(hub.github.traffic().count(CREATE) >= 3, "{}", hub.github.traffic());
    assert_eq!(hub.checks("acme/app").len(), 1);
    Ok(())
}

#[tokio::test]
async fn a19_a_check_on_page_three_is_continued() -> anyhow::Result<()> {
    let hub = Hub::start().await?;
    hub.github.edit(|model| {
        let sha = hub.app.sha.clone();
        let ids: Vec<u64> = (0..250).map(|_| model.next_id()).collect();
        let runs = &mut model.repo_mut("acme/app")?.check_runs;
        for (at, id) in ids.into_iter().enumerate() {
            let is_ours = at == 10;
            runs.push(CheckRun {
                id,
                suite: 1,
                app: 7,
                head_sha: sha.clone(),
                name: if is_ours { "Konflux / lint / app".to_owned() } else { format!("other {at}") },
                external_id: if is_ours { "lint-app".to_owned() } else { format!("other-{at}") },
                status: "queued".to_owned(),
                conclusion: None,
                details_url: None,
                started_at: None,
                completed_at: None,
                output: Value::Null,
                annotations: Vec::new(),
            });
        }
        anyhow::Ok(())
    })?;
    hub.service.create(&scenario("lint")).await?;
    hub.service.create(&hub.snapshot("one")).await?;
    hub.concludes("acme/app", "Konflux / lint / app", "success").await?;
    assert_eq!(hub.checks("acme/app").len(), 250);
    Ok(())
}

#[tokio::test]
async fn a19_what_the_forge_refuses_is_recorded_and_holds_nothing() -> anyhow::Result<()> {
    let hub = Hub::start().await?;
    let tokens = "POST /app/installations/{installation_id}/access_tokens";
    hub.github.traffic().fail(tokens, usize::MAX, Fault::Answer(401));
    hub.service.create(&scenario("lint")).await?;
    hub.service.create(&hub.snapshot("one")).await?;
    lets_go(&hub.service).await?;
    let found: Snapshot = hub
        .service
        .until("one", "why it is not reported", |found: &Snapshot| {
            annotation(found, annotations::GIT_REPORTING_FAILURE.as_str()).is_some()
        })
        .await?;
    assert_eq!(entries(&found)["lint"], "TestPassed", "the verdict is what it is");
    let note = hub.service.told("one", "GitReportingFailed").await?;
    assert!(note.contains("does not take our token"), "{note}");
    // Once for each state of the scenario at most.
    assert!(hub.github.traffic().count(tokens) <= 3, "{}", hub.github.traffic());
    Ok(())
}

#[tokio::test]
async fn a_repository_that_hangs_delays_no_other() -> anyhow::Result<()> {
    let hub = Hub::start().await?;
    let url = hub.github.url().to_owned();
    let other = hub.github.edit(|model| open(model, "acme/other", &url, "github"))?;
    connect(&hub.service, &other, &url, None).await?;
    hub.service.create(&scenario("lint")).await?;
    hub.github.traffic().fail(CREATE, 1, Fault::Hang);
    hub.service.create(&hub.snapshot("one")).await?;
    eventually(DEADLINE, "the forge to be asked", async || {
        anyhow::ensure!(hub.github.traffic().count(CREATE) == 1, "{}", hub.github.traffic());
        Ok(())
    })
    .await?;
    let before = std::time::Instant::now();
    hub.service.create(&hub.of_app(other.snapshot("two", "other"))).await?;
    hub.concludes("acme/other", "Konflux / lint / other", "success").await?;
    assert!(before.elapsed().as_secs() < 15, "{:?}", before.elapsed());
    assert_eq!(hub.checks("acme/app").len(), 0);
    Ok(())
}

#[tokio::test]
async fn tests_are_announced_while_the_build_runs() -> anyhow::Result<()> {
    let hub = Hub::start().await?;
    hub.service.create(&scenario("lint")).await?;
    hub.service.engine.play(tests("lint"), says("SUCCESS", ""));
    let run = hub.app.keys("pipelinesascode.tekton.dev").into_iter().fold(
        build_run("run", "app")
            .label("pipelinesascode.tekton.dev/event-type", "pull_request")
            .annotation("pipelinesascode.tekton.dev/installation-id", hub.installation.to_string()),
        |run, (key, value)| run.annotation(key.as_str(), value),
    );
    hub.service.create(&run).await?;
    let announced = |status: &'static str| {
        move |run: &PipelineRun| {
            annotation(run, annotations::SNAPSHOT_CREATION_REPORT.as_str()) == Some(status)
        }
    };
    hub.service.until("run", "announced", announced("BuildPLRInProgress")).await?;
    let checks = hub.checks("acme/app");
    assert_eq!((checks.len(), checks[0].status.as_str()), (1, "queued"), "{checks:?}");
    assert_eq!(checks[0].name, "Konflux / lint / app");
    hub.service.fail("run").await?;
    hub.concludes("acme/app", "Konflux / lint / app", "cancelled").await?;
    hub.service.until("run", "announced", announced("BuildPLRFailed")).await?;
    // Another build of the commit goes on under the same check.
    hub.service.create(&hub.snapshot("one")).await?;
    hub.concludes("acme/app", "Konflux / lint / app", "success").await?;
    Ok(())
}

#[tokio::test]
async fn results_of_a_group_are_at_each_of_its_pull_requests() -> anyhow::Result<()> {
    let hub = Hub::start().await?;
    let url = hub.github.url().to_owned();
    let other = hub.github.edit(|model| open(model, "acme/other", &url, "github"))?;
    connect(&hub.service, &other, &url, None).await?;
    let tenant = hub.service.tenant.to_string();
    hub.service.create(&hub.snapshot("one")).await?;
    hub.service.create(&hub.of_app(other.snapshot("two", "other"))).await?;
    hub.service.create(&scenario("lint")).await?;
    let members: Vec<Value> = ["one", "two", "gone"]
        .iter()
        .map(|name| json!({"namespace": tenant, "snapshot": name, "component": name}))
        .chain([json!({"namespace": "kube-system", "snapshot": "one"})])
        .collect();
    let group = hub
        .snapshot("both")
        .label("test.appstudio.openshift.io/type", "group")
        .annotation(annotations::GROUP_TEST_INFO.as_str(), json!(members).to_string());
    hub.service.create(&group).await?;
    hub.concludes("acme/app", "Konflux / lint / pr group", "success").await?;
    hub.concludes("acme/other", "Konflux / lint / pr group", "success").await?;
    hub.service
        .until("both", "both reported", |found: &Snapshot| {
            let reported = annotation(found, annotations::GIT_REPORTER_STATUS.as_str()).unwrap_or_default();
            reported.contains("lint-one") && reported.contains("lint-two")
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_token_makes_statuses_and_one_comment() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let github = GitHub::start(&service.authority)?;
    let url = github.url().to_owned();
    let pull = github.edit(|model| {
        let pull = open(model, "acme/web", &url, "github")?;
        model.member("acme", "robot", Access::Admin)?;
        anyhow::Ok(pull)
    })?;
    let token = github.token("robot", &["repo"]);
    connect(&service, &pull, &url, Some(&token)).await?;
    service.allow(&url);
    service.run().await?;
    service.create(&scenario("lint")).await?;
    service.create(&pull.snapshot("one", "web")).await?;
    lets_go(&service).await?;
    let on = CommentOn::Pull(pull.number);
    let comments = || {
        github.edit(|model| {
            let repository = model.repo("acme/web")?;
            anyhow::Ok(repository.comments_on(&on).map(|one| one.body.clone()).collect::<Vec<_>>())
        })
    };
    let found = comments()?;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("Konflux / lint / web: Succeeded") && found[0].contains("Snapshot one"),
        "{found:?}"
    );
    let states: Vec<String> = github.edit(|model| {
        let statuses = &model.repo("acme/web")?.statuses;
        let of_lint = statuses.iter().filter(|status| status.context == "Konflux / lint / web");
        anyhow::Ok(of_lint.map(|status| status.state.clone()).collect())
    })?;
    assert_eq!(states.last().map(String::as_str), Some("success"), "{states:?}");
    // Nothing was recorded, as far as the service knows: it finds what it said.
    service.stop().await?;
    let nothing = json!({"metadata": {"annotations": {(annotations::GIT_REPORTER_STATUS.as_str()): null}}});
    service.patch::<Snapshot>("one", &nothing).await?;
    service.run().await?;
    service
        .until("one", "reported again", |found: &Snapshot| {
            annotation(found, annotations::GIT_REPORTER_STATUS.as_str()).is_some()
        })
        .await?;
    assert_eq!(comments()?.len(), 1);
    let count = github.edit(|model| model.repo("acme/web").map(|found| found.statuses.len()))?;
    assert_eq!(count, states.len());
    Ok(())
}

#[tokio::test]
async fn a_merge_request_gets_statuses_of_its_pipeline_and_a_note() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let gitlab = GitLab::start(&service.authority)?;
    let url = gitlab.url().to_owned();
    let pull = gitlab.edit(|model| {
        let pull = open(model, "acme/lib", &url, "gitlab")?;
        model.member("acme", "robot", Access::Maintain)?;
        let id = model.next_id();
        let pipeline = Pipeline { id, sha: pull.sha.clone(), merge_request: pull.number };
        model.repo_mut("acme/lib")?.pipelines.push(pipeline);
        anyhow::Ok(pull)
    })?;
    let token = gitlab.token("robot", &["api"]);
    connect(&service, &pull, &url, Some(&token)).await?;
    service.allow(&url);
    service.run().await?;
    service.create(&scenario("lint")).await?;
    service.engine.play(tests("lint"), says("FAILURE", "violated a.b: bad"));
    service.create(&pull.snapshot("one", "lib")).await?;
    lets_go(&service).await?;
    let (statuses, notes): (Vec<CommitStatus>, Vec<String>) = gitlab.edit(|model| {
        let project = model.repo("acme/lib")?;
        let notes =
            project.comments_on(&CommentOn::Pull(pull.number)).map(|note| note.body.clone()).collect();
        anyhow::Ok((project.statuses.clone(), notes))
    })?;
    let [status] = statuses.as_slice() else { anyhow::bail!("there are {statuses:?}") };
    assert_eq!((status.context.as_str(), status.state.as_str()), ("Konflux / lint / lib", "failed"));
    assert_eq!(status.reference, Some(format!("refs/merge-requests/{}/head", pull.number)));
    assert!(notes.len() == 1 && notes[0].contains("violated a.b: bad"), "{notes:?}");
    Ok(())
}

#[tokio::test]
async fn nobody_is_told_where_no_forge_is_named() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&scenario("lint")).await?;
    service.create(&component("app")).await?;
    let pull =
        Pull { url: "https://git.example/acme/app".to_owned(), provider: "", sha: "x".repeat(40), number: 1 };
    service.create(&pull.snapshot("one", "app")).await?;
    lets_go(&service).await?;
    let found: Snapshot = service.api::<Snapshot>().get("one").await?;
    let why = annotation(&found, annotations::GIT_REPORTING_FAILURE.as_str()).unwrap_or_default();
    assert!(why.contains("git-provider is missing"), "{why:?}");
    Ok(())
}

#[tokio::test]
async fn gitea_shows_a_status_and_a_comment() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let gitea = Gitea::start(&service.authority).await?;
    let forge = gitea.client()?;
    forge.ensure_user(&NewUser { name: "acme", password: "pass-word-1", is_administrator: false }).await?;
    forge.ensure_repository("acme/app", false).await?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("a"), "1")?;
    let push = |branch| Push { repository: "acme/app", branch, folder: folder.path(), message: "Begin" };
    forge.push(&push("main")).await?;
    std::fs::write(folder.path().join("a"), "2")?;
    forge.push(&push("fix")).await?;
    let sha = forge.commit("acme/app", "fix").await?.context("the commit")?;
    let number =
        forge.ensure_pull("acme/app", &NewPullAtGitea { title: "Fix it", head: "fix", base: "main" }).await?;
    let url = gitea.url().trim_end_matches('/').to_owned();
    let pull = Pull { url: format!("{url}/acme/app"), provider: "gitea", sha: sha.clone(), number };
    let token = forge.new_token("acme", "report", &["write:repository", "write:issue"]).await?;
    connect(&service, &pull, &url, Some(&token)).await?;
    service.allow(&url);
    service.run().await?;
    service.create(&scenario("lint")).await?;
    service.create(&pull.snapshot("one", "app")).await?;
    lets_go(&service).await?;
    let statuses = forge.statuses("acme/app", &sha).await?;
    let newest = statuses.iter().find(|status| status.context == "Konflux / lint / app");
    assert_eq!(newest.map(|status| status.state.as_str()), Some("success"), "{statuses:?}");
    let comments = forge.comments("acme/app", number).await?;
    assert!(comments.len() == 1 && comments[0].contains("Konflux / lint / app: Succeeded"), "{comments:?}");
    Ok(())
}
