//! Scenario 18: a namespace whose quota is used up.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{Patch, PatchParams, PostParams};
use pipelines_engine_api::TaskRun;
use serde_json::json;

use crate::service::{Service, message, of_task_run, says, step};

/// Nobody counts what is there: what the quota says is used is what is used.
async fn quota(service: &Service, used: u32) -> anyhow::Result<()> {
    let quotas = service.api::<ResourceQuota>();
    let status = json!({"status": {"hard": {"pods": "1"}, "used": {"pods": used.to_string()}}});
    quotas.patch_status("pods", &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_18_a_run_waits_for_room() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let one: ResourceQuota =
        serde_json::from_value(json!({"metadata": {"name": "pods"}, "spec": {"hard": {"pods": "1"}}}))?;
    service.api::<ResourceQuota>().create(&PostParams::default(), &one).await?;
    quota(&service, 1).await?;
    let mark = service.plane.ledger()?.mark().await?;
    service.run_task("waits", &json!({"taskSpec": {"steps": [step("x")]}})).await?;
    let waiting = service.task_says("waits", "ExceededResourceQuota").await?;
    assert_eq!(of_task_run(&waiting).0, "Unknown");
    let status = waiting.status.unwrap_or_default();
    assert_eq!((&status.start_time, status.pod_name.as_str()), (&None, ""), "its time has not begun");
    assert!(message(&status.conditions).contains("exceeded quota"), "{status:?}");
    let tried = service.calls(&mark).await?.about("pods");
    assert!(tried.writes() <= 2, "the next try is a minute away\n{tried}");

    quota(&service, 0).await?;
    // Any change of the run has it looked at before that minute is over.
    service.merge::<TaskRun>("waits", &json!({"metadata": {"annotations": {"look": "again"}}})).await?;
    let ended = service.end_of_task("waits").await?;
    assert_eq!(of_task_run(&ended), says("True", "Succeeded"));
    assert!(ended.status.is_some_and(|status| status.start_time.is_some()));
    service.stop().await
}
