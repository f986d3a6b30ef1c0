//! Nothing is lost between a file, our types and the API server.

use std::path::Path;

use pipelines_engine_api::{
    CustomRun, Pipeline, PipelineRun, ResolutionRequest, StepAction, Task, TaskRun, VerificationPolicy,
};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{self, through, with};

use crate::KINDS;

fn read(file: &str) -> Value {
    crd::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a file of this crate")
}

#[rstest]
#[case("examples/task.yaml", through::<Task>)]
#[case("examples/pipeline-run.yaml", through::<PipelineRun>)]
#[case("tests/api/complete/task.yaml", through::<Task>)]
#[case("tests/api/complete/task-run.yaml", through::<TaskRun>)]
#[case("tests/api/complete/pipeline-run.yaml", through::<PipelineRun>)]
#[case("tests/api/complete/step-action.yaml", through::<StepAction>)]
#[case("tests/api/complete/custom-run.yaml", through::<CustomRun>)]
#[case("tests/api/complete/resolution-request.yaml", through::<ResolutionRequest>)]
#[case("tests/api/complete/verification-policy.yaml", through::<VerificationPolicy>)]
#[tokio::test]
async fn is_kept(
    #[case] file: &str,
    #[case] through: fn(&Value) -> anyhow::Result<Value>,
) -> anyhow::Result<()> {
    let value = read(file);
    let read = through(&value)?;
    assert_eq!((&read["spec"], &read["status"]), (&value["spec"], &value["status"]));
    let stored = KINDS.stored(&value).await?;
    let status = value.get("status").unwrap_or(&Value::Null);
    assert_eq!((&stored["spec"], stored.get("status").unwrap_or(&Value::Null)), (&value["spec"], status));
    Ok(())
}

/// A Pipeline is what a PipelineRun has inline.
#[test]
fn a_pipeline_is_kept() -> anyhow::Result<()> {
    let run = read("tests/api/complete/pipeline-run.yaml");
    let spec = &run["spec"]["pipelineSpec"];
    let pipeline =
        json!({"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "a"}, "spec": spec});
    assert_eq!(through::<Pipeline>(&pipeline)?, pipeline);
    Ok(())
}

/// What a newer version of the kind adds stays, at each level.
#[tokio::test]
async fn unknown_fields_are_kept() -> anyhow::Result<()> {
    let newer = with(
        read("examples/task.yaml"),
        &json!({"spec": {"added": 1, "steps": [{"image": "i", "added": {"a": null, "b": [1]}}]}, "added": 1}),
    );
    assert_eq!(KINDS.stored(&newer).await?["spec"], newer["spec"]);
    Ok(())
}

/// One object that cannot be read would end the watch of all: those from when the webhook was away may lack anything.
#[rstest]
#[case("Task", through::<Task>, json!({"params": [{}], "results": [{}], "workspaces": [{}], "sidecars": [{"workspaces": [{}]}],
    "steps": [{"results": [{}], "params": [{}], "ref": {}}]}), json!({}))]
#[case("Pipeline", through::<Pipeline>, json!({"params": [{}], "results": [{}], "workspaces": [{}],
    "tasks": [{"workspaces": [{}], "params": [{}], "taskSpec": {}, "when": [{}], "matrix": {"include": [{}]}}]}), json!({}))]
#[case("TaskRun", through::<TaskRun>, json!({"params": [{}], "workspaces": [{}], "stepSpecs": [{}]}),
    json!({"conditions": [{}], "steps": [{}], "sidecars": [{}], "results": [{}], "retriesStatus": [{}]}))]
#[case("PipelineRun", through::<PipelineRun>, json!({"params": [{}], "workspaces": [{}], "taskRunSpecs": [{}]}),
    json!({"conditions": [{}], "results": [{}], "skippedTasks": [{}], "childReferences": [{}]}))]
#[case("StepAction", through::<StepAction>, json!({"params": [{}], "results": [{}]}), json!({}))]
#[case("CustomRun", through::<CustomRun>, json!({"customRef": {}, "workspaces": [{}]}), json!({"conditions": [{}], "results": [{}]}))]
#[case("ResolutionRequest", through::<ResolutionRequest>, json!({"params": [{}]}), json!({"conditions": [{}]}))]
#[case("VerificationPolicy", through::<VerificationPolicy>, json!({"resources": [{}], "authorities": [{}]}), json!({}))]
fn reads_what_lacks_everything(
    #[case] kind: &str,
    #[case] through: fn(&Value) -> anyhow::Result<Value>,
    #[case] spec: Value,
    #[case] status: Value,
) -> anyhow::Result<()> {
    for status in [json!({}), status] {
        let value = json!({
            "apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": "sparse"}, "spec": spec, "status": status,
        });
        assert_eq!(through(&value)?["metadata"]["name"], "sparse");
    }
    Ok(())
}
