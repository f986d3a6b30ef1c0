//! Scenario 24: what others write to runs stays, and costs nothing.

use kube::Resource;
use kube::api::ResourceExt as _;
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::json;

use crate::service::{Service, task};

fn is_marked(object: &impl Resource) -> bool {
    object.finalizers() == ["chains.tekton.dev/pipelinerun"]
        && object.annotations().get("chains.tekton.dev/signed").is_some_and(|signed| signed == "true")
}

#[tokio::test]
async fn scenario_24_marks_on_runs_that_have_ended_stay_and_cause_no_write() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.run_pipeline("done", &json!({"pipelineSpec": {"tasks": [task("a")]}})).await?;
    service.end_of("done").await?;
    service.pass("settled").await?;

    let mark = service.plane.ledger()?.mark().await?;
    let metadata = json!({"metadata": {
        "annotations": {"chains.tekton.dev/signed": "true"}, "finalizers": ["chains.tekton.dev/pipelinerun"],
    }});
    let versions = (
        service.merge::<PipelineRun>("done", &metadata).await?.resource_version(),
        service.merge::<TaskRun>("done-a", &metadata).await?.resource_version(),
    );
    // Nor does a restart, which looks at everything.
    service.stop().await?;
    service.run().await?;
    service.pass("marker").await?;
    let writes = service.calls(&mark).await?.filter(|call| {
        let name = call.target.as_ref().and_then(|target| target.name.as_deref()).unwrap_or_default();
        call.is_write() && name.starts_with("done")
    });
    assert!(writes.is_empty(), "{writes}");
    let (run, child) = (service.pipeline_runs().get("done").await?, service.task_runs().get("done-a").await?);
    assert!(is_marked(&run) && is_marked(&child));
    assert_eq!((run.resource_version(), child.resource_version()), versions);
    service.stop().await
}

/// Marks on runs that are still under way stay as well.
#[tokio::test]
async fn scenario_24_marks_on_runs_that_go_on_stay() -> anyhow::Result<()> {
    use testkit::kubelet::{Container, PodScript, Pods};
    let mut service = Service::start().await?;
    service.kubelet.play(Pods::any(), PodScript::new().others(Container::never_ends()));
    service.run_pipeline("open", &json!({"pipelineSpec": {"tasks": [task("a")]}})).await?;
    service.task_says("open-a", "Running").await?;
    let metadata = json!({"metadata": {
        "annotations": {"chains.tekton.dev/signed": "true"}, "finalizers": ["chains.tekton.dev/pipelinerun"],
    }});
    service.merge::<PipelineRun>("open", &metadata).await?;
    service.merge::<TaskRun>("open-a", &metadata).await?;
    service.kubelet.play(Pods::any(), PodScript::new());
    assert!(is_marked(&service.end_of("open").await?));
    assert!(is_marked(&service.task_runs().get("open-a").await?));
    service.stop().await
}
