//! Scenario 25: a restart over what has settled; and what one build costs.

use std::time::{Duration, Instant};

use anyhow::ensure;
use application_service_api::{Component, Snapshot};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use integration_service_api::IntegrationTestScenario;
use kube::ResourceExt as _;
use kube::api::PostParams;
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};
use testkit::builders::Build as _;
use testkit::engine::{RunScript, Runs, TaskScript};
use testkit::{DEADLINE, eventually};

use crate::service::{
    Service, as_pairs, build_run, commit, component, component_with_image, reason, results, scenario,
    snapshot,
};

const SNAPSHOTS: usize = 2000;

/// How a Snapshot has settled: a push that was delivered, one that failed, one that was superseded, or a pull request that was told.
fn settled(number: usize) -> (Snapshot, Value) {
    let name = format!("settled-{number}");
    let now = "2024-03-01T12:00:00Z";
    let status = if number.is_multiple_of(4) { "TestFail" } else { "TestPassed" };
    let record = json!([{
        "scenario": "lint", "status": status, "lastUpdateTime": now, "details": "", "startTime": now,
        "completionTime": now, "testPipelineRunName": format!("{name}-lint"),
    }]);
    let condition = |type_: &str, status: &str, reason: &str| json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": now});
    let finished = condition("AppStudioIntegrationStatus", "True", "Finished");
    let passed = condition("AppStudioTestSucceeded", "True", "Passed");
    let event = if number % 4 == 3 { "pull_request" } else { "push" };
    let conditions = match number % 4 {
        0 => vec![finished, condition("AppStudioTestSucceeded", "False", "Failed")],
        1 => vec![
            finished,
            passed,
            condition("AddedToGlobalCandidateList", "True", "Added"),
            condition("AutoReleased", "True", "AutoReleased"),
            condition("DeployedToRootEnvironments", "True", "Deployed"),
        ],
        2 => vec![condition("AppStudioIntegrationStatus", "False", "Invalid"), passed],
        _ => vec![finished, passed],
    };
    let reported = json!({"scenarios": {"lint": {"lastUpdateTime": now}}});
    let snapshot = snapshot(&name, &[("api", 1)])
        .label("appstudio.openshift.io/application", "shop")
        .label("appstudio.openshift.io/component", "api")
        .label("test.appstudio.openshift.io/type", "component")
        .label("pac.test.appstudio.openshift.io/event-type", event)
        .label("pac.test.appstudio.openshift.io/git-provider", "github")
        .label("pac.test.appstudio.openshift.io/sha", commit(1))
        .label("pac.test.appstudio.openshift.io/url-org", "acme")
        .label("pac.test.appstudio.openshift.io/url-repository", "api")
        .annotation("pac.test.appstudio.openshift.io/repo-url", "https://git.example/acme/api")
        .annotation("pac.test.appstudio.openshift.io/installation-id", "7")
        .annotation("pac.test.appstudio.openshift.io/pull-request", "1")
        .annotation("test.appstudio.openshift.io/status", record.to_string())
        .annotation("test.appstudio.openshift.io/git-reporter-status", reported.to_string())
        .annotation("test.appstudio.openshift.io/create-groupsnapshot-status", "none");
    (snapshot, json!({ "conditions": conditions }))
}

#[tokio::test]
async fn scenario_25_a_restart_over_settled_snapshots_writes_nothing() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    // One that is not the first pass over the Components and scenarios, which get their finalizers.
    service.create(&component_with_image("api", 1)).await?;
    service.create(&scenario("lint")).await?;
    service.run().await?;
    service.until("api", "its finalizer", |api: &Component| !api.finalizers().is_empty()).await?;
    service
        .until("lint", "its condition", |scenario: &IntegrationTestScenario| {
            reason(scenario, "IntegrationTestScenarioValid").is_some()
        })
        .await?;
    service.stop().await?;
    stream::iter(0..SNAPSHOTS)
        .map(|number| {
            let service = &service;
            async move {
                let (snapshot, status) = settled(number);
                let name = snapshot.name_any();
                service.api::<Snapshot>().create(&PostParams::default(), &snapshot).await?;
                service.patch_status::<Snapshot>(&name, &status).await.map(drop)
            }
        })
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await?;

    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    let began = Instant::now();
    service.run().await?;
    let took = began.elapsed();
    // What comes after them in the queues: all were looked at when its Snapshot is there.
    service.create(&component("web")).await?;
    service.build(&build_run("build", "web"), 2).await?;
    service.snapshot_of("build").await?;
    eventually(DEADLINE, "the queues to be empty", async || {
        let depth = service.sum("workqueue_depth");
        ensure!(depth == 0.0, "{depth} are waiting");
        Ok(())
    })
    .await?;
    service.stop().await?;
    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).except("leases");
    let about_settled = calls.filter(|call| {
        let name = call.target.as_ref().and_then(|target| target.name.as_deref()).unwrap_or_default();
        name.starts_with("settled-") || (call.is_write() && call.uri.contains("settled-"))
    });
    ensure!(about_settled.is_empty(), "{about_settled}");
    ensure!(took < Duration::from_secs(10), "ready after {took:?}");
    eprintln!("{SNAPSHOTS} Snapshots: ready after {took:?}");
    Ok(())
}

/// Snapshot, mark on the build, run, and what the Snapshot says of it twice: that is all until the test runs.
const WRITES_UNTIL_TESTED: usize = 5;

#[tokio::test]
async fn a_build_costs_five_writes_until_its_test_runs() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&component("web")).await?;
    service.create(&scenario("lint")).await?;
    service.until("web", "its finalizer", |web: &Component| !web.finalizers().is_empty()).await?;
    service
        .until("lint", "its condition", |scenario: &IntegrationTestScenario| {
            reason(scenario, "IntegrationTestScenarioValid").is_some()
        })
        .await?;
    // A run that only refers to a pipeline has the tasks that its script names.
    let never_ends = RunScript::never_ends().task("test", TaskScript::never_ends());
    service.engine.play(Runs::labelled("test.appstudio.openshift.io/scenario", "lint"), never_ends);
    service.create(&build_run("build", "web")).await?;
    let has_finalizer = |run: &PipelineRun| !run.finalizers().is_empty();
    service.until("build", "its finalizer", has_finalizer).await?;
    service.finish("build", &as_pairs(&results("web", 2))).await?;

    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    service.sign("build").await?;
    let snapshot = service.snapshot_of("build").await?.name_any();
    service.has_reason(&snapshot, "AppStudioIntegrationStatus", "InProgress").await?;
    service.has_entry(&snapshot, "lint", "InProgress").await?;
    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).except("leases").except("events");
    ensure!(calls.writes() <= WRITES_UNTIL_TESTED && calls.reads() == 0, "{calls}");
    Ok(())
}
