//! Nothing is lost between a file, our types and the API server.

use pipelines_as_code_api::pipeline_run::{ControllerInfo, RecordSummary};
use pipelines_as_code_api::{IncomingOutcome, IncomingRequest, Repository};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{self, through};

use crate::{KINDS, file};

const PARTS: [&str; 3] = ["spec", "pipelinerun_status", "status"];

#[rstest]
#[tokio::test]
async fn types_and_the_api_server_keep(
    #[values("examples", "tests/api/complete")] folder: &str,
) -> anyhow::Result<()> {
    let value = crd::read(file(folder).join("repository.yaml"))?;
    assert_eq!(through::<Repository>(&value)?, value);
    let stored = KINDS.stored(&value).await?;
    for part in PARTS {
        assert_eq!(stored.get(part), value.get(part), "{part}");
    }
    Ok(())
}

#[test]
fn complete_object_uses_each_declared_field() -> anyhow::Result<()> {
    let value = crd::read(file("tests/api/complete/repository.yaml"))?;
    assert_eq!(KINDS.uncovered(&value, &[])?, Vec::<String>::new());
    Ok(())
}

/// What a newer version of the kind adds stays, at each level.
#[tokio::test]
async fn unknown_fields_are_kept() -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "pipelinesascode.tekton.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": "newer"},
        "added": {"a": [null]},
        "spec": {
            "added": 1,
            "git_provider": {"added": 1, "secret": {"name": "a", "key": "b", "added": 1}},
            "incoming": [{"type": "webhook-url", "added": 1}],
            "params": [{"name": "a", "added": 1}],
            "settings": {"added": 1, "ai": {"enabled": true}, "policy": {"added": 1}, "github": {"added": 1}},
        },
        "pipelinerun_status": [{
            "added": 1, "conditions": [{"type": "a", "status": "b", "added": 1}], "failure_reason": {"a": {"added": 1}},
        }],
        "status": {"added": 1},
    });
    let stored = KINDS.stored(&object).await?;
    assert_eq!(stored["added"], object["added"]);
    for part in PARTS {
        assert_eq!(stored[part], object[part], "{part}");
    }
    Ok(())
}

/// Nulls are what Go's programs write for a time that is not known.
#[rstest]
#[case::spec(json!({}))]
#[case::entries(json!({
    "spec": {"incoming": [{}], "params": [{"secret_ref": {}}]},
    "pipelinerun_status": [{"conditions": [{}], "title": null, "failure_reason": {"a": {"CompletionTime": null}}}],
}))]
fn reads_what_lacks_a_field(#[case] mut value: Value) -> anyhow::Result<()> {
    value["metadata"] = json!({"name": "sparse"});
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
