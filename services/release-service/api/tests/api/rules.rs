//! Each rule passes once and fails once, with the words that people and tools look for; and no rule holds an object
//! that is older than it.

use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{assert_verdict, with};

use crate::{KINDS, admission, config, pipeline, plan, release};

fn spec(field: &str, value: impl Into<Value>) -> Value {
    json!({"spec": {field: value.into()}})
}

fn long(length: usize) -> String {
    "a".repeat(length)
}

/// A pipeline of a plan or admission, with `patch` merged in.
fn piped(field: &str, patch: Value) -> Value {
    spec(field, with(pipeline(), &patch))
}

const IS_LABEL: &str = "should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'";

#[rstest]
#[case::as_is(release(), json!({}), &[])]
#[case::name_of_63(release(), json!({"metadata": {"name": long(63)}}), &[])]
#[case::name_of_64(
    release(), json!({"metadata": {"name": long(64)}}), &["invalid release name: aaaa", "longer than 63 characters"]
)]
#[case::no_snapshot(release(), spec("snapshot", Value::Null), &["spec.snapshot: Required value"])]
#[case::snapshot_in_upper_case(release(), spec("snapshot", "A"), &["spec.snapshot", IS_LABEL])]
#[case::snapshot_of_63(release(), spec("snapshot", long(63)), &[])]
#[case::snapshot_of_64(release(), spec("snapshot", long(64)), &["spec.snapshot: Too long"])]
#[case::no_plan(release(), spec("releasePlan", Value::Null), &["spec.releasePlan: Required value"])]
#[case::plan_with_dot(release(), spec("releasePlan", "a.b"), &["spec.releasePlan", IS_LABEL])]
#[case::plan_of_64(release(), spec("releasePlan", long(64)), &["spec.releasePlan: Too long"])]
#[case::data_is_text(release(), spec("data", "text"), &["spec.data"])]
#[case::days_as_text(release(), spec("gracePeriodDays", "7"), &["spec.gracePeriodDays"])]
#[case::plan(plan(), json!({}), &[])]
#[case::no_application(plan(), spec("application", Value::Null), &["spec.application: Required value"])]
#[case::application_in_upper_case(plan(), spec("application", "A"), &["spec.application", IS_LABEL])]
#[case::no_target(plan(), spec("target", Value::Null), &[])]
#[case::target_with_slash(plan(), spec("target", "a/b"), &["spec.target", IS_LABEL])]
#[case::service_account_in_upper_case(plan(), spec("serviceAccount", "A"), &["spec.serviceAccount", IS_LABEL])]
#[case::tenant_pipeline(plan(), piped("tenantPipeline", json!({"params": [{"name": "a", "value": "b"}]})), &[])]
#[case::tenant_pipeline_without_reference(
    plan(), spec("tenantPipeline", json!({"params": []})), &["spec.tenantPipeline.pipelineRef: Required value"]
)]
#[case::parameter_without_value(
    plan(), piped("finalPipeline", json!({"params": [{"name": "a"}]})), &["spec.finalPipeline.params[0].value: Required value"]
)]
#[case::timeouts(
    plan(), piped("tenantPipeline", json!({"timeouts": {"pipeline": "1h0m0s", "tasks": "0", "finally": "1.5h"}})), &[]
)]
#[case::timeout_without_unit(
    plan(), piped("tenantPipeline", json!({"timeouts": {"tasks": "90"}})), &["spec.tenantPipeline.timeouts.tasks", "should match"]
)]
#[case::collector(plan(), spec("collectors", json!({"items": [{"name": "a", "type": "jira"}]})), &[])]
#[case::collector_without_type(
    plan(), spec("collectors", json!({"items": [{"name": "a"}]})), &["spec.collectors.items[0].type: Required value"]
)]
#[case::collector_in_upper_case(
    plan(), spec("collectors", json!({"items": [{"name": "A", "type": "jira"}]})), &["spec.collectors.items[0].name", IS_LABEL]
)]
#[case::admission(admission(), json!({}), &[])]
#[case::no_applications(admission(), spec("applications", Value::Null), &["spec.applications: Required value"])]
#[case::application_of_63(admission(), spec("applications", json!([long(63)])), &[])]
#[case::application_of_64(admission(), spec("applications", json!([long(64)])), &["spec.applications[0]: Too long"])]
#[case::no_origin(admission(), spec("origin", Value::Null), &["spec.origin: Required value"])]
#[case::empty_origin(admission(), spec("origin", ""), &["spec.origin", IS_LABEL])]
#[case::no_policy(admission(), spec("policy", Value::Null), &["spec.policy: Required value"])]
#[case::policy_in_upper_case(admission(), spec("policy", "A"), &["spec.policy", IS_LABEL])]
#[case::environment_in_upper_case(admission(), spec("environment", "A"), &["spec.environment", IS_LABEL])]
#[case::pipeline(admission(), spec("pipeline", pipeline()), &[])]
#[case::pipeline_without_resolver(
    admission(), spec("pipeline", json!({"pipelineRef": {"params": []}})), &["spec.pipeline.pipelineRef.resolver: Required value"]
)]
#[case::pipeline_without_parameters(
    admission(), spec("pipeline", json!({"pipelineRef": {"resolver": "git"}})), &["spec.pipeline.pipelineRef.params: Required value"]
)]
#[case::service_account_of_pipeline(
    admission(), piped("pipeline", json!({"serviceAccountName": "A"})), &["spec.pipeline.serviceAccountName", IS_LABEL]
)]
#[case::no_retries(admission(), piped("pipeline", json!({"maxRetries": 0})), &[])]
#[case::less_than_no_retries(
    admission(), piped("pipeline", json!({"maxRetries": -1})), &["spec.pipeline.maxRetries", "greater than or equal to 0"]
)]
#[case::config(config(), spec("debug", true), &[])]
#[case::override_without_path(
    config(), spec("EmptyDirOverrides", json!([{"url": "a", "revision": "b"}])), &["spec.EmptyDirOverrides[0].pathInRepo: Required"]
)]
#[tokio::test]
async fn is_created(#[case] object: Value, #[case] patch: Value, #[case] expected: &[&str]) {
    assert_verdict(KINDS.created(&with(object, &patch)).await.unwrap(), expected);
}

