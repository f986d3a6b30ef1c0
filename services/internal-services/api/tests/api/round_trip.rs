//! Nothing is lost between a file, our types and the API server.

use std::path::Path;

use internal_services_api as api;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{self, through, with};

use crate::{KINDS, config, request};

/// Reads a file of this crate.
fn read(folder: &str, file: &str) -> Value {
    crd::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(file)).expect("a file of this crate")
}

#[rstest]
#[case("internal-request.yaml", through::<api::InternalRequest>)]
#[case("internal-services-config.yaml", through::<api::InternalServicesConfig>)]
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
// One of two fields can be there.
#[case("internal-request.yaml", &["spec.request: declared, but in no value"])]
#[case("internal-services-config.yaml", &[])]
fn complete_objects_use_each_declared_field(#[case] file: &str, #[case] expected: &[&str]) {
    let value = read("tests/api/complete", file);
    assert_eq!(KINDS.uncovered(&value, &[]).unwrap(), expected);
}

/// What a newer version of a kind adds stays, at each level.
#[rstest]
#[case(with(request(), &json!({
    "spec": {"added": 1, "request": null, "pipeline": {"pipelineRef": {"resolver": "git", "params": [], "added": 1}}},
    "status": {"added": 1},
})))]
#[case(with(config(), &json!({
    "spec": {"added": 1, "volumeClaim": {"name": "a", "size": "1Gi", "added": 1}}, "status": {"added": 1},
})))]
#[tokio::test]
async fn unknown_fields_are_kept(#[case] newer: Value) {
    let stored = KINDS.stored(&newer).await.unwrap();
    assert_eq!((&stored["spec"], &stored["status"]), (&newer["spec"], &newer["status"]));
}

/// An object that a newer version of the kind stored may lack what only ours requires.
#[rstest]
#[case(through::<api::InternalRequest>, json!({"kind": "InternalRequest", "spec": {"pipeline": {}}, "status": {}}))]
#[case(through::<api::InternalServicesConfig>, json!({"kind": "InternalServicesConfig", "spec": {"volumeClaim": {}}}))]
fn reads_what_lacks_a_field(#[case] through: fn(&Value) -> anyhow::Result<Value>, #[case] mut value: Value) {
    value["apiVersion"] = "appstudio.redhat.com/v1alpha1".into();
    value["metadata"] = json!({ "name": "sparse" });
    assert_eq!(through(&value).unwrap()["metadata"]["name"], "sparse");
}

#[rstest]
#[case::no_volume(json!({}), json!({"name": "workspace", "size": "1Gi"}))]
#[case::no_size(json!({"spec": {"volumeClaim": {"name": "data"}}}), json!({"name": "data", "size": "1Gi"}))]
#[tokio::test]
async fn the_volume_has_defaults(#[case] patch: Value, #[case] expected: Value) {
    let stored = KINDS.stored(&with(config(), &patch)).await.unwrap();
    assert_eq!(stored["spec"]["volumeClaim"], expected);
}
