//! What the demo's Pipeline has left: the run of examples/first-pipeline.
use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, LogParams},
};
use pipelines_engine_api::{PipelineRun, TaskRun, status::succeeded};
use testkit::{ControlPlane, wait_for};

use super::{LONG, cluster};

const TENANT: &str = "example-tenant";
const RUN: &str = "first-pipeline";

async fn task_run(cluster: &ControlPlane, task: &str) -> anyhow::Result<TaskRun> {
    let name = format!("{RUN}-{task}");
    Api::namespaced(cluster.admin(), TENANT).get(&name).await.with_context(|| format!("read TaskRun {name}"))
}

#[tokio::test]
async fn run_of_the_demo_has_its_results_and_tells_of_each_task() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let run: PipelineRun = Api::namespaced(cluster.admin(), TENANT).get(RUN).await?;
    let status = run.status.context("the run has a status")?;
    let condition = succeeded(&status.conditions).context("the run has a condition")?;
    assert_eq!((&*condition.status, &*condition.reason), ("True", "Succeeded"), "{}", condition.message);

    let results: BTreeMap<_, _> = status
        .results
        .iter()
        .map(|result| (&*result.name, result.value.as_str().unwrap_or_default()))
        .collect();
    assert_eq!(results.get("version"), Some(&"1.2.3"));
    ensure!(results.get("checksum").is_some_and(|checksum| checksum.len() == 12), "{results:?}");
    let tasks: Vec<_> = status.child_references.iter().map(|child| &*child.pipeline_task_name).collect();
    assert_eq!(tasks, ["fetch", "build", "test", "scan", "report"]);
    Ok(())
}

#[tokio::test]
async fn failed_attempt_of_the_demo_has_a_pod_of_its_own() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let status = task_run(&cluster, "scan").await?.status.context("it has a status")?;
    let earlier: Vec<_> = status.retries_status.iter().map(|attempt| &*attempt.pod_name).collect();
    assert_eq!(
        (earlier, &*status.pod_name),
        (vec!["first-pipeline-scan-pod"], "first-pipeline-scan-pod-retry1")
    );

    let pods: Api<Pod> = Api::namespaced(cluster.admin(), TENANT);
    let log = LogParams { container: Some("step-scan".to_owned()), ..LogParams::default() };
    assert_eq!(pods.logs(&status.pod_name, &log).await?, "attempt 1\n");
    let last = LogParams { container: Some("step-report".to_owned()), ..LogParams::default() };
    assert_eq!(pods.logs("first-pipeline-report-pod", &last).await?, "tasks Succeeded, scan Succeeded\n");
    Ok(())
}

#[tokio::test]
async fn sidecar_of_the_demo_has_served_the_workspace_and_is_gone() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let task_run = task_run(&cluster, "test").await?;
    let status = task_run.status.context("it has a status")?;
    let sidecar = status.sidecars.first().context("the task has a sidecar")?;
    ensure!(sidecar.terminated.is_some(), "{sidecar:?}");

    let pods: Api<Pod> = Api::namespaced(cluster.admin(), TENANT);
    let log = LogParams { container: Some("step-ask".to_owned()), ..LogParams::default() };
    assert_eq!(pods.logs(&status.pod_name, &log).await?, "a page of v1.2.3\n");
    let has_ended = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    wait_for(&pods, &status.pod_name, "its end", LONG, has_ended).await?;
    Ok(())
}

#[tokio::test]
async fn tasks_of_the_demo_share_one_claim_of_their_run() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.admin(), TENANT);
    let claims = claims.list(&ListParams::default()).await?.items;
    let of_run: Vec<_> = claims
        .iter()
        .filter(|claim| claim.owner_references().iter().any(|owner| owner.name == RUN))
        .map(kube::ResourceExt::name_any)
        .collect();
    assert_eq!(of_run.len(), 1, "{of_run:?}");
    for task in ["fetch", "build", "test"] {
        let bound = task_run(&cluster, task).await?.spec.workspaces;
        let claim = bound.first().and_then(|binding| binding.persistent_volume_claim.as_ref());
        assert_eq!(claim.map(|claim| &claim.claim_name), of_run.first(), "task {task}");
    }
    Ok(())
}
