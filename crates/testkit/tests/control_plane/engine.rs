//! The stand-ins for the pipelines engine and for chains, against a real API server.

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, ResourceExt as _};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use testkit::builders::Build as _;
use testkit::engine::{
    PlayedChains, PlayedEngine, RunScript, Runs, Signing, TaskScript, install_crds, pipeline_run,
};
use testkit::wait::{SeenCondition, conditions};
use testkit::{ControlPlane, DEADLINE, Namespace, wait_for};

const SIGNED: &str = "chains.tekton.dev/signed";

/// A namespace, and the engine that plays its runs.
struct Stage {
    namespace: Namespace<'static>,
    engine: PlayedEngine,
}

impl Stage {
    async fn open() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        let namespace = plane.namespace("engine").await?;
        let engine = PlayedEngine::start(plane.admin(), &namespace).await?;
        Ok(Self { namespace, engine })
    }

    fn run(&self, name: &str) -> DynamicObject {
        pipeline_run(&self.namespace, name)
    }

    async fn create(&self, run: &DynamicObject) -> anyhow::Result<DynamicObject> {
        Ok(self.engine.pipeline_runs().create(&PostParams::default(), run).await?)
    }

    async fn patch(&self, name: &str, patch: Value) -> anyhow::Result<()> {
        let runs = self.engine.pipeline_runs();
        runs.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    async fn waits_for(&self, name: &str, reason: &str) -> anyhow::Result<DynamicObject> {
        let has_reason = |run: &DynamicObject| succeeded(run).is_some_and(|found| found.reason == reason);
        wait_for(&self.engine.pipeline_runs(), name, reason, DEADLINE, has_reason).await
    }

    async fn task_runs_of(&self, run: &str) -> anyhow::Result<Vec<DynamicObject>> {
        let its = ListParams::default().labels(&format!("tekton.dev/pipelineRun={run}"));
        Ok(self.engine.task_runs().list(&its).await?.items)
    }
}

fn succeeded(object: &DynamicObject) -> Option<SeenCondition> {
    conditions(object).into_iter().find(|condition| condition.type_ == "Succeeded")
}

fn reason(object: &DynamicObject) -> String {
    succeeded(object).map(|condition| condition.reason).unwrap_or_default()
}

