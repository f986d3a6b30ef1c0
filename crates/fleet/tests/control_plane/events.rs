//! Events as the API server takes them.

use fleet::leader::Leadership;
use fleet::{Event, Write, Writer};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::api::events::v1::Event as ApiEvent;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::admin;

fn writer(client: &Client) -> Writer {
    Writer::new(client.clone(), "test-service", "test".to_owned(), Leadership::always())
}

async fn map(client: &Client, namespace: &str, name: &str) -> anyhow::Result<ConfigMap> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    Ok(maps.create(&PostParams::default(), &map).await?)
}

async fn told(client: &Client, namespace: &str) -> anyhow::Result<Vec<ApiEvent>> {
    let events: Api<ApiEvent> = Api::namespaced(client.clone(), namespace);
    Ok(events.list(&ListParams::default()).await?.items)
}

fn count(event: &ApiEvent) -> Option<i32> {
    event.series.as_ref().map(|series| series.count)
}

#[tokio::test]
async fn the_same_again_is_counted_in_one_event_also_after_a_restart() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("events").await?;
    let (map, other) = (map(&client, &namespace, "a").await?, map(&client, &namespace, "b").await?);
    let event = || Write::from(Event::warning(&map, "NoAccount", "Start", "no ServiceAccount").about(&other));
    let first = writer(&client);
    first.apply(&[event()]).await?;
    let events = told(&client, &namespace).await?;
    assert_eq!((events.len(), count(&events[0])), (1, None));
    assert_eq!(events[0].type_.as_deref(), Some("Warning"));
    assert_eq!(
        (events[0].reason.as_deref(), events[0].action.as_deref()),
        (Some("NoAccount"), Some("Start"))
    );
    assert_eq!(events[0].regarding.as_ref().and_then(|of| of.uid.clone()), map.uid());
    assert_eq!(events[0].related.as_ref().and_then(|of| of.name.clone()).as_deref(), Some("b"));

    for _ in 0..4 {
        first.apply(&[event()]).await?;
    }
    let events = told(&client, &namespace).await?;
    assert_eq!((events.len(), count(&events[0])), (1, Some(4)), "told at two and four, not at five");

    let restarted = writer(&client);
    restarted.apply(&[event()]).await?;
    let events = told(&client, &namespace).await?;
    assert_eq!((events.len(), count(&events[0])), (1, Some(5)), "counted on from what the API server knows");

    // The API server forgets Events after an hour.
    let api: Api<ApiEvent> = Api::namespaced(client.clone(), &namespace);
    api.delete(&events[0].name_any(), &DeleteParams::default()).await?;
    for _ in 0..3 {
        restarted.apply(&[event()]).await?;
    }
    assert_eq!(told(&client, &namespace).await?.len(), 1, "told anew");
    Ok(())
}

/// An error whose text differs each time, met again and again.
#[tokio::test]
async fn one_object_cannot_flood_its_namespace() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("events").await?;
    let map = map(&client, &namespace, "a").await?;
    let writer = writer(&client);
    for attempt in 0..100 {
        writer.apply(&[Event::warning(&map, "Failed", "Try", format!("attempt {attempt}")).into()]).await?;
    }
    assert_eq!(told(&client, &namespace).await?.len(), 25);
    Ok(())
}

#[tokio::test]
async fn the_api_server_takes_long_notes_and_objects_without_namespace() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("events").await?;
    let object = Api::<Namespace>::all(client.clone()).get(&namespace).await?;
    let note = "é".repeat(2000);
    writer(&client).apply(&[Event::normal(&object, "Tested", "Test", note).into()]).await?;
    let found = told(&client, "default").await?;
    let event = found.iter().find(|event| {
        event.regarding.as_ref().is_some_and(|of| of.name.as_deref() == Some(namespace.name()))
    });
    let note = event.and_then(|event| event.note.clone()).unwrap_or_default();
    assert_eq!(note.len(), 1024);
    Ok(())
}

#[tokio::test]
async fn one_that_is_refused_fails_nothing() -> anyhow::Result<()> {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("events").await?;
    let map = map(&client, &namespace, "a").await?;
    let account = namespace.client_as("nobody").await?;
    writer(&account).apply(&[Event::normal(&map, "Tested", "Test", "note").into()]).await?;
    assert!(told(&client, &namespace).await?.is_empty());
    Ok(())
}
