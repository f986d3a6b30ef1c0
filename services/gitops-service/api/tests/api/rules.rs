//! Each rule passes once and fails once, with the words that people and tools look for; and no rule holds an object
//! that is older than it.

use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{assert_verdict, with};

use crate::{KINDS, claim, class, target};

fn spec(field: &str, value: impl Into<Value>) -> Value {
    json!({"spec": {field: value.into()}})
}

#[rstest]
#[case::target(target(), json!({}), &[])]
#[case::free_target(target(), spec("claimRef", Value::Null), &[])]
#[case::target_without_class(
    target(), spec("deploymentTargetClassName", Value::Null), &["spec.deploymentTargetClassName: Required value"]
)]
#[case::target_without_credentials(
    target(), spec("kubernetesCredentials", Value::Null), &["spec.kubernetesCredentials: Required value"]
)]
#[case::target_without_secret(
    target(), spec("kubernetesCredentials", json!({"clusterCredentialsSecret": null})),
    &["spec.kubernetesCredentials.clusterCredentialsSecret: Required value"]
)]
#[case::claim(claim(), json!({}), &[])]
#[case::claim_of_empty_class(claim(), spec("deploymentTargetClassName", ""), &[])]
#[case::claim_without_class(
    claim(), spec("deploymentTargetClassName", Value::Null), &["spec.deploymentTargetClassName: Required value"]
)]
#[case::class(class("valid"), json!({}), &[])]
#[case::class_without_provisioner(class("valid"), spec("provisioner", Value::Null), &["spec.provisioner: Required value"])]
#[case::retain(class("valid"), spec("reclaimPolicy", "Retain"), &[])]
#[case::other_policy(class("valid"), spec("reclaimPolicy", "Recycle"), &["spec.reclaimPolicy: Unsupported value"])]
#[tokio::test]
async fn is_created(#[case] object: Value, #[case] patch: Value, #[case] expected: &[&str]) {
    assert_verdict(KINDS.created(&with(object, &patch)).await.unwrap(), expected);
}

#[rstest]
#[case(with(class("older"), &spec("reclaimPolicy", "Recycle")), spec("parameters", json!({"a": 1})))]
#[tokio::test]
async fn older_objects_can_be_edited_and_deleted(#[case] object: Value, #[case] edit: Value) {
    KINDS.outlives_rules(&object, &edit).await.unwrap();
}
