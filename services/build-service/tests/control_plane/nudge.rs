//! New images are proposed to the Components that use them.

use application_service_api::Component;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event as Told;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, PostParams};
use pipelines_engine_api::PipelineRun;
use release_service_api::ReleasePlanAdmission;
use serde_json::{Value, json};
use testkit::engine::{RunScript, Runs};
use testkit::forge::Fault;
use testkit::{DEADLINE, PlayedEngine, eventually, wait_for, wait_gone};

use crate::service::Service;

const FINALIZER: &str = "build.appstudio.openshift.io/build-nudge-finalizer";
const PROCESSED: &str = "build.appstudio.openshift.io/component-nudge-processed";
const FAILURES: &str = "build.appstudio.openshift.io/build-nudge-failures";

/// The route by which tokens of the App are made.
const TOKENS: &str = "POST /app/installations/{installation_id}/access_tokens";

/// A service, an engine that is played, and the Components `lib`, which nudges, `app` and `cli`. None of them is built by
/// itself, for they have no model.
struct Scene {
    service: Service,
    engine: PlayedEngine,
}

impl Scene {
    async fn set(nudged: &[&str]) -> anyhow::Result<Self> {
        let mut service = Service::install().await?;
        service.add_app_secret().await?;
        service.flags.push("--nudge-retry-after=1s".to_owned());
        service.github.edit(|model| -> anyhow::Result<()> {
            model.repository("acme/cli")?;
            model.repository("acme/lib")?.make_private();
            Ok(())
        })?;
        let engine = PlayedEngine::start(service.plane.admin(), &service.tenant).await?;
        let scene = Self { service, engine };
        for (name, repository, nudges) in
            [("lib", "acme/lib", nudged), ("app", "acme/app", &[]), ("cli", "acme/cli", &[])]
        {
            let mut component = scene.service.component_of(name, &scene.service.url_of(repository));
            component.spec.build_nudges_ref = nudges.iter().map(|&name| name.to_owned()).collect();
            scene.service.api::<Component>().create(&PostParams::default(), &component).await?;
        }
        Ok(scene)
    }

    async fn start(nudged: &[&str]) -> anyhow::Result<Self> {
        let mut scene = Self::set(nudged).await?;
        scene.service.run().await?;
        Ok(scene)
    }

    /// Makes a run that builds `lib` after a push, as Pipelines-as-Code does.
    async fn build(&self, name: &str, script: RunScript) -> anyhow::Result<PipelineRun> {
        self.engine.play(Runs::named(name), script);
        build(&self.service.api(), name).await
    }

    async fn until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&PipelineRun) -> bool,
    ) -> anyhow::Result<PipelineRun> {
        wait_for(&self.service.api(), name, what, DEADLINE, holds).await
    }

    async fn processed(&self, name: &str) -> anyhow::Result<PipelineRun> {
        self.until(name, "it to be processed", |run| is_processed(run) && !is_held(run)).await
    }

    /// Runs of the updater, by name.
    async fn nudges(&self) -> anyhow::Result<Vec<PipelineRun>> {
        nudges(&self.service.api()).await
    }

    async fn has_nudges(&self, count: usize) -> anyhow::Result<Vec<PipelineRun>> {
        eventually(DEADLINE, &format!("{count} runs of the updater"), async || {
            let runs = self.nudges().await?;
            anyhow::ensure!(runs.len() == count, "there are {}", runs.len());
            anyhow::ensure!(runs.iter().all(|run| run.spec.status.is_empty()), "one is not let go");
            Ok(runs)
        })
        .await
    }

    /// Plays what becomes of runs of the updater from now on.
    fn updater(&self, script: RunScript) {
        self.engine.play(Runs::labelled("build.appstudio.redhat.com/type", "nudge"), script);
    }

    /// Notes of Events that an image was not proposed, each once.
    async fn failures(&self) -> anyhow::Result<Vec<String>> {
        let events = self.service.api::<Told>().list(&ListParams::default()).await?.items;
        let failed =
            events.into_iter().filter(|event| event.reason.as_deref() == Some("ComponentNudgeFailed"));
        let mut notes: Vec<String> = failed.filter_map(|event| event.note).collect();
        notes.sort();
        Ok(notes)
    }
}

