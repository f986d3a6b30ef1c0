//! Runs from their creation to their end, on a real API server with played pods.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, RunCondition, TaskRun};
use serde_json::{Value, json};
use testkit::kubelet::{Container, PodScript, Pods};
use testkit::{DEADLINE, wait_for};

use crate::service::{Service, run};

fn said(conditions: Option<&[RunCondition]>) -> (String, String) {
    let condition = conditions.and_then(succeeded);
    condition.map(|condition| (condition.status.clone(), condition.reason.clone())).unwrap_or_default()
}

fn of_task_run(run: &TaskRun) -> (String, String) {
    said(run.status.as_ref().map(|status| status.conditions.as_slice()))
}

fn of_pipeline_run(run: &PipelineRun) -> (String, String) {
    said(run.status.as_ref().map(|status| status.conditions.as_slice()))
}

async fn end_of(service: &Service, name: &str) -> anyhow::Result<PipelineRun> {
    let runs = service.pipeline_runs();
    wait_for(&runs, name, "its end", DEADLINE, |run: &PipelineRun| {
        ["True", "False"].contains(&of_pipeline_run(run).0.as_str())
    })
    .await
}

fn step(command: &str) -> Value {
    json!({"name": "s", "image": "images.example/tool", "command": [command]})
}

#[tokio::test]
async fn a_task_run_becomes_a_pod_with_the_entrypoint_of_the_engine() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let message = r#"[{"key":"r","value":"1","type":1}]"#;
    service
        .kubelet
        .play(Pods::any(), PodScript::new().container("step-s", Container::succeeds().message(message)));
    let spec = json!({"taskSpec": {"steps": [step("x")], "results": [{"name": "r"}]}});
    service.task_runs().create(&PostParams::default(), &run("TaskRun", "alone", &spec)).await?;
    let ended = wait_for(&service.task_runs(), "alone", "its end", DEADLINE, |run: &TaskRun| {
        ["True", "False"].contains(&of_task_run(run).0.as_str())
    })
    .await?;
    assert_eq!(of_task_run(&ended), ("True".into(), "Succeeded".into()));
    let status = ended.status.unwrap_or_default();
    assert_eq!(status.results[0].value, "1".into());
    let pods = Api::<Pod>::namespaced(service.admin(), &service.tenant);
    let pod = pods.get(&status.pod_name).await?.spec.unwrap_or_default();
    assert_eq!(pod.containers[0].command.as_deref(), Some(&["/tekton/bin/entrypoint".to_owned()][..]));
    let volume = pod.volumes.unwrap_or_default().into_iter().find_map(|volume| volume.config_map);
    let maps = Api::<ConfigMap>::namespaced(service.admin(), &service.tenant);
    let map = maps.get(&volume.map(|map| map.name).unwrap_or_default()).await?;
    assert_eq!(map.immutable, Some(true));
    service.stop().await
}

/// Scenario 1.
#[tokio::test]
async fn scenario_1_a_result_flows_from_task_to_task_to_run() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let message = |key: &str, value: &str| format!(r#"[{{"key":"{key}","value":"{value}","type":1}}]"#);
    service.kubelet.play(
        Pods::labelled("tekton.dev/pipelineTask", "a"),
        PodScript::new().container("step-s", Container::succeeds().message(&message("r", "one"))),
    );
    service.kubelet.play(
        Pods::labelled("tekton.dev/pipelineTask", "b"),
        PodScript::new().container("step-s", Container::succeeds().message(&message("q", "two"))),
    );
    let spec = json!({"pipelineSpec": {
        "tasks": [
            {"name": "a", "taskSpec": {"steps": [step("x")], "results": [{"name": "r"}]}},
            {"name": "b", "params": [{"name": "p", "value": "$(tasks.a.results.r)"}], "taskSpec": {
                "params": [{"name": "p"}], "steps": [{"name": "s", "image": "i", "command": ["x"], "args": ["$(params.p)"]}],
                "results": [{"name": "q"}],
            }},
        ],
        "results": [{"name": "out", "value": "$(tasks.b.results.q)"}],
    }});
    service.pipeline_runs().create(&PostParams::default(), &run("PipelineRun", "flow", &spec)).await?;
    let ended = end_of(&service, "flow").await?;
    assert_eq!(of_pipeline_run(&ended), ("True".into(), "Succeeded".into()));
    let status = ended.status.unwrap_or_default();
    assert_eq!(status.results[0].value, "two".into());
    let names: Vec<_> = status.child_references.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(names, ["flow-a", "flow-b"]);
    let b = service.task_runs().get("flow-b").await?;
    assert_eq!(b.spec.params[0].value, "one".into());
    service.stop().await
}

/// Scenario 5.
#[tokio::test]
async fn scenario_5_a_cancelled_run_ends_and_so_does_its_pod() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.kubelet.play(Pods::any(), PodScript::new().container("step-s", Container::never_ends()));
    let spec = json!({"pipelineSpec": {"tasks": [{"name": "a", "taskSpec": {"steps": [step("x")]}}]}});
    service.pipeline_runs().create(&PostParams::default(), &run("PipelineRun", "long", &spec)).await?;
    wait_for(&service.task_runs(), "long-a", "running", DEADLINE, |run: &TaskRun| {
        of_task_run(run).1 == "Running"
    })
    .await?;
    let wish = json!({"spec": {"status": "Cancelled"}});
    service.pipeline_runs().patch("long", &PatchParams::default(), &Patch::Merge(&wish)).await?;
    let ended = end_of(&service, "long").await?;
    assert_eq!(of_pipeline_run(&ended), ("False".into(), "Cancelled".into()));
    let child = wait_for(&service.task_runs(), "long-a", "its end", DEADLINE, |run: &TaskRun| {
        of_task_run(run).0 == "False"
    })
    .await?;
    assert_eq!(of_task_run(&child).1, "TaskRunCancelled");
    let pods = Api::<Pod>::namespaced(service.admin(), &service.tenant);
    testkit::wait_gone(&pods, "long-a-pod", DEADLINE).await?;
    service.stop().await
}

/// Scenario 4.
#[tokio::test]
async fn scenario_4_each_attempt_has_a_pod() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.kubelet.play(Pods::any(), PodScript::new().container("step-s", Container::exits(1)));
    let spec =
        json!({"pipelineSpec": {"tasks": [{"name": "a", "retries": 1, "taskSpec": {"steps": [step("x")]}}]}});
    service.pipeline_runs().create(&PostParams::default(), &run("PipelineRun", "flaky", &spec)).await?;
    let ended = end_of(&service, "flaky").await?;
    assert_eq!(of_pipeline_run(&ended), ("False".into(), "Failed".into()));
    let pods = Api::<Pod>::namespaced(service.admin(), &service.tenant);
    let list = pods.list(&ListParams::default()).await?;
    let mut names: Vec<_> = list.iter().filter_map(|pod| pod.metadata.name.clone()).collect();
    names.sort();
    assert_eq!(names, ["flaky-a-pod", "flaky-a-pod-retry1"]);
    service.stop().await
}
