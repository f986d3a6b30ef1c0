//! Nothing is lost between a file, our types and the API server.

use pipelines_as_code_api::pipeline_run::{ControllerInfo, RecordSummary};
use pipelines_as_code_api::{IncomingOutcome, IncomingRequest, Repository};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::through;

use crate::KINDS;

#[tokio::test]
async fn repositories_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<Repository>("repository.yaml", &[]).await
}

#[tokio::test]
async fn the_worst_objects_can_be_edited_and_deleted() -> anyhow::Result<()> {
    KINDS.worst_objects_can_go().await
}

/// Nulls are what Go's programs write for a time that is not known.
#[test]
fn reads_nulls() -> anyhow::Result<()> {
    let value = json!({
        "metadata": {"name": "sparse"},
        "pipelinerun_status": [{"conditions": [{}], "title": null, "failure_reason": {"a": {"CompletionTime": null}}}],
    });
    assert_eq!(through::<Repository>(&value)?["metadata"]["name"], "sparse");
    Ok(())
}

/// A list that is empty lets nobody, one that is absent everybody who may push.
#[test]
fn tells_an_empty_list_of_teams_from_none() -> anyhow::Result<()> {
    let value = json!({"metadata": {"name": "a"}, "spec": {"settings": {"policy": {"ok_to_test": []}}}});
    assert_eq!(through::<Repository>(&value)?["spec"], value["spec"]);
    Ok(())
}

#[rstest]
#[case::request(
    through::<IncomingRequest>, json!({"id": "1", "branch": "main", "pipelineRun": "a-on-push", "params": {"a": "b"}})
)]
#[case::outcome(through::<IncomingOutcome>, json!({"id": "1", "pipelineRun": "a-on-push-3f7kq"}))]
#[case::controller(through::<ControllerInfo>, json!({"name": "default", "configmap": "a", "secret": "b"}))]
#[case::summary(
    through::<RecordSummary>, json!({"repo": "a", "commit": "b", "eventType": "push", "pull_request-id": 1})
)]
fn annotations_keep_their_json(
    #[case] through: fn(&Value) -> anyhow::Result<Value>,
    #[case] value: Value,
) -> anyhow::Result<()> {
    assert_eq!(through(&value)?, value);
    Ok(())
}
