//! Each rule passes once and fails once.

use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{assert_verdict, with};

use crate::KINDS;

fn object(kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": kind, "metadata": {"name": "valid"}, "spec": spec,
    })
}

fn selector(patch: &Value) -> Value {
    let valid = json!({"pipelineRef": {"name": "a", "bundle": "b"}});
    object("BuildPipelineSelector", &json!({"selectors": [with(valid, patch)]}))
}

fn namespace(patch: &Value) -> Value {
    object("DependencyUpdateCheck", &json!({"namespaces": [with(json!({"namespace": "a"}), patch)]}))
}

fn application(patch: &Value) -> Value {
    namespace(&json!({"applications": [with(json!({"application": "b"}), patch)]}))
}

#[rstest]
#[case::selector(selector(&json!({})), &[])]
#[case::no_selector(object("BuildPipelineSelector", &json!({"selectors": []})), &[])]
#[case::no_list(object("BuildPipelineSelector", &json!({})), &["spec.selectors: Required value"])]
#[case::no_pipeline(selector(&json!({"pipelineRef": null})), &["spec.selectors[0].pipelineRef: Required value"])]
#[case::pipeline_is_judged_when_used(selector(&json!({"pipelineRef": {"resolver": "git", "name": null}})), &[])]
#[case::resolver_parameter_without_value(
    selector(&json!({"pipelineRef": {"params": [{"name": "a"}]}})), &["pipelineRef.params[0].value: Required value"]
)]
#[case::parameter_without_value(
    selector(&json!({"pipelineParams": [{"name": "a"}]})), &["pipelineParams[0].value: Required value"]
)]
#[case::parameter_that_is_a_list(
    selector(&json!({"pipelineParams": [{"name": "a", "value": ["b"]}]})), &["pipelineParams[0].value", "must be of type string"]
)]
#[case::dockerfile_as_text(selector(&json!({"when": {"dockerfile": "true"}})), &["when.dockerfile"])]
#[case::everything(object("DependencyUpdateCheck", &json!({})), &[])]
#[case::no_spec(with(object("DependencyUpdateCheck", &json!({})), &json!({"spec": null})), &[])]
#[case::namespace(namespace(&json!({})), &[])]
#[case::namespace_without_name(namespace(&json!({"namespace": null})), &["spec.namespaces[0].namespace: Required value"])]
#[case::namespace_in_upper_case(namespace(&json!({"namespace": "A"})), &["spec.namespaces[0].namespace", "should match"])]
#[case::application(application(&json!({"components": ["c-1"]})), &[])]
#[case::application_without_name(application(&json!({"application": null})), &["applications[0].application: Required value"])]
#[case::application_in_upper_case(application(&json!({"application": "A"})), &["applications[0].application", "should match"])]
#[case::component_in_upper_case(application(&json!({"components": ["A"]})), &["components[0]", "should match"])]
#[case::component_of_63(application(&json!({"components": ["a".repeat(63)]})), &[])]
#[case::component_of_64(application(&json!({"components": ["a".repeat(64)]})), &["components[0]: Too long"])]
#[tokio::test]
async fn is_created(#[case] object: Value, #[case] expected: &[&str]) -> anyhow::Result<()> {
    assert_verdict(KINDS.created(&object).await?, expected);
    Ok(())
}

#[rstest]
#[case::selector(selector(&json!({"pipelineParams": [{"name": "a"}]})), json!({"spec": {"added": 1}}))]
#[case::check(application(&json!({"application": "B", "components": ["A"]})), json!({"spec": {"added": 1}}))]
#[tokio::test]
async fn older_objects_can_be_edited_and_deleted(
    #[case] object: Value,
    #[case] edit: Value,
) -> anyhow::Result<()> {
    KINDS.outlives_rules(&object, &edit).await
}
