//! What the API server keeps, and what it lets happen to objects that are older than a rule.

use kube::api::{Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{dynamic, refusal, with};

use crate::KINDS;
use crate::fixtures::{application, component, detection, environment, snapshot};

/// Two appliers own one condition each; neither takes the other's away.
#[tokio::test]
async fn conditions_of_two_appliers_stand_side_by_side() {
    let plane = KINDS.serving().await.unwrap();
    let namespace = plane.namespace("conditions").await.unwrap();
    let object = component();
    let api = KINDS.api(plane, &namespace, &object).unwrap();
    api.create(&PostParams::default(), &dynamic(&object).unwrap()).await.unwrap();
    for type_ in ["Created", "Updated"] {
        let applied = json!({
            "apiVersion": object["apiVersion"], "kind": object["kind"],
            "status": {"conditions": [{
                "type": type_, "status": "True", "reason": "OK", "message": "",
                "lastTransitionTime": "2024-02-01T10:00:00Z",
            }]},
        });
        let parameters = PatchParams::apply(&type_.to_lowercase());
        api.patch_status("valid", &parameters, &Patch::Apply(applied)).await.unwrap();
    }
    let stored = api.get("valid").await.unwrap();
    let types: Vec<&Value> =
        stored.data["status"]["conditions"].as_array().unwrap().iter().map(|c| &c["type"]).collect();
    assert_eq!(types, ["Created", "Updated"], "in the order of their appearance");
}

/// A proposed Component has the shape of a Component, so that it can be taken over as it is.
#[tokio::test]
async fn proposed_components_have_the_shape_of_components() {
    let plane = KINDS.serving().await.unwrap();
    let namespace = plane.namespace("stubs").await.unwrap();
    let object = detection();
    let api = KINDS.api(plane, &namespace, &object).unwrap();
    api.create(&PostParams::default(), &dynamic(&object).unwrap()).await.unwrap();
    for (name, taken) in [("frontend", true), ("Front End", false)] {
        let found =
            json!({"componentStub": {"componentName": name, "application": "insert-application-name"}});
        let patch = Patch::Merge(json!({"status": {"componentDetected": {"found": found}}}));
        let answer = refusal(api.patch_status("valid", &PatchParams::default(), &patch).await).unwrap();
        assert_eq!(answer.is_none(), taken, "{name}: {answer:?}");
    }
}

/// An object that was valid before our rules came can be edited elsewhere, get a status, lose its finalizer
/// and go.
#[rstest]
#[case::application(
    with(application(), &json!({"metadata": {"name": "1.app"}, "spec": {"displayName": ""}})),
    json!({"spec": {"description": "new"}})
)]
#[case::component(
    with(component(), &json!({
        "metadata": {"name": "1.component"},
        "spec": {
            "componentName": "No Name!",
            "application": "No Name!",
            "source": {"git": {
                "url": "http://me:secret@git.example.com/a", "context": "../..", "revision": "-x",
                "devfileUrl": "http://x/../y", "dockerfileUrl": "http://t@x/../y",
            }},
            "build-nudges-ref": ["1.component"],
        },
    })),
    json!({"spec": {"replicas": 2}})
)]
#[case::component_without_source(
    with(component(), &json!({"spec": {"source": null}})), json!({"spec": {"replicas": 2}})
)]
#[case::component_of_a_newer_version(
    with(component(), &json!({"spec": {"componentName": null, "application": null}})),
    json!({"spec": {"componentName": "given", "application": "given"}})
)]
#[case::detection(
    with(detection(), &json!({"spec": {"git": {"url": "git@git.example.com:a"}}})),
    json!({"spec": {"secret": "s"}})
)]
#[case::snapshot(
    with(snapshot(), &json!({"spec": {"components": [{"name": "a"}]}})), json!({"spec": {"displayName": "x"}})
)]
#[case::environment(
    with(environment(), &json!({
        "metadata": {"name": "a.b"},
        "spec": {"unstableConfigurationFields": {"clusterType": "Kubernetes"}}
    })),
    json!({"spec": {"displayName": "x"}})
)]
#[tokio::test]
async fn older_objects_can_be_edited_and_deleted(#[case] object: Value, #[case] edit: Value) {
    KINDS.outlives_rules(&object, &edit).await.unwrap();
}

#[tokio::test]
async fn the_worst_objects_can_be_edited_and_deleted() {
    KINDS.worst_objects_can_go().await.unwrap();
}