#[tokio::test]
async fn a_run_has_what_integration_service_reads() -> anyhow::Result<()> {
    const SCENARIO: &str = "test.appstudio.openshift.io/scenario";
    let stage = Stage::open().await?;
    let report =
        json!({"result": "SUCCESS", "timestamp": "1704067200", "successes": 3, "failures": 0, "warnings": 0});
    stage.engine.play(
        Runs::labelled(SCENARIO, "lint"),
        RunScript::new()
            .task("lint", TaskScript::succeeds().result("TEST_OUTPUT", report.to_string()))
            .task("report", TaskScript::succeeds().finally())
            .skips("deploy", "When Expressions evaluated to false"),
    );
    let mut run = stage.run("snapshot-lint").label(SCENARIO, "lint").annotation(SIGNED, "true");
    let params = json!([{"name": "SNAPSHOT", "value": r#"{"application": "app"}"#}]);
    run.data["spec"] = json!({"pipelineRef": {"resolver": "git", "params": []}, "params": params});
    stage.create(&run).await?;

    let seen = stage.engine.sees(&Runs::labelled(SCENARIO, "lint")).await?;
    assert_eq!(seen.param("SNAPSHOT").and_then(Value::as_str), Some(r#"{"application": "app"}"#));
    let ended = stage.engine.ended("snapshot-lint").await?;
    let condition = succeeded(&ended).context("it has ended")?;
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "Completed"));
    assert!(!ended.annotations().contains_key(SIGNED), "no engine would let that in");
    assert_eq!(ended.labels()["tekton.dev/pipeline"], "snapshot-lint");

    let references = ended.data["status"]["childReferences"].as_array().context("it has children")?;
    let task_runs = stage.task_runs_of("snapshot-lint").await?;
    let names: Vec<_> = task_runs.iter().map(kube::ResourceExt::name_any).collect();
    let referred: Vec<_> = references.iter().filter_map(|child| child["name"].as_str()).collect();
    assert_eq!(names, ["snapshot-lint-lint", "snapshot-lint-report"]);
    assert_eq!(referred, names);
    let lint = &task_runs[0];
    assert_eq!(lint.labels()[SCENARIO], "lint");
    assert_eq!(lint.owner_references()[0].uid, ended.uid().context("it is stored")?);
    let result = &lint.data["status"]["results"][0];
    assert_eq!((&result["name"], &result["value"]), (&json!("TEST_OUTPUT"), &json!(report.to_string())));
    Ok(())
}

#[tokio::test]
async fn runs_end_in_every_way() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let failing = TaskScript::fails("TaskRunImagePullFailed", "no such image");
    let ways = [
        ("succeeds", RunScript::new().result("LIST", vec!["a", "b"]), "Succeeded"),
        ("task-fails", RunScript::new().task("task", failing), "Failed"),
        ("fails", RunScript::fails("CouldntGetPipelineResult", "no result"), "CouldntGetPipelineResult"),
        ("refused", RunScript::is_refused("CouldntGetPipeline", "no such pipeline"), "CouldntGetPipeline"),
        ("cancelled", RunScript::is_cancelled(), "Cancelled"),
        ("times-out", RunScript::times_out(), "PipelineRunTimeout"),
    ];
    for (name, script, _) in &ways {
        stage.engine.play(Runs::named(*name), script.clone());
        stage.create(&stage.run(name)).await?;
    }
    for (name, _, expected) in &ways {
        assert_eq!(&reason(&stage.engine.ended(name).await?), expected, "{name}");
    }
    let ended = stage.engine.ended("succeeds").await?;
    assert_eq!(ended.data["status"]["results"], json!([{"name": "LIST", "value": ["a", "b"]}]));
    let seen: Vec<_> = stage.engine.seen().iter().map(|run| run.name_any()).collect();
    let names: Vec<_> = ways.iter().map(|(name, ..)| *name).collect();
    assert_eq!(seen, names);
    Ok(())
}

#[tokio::test]
async fn a_run_is_held_until_it_is_let_go_or_cancelled() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    stage.engine.play(Runs::any(), RunScript::never_ends());
    for name in ["held", "cancelled"] {
        stage.create(&stage.run(name)).await?;
        stage.waits_for(name, "Running").await?;
    }
    stage.patch("cancelled", json!({"spec": {"status": "Cancelled"}})).await?;
    assert_eq!(reason(&stage.engine.ended("cancelled").await?), "Cancelled");
    let [task_run] = &stage.task_runs_of("cancelled").await?[..] else { panic!("one task") };
    assert_eq!(reason(task_run), "TaskRunCancelled");
    assert_eq!(task_run.data["spec"]["status"], "TaskRunCancelled");

    assert_eq!(reason(&stage.waits_for("held", "Running").await?), "Running");
    stage.engine.play(Runs::named("held"), RunScript::new());
    assert_eq!(reason(&stage.engine.ended("held").await?), "Succeeded");
    Ok(())
}

#[tokio::test]
async fn runs_do_not_start_before_they_may() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    stage.engine.play(Runs::named("ignored"), RunScript::never_starts());
    let mut pending = stage.run("pending");
    pending.data["spec"]["status"] = json!("PipelineRunPending");
    let mut foreign = stage.run("foreign");
    foreign.data["spec"]["managedBy"] = json!("example.com/other");
    for run in [&stage.run("ignored"), &foreign, &pending] {
        stage.create(run).await?;
    }
    let waiting = stage.waits_for("pending", "PipelineRunPending").await?;
    assert!(waiting.data["status"]["startTime"].is_null());
    stage.patch("pending", json!({"spec": {"status": null}})).await?;
    stage.engine.ended("pending").await?;
    // The other two came before it.
    for name in ["ignored", "foreign"] {
        assert!(stage.engine.pipeline_runs().get(name).await?.data["status"].is_null(), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_name_can_be_used_again() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    stage.create(&stage.run("run")).await?;
    stage.engine.ended("run").await?;
    stage.engine.pipeline_runs().delete("run", &DeleteParams::default()).await?;
    // No garbage collector does it here.
    stage.engine.task_runs().delete("run-task", &DeleteParams::default()).await?;
    stage.create(&stage.run("run")).await?;
    stage.engine.ended("run").await?;
    assert_eq!(stage.engine.seen().len(), 2);
    Ok(())
}

#[tokio::test]
async fn another_engine_goes_on_where_one_has_stopped() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    stage.engine.play(Runs::any(), RunScript::never_ends());
    stage.create(&stage.run("run")).await?;
    let running = stage.waits_for("run", "Running").await?;

    let Stage { namespace, engine } = stage;
    engine.stop().await;
    let client = ControlPlane::shared().await.admin();
    let engine = PlayedEngine::start(client, &namespace).await?;
    let stage = Stage { namespace, engine };
    let ended = stage.engine.ended("run").await?;
    assert_eq!(ended.data["status"]["startTime"], running.data["status"]["startTime"]);
    assert_eq!(stage.task_runs_of("run").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn many_play_beside_each_other_each_in_its_namespace() -> anyhow::Result<()> {
    let (ours, theirs) = tokio::try_join!(Stage::open(), Stage::open())?;
    ours.engine.play(Runs::any(), RunScript::fails("Failed", "ours"));
    for name in ["a", "b", "c"] {
        let (ours_run, theirs_run) = (ours.run(name), theirs.run(name));
        tokio::try_join!(ours.create(&ours_run), theirs.create(&theirs_run))?;
    }
    for name in ["a", "b", "c"] {
        let (ours, theirs) = tokio::try_join!(ours.engine.ended(name), theirs.engine.ended(name))?;
        assert_eq!((reason(&ours), reason(&theirs)), ("Failed".to_owned(), "Succeeded".to_owned()));
    }
    assert_eq!((ours.engine.seen().len(), theirs.engine.seen().len()), (3, 3));
    Ok(())
}

#[tokio::test]
async fn chains_marks_runs_after_their_tasks() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let client = ControlPlane::shared().await.admin();
    let chains = PlayedChains::start(client, &stage.namespace, Signing::Succeeds).await?;
    chains.play(Runs::named("unsigned"), Signing::Never);
    chains.play(Runs::named("failed"), Signing::Fails);
    for name in ["signed", "unsigned", "failed"] {
        stage.create(&stage.run(name)).await?;
    }
    let signed = |value: &'static str| {
        move |run: &DynamicObject| run.annotations().get(SIGNED).is_some_and(|found| found == value)
    };
    let runs = stage.engine.pipeline_runs();
    let run = wait_for(&runs, "signed", "its signature", DEADLINE, signed("true")).await?;
    let [task_run] = &stage.task_runs_of("signed").await?[..] else { panic!("one task") };
    assert_eq!(task_run.annotations().get(SIGNED).map(String::as_str), Some("true"));
    let version = |object: &DynamicObject| object.resource_version()?.parse::<u64>().ok();
    assert!(version(task_run) < version(&run), "the run was marked first");
    wait_for(&runs, "failed", "its mark", DEADLINE, signed("failed")).await?;

    stage.engine.ended("unsigned").await?;
    assert!(!runs.get("unsigned").await?.annotations().contains_key(SIGNED));
    chains.play(Runs::named("unsigned"), Signing::Succeeds);
    wait_for(&runs, "unsigned", "its signature", DEADLINE, signed("true")).await?;
    chains.stop().await;
    Ok(())
}

/// Richer than that of the stand-in, as the engine's own are.
const TASKS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tasks.tekton.dev}
spec:
  group: tekton.dev
  names: {kind: Task, plural: tasks, singular: task, categories: [tekton, tekton-pipelines]}
  scope: Namespaced
  versions:
    - &version
      name: v1beta1
      served: true
      storage: false
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
      subresources: {status: {}}
    - {<<: *version, name: v1, storage: true}
";

#[tokio::test]
async fn definitions_of_the_engine_may_come_later_and_stay() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let client = plane.admin();
    install_crds(&client).await?;
    plane.apply_yaml(TASKS).await?;
    install_crds(&client).await?;
    let definition = Api::<CustomResourceDefinition>::all(client).get("tasks.tekton.dev").await?;
    let versions: Vec<_> = definition.spec.versions.iter().map(|version| version.name.as_str()).collect();
    assert_eq!(versions, ["v1beta1", "v1"]);
    Ok(())
}