/// Makes a run that builds `lib`.
pub(crate) async fn build(runs: &kube::Api<PipelineRun>, name: &str) -> anyhow::Result<PipelineRun> {
    let run = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "labels": {
                "appstudio.openshift.io/component": "lib",
                "appstudio.openshift.io/application": "shop",
                "pipelines.appstudio.openshift.io/type": "build",
            },
            "annotations": {
                "pipelinesascode.tekton.dev/event-type": "Push",
                "build.appstudio.redhat.com/commit_sha": "c0ffee",
                "someone.example/note": "theirs",
            },
            "finalizers": ["test.example/keep"],
        },
        "spec": {"pipelineSpec": {"tasks": [
            {"name": "build", "taskSpec": {"steps": [{"image": "images.example/build", "script": "true"}]}},
        ]}},
    }))?;
    Ok(runs.create(&PostParams::default(), &run).await?)
}

pub(crate) async fn nudges(runs: &kube::Api<PipelineRun>) -> anyhow::Result<Vec<PipelineRun>> {
    let params = ListParams::default().labels("build.appstudio.redhat.com/type=nudge");
    let mut runs = runs.list(&params).await?.items;
    runs.sort_by_key(|run| annotation(run, "build.appstudio.redhat.com/nudged-components").to_owned());
    Ok(runs)
}

/// It makes an image.
pub(crate) fn builds() -> RunScript {
    let digest = format!("sha256:{}", "a".repeat(64));
    RunScript::new().result("IMAGE_URL", "images.example:5000/shop/lib:b7\n").result("IMAGE_DIGEST", digest)
}

fn annotation<'a>(run: &'a PipelineRun, key: &str) -> &'a str {
    run.annotations().get(key).map_or("", String::as_str)
}

pub(crate) fn is_processed(run: &PipelineRun) -> bool {
    annotation(run, PROCESSED) == "true"
}

