//! What is written in a version can be read in each other, on an API server that asks for conversions.

use std::path::Path;

use futures::StreamExt as _;
use integration_service_api::{GROUP, Version, convert};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use testkit::crd::{self, Converting, dynamic, with};
use testkit::{ControlPlane, DEADLINE, eventually};

use crate::{KINDS, scenario};

const VERSIONS: [Version; 3] = [Version::V1alpha1, Version::V1beta1, Version::V1beta2];

/// As integration-service serves it.
async fn start() -> Converting {
    KINDS
        .converting(|object, version| convert(object, version.parse()?))
        .await
        .expect("a control plane with a webhook")
}

/// The complete object of this version, with fields that no version declares, and such that another one does.
fn complete(version: Version) -> Value {
    let file = match version {
        Version::V1alpha1 => "integration-test-scenario-v1alpha1.yaml",
        Version::V1beta1 => "integration-test-scenario-v1beta1.yaml",
        Version::V1beta2 => "integration-test-scenario.yaml",
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/complete");
    let undeclared = match version {
        Version::V1alpha1 => json!({"resolverRef": {"resolver": 1}}),
        Version::V1beta1 => json!({"pipeline": ["x"], "bundle": 1}),
        Version::V1beta2 => json!({"pipeline": ["x"], "bundle": 1, "environment": "none"}),
    };
    let unknown = json!({
        "metadata": {"name": version.as_str(), "namespace": null, "annotations": {"kept": "yes"}, "labels": {"kept": "yes"}},
        "spec": {"added": {"deep": [1, {"a": 2.5}]}},
        "status": {"added": 1},
    });
    let object =
        with(crd::read(folder.join(file)).expect("a file of this crate"), &json!({"spec": undeclared}));
    let mut object = with(object, &unknown);
    object["spec"]["contexts"][0]["added"] = 1.into();
    if version != Version::V1alpha1 {
        object["spec"]["resolverRef"]["added"] = 1.into();
        object["spec"]["resolverRef"]["params"][0]["added"] = 1.into();
    }
    object
}

/// In the namespace `default`.
fn api_of(plane: &ControlPlane, object: &Value) -> Api<DynamicObject> {
    KINDS.api(plane, "default", object).expect("a kind of ours")
}

fn in_version(object: &Value, version: Version) -> Value {
    with(object.clone(), &json!({"apiVersion": format!("{GROUP}/{}", version.as_str())}))
}

fn json_of(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("JSON")
}

/// All that somebody wrote.
fn written(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!([object["spec"], object["status"], metadata["name"], metadata["labels"], metadata["annotations"]])
}

async fn create(converting: &Converting, object: &Value) -> DynamicObject {
    let api = api_of(&converting.plane, object);
    let name = object["metadata"]["name"].as_str().expect("a name");
    api.create(&PostParams::default(), &dynamic(object).expect("an object")).await.expect("created");
    let status = Patch::Merge(json!({"status": object["status"]}));
    api.patch_status(name, &PatchParams::default(), &status).await.expect("its status written")
}

#[tokio::test]
async fn each_version_can_be_written_and_read_as_each_other() {
    let converting = start().await;
    let mut originals = Vec::new();
    for version in VERSIONS {
        let object = complete(version);
        let created = json_of(&create(&converting, &object).await);
        let defaulted = json!({"spec": {"resolverRef": {"resourceKind": created.pointer("/spec/resolverRef/resourceKind")}}});
        let expected = if version == Version::V1alpha1 { object } else { with(object, &defaulted) };
        assert_eq!(written(&created), written(&expected), "{version:?}");
        originals.push((version, created));
    }

    for to in VERSIONS {
        let api = api_of(&converting.plane, &in_version(&scenario(), to));
        let mut seen = Vec::new();
        for (from, original) in &originals {
            let found = json_of(&api.get(from.as_str()).await.unwrap());
            let expected = convert(original.clone(), to).unwrap();
            assert_eq!(written(&found), written(&expected), "{from:?} as {to:?}");
            assert_eq!(found["metadata"]["uid"], original["metadata"]["uid"]);
            seen.push(found);
        }

        let listed = api.list(&ListParams::default()).await.unwrap();
        assert_eq!(listed.items.iter().map(json_of).collect::<Vec<_>>(), seen, "the list in {to:?}");

        let mut events = api.watch(&WatchParams::default().disable_bookmarks(), "0").await.unwrap().boxed();
        let mut watched = Vec::new();
        while watched.len() < seen.len() {
            let event = tokio::time::timeout(DEADLINE, events.next()).await.expect("an event of each");
            let WatchEvent::Added(object) = event.unwrap().unwrap() else { panic!("none was changed") };
            watched.push(json_of(&object));
        }
        watched.sort_by_key(|object| object["metadata"]["name"].to_string());
        assert_eq!(watched, seen, "the watch in {to:?}");
    }
}

/// A client of an older version that reads an object and writes it back changes nothing, and with an edit just that.
#[tokio::test]
async fn writing_back_in_another_version_loses_nothing() {
    let converting = start().await;
    for home in VERSIONS {
        let original = json_of(&create(&converting, &complete(home)).await);
        for there in VERSIONS.into_iter().filter(|there| *there != home) {
            let what = format!("{home:?} through {there:?}");
            let api = api_of(&converting.plane, &in_version(&original, there));
            let read = api.get(home.as_str()).await.unwrap();
            // As a client does that knows all fields; ours never do.
            let body = serde_json::to_vec(&with(
                json_of(&read),
                &json!({"spec": {"contexts": [{"name": there.as_str()}]}}),
            ));
            let request = http::Request::put(format!("{}/{}", api.resource_url(), home.as_str()))
                .header("content-type", "application/json");
            let request = request.body(body.unwrap()).unwrap();
            converting.plane.admin().request::<DynamicObject>(request).await.expect(&what);

            let api = api_of(&converting.plane, &in_version(&original, home));
            let after = json_of(&api.get(home.as_str()).await.unwrap());
            let expected = with(original.clone(), &json!({"spec": {"contexts": [{"name": there.as_str()}]}}));
            assert_eq!(written(&after), written(&expected), "{what}");
        }
    }
}

/// No arrangement for the absence of integration-service is needed where all is stored in the newest version.
#[tokio::test]
async fn the_stored_version_needs_no_service() {
    let converting = start().await;
    for version in VERSIONS {
        create(&converting, &complete(version)).await;
    }
    let plane = converting.stop().await.unwrap();

    let newest = api_of(&plane, &scenario());
    newest.create(&PostParams::default(), &dynamic(&scenario()).unwrap()).await.unwrap();
    assert_eq!(newest.list(&ListParams::default()).await.unwrap().items.len(), 4);
    let selected = ListParams::default().fields("spec.application=shop");
    assert!(!newest.list(&selected).await.unwrap().items.is_empty());
    // Server-side apply has to compare with the other writers' fields in the versions that they wrote.
    let apply = PatchParams::apply("test").force();
    for (version, needs_service) in
        [(Version::V1alpha1, true), (Version::V1beta1, true), (Version::V1beta2, false)]
    {
        let mut applied = scenario();
        applied["metadata"]["name"] = version.as_str().into();
        let refused = newest.patch(version.as_str(), &apply, &Patch::Apply(applied)).await.err();
        let is_webhook = refused.is_some_and(|error| error.to_string().contains("conversion webhook for"));
        assert_eq!(is_webhook, needs_service, "{version:?}");
    }
    // All else can be done, whoever wrote the object.
    for version in VERSIONS {
        let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
        newest.patch(version.as_str(), &PatchParams::default(), &label).await.unwrap();
        newest.delete(version.as_str(), &DeleteParams::default()).await.unwrap();
    }

    let older = api_of(&plane, &in_version(&scenario(), Version::V1beta1));
    eventually(DEADLINE, "the older version to fail", async || {
        let refused = older.get("valid").await.err();
        let text = refused.map(|error| error.to_string()).unwrap_or_default();
        anyhow::ensure!(text.contains("conversion webhook for"), "answered: {text}");
        Ok(())
    })
    .await
    .unwrap();
}
