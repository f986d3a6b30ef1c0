//! Killed at any moment, the service ends where it ends on a calm day: no Snapshot, run or Release more or less, and no run that is kept.

use std::time::Duration;

use anyhow::ensure;
use application_service_api::{Application, Component, Snapshot};
use integration_service_api::{IntegrationTestScenario, annotations};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use pipelines_engine_api::PipelineRun;
use release_service_api::{Release, ReleasePlan};
use serde_json::json;
use testkit::drill::{Drill, Tenant};
use testkit::engine::{RunScript, Runs};
use testkit::{PlayedEngine, wait_for, wait_gone};

use crate::service::{
    NEIGHBOURS, RUN_FINALIZER, SHOP, SIGNED, annotation, application, as_pairs, build_run, component,
    component_with_image, ended_at, image, plan, reason, results, scenario, statuses,
};

/// The pauses of the kit grow while requests fail, and a build takes several of them.
const PATIENCE: Duration = Duration::from_mins(3);

/// The end of the build, which is written on its Snapshot.
const ENDED: &str = "2024-03-01T12:00:00Z";

pub(crate) fn drill() -> Drill {
    // Nobody would call its webhooks, and what they spare would not be drilled.
    let flags = ["--enable-webhooks=false"];
    Drill::of("integration-service", env!("CARGO_BIN_EXE_integration-service"))
        .beside(NEIGHBOURS)
        .flags(flags)
}

/// A build of a push is tested, promoted and released; then its run goes.
pub(crate) async fn flow(tenant: &Tenant) -> anyhow::Result<()> {
    let engine = PlayedEngine::start(tenant.admin(), tenant).await?;
    engine.play(Runs::named("build"), RunScript::never_starts());
    // On the heap: unoptimised they are larger than a test's stack together.
    Box::pin(prepare(tenant)).await?;
    Box::pin(build(tenant)).await?;
    let snapshot = Box::pin(tested(tenant)).await?;
    Box::pin(delivered(tenant, &snapshot)).await?;
    engine.stop().await;
    Ok(())
}

async fn prepare(tenant: &Tenant) -> anyhow::Result<()> {
    let new = PostParams::default();
    tenant.api::<Application>().create(&new, &application(SHOP)).await?;
    let components = tenant.api::<Component>();
    components.create(&new, &component("web")).await?;
    components.create(&new, &component_with_image("api", 1)).await?;
    for name in ["web", "api"] {
        let has_finalizer = |component: &Component| !component.finalizers().is_empty();
        wait_for(&components, name, "its finalizer", PATIENCE, has_finalizer).await?;
    }
    let scenarios = tenant.api::<IntegrationTestScenario>();
    scenarios.create(&new, &scenario("lint")).await?;
    let is_valid = |scenario: &IntegrationTestScenario| {
        reason(scenario, "IntegrationTestScenarioValid").as_deref() == Some("Valid")
            && !scenario.finalizers().is_empty()
    };
    wait_for(&scenarios, "lint", "its condition", PATIENCE, is_valid).await?;
    tenant.api::<ReleasePlan>().create(&new, &plan("plan", "true")).await?;
    Ok(())
}

/// It begins, ends and is signed, one after the other.
async fn build(tenant: &Tenant) -> anyhow::Result<()> {
    let runs = tenant.api::<PipelineRun>();
    runs.create(&PostParams::default(), &build_run("build", "web")).await?;
    wait_for(&runs, "build", "its finalizer", PATIENCE, |run: &PipelineRun| !run.finalizers().is_empty())
        .await?;
    let results = results("web", 2);
    let status = json!({"status": ended_at(ENDED, "True", "Succeeded", &as_pairs(&results))});
    runs.patch_status("build", &PatchParams::default(), &Patch::Merge(&status)).await?;
    let signed = json!({"metadata": {"annotations": {SIGNED: "true"}}});
    runs.patch("build", &PatchParams::default(), &Patch::Merge(&signed)).await?;
    Ok(())
}

