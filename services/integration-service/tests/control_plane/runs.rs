//! Test runs and what they come to (spec, sections 4.3 and 4.4).

use anyhow::ensure;
use application_service_api::Snapshot;
use integration_service_api::{IntegrationTestScenario, annotations, labels};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::ResourceExt as _;
use pipelines_engine_api::{PipelineRun, ResolutionRequest};
use serde_json::{Value, json};
use testkit::builders::Build as _;
use testkit::engine::{RunScript, Runs, TaskScript};
use testkit::{DEADLINE, eventually};

use crate::service::{
    RUN_FINALIZER, SHOP, Service, annotation, entries, image, label, optional_scenario, reason, scenario,
    scenario_with, snapshot, statuses,
};

const TEST_SUCCEEDED: &str = "AppStudioTestSucceeded";
const STATUS: &str = "AppStudioIntegrationStatus";

fn of(scenario: &str) -> Runs {
    Runs::labelled(labels::SCENARIO.as_str(), scenario)
}

/// A run with one task, which runs on.
pub(crate) fn running() -> RunScript {
    RunScript::never_ends().task("test", TaskScript::never_ends())
}

/// The same run, once that task succeeds.
pub(crate) fn passing() -> RunScript {
    RunScript::new().task("test", TaskScript::succeeds())
}

/// Of a pull request, which nobody reports.
fn of_pull_request(snapshot: Snapshot) -> Snapshot {
    snapshot.label("pac.test.appstudio.openshift.io/event-type", "pull_request")
}

fn is_held(run: &PipelineRun) -> bool {
    run.finalizers().iter().any(|finalizer| finalizer == RUN_FINALIZER)
}

fn output(result: &str, failures: i64, timestamp: &str) -> TaskScript {
    let output = json!({"result": result, "timestamp": timestamp, "successes": 1, "failures": failures, "warnings": 0});
    TaskScript::succeeds().result("TEST_OUTPUT", output.to_string())
}

