//! Each rule passes once and fails once.

use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{assert_verdict, with};

use crate::KINDS;

fn policy(spec: &Value) -> Value {
    json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": "EnterpriseContractPolicy",
        "metadata": {"name": "valid"},
        "spec": spec,
    })
}

fn source(patch: &Value) -> Value {
    policy(&json!({"sources": [with(json!({"policy": ["oci::images.example.com/a"]}), patch)]}))
}

fn volatile(patch: &Value) -> Value {
    source(&json!({"volatileConfig": {"exclude": [with(json!({"value": "a"}), patch)]}}))
}

#[rstest]
#[case::empty(policy(&json!({})), &[])]
#[case::no_spec(with(policy(&json!({})), &json!({"spec": null})), &[])]
#[case::source(source(&json!({})), &[])]
#[case::no_source(policy(&json!({"sources": []})), &["spec.sources", "should have at least 1 items"])]
#[case::no_policy(source(&json!({"policy": []})), &["spec.sources[0].policy", "should have at least 1 items"])]
#[case::data_only(source(&json!({"policy": null, "data": ["a"]})), &[])]
#[case::rule_data_is_a_list(source(&json!({"ruleData": [1]})), &["spec.sources[0].ruleData", "must be of type object"])]
#[case::included_twice(
    source(&json!({"config": {"include": ["a", "a"]}})), &["spec.sources[0].config.include[1]: Duplicate value"]
)]
#[case::excluded_twice(
    source(&json!({"config": {"exclude": ["a", "a"]}})), &["spec.sources[0].config.exclude[1]: Duplicate value"]
)]
#[case::collected_twice(
    policy(&json!({"configuration": {"collections": ["a", "a"]}})), &["spec.configuration.collections[1]: Duplicate value"]
)]
#[case::volatile(volatile(&json!({"effectiveUntil": "2024-02-01T10:00:00Z"})), &[])]
#[case::volatile_without_value(volatile(&json!({"value": null})), &["volatileConfig.exclude[0].value: Required value"])]
#[case::begins_on_no_time(volatile(&json!({"effectiveOn": "soon"})), &["effectiveOn", "must be of type date-time"])]
#[case::ends_on_no_time(volatile(&json!({"effectiveUntil": "2024-02-01"})), &["effectiveUntil", "must be of type date-time"])]
#[case::digest(volatile(&json!({"imageDigest": format!("sha256:{}", "aF".repeat(32))})), &[])]
#[case::short_digest(volatile(&json!({"imageDigest": "sha256:0"})), &["imageDigest", "should match"])]
#[case::short_reference(volatile(&json!({"imageRef": "sha256:0"})), &["imageRef", "should match"])]
#[case::repository(volatile(&json!({"imageUrl": "images.example.com/shop/frontend"})), &[])]
#[case::repository_with_tag(volatile(&json!({"imageUrl": "images.example.com/shop/frontend:1"})), &["imageUrl", "should match"])]
#[case::repository_without_host(volatile(&json!({"imageUrl": "shop/frontend"})), &["imageUrl", "should match"])]
#[tokio::test]
async fn is_created(#[case] object: Value, #[case] expected: &[&str]) -> anyhow::Result<()> {
    assert_verdict(KINDS.created(&object).await?, expected);
    Ok(())
}

#[tokio::test]
async fn older_objects_can_be_edited_and_deleted() -> anyhow::Result<()> {
    let older = volatile(&json!({"value": null, "imageDigest": "a", "imageUrl": "b"}));
    KINDS.outlives_rules(&older, &json!({"spec": {"description": "new"}})).await
}
