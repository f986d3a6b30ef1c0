//! Each rule passes once and fails once, with the words that people and tools look for; and no rule holds an object
//! that is older than it.

use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{assert_verdict, with};

use crate::{KINDS, config, request};

fn spec(field: &str, value: impl Into<Value>) -> Value {
    json!({"spec": {field: value.into()}})
}

/// Instead of a request by name.
fn piped(pipeline: Value) -> Value {
    json!({"spec": {"request": null, "pipeline": pipeline}})
}

fn pipeline() -> Value {
    json!({"pipelineRef": {"resolver": "git", "params": []}})
}

const IS_LABEL: &str = "should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'";
const ONE_OF: &str = "exactly one of request and pipeline must be given";

#[rstest]
#[case::as_is(request(), json!({}), &[])]
#[case::request_in_upper_case(request(), spec("request", "A"), &["spec.request", IS_LABEL])]
#[case::pipeline(request(), piped(pipeline()), &[])]
#[case::neither(request(), spec("request", Value::Null), &[ONE_OF])]
#[case::both(request(), spec("pipeline", pipeline()), &[ONE_OF])]
#[case::pipeline_without_reference(request(), piped(json!({})), &["spec.pipeline.pipelineRef: Required value"])]
#[case::parameter_is_a_list(request(), spec("params", json!({"a": ["b"]})), &["spec.params.a"])]
#[case::timeout(request(), spec("timeouts", json!({"pipeline": "1h0m0s"})), &[])]
#[case::timeout_without_unit(request(), spec("timeouts", json!({"finally": "1"})), &["spec.timeouts.finally", "should match"])]
#[case::service_account_in_upper_case(request(), spec("serviceAccount", "A"), &["spec.serviceAccount", IS_LABEL])]
#[case::config(config(), json!({}), &[])]
#[case::nobody_allowed(config(), spec("allowList", Value::Null), &[])]
#[case::volume_in_upper_case(config(), spec("volumeClaim", json!({"name": "A"})), &["spec.volumeClaim.name", IS_LABEL])]
#[case::volume_of_20_mebibytes(config(), spec("volumeClaim", json!({"size": "20Mi"})), &[])]
#[case::volume_of_no_size(
    config(), spec("volumeClaim", json!({"size": "0Gi"})), &["spec.volumeClaim.size", "should match '^[1-9][0-9]*(K|M|G)i$'"]
)]
#[tokio::test]
async fn is_created(#[case] object: Value, #[case] patch: Value, #[case] expected: &[&str]) {
    assert_verdict(KINDS.created(&with(object, &patch)).await.unwrap(), expected);
}

const IMMUTABLE: &str = "spec cannot be updated: create another InternalRequest";

#[rstest]
#[case::metadata(request(), json!({"metadata": {"labels": {"a": "b"}}}), &[])]
#[case::other_request(request(), spec("request", "other"), &[IMMUTABLE])]
#[case::parameter_added(request(), spec("params", json!({"c": "d"})), &[IMMUTABLE])]
#[case::unknown_field_added(request(), spec("unknown", 1), &[IMMUTABLE])]
#[case::config(config(), spec("debug", true), &[])]
#[tokio::test]
async fn is_updated(#[case] object: Value, #[case] patch: Value, #[case] expected: &[&str]) {
    assert_verdict(KINDS.updated(&object, &patch).await.unwrap(), expected);
}

#[rstest]
#[case(with(request(), &json!({"spec": {"request": "A", "pipeline": {}}})), json!({"metadata": {"annotations": {"a": "b"}}}))]
#[case(
    with(request(), &json!({"spec": {"request": null, "another": {"way": 1}}})), json!({"metadata": {"annotations": {"a": "b"}}})
)]
#[case(with(config(), &spec("volumeClaim", json!({"size": "1"}))), spec("debug", true))]
#[tokio::test]
async fn older_objects_can_be_edited_and_deleted(#[case] object: Value, #[case] edit: Value) {
    KINDS.outlives_rules(&object, &edit).await.unwrap();
}
