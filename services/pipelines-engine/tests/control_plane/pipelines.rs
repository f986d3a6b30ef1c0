//! PipelineRuns from their creation to their end: order, conditions, finally, cancellation, timeouts.

use kube::api::ListParams;
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::{Value, json};
use testkit::kubelet::{Container, PodScript, Pods};
use testkit::{DEADLINE, wait_for, wait_gone};

use k8s_openapi::api::core::v1::Pod;

use crate::service::{Service, message, of_pipeline_run, of_task_run, results, says, step, task, with};

/// The pods of a task of whatever run.
fn of_task(name: &str) -> Pods {
    Pods::labelled("tekton.dev/pipelineTask", name)
}

fn gives(message: &str) -> PodScript {
    PodScript::new().container("step-s", Container::succeeds().message(message))
}

fn fails() -> PodScript {
    PodScript::new().others(Container::exits(1))
}

fn never_ends() -> PodScript {
    PodScript::new().others(Container::never_ends())
}

fn message_of(run: &PipelineRun) -> &str {
    run.status.as_ref().map(|status| message(&status.conditions)).unwrap_or_default()
}

fn skipped(run: &PipelineRun) -> Vec<(&str, &str)> {
    let skipped = run.status.iter().flat_map(|status| &status.skipped_tasks);
    skipped.map(|task| (task.name.as_str(), task.reason.as_str())).collect()
}

async fn task_runs(service: &Service) -> anyhow::Result<Vec<String>> {
    let runs = service.task_runs().list(&ListParams::default()).await?;
    let mut names: Vec<_> = runs.into_iter().filter_map(|run| run.metadata.name).collect();
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn scenario_1_a_result_flows_from_task_to_task_to_run() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.kubelet.play(of_task("a"), never_ends());
    service.kubelet.play(of_task("b"), gives(&results(&[("q", "two")])));
    let spec = json!({"pipelineSpec": {
        "tasks": [
            {"name": "a", "taskSpec": {"steps": [step("x")], "results": [{"name": "r"}]}},
            {"name": "b", "params": [{"name": "p", "value": "$(tasks.a.results.r)"}], "taskSpec": {
                "params": [{"name": "p"}], "steps": [step("$(params.p)")], "results": [{"name": "q"}],
            }},
        ],
        "results": [{"name": "out", "value": "$(tasks.b.results.q)"}],
    }});
    service.run_pipeline("flow", &spec).await?;
    service.task_says("flow-a", "Running").await?;
    assert_eq!(task_runs(&service).await?, ["flow-a"], "b waits for a");

    service.kubelet.play(of_task("a"), gives(&results(&[("r", "one")])));
    let ended = service.end_of("flow").await?;
    assert_eq!(of_pipeline_run(&ended), says("True", "Succeeded"));
    let status = ended.status.unwrap_or_default();
    assert_eq!(status.results[0].value, "two".into());
    let names: Vec<_> = status.child_references.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(names, ["flow-a", "flow-b"]);
    let (a, b) = (service.end_of_task("flow-a").await?, service.end_of_task("flow-b").await?);
    assert_eq!(b.spec.params[0].value, "one".into());
    assert!(b.metadata.creation_timestamp >= a.status.and_then(|status| status.completion_time));
    service.stop().await
}

#[tokio::test]
async fn scenario_2_a_failure_lets_siblings_finish_and_finally_see_it() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.kubelet.play(of_task("a"), fails());
    service.kubelet.play(of_task("b"), never_ends());
    let sees = json!({"name": "f", "taskSpec": {"params": [{"name": "all"}, {"name": "x"}], "steps": [step("x")]},
        "params": [{"name": "all", "value": "$(tasks.status)"}, {"name": "x", "value": "$(tasks.x.status)"}]});
    let spec = json!({"pipelineSpec": {
        "tasks": [task("a"), task("b"), with(task("x"), &json!({"runAfter": ["b"]}))],
        "finally": [sees],
    }});
    service.run_pipeline("fan", &spec).await?;
    service.task_says("fan-b", "Running").await?;
    let stopping = wait_for(&service.pipeline_runs(), "fan", "x to be skipped", DEADLINE, |run| {
        !skipped(run).is_empty()
    })
    .await?;
    assert_eq!(skipped(&stopping), [("x", "PipelineRun was stopping")]);
    assert_eq!(task_runs(&service).await?, ["fan-a", "fan-b"], "finally waits for b");

    service.kubelet.play(of_task("b"), PodScript::new());
    let ended = service.end_of("fan").await?;
    assert_eq!(of_pipeline_run(&ended), says("False", "Failed"));
    assert_eq!(message_of(&ended), "Tasks Completed: 3 (Failed: 1, Cancelled 0), Skipped: 1");
    assert!(ended.status.as_ref().is_some_and(|status| status.finally_start_time.is_some()));
    assert_eq!(task_runs(&service).await?, ["fan-a", "fan-b", "fan-f"]);
    let finally = service.task_runs().get("fan-f").await?;
    let values: Vec<_> = finally.spec.params.iter().filter_map(|param| param.value.as_str()).collect();
    assert_eq!(values, ["Failed", "None"]);
    service.stop().await
}

