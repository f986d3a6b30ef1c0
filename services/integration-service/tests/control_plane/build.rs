//! From a build's run to its Snapshot (section 4.1).

use application_service_api::{Component, Snapshot};
use integration_service_api::annotations::{
    CREATE_SNAPSHOT_STATUS, PR_GROUP, SNAPSHOT, SNAPSHOT_REFUSED_SINCE, STATUS,
};
use integration_service_api::labels::PR_GROUP_SHA;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};
use testkit::builders::Build as _;

use crate::service::{
    RUN_FINALIZER, SHOP, SIGNED, Service, annotation, application, as_pairs, build_run, component,
    component_with_image, digest, image, label, pull_request_run, results, scenario,
};

fn is_held(run: &PipelineRun) -> bool {
    run.finalizers().iter().any(|finalizer| finalizer == RUN_FINALIZER)
}

/// What a run says of its Snapshot, once it says anything.
fn outcome(run: &PipelineRun) -> Option<Value> {
    serde_json::from_str(annotation(run, CREATE_SNAPSHOT_STATUS.as_str())?).ok()
}

/// Waits until a run says that there will be no Snapshot, and is let go.
async fn failed(service: &Service, run: &str) -> anyhow::Result<String> {
    let is_failed = |run: &PipelineRun| outcome(run).is_some_and(|said| said["status"] == "failed");
    let run: PipelineRun = service.until(run, "a failure", |run| is_failed(run) && !is_held(run)).await?;
    assert_eq!(annotation(&run, SNAPSHOT.as_str()), None);
    Ok(outcome(&run).unwrap_or_default()["message"].as_str().unwrap_or_default().to_owned())
}

/// A run of a build that ended well with these results, unsigned.
async fn finished(service: &Service, run: &PipelineRun, results: &[(&str, &str)]) -> anyhow::Result<()> {
    service.create(run).await?;
    service.until::<PipelineRun>(&run.name_any(), "its finalizer", is_held).await?;
    service.finish(&run.name_any(), results).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_1_a_build_becomes_one_snapshot_of_what_has_an_image() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&component_with_image("a", 1)).await?;
    service.create(&component("b")).await?;
    service.create(&scenario("lint")).await?;
    service
        .until("lint", "a finalizer", |lint: &integration_service_api::IntegrationTestScenario| {
            !lint.finalizers().is_empty()
        })
        .await?;
    finished(&service, &build_run("build", "a"), &as_pairs(&results("a", 2))).await?;
    // Even a signature that failed ends the wait: that is for the policy to judge.
    let signed = json!({"metadata": {"annotations": {SIGNED: "failed"}}});
    service.patch::<PipelineRun>("build", &signed).await?;

    let snapshot = service.snapshot_of("build").await?;
    let images: Vec<_> = snapshot.spec.components.iter().map(|entry| &entry.container_image).collect();
    assert_eq!(images, [&image("a", 2)]);
    assert_eq!(label(&snapshot, "appstudio.openshift.io/component"), Some("a"));
    assert_eq!(snapshot.owner_references()[0].name, SHOP);
    assert!(annotation(&snapshot, STATUS.as_str()).unwrap_or_default().contains("lint"));
    assert_eq!(service.all::<Snapshot>().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn scenario_2_a_build_waits_for_its_signature() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&component("a")).await?;
    finished(&service, &build_run("unsigned", "a"), &as_pairs(&results("a", 1))).await?;
    // Whatever came before this one has been looked at when it is done.
    service.build(&build_run("signed", "a"), 2).await?;
    let first = service.snapshot_of("signed").await?;
    assert_eq!(service.all::<Snapshot>().await?.len(), 1);
    let run = service.api::<PipelineRun>().get("unsigned").await?;
    assert!(is_held(&run) && outcome(&run).is_none(), "{:?}", run.metadata);

    service.sign("unsigned").await?;
    let second = service.snapshot_of("unsigned").await?;
    assert_ne!(second.name_any(), first.name_any());
    Ok(())
}

#[tokio::test]
async fn where_nothing_is_signed_a_build_does_not_wait() -> anyhow::Result<()> {
    let service = Service::start_with(&["--require-signed=false"]).await?;
    service.create(&component("a")).await?;
    finished(&service, &build_run("build", "a"), &as_pairs(&results("a", 1))).await?;
    service.snapshot_of("build").await?;
    Ok(())
}

