//! Scenarios 8, 9, 12, 14, 15: what outlasts the service, its clusters and its requests.

use std::time::{Duration, Instant};

use anyhow::ensure;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use testkit::engine::{RunScript, Runs, TaskScript};
use testkit::faults::{Fault, Plan, Requests};
use testkit::{DEADLINE, eventually};

use crate::service::{NAME, Service, message};

fn never_ends() -> RunScript {
    RunScript::never_ends().task("sign", TaskScript::never_ends())
}

/// Instead of one that never ends.
fn ends_well() -> RunScript {
    RunScript::new().task("sign", TaskScript::succeeds()).result("foo", "bar")
}

#[tokio::test]
async fn scenario_08_a_killed_service_goes_on_with_the_same_run() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.engine.play(Runs::any(), never_ends());
    service.ask("one", json!({"request": "sign"})).await?;
    service.has_runs(1).await?;
    service.kill().await?;
    service.run().await?;
    service.has("one", "Running").await?;
    service.kill().await?;
    service.engine.play(Runs::labelled(NAME, "one"), ends_well());
    let run = service.all_runs().await?.remove(0);
    service.engine.ended(&run.name_any()).await?;
    service.run().await?;
    let request = service.settled("one").await?;
    assert_eq!(request.status.unwrap().results["foo"], "bar");
    assert_eq!(service.engine.seen().len(), 1, "one run in all");
    service.has_runs(0).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_09_a_deleted_request_cancels_its_run() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.engine.play(Runs::labelled(NAME, "running"), never_ends());
    service.engine.play(Runs::labelled(NAME, "unrecorded"), never_ends());
    service.ask("running", json!({"request": "sign"})).await?;
    service.has("running", "Running").await?;
    let run = service.has_runs(1).await?.remove(0).name_any();
    service.delete("running").await?;
    service.gone("running").await?;
    assert_eq!(service.runs().get(&run).await?.spec.status, "Cancelled");

    // As if the service had died before it wrote down which run it is.
    service.ask("unrecorded", json!({"request": "sign"})).await?;
    service.has("unrecorded", "Running").await?;
    service.kill().await?;
    let nothing = json!({"status": null});
    service.requests().patch_status("unrecorded", &PatchParams::default(), &Patch::Merge(&nothing)).await?;
    service.delete("unrecorded").await?;
    service.run().await?;
    service.gone("unrecorded").await?;
    for run in service.all_runs().await? {
        assert_eq!(run.spec.status, "Cancelled", "{}", run.name_any());
    }

    // The service is not needed for what is over.
    service.ask("done", json!({"request": "sign"})).await?;
    service.settled("done").await?;
    service.stop().await?;
    service.delete("done").await?;
    service.gone("done").await?;

    // What nobody asks for any more is looked for at the start, and goes.
    service.run().await?;
    service.has_runs(0).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_12_results_wait_until_the_remote_cluster_is_back() -> anyhow::Result<()> {
    const AWAY: Duration = Duration::from_mins(1);
    const RETURN: Duration = Duration::from_secs(15);
    let service = Service::start().await?;
    service.engine.play(Runs::any(), never_ends());
    service.ask("one", json!({"request": "sign"})).await?;
    service.has("one", "Running").await?;
    service.link.set_open(false);
    let closed = Instant::now();
    service.engine.play(Runs::labelled(NAME, "one"), ends_well());
    let run = service.all_runs().await?.remove(0);
    service.engine.ended(&run.name_any()).await?;
    eventually(DEADLINE, "the metric", async || {
        let up = service.sum("internal_services_remote_up", None);
        ensure!(up == 0, "{up}");
        Ok(())
    })
    .await?;
    tokio::time::sleep_until((closed + AWAY).into()).await;
    ensure!(service.is_ready().await?, "a restart would help nobody");
    service.link.set_open(true);
    let back = Instant::now();
    let request = service.has("one", "Succeeded").await?;
    ensure!(back.elapsed() < RETURN, "delivered after {:?}", back.elapsed());
    assert_eq!(request.status.unwrap().results["foo"], "bar");
    assert_eq!(service.engine.seen().len(), 1, "one run in all");
    ensure!(service.sum("internal_services_remote_up", None) == 1);
    Ok(())
}

#[tokio::test]
async fn scenario_14_a_run_that_cannot_be_deleted_is_tried_again() -> anyhow::Result<()> {
    let plan = Plan::new(1, [Requests::verbs(&["delete"]).of("pipelineruns").first(3, Fault::Answer(403))]);
    let mut service = Service::install(plan).await?;
    service.serve_managed().await?;
    service.run().await?;
    service.ask("one", json!({"request": "sign"})).await?;
    let request = service.has("one", "Succeeded").await?;
    assert!(!request.finalizers().is_empty(), "held until its run is gone");
    service.settled("one").await?;
    service.has_runs(0).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_15_a_run_that_was_deleted_fails_its_request() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), never_ends());
    service.ask("one", json!({"request": "sign"})).await?;
    service.has("one", "Running").await?;
    let run = service.has_runs(1).await?.remove(0).name_any();
    service.runs().delete(&run, &DeleteParams::default()).await?;
    let request = service.has("one", "Failed").await?;
    assert_eq!(message(&request), format!("PipelineRun {}/{run} was deleted", service.installed.namespace()));
    assert_eq!(service.engine.seen().len(), 1, "no second one");
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_is_allowed_no_more_is_served_to_the_end() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::labelled(NAME, "one"), never_ends());
    service.ask("one", json!({"request": "sign"})).await?;
    service.has("one", "Running").await?;
    service.configure(json!({"allowList": ["another"]})).await?;
    service.engine.play(Runs::labelled(NAME, "one"), ends_well());
    let request = service.settled("one").await?;
    assert_eq!(request.status.unwrap().conditions[0].reason, "Succeeded");
    // Nobody looks there any more, until it is allowed again.
    service.ask("two", json!({"request": "sign"})).await?;
    service.configure(json!({"allowList": ["another", service.managed.name()]})).await?;
    service.has("two", "Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn a_request_goes_after_its_time() -> anyhow::Result<()> {
    let mut service = Service::install(Plan::calm()).await?;
    service.flag("--request-ttl=2s");
    service.serve_managed().await?;
    service.run().await?;
    service.ask("one", json!({"request": "sign"})).await?;
    service.gone("one").await?;
    assert_eq!(service.engine.seen().len(), 1);
    Ok(())
}
