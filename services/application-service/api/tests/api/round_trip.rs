//! Nothing is lost between a file, our types and the API server.

use std::path::Path;

use application_service_api as api;
use kube::api::{Patch, PatchParams, PostParams};
use rstest::rstest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster;

/// Reads a file of this crate.
fn read(folder: &str, file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(file);
    serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

fn through<K: Serialize + DeserializeOwned>(value: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<K>(value.clone()).unwrap()).unwrap()
}

#[rstest]
#[case::application("application.yaml", through::<api::Application>)]
#[case::component("component.yaml", through::<api::Component>)]
#[case::detection("component-detection-query.yaml", through::<api::ComponentDetectionQuery>)]
#[case::snapshot("snapshot.yaml", through::<api::Snapshot>)]
#[case::environment("environment.yaml", through::<api::Environment>)]
#[case::binding("snapshot-environment-binding.yaml", through::<api::SnapshotEnvironmentBinding>)]
#[case::promotion("promotion-run.yaml", through::<api::PromotionRun>)]
fn types_keep(
    #[case] file: &str,
    #[case] through: fn(&Value) -> Value,
    #[values("examples", "tests/api/complete")] folder: &str,
) {
    let value = read(folder, file);
    assert_eq!(through(&value), value);
}

#[rstest]
#[case::application("application.yaml")]
#[case::component("component.yaml")]
#[case::detection("component-detection-query.yaml")]
#[case::snapshot("snapshot.yaml")]
#[case::environment("environment.yaml")]
#[case::binding("snapshot-environment-binding.yaml")]
#[case::promotion("promotion-run.yaml")]
#[tokio::test]
async fn the_api_server_keeps(#[case] file: &str, #[values("examples", "tests/api/complete")] folder: &str) {
    let plane = cluster::serving().await;
    let namespace = plane.namespace("round-trip").await.unwrap();
    let value = read(folder, file);
    let api = cluster::api_of(plane, &namespace, &value);
    let created = api.create(&PostParams::default(), &cluster::object(&value)).await.unwrap();
    assert_eq!(created.data["spec"], value["spec"]);
    if let Some(status) = value.get("status") {
        let patch = Patch::Merge(json!({ "status": status }));
        let name = created.metadata.name.unwrap();
        let patched = api.patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(&patched.data["status"], status);
    }
}

/// A name in a complete object that the schema does not declare is a misspelling of ours or of the file: it
/// would be kept, unseen, as an unknown field.
#[rstest]
#[case::application("application.yaml")]
#[case::component("component.yaml")]
#[case::detection("component-detection-query.yaml")]
#[case::snapshot("snapshot.yaml")]
#[case::environment("environment.yaml")]
#[case::binding("snapshot-environment-binding.yaml")]
#[case::promotion("promotion-run.yaml")]
fn complete_objects_use_each_declared_field(#[case] file: &str) {
    let value = read("tests/api/complete", file);
    let kind = value["kind"].as_str().unwrap();
    let crd = api::crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let version = serde_json::to_value(&crd.spec.versions[0]).unwrap();
    let properties = &version["schema"]["openAPIV3Schema"]["properties"];
    for part in ["spec", "status"] {
        let mut faults = Vec::new();
        compare(&properties[part], &[&value[part]], part, &mut faults);
        assert_eq!(faults, Vec::<String>::new());
    }
}

/// Finds what of a schema no value uses, and what of the values the schema does not declare. Types of
/// Kubernetes itself, and the proposed Component, are not looked into.
fn compare(schema: &Value, values: &[&Value], path: &str, faults: &mut Vec<String>) {
    const OTHERS: [&str; 3] = ["env", "resources", "componentStub"];
    if let Some(items) = schema.get("items") {
        let inner: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
        compare(items, &inner, &format!("{path}[]"), faults);
    } else if let Some(entries) = schema.get("additionalProperties") {
        let inner: Vec<&Value> =
            values.iter().filter_map(|value| value.as_object()).flat_map(|map| map.values()).collect();
        compare(entries, &inner, &format!("{path}{{}}"), faults);
    } else if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            let path = format!("{path}.{name}");
            let inner: Vec<&Value> = values.iter().filter_map(|value| value.get(name)).collect();
            if inner.is_empty() && has_to_be_seen(&path) {
                faults.push(format!("{path}: declared, but in no value"));
            } else if !inner.is_empty() && !OTHERS.contains(&name.as_str()) {
                compare(property, &inner, &path, faults);
            }
        }
        for name in values.iter().filter_map(|value| value.as_object()).flat_map(|map| map.keys()) {
            if !properties.contains_key(name) {
                faults.push(format!("{path}.{name}: not declared"));
            }
        }
    }
}

/// Not the optional field of all conditions, nor each choice of a pipeline at each of the places of one: the places
/// share the choices, and each choice is seen at one.
fn has_to_be_seen(path: &str) -> bool {
    !path.ends_with(".observedGeneration") && !path.contains("build-pipeline.")
}

/// An object that a newer version of the kind stored may lack what only ours requires.
#[rstest]
#[case::component(through::<api::Component>, json!({"kind": "Component", "spec": {}, "status": {}}))]
#[case::snapshot(through::<api::Snapshot>, json!({"kind": "Snapshot", "spec": {"componentGroup": "g"}}))]
#[case::application(
    through::<api::Application>,
    json!({"kind": "Application", "spec": {"displayName": ""}, "status": {}})
)]
#[case::promotion(
    through::<api::PromotionRun>,
    json!({"kind": "PromotionRun", "spec": {"snapshot": "s", "application": "a"}, "status": {}})
)]
fn reads_what_lacks_a_field(#[case] through: fn(&Value) -> Value, #[case] mut value: Value) {
    value["apiVersion"] = "appstudio.redhat.com/v1alpha1".into();
    value["metadata"] = json!({ "name": "sparse" });
    assert_eq!(through(&value)["metadata"]["name"], "sparse");
}
