//! What a newer build of a pull request makes needless (annex, L13).

use fleet::Clock;
use integration_service_api::finalizers;
use jiff::SignedDuration;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use serde_json::json;
use testkit::builders::Build as _;
use testkit::engine::{RunScript, Runs, TaskScript};

use crate::service::{
    SIGNED, Service, as_pairs, build_run, component, ended_at, pull_request_run, reason, results, scenario,
};

const STATUS: &str = "AppStudioIntegrationStatus";
const SCENARIO: &str = "test.appstudio.openshift.io/scenario";
const SNAPSHOT: &str = "appstudio.openshift.io/snapshot";

fn after(minutes: i64) -> String {
    (Clock::system().now() + SignedDuration::from_mins(minutes)).to_string()
}

/// A build that began so many minutes from now ends well; the name of its Snapshot.
async fn build(service: &Service, run: &PipelineRun, minutes: i64, number: u64) -> anyhow::Result<String> {
    let name = run.name_any();
    service.create(run).await?;
    let results = results("web", number);
    let status = ended_at(&after(minutes), "True", "Succeeded", &as_pairs(&results));
    service.patch_status::<PipelineRun>(&name, &status).await?;
    service.patch::<PipelineRun>(&name, &json!({"metadata": {"annotations": {SIGNED: "true"}}})).await?;
    Ok(service.snapshot_of(&name).await?.name_any())
}

/// The run of the test of a Snapshot, which has to be there.
async fn test_of(service: &Service, snapshot: &str) -> anyhow::Result<PipelineRun> {
    service.has_entry(snapshot, "slow", "InProgress").await?;
    let runs = service.all::<PipelineRun>().await?;
    let of_it = |run: &PipelineRun| run.labels().get(SNAPSHOT).map(String::as_str) == Some(snapshot);
    let found = runs.into_iter().find(|run| of_it(run) && run.labels().contains_key(SCENARIO));
    found.ok_or_else(|| anyhow::anyhow!("Snapshot {snapshot} has no test run"))
}

/// With a task: a run without any is over at once.
fn never_ends() -> RunScript {
    RunScript::never_ends().task("test", TaskScript::never_ends())
}

async fn start() -> anyhow::Result<Service> {
    let mut service = Service::install().await?;
    service.engine.play(Runs::labelled(SCENARIO, "slow"), never_ends());
    service.run().await?;
    service.create(&component("web")).await?;
    service.create(&scenario("slow")).await?;
    Ok(service)
}

#[tokio::test]
async fn a_newer_build_of_a_pull_request_cancels_what_is_older() -> anyhow::Result<()> {
    let mut service = start().await?;
    let push = build(&service, &build_run("push", "web"), -9, 1).await?;
    let other = build(&service, &pull_request_run("other", "web", 8), -8, 2).await?;
    let old = build(&service, &pull_request_run("old", "web", 7), -7, 3).await?;
    let test = test_of(&service, &old).await?;
    assert!(test.finalizers().iter().any(|finalizer| finalizer == finalizers::PIPELINE_RUN.as_str()));

    // It starts: that is enough.
    service.create(&pull_request_run("new", "web", 7)).await?;
    service.has_reason(&old, STATUS, "Canceled").await?;
    let is_told = |run: &PipelineRun| {
        run.spec.status == "CancelledRunFinally"
            && run
                .annotations()
                .get("pac.test.appstudio.openshift.io/cancelled")
                .is_some_and(|said| said == "true")
            && run.finalizers().is_empty()
    };
    service.until(&test.name_any(), "to be cancelled", is_told).await?;
    // Its end is no end of the Snapshot's.
    let has_ended = |run: &PipelineRun| reason(run, "Succeeded").as_deref() == Some("Cancelled");
    service.until(&test.name_any(), "to end", has_ended).await?;
    service.stop().await?;
    service.run().await?;
    for snapshot in [&push, &other] {
        let test = test_of(&service, snapshot).await?;
        assert_eq!(test.spec.status, "", "{snapshot}");
    }
    service.has_reason(&old, STATUS, "Canceled").await?;
    Ok(())
}

#[tokio::test]
async fn what_was_built_while_the_service_was_down_is_cancelled_too() -> anyhow::Result<()> {
    let mut service = start().await?;
    let old = build(&service, &pull_request_run("old", "web", 7), -7, 3).await?;
    let test = test_of(&service, &old).await?;
    service.kill().await?;
    let run = pull_request_run("new", "web", 7);
    service.create(&run).await?;
    let status = ended_at(&after(0), "True", "Succeeded", &as_pairs(&results("web", 4)));
    service.patch_status::<PipelineRun>("new", &status).await?;
    service.sign("new").await?;
    service.run().await?;
    let new = service.snapshot_of("new").await?.name_any();
    service.has_reason(&old, STATUS, "Canceled").await?;
    let is_told = |run: &PipelineRun| !run.spec.status.is_empty() && run.finalizers().is_empty();
    service.until(&test.name_any(), "to be cancelled", is_told).await?;
    assert_eq!(test_of(&service, &new).await?.spec.status, "");
    Ok(())
}

#[tokio::test]
async fn the_same_number_in_another_repository_is_another_pull_request() -> anyhow::Result<()> {
    let service = start().await?;
    let old = build(&service, &pull_request_run("old", "web", 7), -7, 3).await?;
    let elsewhere = pull_request_run("elsewhere", "web", 7)
        .label("pipelinesascode.tekton.dev/url-org", "others")
        .annotation("pipelinesascode.tekton.dev/repo-url", "https://git.example/others/web");
    let new = build(&service, &elsewhere, -1, 4).await?;
    for snapshot in [&old, &new] {
        assert_eq!(test_of(&service, snapshot).await?.spec.status, "", "{snapshot}");
    }
    Ok(())
}
