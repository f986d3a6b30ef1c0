//! What the writer does to a real API server, and what it hands to the stores.

use std::collections::BTreeMap;

use fleet::leader::Leadership;
use fleet::write::{StatusApply, Target};
use fleet::{
    Class, Classed as _, FieldManager, MetadataPatch, ObjectKey, StatusPatch, Store, Write, WriteError,
    Writer,
};
use fleet_api::{ConditionState, Finalizer, Truth};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::admin;

const MANAGER: FieldManager = FieldManager::new("test/status");

fn writer(client: &Client) -> Writer {
    Writer::new(client.clone(), "test-service", "test".to_owned(), Leadership::always())
}

fn config_map(namespace: &str, name: &str, value: &str) -> ConfigMap {
    let json = json!({
        "metadata": {"name": name, "namespace": namespace, "labels": {"purpose": "test"}}, "data": {"v": value},
    });
    serde_json::from_value(json).unwrap()
}

#[tokio::test]
async fn creates_adopts_its_own_and_leaves_what_is_not() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("writer").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let writer = writer(&client);

    writer.apply(&[Write::create(&config_map(&namespace, "a", "first"))]).await?;
    writer.apply(&[Write::create(&config_map(&namespace, "a", "second"))]).await?;
    let adopted = maps.get("a").await?;
    assert_eq!(adopted.data, Some(BTreeMap::from([("v".into(), "first".into())])), "adopted as it is");

    let mut foreign = config_map(&namespace, "b", "theirs");
    foreign.metadata.labels = None;
    maps.create(&PostParams::default(), &foreign).await?;
    let error = writer.apply(&[Write::create(&config_map(&namespace, "b", "ours"))]).await.unwrap_err();
    assert!(matches!(&error, WriteError::Taken { write } if write.contains("ConfigMap")), "{error}");
    assert!(error.is_permanent());
    writer.apply(&[Write::create(&config_map(&namespace, "b", "ours")).or_named("b-2")]).await?;
    assert_eq!(maps.get("b-2").await?.data.unwrap()["v"], "ours");
    Ok(())
}

#[tokio::test]
async fn a_stale_list_of_finalizers_is_refused_and_tried_again() -> anyhow::Result<()> {
    const OURS: Finalizer = Finalizer::new("example.com/ours");
    let (plane, client) = admin().await;
    let namespace = plane.namespace("writer").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let read = maps.create(&PostParams::default(), &config_map(&namespace, "a", "x")).await?;
    let theirs = json!({"metadata": {"finalizers": ["example.com/theirs"]}});
    maps.patch("a", &PatchParams::default(), &Patch::Merge(&theirs)).await?;

    let stale = MetadataPatch::of(&read).finalizer(OURS).into_write().unwrap();
    let error = writer(&client).apply(&[stale]).await.unwrap_err();
    assert_eq!(error.class(), Class::Retry, "{error}");
    assert_eq!(maps.get("a").await?.finalizers(), ["example.com/theirs"], "nothing of theirs is lost");

    let fresh = maps.get("a").await?;
    writer(&client).apply(&[MetadataPatch::of(&fresh).finalizer(OURS).into_write().unwrap()]).await?;
    assert_eq!(maps.get("a").await?.finalizers(), ["example.com/theirs", "example.com/ours"]);
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}})))
        .await?;
    Ok(())
}

struct Available;

impl ConditionState for Available {
    const TYPE: &'static str = "Available";
    fn truth(&self) -> Truth {
        Truth::False
    }
    fn reason(&self) -> &'static str {
        "Tested"
    }
    fn message(&self) -> std::borrow::Cow<'_, str> {
        "nothing runs here".into()
    }
}

/// A kind whose status has plain fields and standard conditions.
async fn budget(
    client: &Client,
    namespace: &str,
) -> anyhow::Result<(Api<PodDisruptionBudget>, PodDisruptionBudget)> {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), namespace);
    let object = json!({"metadata": {"name": "d"}, "spec": {"minAvailable": 1}});
    let created = budgets.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok((budgets, created))
}

/// The status as the disruption controller would write it.
async fn write_theirs(budgets: &Api<PodDisruptionBudget>) -> anyhow::Result<PodDisruptionBudget> {
    let theirs = json!({"status": {
        "currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 1,
        "disruptedPods": {"p": "2024-03-01T12:00:00Z"},
    }});
    Ok(budgets.patch_status("d", &PatchParams::default(), &Patch::Merge(&theirs)).await?)
}

