//! Nothing is lost between a file, our types and the API server.

use std::path::Path;

use gitops_service_api as api;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{self, through, with};

use crate::{KINDS, claim, class, target};

/// Reads a file of this crate.
fn read(folder: &str, file: &str) -> Value {
    crd::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(file)).expect("a file of this crate")
}

#[rstest]
#[case("deployment-target.yaml", through::<api::DeploymentTarget>)]
#[case("deployment-target-claim.yaml", through::<api::DeploymentTargetClaim>)]
#[case("deployment-target-class.yaml", through::<api::DeploymentTargetClass>)]
#[tokio::test]
async fn is_kept(
    #[case] file: &str,
    #[case] through: fn(&Value) -> anyhow::Result<Value>,
    #[values("examples", "tests/api/complete")] folder: &str,
) {
    let value = read(folder, file);
    assert_eq!(through(&value).unwrap(), value);
    let stored = KINDS.stored(&value).await.unwrap();
    assert_eq!((&stored["spec"], &stored["status"]), (&value["spec"], &value["status"]));
}

#[rstest]
#[case("deployment-target.yaml")]
#[case("deployment-target-claim.yaml")]
#[case("deployment-target-class.yaml")]
fn complete_objects_use_each_declared_field(#[case] file: &str) {
    let value = read("tests/api/complete", file);
    assert_eq!(KINDS.uncovered(&value, &[]).unwrap(), Vec::<String>::new());
}

/// What a newer version of a kind adds stays, at each level.
#[rstest]
#[case(with(target(), &json!({
    "spec": {"added": 1, "kubernetesCredentials": {"added": {"a": 1}}}, "status": {"phase": "Available", "added": 1},
})))]
#[case(with(claim(), &json!({"spec": {"added": 1}, "status": {"added": 1}})))]
#[case(with(class("newer"), &json!({"spec": {"added": 1}, "status": {"added": 1}})))]
#[tokio::test]
async fn unknown_fields_are_kept(#[case] newer: Value) {
    let stored = KINDS.stored(&newer).await.unwrap();
    assert_eq!((&stored["spec"], &stored["status"]), (&newer["spec"], &newer["status"]));
}

/// An object that a newer version of the kind stored may lack what only ours requires.
#[rstest]
#[case(through::<api::DeploymentTarget>, json!({"kind": "DeploymentTarget", "spec": {"kubernetesCredentials": {}}}))]
#[case(through::<api::DeploymentTargetClaim>, json!({"kind": "DeploymentTargetClaim", "spec": {}, "status": {}}))]
#[case(through::<api::DeploymentTargetClass>, json!({"kind": "DeploymentTargetClass", "spec": {}}))]
fn reads_what_lacks_a_field(#[case] through: fn(&Value) -> anyhow::Result<Value>, #[case] mut value: Value) {
    value["apiVersion"] = "appstudio.redhat.com/v1alpha1".into();
    value["metadata"] = json!({ "name": "sparse" });
    assert_eq!(through(&value).unwrap()["metadata"]["name"], "sparse");
}