const IMMUTABLE: &str = "release resources spec cannot be updated";

#[rstest]
#[case::metadata(release(), json!({"metadata": {"annotations": {"a": "b"}}}), &[])]
#[case::same_data(release(), spec("data", json!({"known": {"a": 1}})), &[])]
#[case::snapshot(release(), spec("snapshot", "second"), &[IMMUTABLE])]
#[case::days(release(), spec("gracePeriodDays", 9), &[IMMUTABLE])]
#[case::data_added(release(), spec("data", json!({"more": 1})), &[IMMUTABLE])]
#[case::data_changed(release(), spec("data", json!({"known": {"a": 2}})), &[IMMUTABLE])]
#[case::data_removed(release(), spec("data", Value::Null), &[IMMUTABLE])]
#[case::unknown_field_added(release(), spec("unknown", 1), &[IMMUTABLE])]
#[case::plan(plan(), spec("target", "other"), &[])]
#[case::application_removed(plan(), spec("application", Value::Null), &["spec.application: Required value"])]
#[case::applications_removed(admission(), spec("applications", Value::Null), &["spec.applications: Required value"])]
#[case::admission(admission(), spec("origin", "other"), &[])]
#[tokio::test]
async fn is_updated(#[case] object: Value, #[case] patch: Value, #[case] expected: &[&str]) {
    assert_verdict(KINDS.updated(&object, &patch).await.unwrap(), expected);
}

#[rstest]
#[case(
    with(release(), &json!({"metadata": {"name": long(64)}, "spec": {"snapshot": "A"}})),
    json!({"metadata": {"annotations": {"a": "b"}}})
)]
// As newer programs write them: for a group of Components instead of an Application.
#[case(
    with(plan(), &json!({"spec": {"application": null, "componentGroup": "g", "target": "A"}})), spec("data", json!({"a": 1}))
)]
#[case(with(admission(), &json!({"spec": {"applications": null, "componentGroups": ["g"]}})), spec("policy", "other"))]
#[case(
    with(admission(), &json!({"spec": {"applications": [long(64)], "origin": "", "pipeline": {"maxRetries": -1}}})),
    spec("policy", "other")
)]
#[tokio::test]
async fn older_objects_can_be_edited_and_deleted(#[case] object: Value, #[case] edit: Value) {
    KINDS.outlives_rules(&object, &edit).await.unwrap();
}
