#![expect(clippy::needless_pass_by_value, reason = "values are written where they are used")]

use serde_json::json;

use super::*;

fn run(reference: serde_json::Value) -> PipelineRun {
    serde_json::from_value(json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
        "metadata": {"name": "run", "namespace": "n", "labels": {"tekton.dev/pipeline": "p"}},
        "spec": reference,
    }))
    .unwrap()
}

fn status(status: &str, reason: &str) -> PipelineRunStatus {
    serde_json::from_value(json!({
        "conditions": [{"type": "Succeeded", "status": status, "reason": reason}],
        "startTime": "2024-01-01T00:00:00Z", "completionTime": "2024-01-01T00:00:20Z",
    }))
    .unwrap()
}

fn task_run(labels: serde_json::Value) -> TaskRun {
    serde_json::from_value(json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {"name": "tr", "namespace": "n", "labels": labels}, "spec": {},
        "status": {"conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}]},
    }))
    .unwrap()
}

fn task_status() -> TaskRunStatus {
    serde_json::from_value(json!({
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
        "startTime": "2024-01-01T00:00:00Z", "completionTime": "2024-01-01T00:00:05Z",
    }))
    .unwrap()
}

/// What is served, but for buckets and gauges.
fn served(registry: &Registry) -> Vec<String> {
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let is_shown =
        |line: &&str| !line.contains("_bucket") && !line.contains("running_") && !line.starts_with("# HELP");
    let lines = text.lines().filter(is_shown);
    lines.map(|line| line.replace("tekton_pipelines_controller_", "")).collect()
}

#[test]
fn a_run_is_counted_once_when_it_ends() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let config = Observability::default();
    let run = run(json!({"pipelineRef": {"name": "p"}}));
    let (going, ended) = (status("Unknown", "Running"), status("False", "Cancelled"));
    metrics.pipeline_run(&run, &PipelineRunStatus::default(), &going, config);
    assert_eq!(served(&registry), Vec::<String>::new());
    metrics.pipeline_run(&run, &going, &ended, config);
    metrics.pipeline_run(&run, &ended, &ended, config);
    assert_eq!(
        served(&registry),
        [
            "# TYPE pipelinerun_count counter",
            "pipelinerun_count{status=\"cancelled\"} 1",
            "# TYPE pipelinerun_duration_seconds histogram",
            "pipelinerun_duration_seconds_sum{namespace=\"n\",pipeline=\"p\",status=\"cancelled\"} 20",
            "pipelinerun_duration_seconds_count{namespace=\"n\",pipeline=\"p\",status=\"cancelled\"} 1",
            "# TYPE pipelinerun_total counter",
            "pipelinerun_total{status=\"cancelled\"} 1",
        ]
    );
}

#[test]
fn the_configuration_changes_labels_and_kind_while_it_runs() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let none = PipelineRunStatus::default();
    metrics.pipeline_run(&run(json!({})), &none, &status("True", "Succeeded"), Observability::default());
    assert!(served(&registry)[3].contains("pipeline=\"anonymous\""), "its label is the run's own name");
    let config = Observability {
        pipeline_run_level: PipelineRunLevel::PipelineRun,
        count_reason: true,
        ..Observability::default()
    };
    metrics.pipeline_run(&run(json!({"pipelineRef": {}})), &none, &status("True", "Completed"), config);
    assert_eq!(
        served(&registry),
        [
            "# TYPE pipelinerun_count counter",
            "pipelinerun_count{reason=\"Completed\",status=\"success\"} 1",
            "# TYPE pipelinerun_duration_seconds gauge",
            "pipelinerun_duration_seconds{namespace=\"n\",pipeline=\"p\",pipelinerun=\"run\",status=\"success\"} 20",
            "# TYPE pipelinerun_total counter",
            "pipelinerun_total{reason=\"Completed\",status=\"success\"} 1",
        ]
    );
}

#[test]
fn a_series_of_a_run_goes_with_it() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let stores =
        (Store::new(|_| {}, Vec::new()), Store::new(|_| {}, Vec::new()), Store::new(|_| {}, Vec::new()));
    metrics.follow(&stores.0, &stores.1, &stores.2);
    let config = Observability { task_run_level: TaskRunLevel::TaskRun, ..Observability::default() };
    let mut run = task_run(
        json!({"tekton.dev/pipelineRun": "pr", "tekton.dev/pipeline": "pr", "tekton.dev/task": "t"}),
    );
    metrics.task_run(&run, &TaskRunStatus::default(), &task_status(), config);
    let series = "pipelinerun_taskrun_duration_seconds{namespace=\"n\",pipeline=\"anonymous\",status=\"success\",task=\"t\",taskrun=\"tr\"} 5";
    assert!(served(&registry).contains(&series.to_owned()), "{:?}", served(&registry));
    run.metadata.resource_version = Some("1".to_owned());
    stores.1.apply(run.clone());
    run.metadata.resource_version = Some("2".to_owned());
    stores.1.delete(&run);
    assert!(!served(&registry).iter().any(|line| line.contains("taskrun=")), "{:?}", served(&registry));
}

#[test]
fn a_pod_is_timed_when_it_gets_a_node() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let pod = |conditions: serde_json::Value| -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "p", "namespace": "n", "creationTimestamp": "2024-01-01T00:00:00Z",
                "labels": {"tekton.dev/task": "t"},
            },
            "status": {"conditions": conditions},
        }))
        .unwrap()
    };
    let waits = pod(
        json!([{"type": "PodScheduled", "status": "False", "lastTransitionTime": "2024-01-01T00:00:01Z"}]),
    );
    let placed = pod(
        json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2024-01-01T00:00:02Z"}]),
    );
    metrics.pod(&waits, &waits);
    metrics.pod(&waits, &placed);
    metrics.pod(&placed, &placed);
    let lines = served(&registry);
    assert_eq!(lines[1], "taskruns_pod_latency_milliseconds_sum{namespace=\"n\",task=\"t\"} 2000");
    assert_eq!(lines[2], "taskruns_pod_latency_milliseconds_count{namespace=\"n\",task=\"t\"} 1");
}

#[test]
fn an_example_has_everything() {
    let registry = Registry::new();
    Metrics::new(&registry).unwrap().example();
    assert_eq!(registry.gather().len(), 16);
}
