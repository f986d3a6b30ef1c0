//! What the API server keeps, and what it lets happen to objects that are older than a rule.

use std::time::Duration;

use application_service_api::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use rstest::rstest;
use serde_json::{Value, json};

use crate::cluster::{self, refusal};
use crate::fixtures::{application, component, detection, environment, snapshot, with};

/// What a newer version of a kind adds stays, at each level and on each way in.
#[tokio::test]
async fn unknown_fields_are_kept() {
    let plane = cluster::serving().await;
    let namespace = plane.namespace("unknown").await.unwrap();
    let newer = with(
        component(),
        &json!({"spec": {
            "added": {"a": [1, {"b": null}]},
            "source": {"added": true, "git": {"added": "x"}, "versions": [{"name": "v", "revision": "r", "added": 1}]},
        }}),
    );
    let api = cluster::api_of(plane, &namespace, &newer);
    let created = api.create(&PostParams::default(), &cluster::object(&newer)).await.unwrap();
    assert_eq!(created.data["spec"], newer["spec"]);

    let status = json!({"added": {"x": 1}, "gitops": {"added": 1}, "versions": [{"name": "v", "added": 1}]});
    let patch = Patch::Merge(json!({ "status": status }));
    let patched = api.patch_status("valid", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data["status"], status);
}

/// Two appliers own one condition each; neither takes the other's away.
#[tokio::test]
async fn conditions_of_two_appliers_stand_side_by_side() {
    let plane = cluster::serving().await;
    let namespace = plane.namespace("conditions").await.unwrap();
    let object = component();
    let api = cluster::api_of(plane, &namespace, &object);
    api.create(&PostParams::default(), &cluster::object(&object)).await.unwrap();
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
    let plane = cluster::serving().await;
    let namespace = plane.namespace("stubs").await.unwrap();
    let object = detection();
    let api = cluster::api_of(plane, &namespace, &object);
    api.create(&PostParams::default(), &cluster::object(&object)).await.unwrap();
    for (name, taken) in [("frontend", true), ("Front End", false)] {
        let found =
            json!({"componentStub": {"componentName": name, "application": "insert-application-name"}});
        let patch = Patch::Merge(json!({"status": {"componentDetected": {"found": found}}}));
        let answer = refusal(api.patch_status("valid", &PatchParams::default(), &patch).await);
        assert_eq!(answer.is_none(), taken, "{name}: {answer:?}");
    }
}

const FINALIZER: &str = "test.example.com/finalizer";

/// An object that was valid before our rules came can be edited elsewhere, get a status, lose its finalizer
/// and go.
#[rstest]
#[case::application(
    "applications",
    with(application(), &json!({"metadata": {"name": "1.app"}, "spec": {"displayName": ""}})),
    json!({"spec": {"description": "new"}})
)]
#[case::component(
    "components",
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
    "components", with(component(), &json!({"spec": {"source": null}})), json!({"spec": {"replicas": 2}})
)]
#[case::component_of_a_newer_version(
    "components",
    with(component(), &json!({"spec": {"componentName": null, "application": null}})),
    json!({"spec": {"componentName": "given", "application": "given"}})
)]
#[case::detection(
    "componentdetectionqueries",
    with(detection(), &json!({"spec": {"git": {"url": "git@git.example.com:a"}}})),
    json!({"spec": {"secret": "s"}})
)]
#[case::snapshot(
    "snapshots", with(snapshot(), &json!({"spec": {"components": [{"name": "a"}]}})), json!({"spec": {"displayName": "x"}})
)]
#[case::environment(
    "environments",
    with(environment(), &json!({
        "metadata": {"name": "a.b"},
        "spec": {"unstableConfigurationFields": {"clusterType": "Kubernetes"}}
    })),
    json!({"spec": {"displayName": "x"}})
)]
#[tokio::test]
async fn older_objects_can_be_edited_and_deleted(
    #[case] plural: &str,
    #[case] object: Value,
    #[case] edit: Value,
) {
    let plane = cluster::serving().await;
    let namespace = plane.namespace("older").await.unwrap();
    // A group of its own: rules are taken away from the kinds that other tests use otherwise.
    let group = format!("{}.example.com", namespace.name());
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let object = with(
        object,
        &json!({"apiVersion": format!("{group}/v1alpha1"), "metadata": {"finalizers": [FINALIZER]}}),
    );
    let strict = in_group(plural, &group);
    cluster::install(plane, &[without_rules(&strict)]).await.unwrap();
    let api = cluster::api_of(plane, &namespace, &object);
    api.create(&PostParams::default(), &cluster::object(&object)).await.unwrap();

    cluster::install(plane, &[strict]).await.unwrap();
    rules_hold(&api, &object).await;

    let edits = PatchParams::default();
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    api.patch(&name, &edits, &label).await.expect("metadata can be edited");
    let status = json!({"status": {"conditions": [{
        "type": "Created", "status": "False", "reason": "Error", "message": "", "lastTransitionTime": "2024-02-01T10:00:00Z",
    }]}});
    api.patch_status(&name, &edits, &Patch::Merge(status)).await.expect("a status can be written");
    api.patch(&name, &edits, &Patch::Merge(&edit)).await.expect("other fields can be edited");
    api.delete(&name, &DeleteParams::default()).await.expect("it can be deleted");
    let released = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch(&name, &edits, &released).await.expect("its finalizer can be removed");
    assert!(api.get_opt(&name).await.unwrap().is_none(), "it is gone");
}

/// The definition of one of our kinds in another group.
fn in_group(plural: &str, group: &str) -> CustomResourceDefinition {
    let mut crd = crds().into_iter().find(|crd| crd.spec.names.plural == plural).unwrap();
    crd.metadata.name = Some(format!("{plural}.{group}"));
    group.clone_into(&mut crd.spec.group);
    crd
}

/// The definition as it was when nothing was checked.
fn without_rules(crd: &CustomResourceDefinition) -> CustomResourceDefinition {
    fn strip(schema: &mut Value) {
        match schema {
            Value::Object(fields) => {
                for rule in ["x-kubernetes-validations", "required", "pattern", "maxLength", "maxItems"] {
                    fields.remove(rule);
                }
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(crd).unwrap();
    // A list by key needs its key, and a selectable field its type: those stay as they are.
    strip(&mut value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]);
    let root = &mut value["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    root.as_object_mut().unwrap().remove("x-kubernetes-validations");
    serde_json::from_value(value).unwrap()
}

/// Waits until the API server refuses to create a twin of `object`: it takes new rules over a moment later.
async fn rules_hold(api: &Api<DynamicObject>, object: &Value) {
    let dry = PostParams { dry_run: true, field_manager: None };
    let twin = with(object.clone(), &json!({"metadata": {"name": "1.twin"}}));
    testkit::eventually(Duration::from_secs(30), "the rules to hold", async || {
        let answer = api.create(&dry, &cluster::object(&twin)).await;
        refusal(answer).map(drop).ok_or_else(|| anyhow::anyhow!("a twin would be created"))
    })
    .await
    .unwrap();
}