#[tokio::test]
async fn a_build_that_stays_unsigned_says_so_and_goes_on_with_the_signature() -> anyhow::Result<()> {
    let service = Service::start_with(&["--signature-timeout=1s"]).await?;
    service.create(&component("a")).await?;
    finished(&service, &build_run("build", "a"), &as_pairs(&results("a", 1))).await?;
    let is_told = |run: &PipelineRun| outcome(run).is_some_and(|said| said["reason"] == "Unsigned");
    let run: PipelineRun = service.until("build", "a word about the signature", is_told).await?;
    assert!(is_held(&run), "a signature may still come");
    service.sign("build").await?;
    service.snapshot_of("build").await?;
    let run = service.api::<PipelineRun>().get("build").await?;
    assert_eq!(outcome(&run).unwrap_or_default()["status"], "success");
    Ok(())
}

#[tokio::test]
async fn scenarios_3_and_4_results_are_read_as_they_are_meant() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&component("a")).await?;
    let mut given = results("a", 1);
    given[0].1 = "reg.local:5000/t/x:tag\n".to_owned();
    finished(&service, &build_run("port", "a"), &as_pairs(&given)).await?;
    service.sign("port").await?;
    let snapshot = service.snapshot_of("port").await?;
    let expected = format!("reg.local:5000/t/x@{}", digest(1));
    assert_eq!(snapshot.spec.components[0].container_image, expected);

    let without_commit = &as_pairs(&given)[..3];
    finished(&service, &build_run("no-commit", "a"), without_commit).await?;
    service.sign("no-commit").await?;
    let message = failed(&service, "no-commit").await?;
    assert!(message.contains("CHAINS-GIT_COMMIT"), "{message}");
    assert!(service.told("no-commit", "SnapshotNotCreated").await?.contains("CHAINS-GIT_COMMIT"));

    given[1].1 = "sha256:12".to_owned();
    finished(&service, &build_run("bad-digest", "a"), &as_pairs(&given)).await?;
    service.sign("bad-digest").await?;
    let message = failed(&service, "bad-digest").await?;
    assert!(message.contains("InvalidImageDigest") && message.contains("sha256:12"), "{message}");
    assert_eq!(service.all::<Snapshot>().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn scenario_5_a_build_that_ended_while_nobody_looked_gets_one_snapshot_whatever_is_lost()
-> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.create(&component("a")).await?;
    service.build(&build_run("build", "a"), 1).await?;
    service.run().await?;
    let snapshot = service.snapshot_of("build").await?;

    // As if it had been killed after the Snapshot was made, and before the run said so.
    service.kill().await?;
    let before = json!({"metadata": {
        "annotations": {SNAPSHOT.as_str(): null, CREATE_SNAPSHOT_STATUS.as_str(): null},
        "finalizers": [RUN_FINALIZER],
    }});
    service.patch::<PipelineRun>("build", &before).await?;
    service.run().await?;
    assert_eq!(service.snapshot_of("build").await?.uid(), snapshot.uid());
    assert_eq!(service.all::<Snapshot>().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_pull_request_is_held_and_grouped_in_one_write_and_its_snapshot_says_where_it_comes_from()
-> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&component("a")).await?;
    let (ledger, user) = (service.plane.ledger()?, service.installed.user()?);
    let mark = ledger.mark().await?;
    let given = pull_request_run("build", "a", 7)
        .label("app", "mine")
        .annotation("build.appstudio.redhat.com/commit_sha", "c0ffee");
    finished(&service, &given, &as_pairs(&results("a", 1))).await?;
    service.touch("held").await?;
    let calls = ledger.since(&mark).await?.by(&user).about("pipelineruns");
    let writes: Vec<_> = calls.iter().filter(|call| call.is_write() && call.is_ok()).collect();
    assert_eq!(writes.len(), 1, "{calls}");
    let run = service.api::<PipelineRun>().get("build").await?;
    assert_eq!(annotation(&run, PR_GROUP.as_str()), Some("feature"));

    service.sign("build").await?;
    let snapshot = service.snapshot_of("build").await?;
    assert_eq!(label(&snapshot, PR_GROUP_SHA.as_str()), label(&run, PR_GROUP_SHA.as_str()));
    assert_eq!(annotation(&snapshot, PR_GROUP.as_str()), Some("feature"));
    assert_eq!(label(&snapshot, "pac.test.appstudio.openshift.io/event-type"), Some("pull_request"));
    assert_eq!(annotation(&snapshot, "build.appstudio.redhat.com/commit_sha"), Some("c0ffee"));
    assert_eq!(label(&snapshot, "app"), None);
    let names = |name: &&String| name.starts_with("pipelinesascode.tekton.dev/") || *name == SIGNED;
    assert_eq!(snapshot.labels().keys().chain(snapshot.annotations().keys()).find(names), None);
    Ok(())
}