#[tokio::test]
async fn scenario_3_what_a_condition_skips_takes_only_its_consumers_along() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let spec = json!({"pipelineSpec": {"tasks": [
        {"name": "a", "when": [{"input": "x", "operator": "in", "values": ["y"]}],
            "taskSpec": {"steps": [step("x")], "results": [{"name": "r"}]}},
        with(task("b"), &json!({"runAfter": ["a"]})),
        {"name": "c", "params": [{"name": "p", "value": "$(tasks.a.results.r)"}],
            "taskSpec": {"params": [{"name": "p"}], "steps": [step("$(params.p)")]}},
    ]}});
    service.run_pipeline("when", &spec).await?;
    let ended = service.end_of("when").await?;
    assert_eq!(of_pipeline_run(&ended), says("True", "Completed"));
    assert_eq!(
        skipped(&ended),
        [("a", "When Expressions evaluated to false"), ("c", "Results were missing")]
    );
    assert_eq!(task_runs(&service).await?, ["when-b"]);
    service.stop().await
}

#[tokio::test]
async fn scenario_5_a_cancelled_run_ends_and_so_does_its_pod() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.kubelet.play(Pods::any(), never_ends());
    service.run_pipeline("long", &json!({"pipelineSpec": {"tasks": [task("a")]}})).await?;
    service.task_says("long-a", "Running").await?;
    service.merge::<PipelineRun>("long", &json!({"spec": {"status": "Cancelled"}})).await?;
    let ended = service.end_of("long").await?;
    assert_eq!(of_pipeline_run(&ended), says("False", "Cancelled"));
    let child = service.end_of_task("long-a").await?;
    assert_eq!(of_task_run(&child), says("False", "TaskRunCancelled"));
    wait_gone(&service.api::<Pod>(), "long-a-pod", DEADLINE).await?;
    service.stop().await
}

#[tokio::test]
async fn scenario_5_wishes_to_end_outlive_a_restart() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.kubelet.play(of_task("a"), never_ends());
    let spec = json!({"pipelineSpec": {
        "tasks": [task("a"), with(task("b"), &json!({"runAfter": ["a"]}))], "finally": [task("f")],
    }});
    let wishes = [("now", "Cancelled"), ("gently", "CancelledRunFinally"), ("later", "StoppedRunFinally")];
    for (name, _) in wishes {
        service.run_pipeline(name, &spec).await?;
        service.task_says(&format!("{name}-a"), "Running").await?;
    }
    service.stop().await?;
    for (name, wish) in wishes {
        service.merge::<PipelineRun>(name, &json!({"spec": {"status": wish}})).await?;
    }
    service.run().await?;

    let now = service.end_of("now").await?;
    assert_eq!(of_pipeline_run(&now), says("False", "Cancelled"));
    assert_eq!(message_of(&now), "PipelineRun \"now\" was cancelled");
    let gently = service.end_of("gently").await?;
    assert_eq!(of_pipeline_run(&gently), says("False", "Cancelled"));
    assert_eq!(message_of(&gently), "Tasks Completed: 2 (Failed: 0, Cancelled 1), Skipped: 1");
    // Of the reasons that hold in the end, this one comes first.
    assert_eq!(skipped(&gently), [("b", "PipelineRun was stopping")]);
    for name in ["now-a", "gently-a"] {
        let child = service.end_of_task(name).await?;
        assert_eq!(of_task_run(&child), says("False", "TaskRunCancelled"), "{name}");
    }

    let later = wait_for(&service.pipeline_runs(), "later", "it to stop", DEADLINE, |run: &PipelineRun| {
        of_pipeline_run(run) == says("Unknown", "StoppedRunningFinally")
    })
    .await?;
    assert_eq!(skipped(&later), [("b", "PipelineRun was gracefully stopped")]);
    let spared = service.task_runs().get("later-a").await?;
    assert_eq!((spared.spec.status.as_str(), of_task_run(&spared)), ("", says("Unknown", "Running")));
    service.kubelet.play(of_task("a"), PodScript::new());
    assert_eq!(of_pipeline_run(&service.end_of("later").await?), says("False", "Cancelled"));
    let expected = ["gently-a", "gently-f", "later-a", "later-f", "now-a"];
    assert_eq!(task_runs(&service).await?, expected, "those that are told to end at once run no finally");
    service.stop().await
}