#[tokio::test]
async fn applies_its_own_status_and_tells_the_transition_once() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("writer").await?;
    let (budgets, created) = budget(&client, &namespace).await?;
    write_theirs(&budgets).await?;

    let at: Timestamp = "2024-03-01T12:00:00Z".parse()?;
    let write = StatusPatch::of(&created, MANAGER, at).condition(&Available).into_write().unwrap();
    writer(&client).apply(std::slice::from_ref(&write)).await?;
    writer(&client).apply(&[write]).await?;
    let status = budgets.get("d").await?.status.unwrap();
    assert_eq!(status.current_healthy, 1, "of another writer");
    assert_eq!(status.conditions.unwrap()[0].reason, "Tested");

    let events: Api<Event> = Api::namespaced(client, &namespace);
    let list = events.list(&kube::api::ListParams::default()).await?;
    let told: Vec<_> =
        list.iter().filter(|event| event.reason.as_deref() == Some("AvailableTested")).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].type_.as_deref(), Some("Warning"));
    assert_eq!(told[0].note.as_deref(), Some("nothing runs here"));
    Ok(())
}

/// Server-side apply removes only what its manager wrote; a field of the original has to be removed all the same.
#[tokio::test]
async fn clears_a_field_that_somebody_else_wrote() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("writer").await?;
    let (budgets, _) = budget(&client, &namespace).await?;
    let read = write_theirs(&budgets).await?;
    let at: Timestamp = "2024-03-01T12:00:00Z".parse()?;
    let patch = StatusPatch::of(&read, MANAGER, at).field("disruptedPods", None::<()>);
    writer(&client).apply(&[patch.into_write().unwrap()]).await?;
    let status = budgets.get("d").await?.status.unwrap();
    assert_eq!((status.disrupted_pods, status.current_healthy), (None, 1));
    Ok(())
}

#[tokio::test]
async fn writes_nothing_to_an_object_that_was_made_anew() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("writer").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let old = maps.create(&PostParams::default(), &config_map(&namespace, "a", "old")).await?;
    maps.delete("a", &Default::default()).await?;
    maps.create(&PostParams::default(), &config_map(&namespace, "a", "new")).await?;
    let writer = writer(&client);
    writer.apply(&[Write::delete(&old)]).await?;
    assert!(writer.apply(&[Write::merge(&old, json!({"data": {"v": "changed"}}))]).await.is_err());
    assert_eq!(maps.get("a").await?.data.unwrap()["v"], "new");

    let (budgets, first) = budget(&client, &namespace).await?;
    budgets.delete("d", &Default::default()).await?;
    let (budgets, _) = budget(&client, &namespace).await?;
    let status = Write::Status(StatusApply {
        target: Target::of(&first),
        manager: MANAGER,
        fields: json!({"currentHealthy": 7}).as_object().unwrap().clone(),
        cleared: vec![],
        transitions: vec![],
        version: None,
    });
    assert!(writer.apply(&[status]).await.is_err());
    assert_ne!(budgets.get("d").await?.status.map(|status| status.current_healthy), Some(7));
    Ok(())
}

#[tokio::test]
async fn a_status_for_an_unchanged_object_is_refused_after_a_change() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("writer").await?;
    let (budgets, read) = budget(&client, &namespace).await?;
    let status = |healthy: i32| {
        let patch = StatusPatch::of(&read, MANAGER, Timestamp::UNIX_EPOCH).field("currentHealthy", healthy);
        patch.if_unchanged().into_write().expect("a change")
    };
    let writer = writer(&client);
    writer.apply(&[status(5)]).await?;
    assert!(writer.apply(&[status(7)]).await.is_err());
    assert_eq!(budgets.get("d").await?.status.map(|status| status.current_healthy), Some(5));
    Ok(())
}

#[tokio::test]
async fn the_store_knows_a_write_before_the_watch_does() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("writer").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let writer = writer(&client);
    // Two, as of two selectors: both are told.
    let (store, second) = (synced_store(), synced_store());
    writer.feed(&store);
    writer.feed(&second);
    let key = ObjectKey::new(namespace.name(), "a");

    writer.apply(&[Write::create(&config_map(&namespace, "a", "x"))]).await?;
    let created = store.get(&key).expect("created");
    assert_eq!(second.get(&key), Some(created.clone()));
    writer.apply(&[Write::merge(&*created, json!({"data": {"v": "y"}}))]).await?;
    assert_eq!(store.get(&key).expect("patched").data.as_ref().unwrap()["v"], "y");
    writer.apply(&[Write::delete(&*created)]).await?;
    assert!(maps.get_opt("a").await?.is_none());
    Ok(())
}

/// A store as it is after its first list, without a watch.
fn synced_store() -> Store<ConfigMap> {
    let store = Store::new(|_| {}, Vec::new());
    store.mark_synced();
    store
}