/// The run of a scenario, by its entry.
async fn run_of(service: &Service, snapshot: &str, scenario: &str) -> anyhow::Result<PipelineRun> {
    let snapshot = service.has_entry(snapshot, scenario, "InProgress").await?;
    let entry = statuses(&snapshot).into_iter().find(|entry| entry.scenario == scenario);
    let name = entry.and_then(|entry| entry.test_pipeline_run_name).unwrap_or_default();
    Ok(service.api().get(&name).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn acceptance_6_valid_scenarios_run_with_the_snapshot_and_nothing_foreign() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::labelled("pipelines.appstudio.openshift.io/type", "test"), running());
    let nowhere = json!({"name": "nowhere", "type": "POC"}).to_string();
    let invalid = scenario("invalid").annotation(annotations::ENVIRONMENT.as_str(), nowhere);
    service.create(&invalid).await?;
    let kind = annotations::KIND.as_str();
    service
        .create(&scenario("must").annotation(kind, "smoke").annotation("note", "its").label("team", "a"))
        .await?;
    service.create(&optional_scenario("may")).await?;
    let is_invalid = |scenario: &IntegrationTestScenario| {
        reason(scenario, "IntegrationTestScenarioValid").as_deref() == Some("Invalid")
    };
    service.until("invalid", "its condition", is_invalid).await?;

    let made = snapshot("made", &[("web", 1)])
        .label("team", "b")
        .label("pac.test.appstudio.openshift.io/sha", "abc")
        .annotation("build.appstudio.redhat.com/commit_sha", "abc")
        .annotation("note", "mine");
    service.create(&made).await?;
    service.has_reason("made", STATUS, "InProgress").await?;
    let made = service.has_entry("made", "may", "InProgress").await?;
    ensure!(entries(&made)["must"] == "InProgress" && entries(&made)["invalid"] == "TestInvalid");
    let must = run_of(&service, "made", "must").await?;
    let may = run_of(&service, "made", "may").await?;
    ensure!(service.all::<PipelineRun>().await?.len() == 2);

    let spec =
        json!({"application": SHOP, "components": [{"name": "web", "containerImage": image("web", 1)}]});
    let given = must.spec.params.iter().find(|param| param.name == "SNAPSHOT").expect("it has the Snapshot");
    ensure!(serde_json::from_str::<Value>(given.value.as_str().unwrap_or_default())? == spec);
    ensure!(must.spec.pipeline_ref.as_ref().is_some_and(|pipeline| pipeline.resolver == "bundles"));
    ensure!(label(&must, "pac.test.appstudio.openshift.io/sha") == Some("abc"));
    ensure!(label(&must, labels::SNAPSHOT.as_str()) == Some("made"));
    ensure!(label(&must, "team").is_none() && annotation(&must, "note").is_none());
    ensure!(annotation(&must, kind) == Some("smoke") && label(&must, labels::OPTIONAL.as_str()).is_none());
    ensure!(label(&may, labels::OPTIONAL.as_str()) == Some("true"));
    ensure!(annotation(&must, "build.appstudio.redhat.com/commit_sha") == Some("abc") && is_held(&must));
    ensure!(must.owner_references()[0].uid == made.uid().unwrap_or_default());

    // A scenario that comes while others still run is run as well.
    service.create(&scenario("late")).await?;
    service.has_entry("made", "late", "InProgress").await?;

    // 17: deleted in the middle of its work.
    service.delete::<PipelineRun>(&must.name_any()).await?;
    service.has_entry("made", "must", "Deleted").await?;
    service.gone::<PipelineRun>(&must.name_any()).await?;
    service.engine.play(of("late"), passing());
    service.has_reason("made", TEST_SUCCEEDED, "Failed").await?;

    // 7: what is optional still appears; nobody waits for it.
    service.engine.play(of("may"), RunScript::fails("Failed", "no").task("test", TaskScript::succeeds()));
    service.has_entry("made", "may", "TestFail").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn acceptance_7_and_8_outputs_are_judged() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let rfc3339 = "2024-01-31T12:00:00.5+01:00";
    let mixed = RunScript::new()
        .task("a", output("WARNING", 0, "1706702400"))
        .task("b", output("SKIPPED", 0, rfc3339))
        .task("c", output("SUCCESS", 0, rfc3339))
        .task("d", TaskScript::succeeds().result("SCAN_OUTPUT", "{}"));
    let scripts = [
        ("mixed", mixed),
        (
            "good",
            RunScript::new()
                .task("a", output("SUCCESS", 0, rfc3339))
                .task("b", output("SKIPPED", 0, rfc3339)),
        ),
        (
            "bad",
            RunScript::new()
                .task("a", output("SUCCESS", 0, rfc3339))
                .task("b", output("FAILURE", 2, rfc3339)),
        ),
        ("malformed", RunScript::new().task("a", output("SUCCESS", -1, rfc3339))),
        ("failing", RunScript::fails("Failed", "Tasks Completed: 1")),
    ];
    for (name, script) in scripts {
        service.create(&optional_scenario(name)).await?;
        service.engine.play(of(name), script);
    }
    service.create(&snapshot("made", &[("web", 1)])).await?;
    let made = service.has_reason("made", TEST_SUCCEEDED, "Passed").await?;
    ensure!(reason(&made, STATUS).as_deref() == Some("Finished"), "none is required");
    for (name, status) in [
        ("mixed", "TestWarning"),
        ("good", "TestPassed"),
        ("bad", "TestFail"),
        ("malformed", "TestFail"),
        ("failing", "TestFail"),
    ] {
        service.has_entry("made", name, status).await?;
    }
    let made = service.api::<Snapshot>().get("made").await?;
    let details = |name: &str| {
        statuses(&made)
            .into_iter()
            .find(|entry| entry.scenario == name)
            .map(|entry| entry.details)
            .unwrap_or_default()
    };
    ensure!(details("bad") == "b: FAILURE, 2 failed", "{}", details("bad"));
    ensure!(
        details("malformed").contains("failures must be a whole number, 0 or more"),
        "{}",
        details("malformed")
    );
    ensure!(details("failing").ends_with("failed: Failed: Tasks Completed: 1"), "{}", details("failing"));
    for run in service.all::<PipelineRun>().await? {
        service.until(&run.name_any(), "no finalizer", |run: &PipelineRun| !is_held(run)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn acceptance_9_what_happens_while_it_is_down_is_made_up_for() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    for name in ["ends", "goes", "vanishes"] {
        service.create(&scenario(name)).await?;
        service.engine.play(of(name), running());
    }
    service.create(&snapshot("made", &[("web", 1)])).await?;
    service.create(&of_pull_request(snapshot("forgotten", &[("web", 2)]))).await?;
    let ends = run_of(&service, "made", "ends").await?.name_any();
    let goes = run_of(&service, "made", "goes").await?.name_any();
    let vanishes = run_of(&service, "made", "vanishes").await?.name_any();
    let orphan = run_of(&service, "forgotten", "ends").await?.name_any();
    service.stop().await?;

    service.engine.play(of("ends"), passing());
    service.engine.ended(&ends).await?;
    service.delete::<PipelineRun>(&goes).await?;
    service.patch::<PipelineRun>(&vanishes, &json!({"metadata": {"finalizers": null}})).await?;
    service.delete::<PipelineRun>(&vanishes).await?;
    service.gone::<PipelineRun>(&vanishes).await?;
    service.delete::<Snapshot>("forgotten").await?;
    // As garbage collection does.
    service.delete::<PipelineRun>(&orphan).await?;

    service.run().await?;
    service.has_entry("made", "ends", "TestPassed").await?;
    service.until(&ends, "no finalizer", |run: &PipelineRun| !is_held(run)).await?;
    service.has_entry("made", "goes", "Deleted").await?;
    service.gone::<PipelineRun>(&goes).await?;
    service.has_entry("made", "vanishes", "Deleted").await?;
    service.has_reason("made", TEST_SUCCEEDED, "Failed").await?;
    service.gone::<PipelineRun>(&orphan).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn acceptance_10_twenty_that_end_at_once_are_all_recorded() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let tests = Runs::labelled("pipelines.appstudio.openshift.io/type", "test");
    service.engine.play(tests.clone(), running());
    for number in 0..20 {
        service.create(&scenario(&format!("s{number:02}"))).await?;
    }
    service.create(&snapshot("made", &[("web", 1)])).await?;
    let all_run = |snapshot: &Snapshot| {
        let entries = entries(snapshot);
        entries.len() == 20 && entries.values().all(|status| status == "InProgress")
    };
    service.until("made", "20 runs", all_run).await?;
    service.engine.play(tests, passing());
    let made = service.has_reason("made", TEST_SUCCEEDED, "Passed").await?;
    ensure!(entries(&made).values().all(|status| status == "TestPassed"), "{:?}", entries(&made));
    ensure!(service.all::<PipelineRun>().await?.len() == 20);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_a_snapshot_ends_with_a_reason() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&scenario("lint")).await?;

    let long = "s".repeat(64);
    service.create(&snapshot(&long, &[("web", 1)])).await?;
    service.has_entry(&long, "lint", "TestInvalid").await?;
    service.has_reason(&long, TEST_SUCCEEDED, "Failed").await?;

    let mut unknown = snapshot("unknown", &[("web", 1)]);
    "nothing".clone_into(&mut unknown.spec.application);
    service.create(&unknown).await?;
    service.has_reason("unknown", STATUS, "Invalid").await?;

    let restored = snapshot("restored", &[("web", 1)]).label("velero.io/restore-name", "nightly");
    service.create(&restored).await?;

    let wrong = snapshot("wrong", &[("web", 1)]).label(labels::TYPE.as_str(), "override");
    service.create(&wrong).await?;
    service.has_reason("wrong", STATUS, "Invalid").await?;

    // A hand-edited annotation is made anew.
    service.create(&snapshot("edited", &[("web", 1)])).await?;
    service.has_reason("edited", TEST_SUCCEEDED, "Passed").await?;
    let edit = json!({"metadata": {"annotations": {annotations::STATUS.as_str(): "{"}}});
    service.patch::<Snapshot>("edited", &edit).await?;
    service.told("edited", "RecordUnreadable").await?;
    service
        .until("edited", "a record", |snapshot: &Snapshot| {
            annotation(snapshot, annotations::STATUS.as_str()).is_some_and(|status| status.starts_with("[{"))
        })
        .await?;
    ensure!(service.api::<Snapshot>().get("restored").await?.annotations().is_empty());
    ensure!(service.all::<PipelineRun>().await?.len() == 1, "of all these only one is run, and only once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_waited_for() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let spec = json!({"hard": {"count/pipelineruns.tekton.dev": "0"}});
    let quota: ResourceQuota =
        serde_json::from_value(json!({"metadata": {"name": "none"}, "spec": spec, "status": {}}))?;
    service.create(&quota).await?;
    // There is no controller for quotas here that would count.
    let status = json!({"hard": {"count/pipelineruns.tekton.dev": "0"}, "used": {"count/pipelineruns.tekton.dev": "0"}});
    service.patch_status::<ResourceQuota>("none", &status).await?;
    service.create(&scenario("lint")).await?;
    service.create(&snapshot("made", &[("web", 1)])).await?;
    eventually(DEADLINE, "a refused run", async || {
        ensure!(service.sum("controller_runtime_reconcile_errors_total") > 0.0, "none was refused yet");
        Ok(())
    })
    .await?;
    let made = service.has_entry("made", "lint", "Pending").await?;
    ensure!(reason(&made, TEST_SUCCEEDED).is_none());
    service.delete::<ResourceQuota>("none").await?;
    service.has_reason("made", TEST_SUCCEEDED, "Passed").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_to_a_whole_run_is_resolved_first() -> anyhow::Result<()> {
    let service = Service::start_with(&["--pipeline-timeout=2h"]).await?;
    let reference = json!({
        "resolver": "git", "resourceKind": "pipelinerun",
        "params": [
            {"name": "url", "value": "https://git.example/acme/tests"},
            {"name": "revision", "value": "main"}, {"name": "pathInRepo", "value": "run.yaml"},
        ],
    });
    service.create(&scenario_with("whole", &json!({"resolverRef": reference}))).await?;
    service.create(&scenario_with("broken", &json!({"resolverRef": reference}))).await?;
    service.create(&snapshot("made", &[("web", 1)])).await?;
    let requests = service.has::<ResolutionRequest>(2).await?;
    for request in requests {
        ensure!(label(&request, "resolution.tekton.dev/type") == Some("git"));
        ensure!(request.spec.params.len() == 3 && request.owner_references().len() == 1);
        let run = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {generateName: x-}\nspec:\n  pipelineRef: {name: theirs}\n";
        let status = if label(&request, labels::SCENARIO.as_str()) == Some("whole") {
            json!({"conditions": [{"type": "Succeeded", "status": "True"}], "data": base64(run)})
        } else {
            json!({"conditions": [{"type": "Succeeded", "status": "False", "message": "no such branch"}], "data": ""})
        };
        service.patch_status::<ResolutionRequest>(&request.name_any(), &status).await?;
    }
    service.has_entry("made", "whole", "TestPassed").await?;
    service.has_entry("made", "broken", "TestInvalid").await?;
    let run = service.has::<PipelineRun>(1).await?.remove(0);
    ensure!(run.spec.pipeline_ref.is_some_and(|pipeline| pipeline.name == "theirs"));
    ensure!(run.spec.timeouts.is_some_and(|timeouts| timeouts.pipeline.as_deref() == Some("2h0m0s")));
    ensure!(run.spec.params.iter().any(|param| param.name == "SNAPSHOT"));
    Ok(())
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