#[tokio::test]
async fn scenario_6_tasks_that_take_too_long_end_and_finally_runs() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.kubelet.play(of_task("a"), never_ends());
    let pipeline = |timeouts: &Value| {
        let slow = with(task("a"), &json!({"timeout": "1h"}));
        json!({"timeouts": timeouts, "pipelineSpec": {"tasks": [slow], "finally": [task("f")]}})
    };
    service.run_pipeline("tasks", &pipeline(&json!({"pipeline": "2h", "tasks": "2s"}))).await?;
    service.run_pipeline("whole", &pipeline(&json!({"pipeline": "2s"}))).await?;

    let tasks = service.end_of("tasks").await?;
    assert_eq!(of_pipeline_run(&tasks), says("False", "Failed"));
    assert_eq!(message_of(&tasks), "Tasks Completed: 2 (Failed: 1, Cancelled 0), Skipped: 0");
    let late = service.end_of_task("tasks-a").await?;
    assert_eq!(of_task_run(&late), says("False", "TaskRunCancelled"));
    let why = "TaskRun cancelled as the PipelineRun it belongs to has timed out.";
    assert_eq!(late.spec.status_message, why);
    assert_eq!(of_task_run(&service.end_of_task("tasks-f").await?), says("True", "Succeeded"));

    let whole = service.end_of("whole").await?;
    assert_eq!(of_pipeline_run(&whole), says("False", "PipelineRunTimeout"));
    assert_eq!(message_of(&whole), "PipelineRun \"whole\" failed to finish within \"2s\"");
    let late = service.end_of_task("whole-a").await?;
    assert_eq!((of_task_run(&late).1.as_str(), &*late.spec.status_message), ("TaskRunCancelled", why));
    assert_eq!(task_runs(&service).await?, ["tasks-a", "tasks-f", "whole-a"], "no time is left for finally");
    service.stop().await
}

