//! What flags turn on, as the engine's own ConfigMaps say it, and what the controllers check while the webhook is away.

use kube::api::{Patch, PatchParams, PostParams};
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, Task};
use serde_json::{Value, json};
use testkit::{DEADLINE, wait_for};

use crate::service::{Service, run};

fn reason(run: &PipelineRun) -> &str {
    let conditions = run.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    succeeded(conditions).map(|condition| condition.reason.as_str()).unwrap_or_default()
}

/// Makes a run and waits for its end.
async fn ended(service: &Service, name: &str, spec: &Value) -> anyhow::Result<PipelineRun> {
    let runs = service.pipeline_runs();
    runs.create(&PostParams::default(), &run("PipelineRun", name, spec)).await?;
    let is_over =
        |run: &PipelineRun| run.status.as_ref().is_some_and(|status| status.completion_time.is_some());
    wait_for(&runs, name, "its end", DEADLINE, is_over).await
}

fn with_condition(cel: &str) -> Value {
    let steps = json!({"steps": [{"name": "s", "image": "images.example/tool", "command": ["x"]}]});
    json!({
        "params": [{"name": "branch", "value": "main' || 'a' == 'a"}],
        "pipelineSpec": {"params": [{"name": "branch"}], "tasks": [
            {"name": "plain", "taskSpec": steps},
            {"name": "conditional", "taskSpec": steps, "runAfter": ["plain"], "when": [{"cel": cel}]},
        ]},
    })
}

#[tokio::test]
async fn conditions_in_cel_follow_their_flag() -> anyhow::Result<()> {
    let mut service = Service::with(&[], &[]).await?;
    let off = ended(&service, "off", &with_condition("true")).await?;
    assert_eq!(reason(&off), "PipelineValidationFailed");

    let maps = kube::Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(
        service.admin(),
        service.installed.namespace(),
    );
    let on = json!({"data": {"enable-cel-in-whenexpression": "true"}});
    maps.patch("feature-flags", &PatchParams::default(), &Patch::Merge(&on)).await?;
    // When the engine has heard of it nobody says but by what it does.
    let mut holds = off;
    for attempt in 0..50 {
        holds = ended(
            &service,
            &format!("holds-{attempt}"),
            &with_condition("'$(params.branch)'.startsWith('main')"),
        )
        .await?;
        if reason(&holds) != "PipelineValidationFailed" {
            break;
        }
    }
    assert_eq!(reason(&holds), "Succeeded");
    let skipped = ended(&service, "skipped", &with_condition("'$(params.branch)' == 'main'")).await?;
    assert_eq!(reason(&skipped), "Completed", "a value is no code");
    let broken = ended(&service, "broken", &with_condition("int('$(params.branch)') > 1")).await?;
    assert_eq!(reason(&broken), "CELEvaluationFailed");
    service.stop().await
}

/// A Task that was stored while the webhook was away.
#[tokio::test]
async fn what_is_stored_unseen_is_checked_before_it_runs() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let spec =
        json!({"steps": [{"name": "s", "image": "images.example/tool", "command": ["x"], "script": "y"}]});
    let task: Task = serde_json::from_value(json!({
        "apiVersion": "tekton.dev/v1", "kind": "Task", "metadata": {"name": "both"}, "spec": spec,
    }))?;
    service.api::<Task>().create(&PostParams::default(), &task).await?;
    let pipeline = json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": "both"}}]}});
    let run = ended(&service, "unseen", &pipeline).await?;
    assert_eq!(reason(&run), "PipelineValidationFailed");
    let conditions = run.status.map(|status| status.conditions).unwrap_or_default();
    let said = succeeded(&conditions).map(|condition| condition.message.clone()).unwrap_or_default();
    assert!(said.contains("script cannot be used with command: steps[0].script"), "{said}");
    service.stop().await
}

/// There is no kubelet to ask: the engine asks, and says what became of the results.
#[tokio::test]
async fn results_by_logs_are_asked_for_when_their_collector_has_ended() -> anyhow::Result<()> {
    let settings = [("feature-flags", json!({"results-from": "sidecar-logs"}))];
    let mut service = Service::with(&settings, &[]).await?;
    let steps = json!([{"name": "s", "image": "images.example/tool", "command": ["x"]}]);
    let pipeline = json!({"pipelineSpec": {"tasks": [
        {"name": "a", "taskSpec": {"steps": steps, "results": [{"name": "r"}]}},
    ]}});
    let run = ended(&service, "logged", &pipeline).await?;
    assert_eq!(reason(&run), "Failed");
    let task_run = service.task_runs().get("logged-a").await?;
    let conditions = task_run.status.map(|status| status.conditions).unwrap_or_default();
    let said = succeeded(&conditions).map(|condition| condition.message.clone()).unwrap_or_default();
    assert_eq!(said, "the log of pod \"logged-a-pod\" is gone, and its results with it");
    service.stop().await
}
