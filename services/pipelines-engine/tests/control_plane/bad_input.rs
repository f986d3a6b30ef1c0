//! What users and clusters do wrong ends runs in words, or has them wait; never does it keep the engine busy.
//!
//! The webhook is not there: all of this reaches the controllers.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use pipelines_engine_api::TaskRun;
use serde_json::{Value, json};
use testkit::kubelet::{Container, PodScript, Pods};
use testkit::{DEADLINE, wait_for, wait_gone};

use crate::service::{Service, message, of_pipeline_run, of_task_run, results, says, step, task, with};

/// Writes that a run which cannot begin may cost: its labels, its status, and two Events.
const WRITES: usize = 4;

#[tokio::test]
async fn pipeline_runs_that_cannot_run_say_why_and_are_left_alone() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.pass("first").await?;
    let inline = |tasks: Value| json!({"pipelineSpec": {"tasks": tasks}});
    let needs = |params: &Value| json!({"name": "a", "taskSpec": {"params": params, "steps": [step("x")]}});
    let consumer = with(task("b"), &json!({"params": [{"name": "p", "value": "$(tasks.a.results.r)"}]}));
    let mut bound = inline(json!([task("a")]));
    bound["pipelineSpec"]["workspaces"] = json!([{"name": "w"}]);
    let mut typed = inline(json!([task("a")]));
    typed["pipelineSpec"]["params"] = json!([{"name": "p", "type": "array"}]);
    typed["params"] = json!([{"name": "p", "value": "text"}]);
    let cases = [
        (
            "cycle",
            inline(json!([
                with(task("a"), &json!({"runAfter": ["b"]})),
                with(task("b"), &json!({"runAfter": ["a"]}))
            ])),
            "PipelineInvalidGraph",
            "cycle detected",
        ),
        (
            "no-parent",
            inline(json!([with(task("a"), &json!({"runAfter": ["x"]}))])),
            "PipelineInvalidGraph",
            "x wasn't present",
        ),
        (
            "no-task",
            inline(json!([{"name": "a", "taskRef": {"name": "none"}}])),
            "CouldntGetTask",
            "\"none\" not found",
        ),
        ("no-pipeline", json!({"pipelineRef": {"name": "none"}}), "CouldntGetPipeline", "\"none\" not found"),
        (
            "no-param",
            inline(json!([needs(&json!([{"name": "p"}]))])),
            "ParameterMissing",
            "missing parameters: p",
        ),
        ("param-type", typed, "ParameterTypeMismatch", ": p"),
        (
            "task-param-type",
            inline(json!([with(
                needs(&json!([{"name": "p", "type": "array"}])),
                &json!({"params": [{"name": "p", "value": "text"}]})
            )])),
            "ParameterTypeMismatch",
            "task \"a\"",
        ),
        ("no-result", inline(json!([task("a"), consumer])), "InvalidTaskResultReference", "\"r\""),
        ("no-workspace", bound, "InvalidWorkspaceBindings", "workspace with name \"w\""),
    ];
    let mark = service.plane.ledger()?.mark().await?;
    for (name, spec, ..) in &cases {
        service.run_pipeline(name, spec).await?;
    }
    for (name, _, reason, text) in &cases {
        let ended = service.end_of(name).await?;
        let status = ended.status.clone().unwrap_or_default();
        let why = message(&status.conditions);
        assert_eq!(of_pipeline_run(&ended), says("False", reason), "{name}: {why}");
        assert!(why.contains(text), "{name}: {why}");
        assert!(status.completion_time.is_some() && status.child_references.is_empty(), "{name}: {status:?}");
    }
    let reconciles = service.reconciles("pipelinerun");
    service.pass("marker").await?;
    for (name, ..) in &cases {
        let writes = service.calls(&mark).await?.filter(|call| {
            let target = call.target.as_ref().and_then(|target| target.name.as_deref()).unwrap_or_default();
            // Events are named after what they are about.
            call.is_write() && (target == *name || target.starts_with(&format!("{name}.")))
        });
        assert!((1..=WRITES).contains(&writes.len()), "{writes}");
    }
    let since = service.reconciles("pipelinerun") - reconciles;
    assert!(since < 15, "{since} looks at Pipelines while one ran");
    service.stop().await
}

