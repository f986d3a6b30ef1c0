//! Killed at any moment, the service ends where it ends on a calm day: a run for each request and none twice, no run left, no request held.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use internal_services_api::{InternalRequest, InternalServicesConfig};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use pipelines_engine_api::{Pipeline, PipelineRun};
use serde_json::json;
use testkit::drill::{Drill, Tenant};
use testkit::engine::{RunScript, Runs, TaskScript};
use testkit::{PlayedEngine, wait_for, wait_gone};

use crate::service::{NAME, reason, request};

/// The pauses of the kit grow while requests fail.
const PATIENCE: Duration = Duration::from_mins(3);

/// Both clusters are one, and all happens in the tenant's namespace.
pub(crate) fn drill() -> Drill {
    Drill::of("internal-services", env!("CARGO_BIN_EXE_internal-services"))
        .base(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/control_plane/drill"))
        .beside(["pipelines-engine"])
        .flags([
            "--remote-cluster-config-file={kubeconfig}",
            "--service-namespace={tenant}",
            "--watch-all-remote=false",
        ])
}

/// One succeeds, one fails, one is rejected, one is deleted while it runs.
pub(crate) async fn flow(tenant: &Tenant) -> anyhow::Result<()> {
    let engine = PlayedEngine::start(tenant.admin(), tenant).await?;
    engine.play(Runs::labelled(NAME, "good"), RunScript::new().result("foo", "bar"));
    engine.play(Runs::labelled(NAME, "bad"), RunScript::fails("Failed", "it broke"));
    let never_ends = RunScript::never_ends().task("sign", TaskScript::never_ends());
    engine.play(Runs::labelled(NAME, "unwanted"), never_ends);
    let new = PostParams::default();
    let config = json!({"metadata": {"name": "config"}, "spec": {"allowList": [&**tenant]}});
    tenant.api::<InternalServicesConfig>().create(&new, &serde_json::from_value(config)?).await?;
    let pipeline = json!({"metadata": {"name": "sign"}, "spec": {"tasks": [
        {"name": "sign", "taskRef": {"name": "sign"}},
    ]}});
    tenant.api::<Pipeline>().create(&new, &serde_json::from_value(pipeline)?).await?;

    for (name, asked, expected) in
        [("good", "sign", "Succeeded"), ("bad", "sign", "Failed"), ("unknown", "scan", "Rejected")]
    {
        Box::pin(ask(tenant, name, asked)).await?;
        Box::pin(ends(tenant, name, expected)).await?;
    }
    Box::pin(ask(tenant, "unwanted", "sign")).await?;
    Box::pin(unwanted(tenant)).await?;
    let made = engine.seen().len();
    ensure!(made == 3, "{made} runs were made for three requests");
    engine.stop().await;
    Box::pin(forget_chance(tenant)).await
}

async fn ask(tenant: &Tenant, name: &str, asked: &str) -> anyhow::Result<()> {
    let request = request(name, json!({ "request": asked }));
    tenant.api::<InternalRequest>().create(&PostParams::default(), &request).await?;
    Ok(())
}

async fn ends(tenant: &Tenant, name: &str, expected: &str) -> anyhow::Result<()> {
    let is_over = |request: &InternalRequest| {
        !matches!(reason(request), None | Some("Running")) && request.finalizers().is_empty()
    };
    let request = wait_for(&tenant.api::<InternalRequest>(), name, "its end", PATIENCE, is_over).await?;
    ensure!(reason(&request) == Some(expected), "{name} is {:?}", reason(&request));
    Ok(())
}

async fn unwanted(tenant: &Tenant) -> anyhow::Result<()> {
    let requests = tenant.api::<InternalRequest>();
    let runs = |request: &InternalRequest| reason(request) == Some("Running");
    let request = wait_for(&requests, "unwanted", "to run", PATIENCE, runs).await?;
    let place = request.status.and_then(|status| status.pipeline_run).unwrap_or_default();
    let name = place.rsplit('/').next().unwrap_or_default().to_owned();
    requests.delete("unwanted", &DeleteParams::default()).await?;
    wait_gone(&requests, "unwanted", PATIENCE).await?;
    // Whether it is looked for by the sweep of a new start is chance: then it is gone already.
    let run = tenant.api::<PipelineRun>().get_opt(&name).await?;
    ensure!(run.is_none_or(|run| run.spec.status == "Cancelled"), "{name} goes on");
    Ok(())
}

/// Runs have the hash of a uid in their names, and one that nobody wants goes at the next start.
async fn forget_chance(tenant: &Tenant) -> anyhow::Result<()> {
    let runs = tenant.api::<PipelineRun>();
    runs.delete_collection(&DeleteParams::default(), &kube::api::ListParams::default()).await?;
    let requests = tenant.api::<InternalRequest>();
    for name in ["good", "bad"] {
        let place = json!({"status": {"pipelineRun": "home/run"}});
        requests.patch_status(name, &PatchParams::default(), &Patch::Merge(&place)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    let drill = drill();
    let crashes = drill.crash_after_each_write(async |tenant| Box::pin(flow(tenant)).await);
    eprintln!("crash drill: {}", Box::pin(crashes).await?);
    Ok(())
}