#[tokio::test]
async fn scenario_11_lists_and_objects_go_where_strings_go() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let made = results(&[("list", r#"["one","two"]"#), ("object", r#"{"key":"v","other":"w"}"#)]);
    service.kubelet.play(of_task("a"), gives(&made));
    let spec = json!({
        "params": [{"name": "given", "value": ["first", "second"]}],
        "pipelineSpec": {
            "params": [{"name": "given", "type": "array"}],
            "tasks": [
                {"name": "a", "taskSpec": {"steps": [step("x")], "results": [
                    {"name": "list", "type": "array"},
                    {"name": "object", "properties": {"key": {}, "other": {}}},
                ]}},
                {"name": "b",
                    "params": [
                        {"name": "whole", "value": ["$(tasks.a.results.list[*])"]},
                        {"name": "element", "value": "$(tasks.a.results.list[1])"},
                        {"name": "key", "value": "$(tasks.a.results.object.key)"},
                        {"name": "of-run", "value": "$(params.given[0])"},
                        {"name": "all-of-run", "value": ["$(params.given[*])"]},
                    ],
                    "taskSpec": {
                        "params": [
                            {"name": "whole", "type": "array"}, {"name": "element"}, {"name": "key"},
                            {"name": "of-run"}, {"name": "all-of-run", "type": "array"},
                        ],
                        "steps": [with(step("$(params.whole[1])"), &json!({
                            "args": ["$(params.whole[*])", "$(params.key)", "$(params.of-run)", "$(params.all-of-run[*])"],
                        }))],
                    }},
            ],
            "results": [
                {"name": "list", "type": "array", "value": "$(tasks.a.results.list[*])"},
                {"name": "object", "type": "object", "value": "$(tasks.a.results.object[*])"},
                {"name": "text", "value": "$(tasks.a.results.object.other)-$(tasks.a.results.list[0])"},
            ],
        },
    });
    service.run_pipeline("kinds", &spec).await?;
    let ended = service.end_of("kinds").await?;
    assert_eq!(of_pipeline_run(&ended), says("True", "Succeeded"), "{}", message_of(&ended));
    let given = serde_json::to_value(ended.status.unwrap_or_default().results)?;
    let expected = json!([
        {"name": "list", "value": ["one", "two"]},
        {"name": "object", "value": {"key": "v", "other": "w"}},
        {"name": "text", "value": "w-one"},
    ]);
    assert_eq!(given, expected);
    let pod = service.api::<Pod>().get("kinds-b-pod").await?.spec.unwrap_or_default();
    let args = pod.containers[0].args.clone().unwrap_or_default();
    let own: Vec<_> = args.iter().skip_while(|word| *word != "-entrypoint").skip(1).collect();
    assert_eq!(own, ["two", "--", "one", "two", "v", "first", "first", "second"]);

    let mut beyond = spec.clone();
    beyond["pipelineSpec"]["tasks"][1]["params"][3]["value"] = json!("$(params.given[2])");
    service.run_pipeline("beyond", &beyond).await?;
    let ended = service.end_of("beyond").await?;
    assert_eq!(of_pipeline_run(&ended), says("False", "ParamArrayIndexingInvalid"));
    assert!(message_of(&ended).contains("$(params.given[2])"), "{}", message_of(&ended));
    service.stop().await
}

/// Applied together, a run may be seen before the Tasks and Pipelines that it names.
#[tokio::test]
async fn what_a_run_names_is_found_however_new_it_is() -> anyhow::Result<()> {
    const RUNS: usize = 20;
    let mut service = Service::start().await?;
    for index in 0..RUNS {
        let manifests = json!([
            {"kind": "Task", "metadata": {"name": format!("t{index}")}, "spec": {"steps": [step("x")]}},
            {"kind": "Pipeline", "metadata": {"name": format!("p{index}")}, "spec": {
                "tasks": [{"name": "a", "taskRef": {"name": format!("t{index}")}}],
            }},
            {"kind": "PipelineRun", "metadata": {"name": format!("r{index}")}, "spec": {
                "pipelineRef": {"name": format!("p{index}")},
            }},
        ]);
        let documents = manifests
            .as_array()
            .into_iter()
            .flatten()
            .map(|manifest| with(manifest.clone(), &json!({"apiVersion": "tekton.dev/v1"})).to_string());
        service.tenant.apply_yaml(&documents.collect::<Vec<_>>().join("\n---\n")).await?;
    }
    for index in 0..RUNS {
        let ended = service.end_of(&format!("r{index}")).await?;
        assert_eq!(of_pipeline_run(&ended), says("True", "Succeeded"), "{}", message_of(&ended));
    }
    // One that does not exist is asked for once.
    let mark = service.plane.ledger()?.mark().await?;
    service.run_pipeline("nothing", &json!({"pipelineRef": {"name": "none"}})).await?;
    let ended = service.end_of("nothing").await?;
    assert_eq!(of_pipeline_run(&ended), says("False", "CouldntGetPipeline"));
    service.pass("marker").await?;
    let asked = service.calls(&mark).await?.about("pipelines");
    assert_eq!((asked.reads(), asked.len()), (1, 1), "{asked}");
    service.stop().await
}

/// TaskRuns that nobody else made count as the run's own, whatever became of its status.
#[tokio::test]
async fn scenario_7_children_are_known_by_their_owner() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.kubelet.play(Pods::any(), never_ends());
    service.run_pipeline("lost", &json!({"pipelineSpec": {"tasks": [task("a"), task("b")]}})).await?;
    for name in ["lost-a", "lost-b"] {
        service.task_says(name, "Running").await?;
    }
    service.stop().await?;
    let forgotten = json!({"status": null});
    service
        .pipeline_runs()
        .patch_status("lost", &Default::default(), &kube::api::Patch::Merge(&forgotten))
        .await?;
    let before: Vec<_> = [service.task_runs().get("lost-a").await?, service.task_runs().get("lost-b").await?]
        .map(|run| run.metadata.uid)
        .into();
    service.run().await?;
    service.kubelet.play(Pods::any(), PodScript::new());
    let ended = service.end_of("lost").await?;
    assert_eq!(of_pipeline_run(&ended), says("True", "Succeeded"));
    let status = ended.status.unwrap_or_default();
    let names: Vec<_> = status.child_references.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(names, ["lost-a", "lost-b"]);
    let after: Vec<_> = [service.task_runs().get("lost-a").await?, service.task_runs().get("lost-b").await?]
        .map(|run: TaskRun| run.metadata.uid)
        .into();
    assert_eq!(before, after);
    assert_eq!(service.pods().await?, ["lost-a-pod", "lost-b-pod"]);
    service.stop().await
}