#[tokio::test]
async fn what_resolvers_cannot_find_ends_the_run() -> anyhow::Result<()> {
    let short = ("config-defaults", json!({"default-maximum-resolution-timeout": "2s"}));
    let mut service = Service::with(&[short], &[]).await?;
    // Nobody answers for this one.
    let reference = json!({"resolver": "nobody", "params": [{"name": "name", "value": "x"}]});
    service.run_pipeline("pipeline", &json!({"pipelineRef": reference})).await?;
    service
        .run_pipeline("task", &json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": reference}]}}))
        .await?;
    service.run_task("alone", &json!({"taskRef": reference})).await?;
    for (name, reason) in [("pipeline", "CouldntGetPipeline"), ("task", "CouldntGetTask")] {
        let ended = service.end_of(name).await?;
        let why = message(&ended.status.clone().unwrap_or_default().conditions).to_owned();
        assert_eq!(of_pipeline_run(&ended), says("False", reason), "{why}");
        assert!(why.contains("ResolutionTimedOut"), "{why}");
    }
    let ended = service.end_of_task("alone").await?;
    assert_eq!(of_task_run(&ended), says("False", "TaskRunResolutionFailed"));
    for controller in ["pipelinerun", "taskrun", "resolution-lifecycle"] {
        let reconciles = service.reconciles(controller);
        assert!(reconciles < 30, "{controller}: {reconciles}");
    }
    service.stop().await
}

#[tokio::test]
async fn results_that_do_not_fit_or_do_not_come_end_the_run() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let gives = |message: &str| PodScript::new().container("step-s", Container::succeeds().message(message));
    service.kubelet.play(Pods::named("kinds-a-pod"), gives(&results(&[("r", "no list")])));
    let producer =
        |result: Value| json!({"name": "a", "taskSpec": {"steps": [step("x")], "results": [result]}});
    let consumer = with(task("b"), &json!({"params": [{"name": "p", "value": "$(tasks.a.results.r)"}]}));

    let spec = json!({"pipelineSpec": {"tasks": [producer(json!({"name": "r", "type": "array"}))]}});
    service.run_pipeline("kinds", &spec).await?;
    assert_eq!(of_pipeline_run(&service.end_of("kinds").await?), says("False", "Failed"));
    let child = service.end_of_task("kinds-a").await?;
    assert_eq!(of_task_run(&child), says("False", "TaskRunValidationFailed"));
    let status = child.status.unwrap_or_default();
    assert!(message(&status.conditions).contains("\"r\"") && status.results.is_empty(), "{status:?}");

    // Declared, but not written by the step, which succeeds.
    let spec = json!({"pipelineSpec": {"tasks": [producer(json!({"name": "r"})), consumer]}});
    service.run_pipeline("nothing", &spec).await?;
    let ended = service.end_of("nothing").await?;
    assert_eq!(of_pipeline_run(&ended), says("False", "InvalidTaskResultReference"));
    let status = ended.status.unwrap_or_default();
    let why = message(&status.conditions);
    assert!(why.contains("\"a\"") && why.contains("\"r\""), "{why}");

    let mut spec = json!({"pipelineSpec": {"tasks": [producer(json!({"name": "r"}))]}});
    spec["pipelineSpec"]["results"] = json!([{"name": "out", "value": "$(tasks.a.results.r)"}]);
    service.run_pipeline("given", &spec).await?;
    let ended = service.end_of("given").await?;
    assert_eq!(of_pipeline_run(&ended), says("False", "CouldntGetPipelineResult"));
    service.stop().await
}

