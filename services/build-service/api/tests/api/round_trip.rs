//! Nothing is lost between a file, our types and the API server.

use build_service_api as api;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{self, through, with};

use crate::{KINDS, file};

#[rstest]
#[case::selector("build-pipeline-selector.yaml", through::<api::BuildPipelineSelector>)]
#[case::check("dependency-update-check.yaml", through::<api::DependencyUpdateCheck>)]
#[tokio::test]
async fn types_and_the_api_server_keep(
    #[case] name: &str,
    #[case] through: fn(&Value) -> anyhow::Result<Value>,
    #[values("examples", "tests/api/complete")] folder: &str,
) -> anyhow::Result<()> {
    let value = crd::read(file(folder).join(name))?;
    assert_eq!(through(&value)?, value);
    let stored = KINDS.stored(&with(value.clone(), &json!({"metadata": {"namespace": null}}))).await?;
    assert_eq!((&stored["spec"], stored.get("status")), (&value["spec"], value.get("status")));
    Ok(())
}

#[rstest]
#[case::selector("build-pipeline-selector.yaml")]
#[case::check("dependency-update-check.yaml")]
fn complete_objects_use_each_declared_field(#[case] name: &str) -> anyhow::Result<()> {
    let value = crd::read(file("tests/api/complete").join(name))?;
    assert_eq!(KINDS.uncovered(&value, &[])?, Vec::<String>::new());
    Ok(())
}

/// What a newer version of a kind adds stays, at each level.
#[rstest]
#[case::selector(json!({"kind": "BuildPipelineSelector", "spec": {"added": 1, "selectors": [{
    "added": {"a": [null]},
    "pipelineRef": {"resolver": "git", "added": 1, "params": [{"name": "a", "value": {"b": ["c"]}, "added": 1}]},
    "pipelineParams": [{"name": "a", "value": "b", "added": 1}],
    "when": {"added": true},
}]}}))]
#[case::check(json!({
    "kind": "DependencyUpdateCheck",
    "spec": {"added": 1, "namespaces": [{"namespace": "a", "added": 1, "applications": [{"application": "b", "added": 1}]}]},
    "status": {"added": 1, "errors": [{"namespace": "a", "component": "b", "message": "c", "added": 1}]},
}))]
#[tokio::test]
async fn unknown_fields_are_kept(#[case] object: Value) -> anyhow::Result<()> {
    let object =
        with(object, &json!({"apiVersion": "appstudio.redhat.com/v1alpha1", "metadata": {"name": "newer"}}));
    let stored = KINDS.stored(&object).await?;
    assert_eq!((&stored["spec"], stored.get("status")), (&object["spec"], object.get("status")));
    Ok(())
}

/// An object that a newer version of the kind stored may lack what only ours requires.
#[rstest]
#[case::selectors(through::<api::BuildPipelineSelector>, json!({}))]
#[case::pipeline(through::<api::BuildPipelineSelector>, json!({"selectors": [{}]}))]
#[case::parameters(
    through::<api::BuildPipelineSelector>,
    json!({"selectors": [{"pipelineRef": {"params": [{}]}, "pipelineParams": [{}]}]})
)]
#[case::namespaces(through::<api::DependencyUpdateCheck>, json!({"namespaces": [{"applications": [{}]}]}))]
fn reads_what_lacks_a_field(
    #[case] through: fn(&Value) -> anyhow::Result<Value>,
    #[case] spec: Value,
) -> anyhow::Result<()> {
    assert_eq!(
        through(&json!({"metadata": {"name": "sparse"}, "spec": spec}))?["metadata"]["name"],
        "sparse"
    );
    Ok(())
}