/// One Snapshot with both images, one run; both runs are let go.
async fn tested(tenant: &Tenant) -> anyhow::Result<String> {
    let runs = tenant.api::<PipelineRun>();
    let has_snapshot =
        |run: &PipelineRun| annotation(run, annotations::SNAPSHOT.as_str()).is_some() && !is_held(run);
    let build = wait_for(&runs, "build", "its Snapshot", PATIENCE, has_snapshot).await?;
    let name = annotation(&build, annotations::SNAPSHOT.as_str()).unwrap_or_default().to_owned();
    let has_passed = |snapshot: &Snapshot| {
        reason(snapshot, "AppStudioTestSucceeded").as_deref() == Some("Passed")
            && reason(snapshot, "AppStudioIntegrationStatus").as_deref() == Some("Finished")
    };
    let snapshot = wait_for(&tenant.api::<Snapshot>(), &name, "the verdict", PATIENCE, has_passed).await?;
    let images: Vec<_> = snapshot.spec.components.iter().map(|entry| entry.container_image.clone()).collect();
    ensure!(images == [image("api", 1), image("web", 2)], "{images:?}");
    let tests: Vec<_> = all(&runs).await?.into_iter().filter(|run| run.name_any() != "build").collect();
    ensure!(tests.len() == 1, "there are {:?}", tests.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
    for test in tests {
        wait_for(&runs, &test.name_any(), "to be let go", PATIENCE, |run: &PipelineRun| !is_held(run))
            .await?;
    }
    Ok(name)
}

/// Its image is the candidate, one Release is there; then the run goes.
async fn delivered(tenant: &Tenant, snapshot: &str) -> anyhow::Result<()> {
    let snapshots = tenant.api::<Snapshot>();
    let is_released = |snapshot: &Snapshot| reason(snapshot, "AutoReleased").is_some();
    wait_for(&snapshots, snapshot, "to be released", PATIENCE, is_released).await?;
    let is_added = |snapshot: &Snapshot| reason(snapshot, "AddedToGlobalCandidateList").is_some();
    wait_for(&snapshots, snapshot, "to be the candidate", PATIENCE, is_added).await?;
    let web = tenant.api::<Component>().get("web").await?;
    ensure!(web.spec.container_image == Some(image("web", 2)), "{:?}", web.spec.container_image);
    let releases = tenant.api::<Release>();
    let found = all(&releases).await?;
    ensure!(found.len() == 1, "there are {} Releases", found.len());
    let is_automated =
        |release: &Release| release.status.as_ref().and_then(|status| status.automated) == Some(true);
    wait_for(&releases, &found[0].name_any(), "its mark", PATIENCE, is_automated).await?;

    let runs = tenant.api::<PipelineRun>();
    runs.delete("build", &DeleteParams::default()).await?;
    wait_gone(&runs, "build", PATIENCE).await?;
    let count = all(&snapshots).await?.len();
    ensure!(count == 1, "there are {count} Snapshots");
    forget_chance(&snapshots, snapshot).await
}

/// Times within text are other ones each time.
async fn forget_chance(snapshots: &Api<Snapshot>, name: &str) -> anyhow::Result<()> {
    let mut entries = statuses(&snapshots.get(name).await?);
    for entry in &mut entries {
        ensure!(entry.start_time.is_some() && entry.completion_time.is_some(), "{entry:?}");
        ENDED.clone_into(&mut entry.last_update_time);
        entry.start_time = Some(ENDED.to_owned());
        entry.completion_time = Some(ENDED.to_owned());
    }
    let record = json!(entries).to_string();
    let body = json!({"metadata": {"annotations": {annotations::STATUS.as_str(): record}}});
    snapshots.patch(name, &PatchParams::default(), &Patch::Merge(&body)).await?;
    Ok(())
}

fn is_held(run: &PipelineRun) -> bool {
    run.finalizers().iter().any(|finalizer| finalizer == RUN_FINALIZER)
}

async fn all<K>(api: &Api<K>) -> anyhow::Result<Vec<K>>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    Ok(api.list(&ListParams::default()).await?.items)
}

#[tokio::test]
async fn killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    let drill = drill();
    let crashes = drill.crash_after_each_write(async |tenant| Box::pin(flow(tenant)).await);
    eprintln!("crash drill: {}", Box::pin(crashes).await?);
    Ok(())
}