#[tokio::test]
async fn pods_that_end_otherwise_say_how() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let cases = [
        (
            "evicted",
            PodScript::evicted("The node was low on resource: memory."),
            "PodEvicted",
            "low on resource",
        ),
        ("killed", PodScript::new().others(Container::is_oom_killed()), "StepOOM", "OOMKilled"),
        (
            "unconfigured",
            PodScript::new().others(Container::waits("CreateContainerConfigError", "secret \"s\" not found")),
            "CreateContainerConfigError",
            "secret \\\"s\\\" not found",
        ),
        (
            "misnamed",
            PodScript::new().others(Container::waits("InvalidImageName", "couldn't parse image name")),
            "TaskRunImagePullFailed",
            "couldn't parse image name",
        ),
    ];
    for (name, script, ..) in &cases {
        service.kubelet.play(Pods::named(format!("{name}-pod")), script.clone());
        service.run_task(name, &json!({"taskSpec": {"steps": [step("x")]}})).await?;
    }
    for (name, _, reason, text) in &cases {
        let ended = service.end_of_task(name).await?;
        let why = message(&ended.status.clone().unwrap_or_default().conditions).to_owned();
        assert_eq!(of_task_run(&ended), says("False", reason), "{why}");
        assert!(why.contains(text), "{name}: {why}");
    }

    // One that was evicted with attempts left costs the run nothing.
    service
        .kubelet
        .play(Pods::named("moved-a-pod"), PodScript::evicted("The node was low on resource: memory."));
    let spec = json!({"pipelineSpec": {"tasks": [with(task("a"), &json!({"retries": 1}))]}});
    service.run_pipeline("moved", &spec).await?;
    assert_eq!(of_pipeline_run(&service.end_of("moved").await?), says("True", "Succeeded"));
    service.stop().await
}

#[tokio::test]
async fn a_pod_without_a_node_is_waited_for() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let full = PodScript::unschedulable("0/1 nodes are available: 1 Insufficient memory.");
    service.kubelet.play(Pods::named("large-pod"), full);
    service.run_task("large", &json!({"taskSpec": {"steps": [step("x")]}})).await?;
    let waiting = service.task_says("large", "ExceededNodeResources").await?;
    let status = waiting.status.clone().unwrap_or_default();
    assert_eq!(of_task_run(&waiting).0, "Unknown");
    assert!(message(&status.conditions).contains("Insufficient memory"), "{status:?}");
    let reconciles = service.reconciles("taskrun");
    service.pass("marker").await?;
    let since = service.reconciles("taskrun") - reconciles;
    assert!(since < 15, "{since} looks while another TaskRun ran");
    service.kubelet.play(Pods::named("large-pod"), PodScript::new());
    assert_eq!(of_task_run(&service.end_of_task("large").await?), says("True", "Succeeded"));
    service.stop().await
}

#[tokio::test]
async fn a_pod_that_somebody_deletes_is_made_again_only_before_it_has_begun() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let pods = service.api::<Pod>();
    let full = PodScript::unschedulable("0/1 nodes are available: 1 Insufficient memory.");
    service.kubelet.play(Pods::named("early-pod"), full);
    service.run_task("early", &json!({"taskSpec": {"steps": [step("x")]}})).await?;
    service.task_says("early", "ExceededNodeResources").await?;
    let first = pods.get("early-pod").await?.metadata.uid;
    service.kubelet.play(Pods::named("early-pod"), PodScript::new());
    pods.delete("early-pod", &DeleteParams::default()).await?;
    assert_eq!(of_task_run(&service.end_of_task("early").await?), says("True", "Succeeded"));
    assert_ne!(pods.get("early-pod").await?.metadata.uid, first);

    service.kubelet.play(Pods::named("late-pod"), PodScript::new().others(Container::never_ends()));
    service.run_task("late", &json!({"taskSpec": {"steps": [step("x")]}})).await?;
    let has_begun = |run: &TaskRun| {
        run.status.as_ref().is_some_and(|status| status.steps.iter().any(|step| step.running.is_some()))
    };
    wait_for(&service.task_runs(), "late", "its step to run", DEADLINE, has_begun).await?;
    pods.delete("late-pod", &DeleteParams::default()).await?;
    let ended = service.end_of_task("late").await?;
    assert_eq!(of_task_run(&ended).0, "False");
    wait_gone(&pods, "late-pod", DEADLINE).await?;
    service.pass("marker").await?;
    assert_eq!(service.pods().await?, ["early-pod", "marker-a-pod"], "what has begun is not begun again");
    service.stop().await
}
