//! What a failed wait tells.

use std::time::Duration;

use fleet_api::Truth;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference, Pod};
use kube::Resource as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder};
use serde_json::json;
use testkit::{ControlPlane, DEADLINE, builders, has_condition, wait_for, wait_gone};

/// For waits that are to fail.
const SOON: Duration = Duration::from_millis(500);

fn pod(namespace: &str) -> Pod {
    let spec = json!({"containers": [{"name": "main", "image": "none.invalid/none"}]});
    Pod {
        metadata: builders::metadata(namespace, "slow"),
        spec: serde_json::from_value(spec).expect("a valid spec"),
        ..Pod::default()
    }
}

async fn set_ready(pods: &Api<Pod>, status: &str) -> anyhow::Result<Pod> {
    let condition =
        json!({"type": "Ready", "status": status, "reason": "Tested", "message": "pulling the image"});
    let patch = json!({"status": {"conditions": [condition]}});
    Ok(pods.patch_status("slow", &PatchParams::default(), &Patch::Merge(patch)).await?)
}

#[tokio::test]
async fn returns_when_the_condition_holds() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("wait").await?;
    let pods = Api::<Pod>::namespaced(plane.admin(), &namespace);
    pods.create(&PostParams::default(), &pod(&namespace)).await?;
    set_ready(&pods, "False").await?;

    let is_ready = has_condition("Ready", Truth::True);
    let waiting = wait_for(&pods, "slow", "condition Ready", DEADLINE, is_ready);
    let (waited, set) = tokio::join!(waiting, set_ready(&pods, "True"));
    set?;
    assert_eq!(testkit::wait::conditions(&waited?)[0].status, "True");
    Ok(())
}

#[tokio::test]
async fn failure_shows_the_object_its_conditions_and_events() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("wait").await?;
    let pods = Api::<Pod>::namespaced(plane.admin(), &namespace);
    pods.create(&PostParams::default(), &pod(&namespace)).await?;
    let pod = set_ready(&pods, "False").await?;
    publish(plane, &pod.object_ref(&()), "FailedPull", "no such host").await?;
    let namesake = ObjectReference { uid: Some("another-one".to_owned()), ..pod.object_ref(&()) };
    publish(plane, &namesake, "Stale", "of a pod that was deleted before").await?;

    let is_ready = has_condition("Ready", Truth::True);
    let error = wait_for(&pods, "slow", "condition Ready", SOON, is_ready).await.unwrap_err().to_string();

    let expected = [
        "waited 500ms in vain for condition Ready",
        &format!("/api/v1/namespaces/{namespace}/pods/slow"),
        "image: none.invalid/none",
        "condition Ready=False (Tested): pulling the image",
        "Warning FailedPull: no such host",
    ];
    for text in expected {
        assert!(error.contains(text), "{text:?} is not in:\n{error}");
    }
    for text in ["managedFields", "Stale"] {
        assert!(!error.contains(text), "{text:?} is in:\n{error}");
    }
    Ok(())
}

#[tokio::test]
async fn failure_says_that_the_object_does_not_exist() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let maps = Api::<ConfigMap>::namespaced(plane.admin(), "default");
    let error = wait_for(&maps, "nobody", "its data", SOON, |map| map.data.is_some()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("does not exist") && text.contains("no events"), "{text}");
    Ok(())
}

#[tokio::test]
async fn failure_says_that_the_object_may_not_be_watched() -> anyhow::Result<()> {
    let namespace = ControlPlane::shared().await.namespace("wait").await?;
    let maps = Api::<ConfigMap>::default_namespaced(namespace.client_as("nobody").await?);
    let text =
        wait_for(&maps, "a", "its data", SOON, |map| map.data.is_some()).await.unwrap_err().to_string();
    assert!(text.contains("cannot be watched") && text.contains("forbidden"), "{text}");
    assert!(text.contains("events cannot be read"), "{text}");
    Ok(())
}

#[tokio::test]
async fn waits_for_a_deletion_and_shows_what_holds_it_up() -> anyhow::Result<()> {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("wait").await?;
    let maps = Api::<ConfigMap>::namespaced(plane.admin(), &namespace);
    let mut map = builders::config_map(&namespace, "held", []);
    map.metadata.finalizers = Some(vec!["example.com/held".to_owned()]);
    maps.create(&PostParams::default(), &map).await?;
    maps.delete("held", &DeleteParams::default()).await?;

    let text = wait_gone(&maps, "held", SOON).await.unwrap_err().to_string();
    assert!(text.contains("example.com/held"), "{text}");

    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &release).await?;
    wait_gone(&maps, "held", DEADLINE).await
}

async fn publish(
    plane: &ControlPlane,
    about: &ObjectReference,
    reason: &str,
    note: &str,
) -> anyhow::Result<()> {
    let recorder = Recorder::new(plane.admin(), "kubelet-of-this-test".to_owned().into());
    let event = Event {
        type_: EventType::Warning,
        reason: reason.to_owned(),
        note: Some(note.to_owned()),
        action: "Pull".to_owned(),
        secondary: None,
    };
    Ok(recorder.publish(&event, about).await?)
}