#[tokio::test]
async fn what_leads_to_no_snapshot_is_let_go() -> anyhow::Result<()> {
    let service = Service::start().await?;
    for name in ["a", "b"] {
        service.create(&component(name)).await?;
    }
    let is_free = |run: &PipelineRun| !is_held(run);
    let held = |name: &'static str, of: &'static str| {
        let service = &service;
        async move {
            service.create(&build_run(name, of)).await?;
            service.until::<PipelineRun>(name, "its finalizer", is_held).await
        }
    };
    held("fails", "a").await?;
    service.fail("fails").await?;
    service.until("fails", "no finalizer", is_free).await?;

    held("deleted", "a").await?;
    service.delete::<PipelineRun>("deleted").await?;
    service.gone::<PipelineRun>("deleted").await?;

    held("of-a-component-that-goes", "b").await?;
    service.delete::<Component>("b").await?;
    service.gone::<Component>("b").await?;
    service.until("of-a-component-that-goes", "no finalizer", is_free).await?;
    assert_eq!(service.all::<Snapshot>().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_build_fails_without_its_application_and_goes_on_with_it() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let mut lost = component("a");
    "later".clone_into(&mut lost.spec.application);
    service.create(&lost).await?;
    service.build(&build_run("build", "a").label("appstudio.openshift.io/application", "later"), 1).await?;
    let message = failed(&service, "build").await?;
    assert!(message.contains("Application later"), "{message}");
    service.create(&application("later")).await?;
    assert_eq!(service.snapshot_of("build").await?.spec.application, "later");
    Ok(())
}

const SNAPSHOTS: &str = "count/snapshots.appstudio.redhat.com";

/// Lets the namespace have so many Snapshots more. Nobody counts what is there: what is said to be used is used.
async fn quota(service: &Service, free: u32) -> anyhow::Result<()> {
    let status = json!({"hard": {SNAPSHOTS: "10"}, "used": {SNAPSHOTS: (10 - free).to_string()}});
    service.patch_status::<ResourceQuota>("snapshots", &status).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_24_a_quota_is_asked_again_for_a_while_and_then_said_to_be_used_up() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.create(&component("a")).await?;
    let limit: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "snapshots"}, "spec": {"hard": {SNAPSHOTS: "10"}},
    }))?;
    service.create(&limit).await?;
    quota(&service, 0).await?;

    let is_refused = |run: &PipelineRun| annotation(run, SNAPSHOT_REFUSED_SINCE.as_str()).is_some();
    service.build(&build_run("freed", "a"), 1).await?;
    let run: PipelineRun = service.until("freed", "a refusal", is_refused).await?;
    assert!(is_held(&run));
    assert!(service.told("freed", "QuotaExceeded").await?.contains("exceeded quota"));
    quota(&service, 1).await?;
    service.snapshot_of("freed").await?;
    let run = service.api::<PipelineRun>().get("freed").await?;
    assert!(!is_refused(&run), "the past is forgotten");

    quota(&service, 0).await?;
    service.build(&build_run("given-up", "a"), 2).await?;
    service.until::<PipelineRun>("given-up", "a refusal", is_refused).await?;
    service.stop().await?;
    let since = fleet::Clock::system().now() - SignedDuration::from_mins(11);
    let earlier = json!({"metadata": {"annotations": {SNAPSHOT_REFUSED_SINCE.as_str(): since.to_string()}}});
    service.patch::<PipelineRun>("given-up", &earlier).await?;
    service.run().await?;
    let message = failed(&service, "given-up").await?;
    assert!(message.contains("exceeded quota"), "{message}");
    service.delete::<PipelineRun>("given-up").await?;
    service.gone::<PipelineRun>("given-up").await
}