fn is_held(run: &PipelineRun) -> bool {
    run.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

#[tokio::test]
async fn scenario_18_an_image_is_proposed_to_each_component_that_uses_it() -> anyhow::Result<()> {
    let scene = Scene::start(&["app", "cli", "missing"]).await?;
    let admission: ReleasePlanAdmission = serde_json::from_value(json!({
        "metadata": {"name": "managed"},
        "spec": {"origin": &*scene.service.tenant, "policy": "p", "applications": ["shop"], "data": {"mapping": {
            "components": [{"name": "lib", "repository": "public.example/lib"}],
        }}},
    }))?;
    scene.service.api::<ReleasePlanAdmission>().create(&PostParams::default(), &admission).await?;
    scene.updater(RunScript::never_ends());
    scene.build("lib-1", RunScript::never_ends()).await?;
    scene.until("lib-1", "to be held", is_held).await?;
    assert_eq!(scene.nudges().await?.len(), 0);

    scene.engine.play(Runs::named("lib-1"), builds());
    let runs = scene.has_nudges(2).await?;
    let names: Vec<_> =
        runs.iter().map(|run| annotation(run, "build.appstudio.redhat.com/nudged-components")).collect();
    assert_eq!(names, ["app", "cli"]);
    let run = &runs[0];
    let digest = format!("sha256:{}", "a".repeat(64));
    for (key, value) in [
        ("nudging-component", "lib"),
        ("nudging-pipeline", "lib-1"),
        ("nudging-commit", "c0ffee"),
        ("nudging-image", &format!("images.example:5000/shop/lib:b7@{digest}")),
    ] {
        assert_eq!(annotation(run, &format!("build.appstudio.redhat.com/{key}")), value);
    }
    // Nothing of it waits for ever: what it needs is there.
    let config = scene.service.api::<ConfigMap>().get(&run.name_any()).await?;
    let config: Value = serde_json::from_str(&config.data.unwrap_or_default()["nudge.json"])?;
    assert_eq!(config["repositories"], json!([{"repository": "acme/app", "baseBranches": []}]));
    assert_eq!(config["username"], "konflux[bot]");
    assert_eq!(config["packageRules"][1]["branchName"], "konflux/component-updates/app-lib");
    assert_eq!(
        config["packageRules"][1]["matchPackageNames"],
        json!(["images.example:5000/shop/lib", "public.example/lib"])
    );
    let secret = scene.service.api::<Secret>().get(&run.name_any()).await?;
    let token = secret.data.unwrap_or_default()["nudge"].0.clone();
    let token = String::from_utf8(token)?;
    let reaches = |repository: &str| {
        let repository = repository.to_owned();
        let url = format!("{}/api/v3/repos/{repository}", scene.service.github.url());
        let (token, authority) = (token.clone(), scene.service.authority.cert_pem().to_owned());
        async move {
            let authority = reqwest::Certificate::from_pem(authority.as_bytes())?;
            let client = reqwest::Client::builder().tls_certs_only([authority]).user_agent("test").build()?;
            Ok::<_, anyhow::Error>(client.get(url).bearer_auth(token).send().await?.status().as_u16())
        }
    };
    assert_eq!(reaches("acme/app").await?, 200);
    assert_ne!(reaches("acme/lib").await?, 200, "it is for one repository");
    let step = &run.spec.pipeline_spec.as_ref().expect("a pipeline").tasks[0];
    let step = &step.task_spec.as_ref().expect("a task").task.steps[0];
    assert_eq!(step.image, "konflux/toolbox");
    assert!(
        step.script.contains("RENOVATE_CONFIG_FILE=/configs/nudge.json toolbox update"),
        "{}",
        step.script
    );

    scene.updater(RunScript::new());
    let build = scene.processed("lib-1").await?;
    assert_eq!(build.finalizers(), ["test.example/keep"]);
    for run in &runs {
        // Its token is of no use any more.
        wait_gone(&scene.service.api::<Secret>(), &run.name_any(), DEADLINE).await?;
    }
    assert_eq!(scene.failures().await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn scenario_18_a_build_that_failed_or_whose_component_is_gone_is_let_go() -> anyhow::Result<()> {
    let scene = Scene::start(&["app"]).await?;
    for name in ["lib-1", "lib-2"] {
        scene.build(name, RunScript::never_ends()).await?;
    }
    scene.until("lib-1", "to be held", is_held).await?;
    scene.until("lib-2", "to be held", is_held).await?;
    scene.engine.play(Runs::named("lib-1"), RunScript::fails("Failed", "one failed"));
    scene.processed("lib-1").await?;
    scene.service.api::<Component>().delete("lib", &DeleteParams::default()).await?;
    // The run goes with its Component; the test's own finalizer shows it to us once more.
    scene.until("lib-2", "to be let go", |run| !is_held(run)).await?;
    assert_eq!(scene.nudges().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn scenario_19_a_failure_is_told_and_tried_again() -> anyhow::Result<()> {
    let scene = Scene::start(&["app", "cli"]).await?;
    let app = |run: &kube::core::DynamicObject| {
        run.annotations()
            .get("build.appstudio.redhat.com/nudged-components")
            .is_some_and(|names| names == "app")
    };
    scene.engine.play(Runs::matching(app), RunScript::fails("Failed", "the updater failed"));
    scene.build("lib-1", builds()).await?;
    scene.until("lib-1", "one failure", |run| annotation(run, FAILURES) == "1").await?;
    scene.engine.play(Runs::matching(app), RunScript::new());
    scene.processed("lib-1").await?;
    let failures = scene.failures().await?;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].contains("retry 1/3"), "{failures:?}");
    let names: Vec<_> = scene
        .nudges()
        .await?
        .iter()
        .map(|run| annotation(run, "build.appstudio.redhat.com/nudged-components").to_owned())
        .collect();
    assert_eq!(names, ["app", "app", "cli"], "what succeeded is not done again");
    Ok(())
}

#[tokio::test]
async fn scenario_19_after_three_failures_it_is_given_up() -> anyhow::Result<()> {
    let mut scene = Scene::set(&["app"]).await?;
    scene.service.github.traffic().fail(TOKENS, 1000, Fault::Answer(500));
    scene.service.run().await?;
    scene.build("lib-1", builds()).await?;
    let build = scene.processed("lib-1").await?;
    assert_eq!(annotation(&build, FAILURES), "3");
    let failures = scene.failures().await?;
    assert_eq!(failures.len(), 3, "{failures:?}");
    assert_eq!(scene.nudges().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn scenario_20_an_older_build_does_not_take_back_what_a_newer_one_proposed() -> anyhow::Result<()> {
    let scene = Scene::start(&["app"]).await?;
    let before = scene.build("lib-1", RunScript::never_ends()).await?;
    // Creation times are in whole seconds.
    scene.until("lib-1", "to be held", is_held).await?;
    scene.build("lib-2", builds()).await?;
    scene.processed("lib-2").await?;
    let older = scene.processed("lib-1").await?;
    assert_eq!(older.spec, before.spec);
    // The engine has a label of its own.
    let labels: Vec<_> = older.labels().iter().filter(|(key, _)| !key.starts_with("tekton.dev/")).collect();
    assert_eq!(labels, before.labels().iter().collect::<Vec<_>>());
    let mut annotations = older.annotations().clone();
    annotations.remove(PROCESSED);
    assert_eq!(&annotations, before.annotations());
    assert_eq!(older.finalizers(), ["test.example/keep"]);
    scene.engine.play(Runs::named("lib-1"), builds());
    scene.engine.ended("lib-1").await?;
    assert_eq!(scene.nudges().await?.len(), 1);
    Ok(())
}

/// A repository without credentials hinders no other, and is told of.
#[tokio::test]
async fn what_cannot_be_reached_is_left_out() -> anyhow::Result<()> {
    let mut scene = Scene::set(&["app", "strange"]).await?;
    let component = scene.service.component_of("strange", &scene.service.url_of("others/strange"));
    scene.service.api::<Component>().create(&PostParams::default(), &component).await?;
    scene.service.run().await?;
    scene.build("lib-1", builds()).await?;
    scene.processed("lib-1").await?;
    let note = scene.service.told("ErrorComponentProviderInfo").await?;
    assert!(note.contains("lib") && note.contains("70"), "{note}");
    assert_eq!(scene.nudges().await?.len(), 1);
    assert_eq!(scene.failures().await?, [""; 0]);
    Ok(())
}

/// Also if there is no other, so that no run of the updater tells how it went.
#[tokio::test]
async fn a_build_is_let_go_though_nobody_can_be_reached() -> anyhow::Result<()> {
    let mut scene = Scene::set(&["strange"]).await?;
    let component = scene.service.component_of("strange", &scene.service.url_of("others/strange"));
    scene.service.api::<Component>().create(&PostParams::default(), &component).await?;
    scene.service.run().await?;
    scene.build("lib-1", builds()).await?;
    scene.processed("lib-1").await?;
    assert_eq!(scene.nudges().await?.len(), 0);
    Ok(())
}

/// Of builds of a Component that nudged nobody when they ended nothing is proposed later.
#[tokio::test]
async fn what_was_built_before_is_not_proposed_to_whom_is_nudged_later() -> anyhow::Result<()> {
    let mut scene = Scene::start(&[]).await?;
    scene.build("lib-1", builds()).await?;
    scene.processed("lib-1").await?;
    let body = json!({"spec": {"build-nudges-ref": ["app"]}});
    let patch = kube::api::Patch::Merge(&body);
    scene.service.api::<Component>().patch("lib", &kube::api::PatchParams::default(), &patch).await?;
    scene.service.stop().await?;
    scene.service.run().await?;
    scene.build("lib-2", builds()).await?;
    scene.processed("lib-2").await?;
    let of: Vec<_> = scene
        .nudges()
        .await?
        .iter()
        .map(|run| annotation(run, "build.appstudio.redhat.com/nudging-pipeline").to_owned())
        .collect();
    assert_eq!(of, ["lib-2"]);
    Ok(())
}
