//! Nothing is lost between a file, our types and the API server.

use std::path::Path;

use integration_service_api::{Version, convert, v1alpha1, v1beta1, v1beta2};
use kube::api::PostParams;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{self, through, with};

use crate::{KINDS, scenario};

/// Reads a file of this crate.
fn read(folder: &str, file: &str) -> Value {
    crd::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(file)).expect("a file of this crate")
}

#[rstest]
#[case("integration-test-scenario.yaml", through::<v1beta2::IntegrationTestScenario>)]
#[case("integration-test-scenario-v1beta1.yaml", through::<v1beta1::IntegrationTestScenario>)]
#[case("integration-test-scenario-v1alpha1.yaml", through::<v1alpha1::IntegrationTestScenario>)]
#[tokio::test]
async fn is_kept(
    #[case] file: &str,
    #[case] through: fn(&Value) -> anyhow::Result<Value>,
    #[values("examples", "tests/api/complete")] folder: &str,
) {
    let value = read(folder, file);
    assert_eq!(through(&value).unwrap(), value);
    let stored = convert(value.clone(), Version::V1beta2).unwrap();
    let kept = KINDS.stored(&stored).await.unwrap();
    let resource_kind =
        json!({"spec": {"resolverRef": {"resourceKind": kept["spec"]["resolverRef"]["resourceKind"]}}});
    let expected = with(stored, &resource_kind);
    assert_eq!((&kept["spec"], &kept["status"]), (&expected["spec"], &expected["status"]));
}

/// The schemas of versions that are not served are right, too: each is served here, in a group of its own.
#[rstest]
#[case("integration-test-scenario-v1beta1.yaml")]
#[case("integration-test-scenario-v1alpha1.yaml")]
#[tokio::test]
async fn older_versions_could_be_served(
    #[case] file: &str,
    #[values("examples", "tests/api/complete")] folder: &str,
) {
    let plane = KINDS.serving().await.unwrap();
    let namespace = plane.namespace("versions").await.unwrap();
    let mut object = read(folder, file);
    let mut definition = KINDS.definition("IntegrationTestScenario").unwrap();
    let mut version = KINDS.version(&object).unwrap();
    (version.served, version.storage) = (true, true);
    definition.spec.group = format!("{}.example.com", namespace.name());
    definition.metadata.name = Some(format!("integrationtestscenarios.{}", definition.spec.group));
    object["apiVersion"] = format!("{}/{}", definition.spec.group, version.name).into();
    definition.spec.versions = vec![version];
    crd::install(plane, &[definition]).await.unwrap();
    let api = KINDS.api(plane, &namespace, &object).unwrap();
    let created = api.create(&PostParams::default(), &crd::dynamic(&object).unwrap()).await.unwrap();
    assert_eq!(created.data["spec"], object["spec"]);
}

#[rstest]
#[case("integration-test-scenario.yaml")]
#[case("integration-test-scenario-v1beta1.yaml")]
#[case("integration-test-scenario-v1alpha1.yaml")]
fn complete_objects_use_each_declared_field(#[case] file: &str) {
    let value = read("tests/api/complete", file);
    assert_eq!(KINDS.uncovered(&value, &[]).unwrap(), Vec::<String>::new());
}

/// What a newer version of the kind adds stays, at each level.
#[tokio::test]
async fn unknown_fields_are_kept() {
    let newer = with(
        scenario(),
        &json!({
            "spec": {"added": 1, "resolverRef": {"added": {"a": 1}}, "contexts": [{"name": "all", "added": 1}]},
            "status": {"conditions": [], "added": 1},
        }),
    );
    let stored = KINDS.stored(&newer).await.unwrap();
    assert_eq!((&stored["spec"], &stored["status"]), (&newer["spec"], &newer["status"]));
}

/// An object that another version of the kind stored may lack what only ours requires.
#[rstest]
#[case("v1beta2", through::<v1beta2::IntegrationTestScenario>)]
#[case("v1beta1", through::<v1beta1::IntegrationTestScenario>)]
#[case("v1alpha1", through::<v1alpha1::IntegrationTestScenario>)]
fn reads_what_lacks_a_field(
    #[case] version: &str,
    #[case] through: fn(&Value) -> anyhow::Result<Value>,
    #[values(json!({}), json!({"resolverRef": {"params": [{}]}, "environment": {}, "params": [{}], "contexts": [{}]}))]
    spec: Value,
) {
    let value = json!({
        "apiVersion": format!("appstudio.redhat.com/{version}"), "kind": "IntegrationTestScenario",
        "metadata": {"name": "sparse"}, "spec": spec, "status": {},
    });
    assert_eq!(through(&value).unwrap()["metadata"]["name"], "sparse");
}
