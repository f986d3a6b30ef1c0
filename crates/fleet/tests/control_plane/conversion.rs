//! Versions of a kind, converted by the webhook server for the API server.

use std::net::SocketAddr;

use fleet::certificate::{CaTarget, Issuer};
use fleet::leader::Leadership;
use fleet::webhook::Webhooks;
use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use testkit::{DEADLINE, Namespace, eventually};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::admin;
use crate::served::{refusal, requests_at, timing};

/// A kind of one test: `size` of `v1` is `dimensions.height` in `v2`.
pub(crate) struct Things<'a> {
    pub(crate) client: Client,
    pub(crate) namespace: &'a Namespace<'a>,
    /// Its versions, the first of which is stored.
    pub(crate) versions: &'a [&'a str],
    /// A CEL rule of the stored version.
    pub(crate) rule: Option<&'a str>,
}

const PATH: &str = "/convert";

impl Things<'_> {
    /// In a group of its own, so that no other test's webhook is asked.
    pub(crate) fn group(&self) -> String {
        format!("{}.konflux.test", self.namespace)
    }

    pub(crate) fn crd(&self) -> String {
        format!("things.{}", self.group())
    }

    /// Writes the definition with these versions; the address is where conversions are served.
    pub(crate) async fn define(&self, address: SocketAddr) {
        let versions: Vec<Value> = self
            .versions
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let rules: Vec<_> =
                    self.rule.filter(|_| index == 0).map(|rule| json!({"rule": rule})).into_iter().collect();
                json!({
                    "name": name, "served": true, "storage": index == 0, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                        "x-kubernetes-validations": rules,
                    }},
                })
            })
            .collect();
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": self.crd()},
            "spec": {
                "group": self.group(), "scope": "Namespaced", "versions": versions,
                "names": {"kind": "Thing", "plural": "things", "singular": "thing"},
                "conversion": {"strategy": "Webhook", "webhook": {
                    "conversionReviewVersions": ["v1"], "clientConfig": {"url": format!("https://{address}{PATH}")},
                }},
            },
        });
        self.namespace.apply_yaml(&definition.to_string()).await.unwrap();
    }

    pub(crate) fn api(&self, version: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(&self.group(), version, "Thing");
        let resource = ApiResource::from_gvk_with_plural(&kind, "things");
        Api::namespaced_with(self.client.clone(), self.namespace, &resource)
    }

    /// By name.
    pub(crate) async fn all(&self, version: &str) -> Vec<DynamicObject> {
        let api = self.api(version);
        // As for `create`.
        let listed = eventually(DEADLINE, "the kind to be served", async || {
            Ok(api.list(&ListParams::default()).await?)
        });
        listed.await.unwrap().items
    }

    pub(crate) async fn create(&self, version: &str, name: &str, content: Value) -> DynamicObject {
        let mut object = json!({
            "apiVersion": format!("{}/{version}", self.group()), "kind": "Thing", "metadata": {"name": name},
        });
        json_patch::merge(&mut object, &content);
        let object = serde_json::from_value(object).unwrap();
        let api = self.api(version);
        // The API server takes over a definition, and the authority of its webhook, a moment after it has stored it.
        eventually(DEADLINE, "the kind to be served", async || {
            Ok(api.create(&PostParams::default(), &object).await?)
        })
        .await
        .unwrap()
    }
}

pub(crate) fn converted(mut object: Value, to: &str) -> Result<Value, String> {
    object["apiVersion"] = to.into();
    let Some(spec) = object["spec"].as_object_mut() else {
        return Err("spec is missing: add one".to_owned());
    };
    if to.ends_with("/v2") {
        let size = spec.remove("size").unwrap_or_default();
        spec.insert("dimensions".to_owned(), json!({"height": size}));
    } else {
        let dimensions = spec.remove("dimensions").unwrap_or_default();
        spec.insert("size".to_owned(), dimensions["height"].clone());
    }
    Ok(object)
}

/// A server of conversions, whose certificate the leader has the API server trust.
pub(crate) struct Converter {
    pub(crate) address: SocketAddr,
    pub(crate) registry: prometheus::Registry,
    _ends: DropGuard,
}

impl Converter {
    pub(crate) fn start(
        things: &Things<'_>,
        convert: impl Fn(Value, &str) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        let (webhooks, registry) = (Webhooks::new().convert(PATH, convert), prometheus::Registry::new());
        let server = webhooks.bind(SocketAddr::from(([127, 0, 0, 1], 0)), &registry).unwrap();
        let address = server.listening();
        let issuer = Issuer::new(things.client.clone(), things.namespace, "shop")
            .inject_into([CaTarget::Conversion(things.crd())])
            .names(["127.0.0.1".to_owned()])
            .timing(timing());
        let (certificates, cancel) = (issuer.certificates(), CancellationToken::new());
        tokio::spawn(issuer.run(Leadership::always(), cancel.clone()));
        tokio::spawn(server.run(certificates, cancel.clone()));
        Self { address, registry, _ends: cancel.drop_guard() }
    }
}

#[tokio::test]
async fn the_leader_has_its_conversions_trusted() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("conversion").await.unwrap();
    let things = Things { client, namespace: &namespace, versions: &["v2", "v1"], rule: None };
    let converter = Converter::start(&things, converted);
    things.define(converter.address).await;

    let content =
        json!({"spec": {"size": 3, "unknown": {"deep": [1]}}, "metadata": {"annotations": {"a": "b"}}});
    let created = things.create("v1", "old", content.clone()).await;
    assert_eq!(created.data["spec"], content["spec"], "as it was sent");
    let seen = things.api("v2").get("old").await.unwrap();
    assert_eq!(seen.data["spec"], json!({"dimensions": {"height": 3}, "unknown": {"deep": [1]}}));
    assert_eq!(
        (&seen.metadata.uid, &seen.metadata.annotations),
        (&created.metadata.uid, &created.metadata.annotations)
    );

    things.create("v2", "new", json!({"spec": {"dimensions": {"height": 4}}})).await;
    let listed = things.api("v1").list(&ListParams::default()).await.unwrap();
    let sizes: Vec<_> = listed.items.iter().map(|thing| thing.data["spec"]["size"].clone()).collect();
    assert_eq!(sizes, [4, 3]);

    let mut events =
        things.api("v1").watch(&WatchParams::default().disable_bookmarks(), "0").await.unwrap().boxed();
    let mut next_size = async || {
        let event = tokio::time::timeout(DEADLINE, events.next()).await.expect("the watch goes on");
        match event.unwrap().unwrap() {
            WatchEvent::Added(thing) | WatchEvent::Modified(thing) => thing.data["spec"]["size"].clone(),
            event => panic!("unexpected: {event:?}"),
        }
    };
    let mut watched = [next_size().await, next_size().await];
    watched.sort_by_key(Value::as_i64);
    assert_eq!(watched, [3, 4]);
    let taller = Patch::Merge(json!({"spec": {"dimensions": {"height": 5}}}));
    things.api("v2").patch("new", &PatchParams::default(), &taller).await.unwrap();
    assert_eq!(next_size().await, 5);
    assert!(requests_at(&converter.registry, PATH, "200") > 0);
}

#[tokio::test]
async fn an_object_that_cannot_be_converted_is_named() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("conversion").await.unwrap();
    let things = Things { client, namespace: &namespace, versions: &["v2", "v1"], rule: None };
    let converter = Converter::start(&things, |object, to| {
        assert_ne!(object["metadata"]["name"], "bomb", "internals");
        converted(object, to)
    });
    things.define(converter.address).await;
    things.create("v1", "good", json!({"spec": {"size": 3}})).await;
    things.create("v2", "bare", json!({})).await;

    let (code, message) = refusal(things.api("v1").get("bare").await);
    assert_eq!(code, 500);
    let (namespace, group) = (things.namespace.name(), things.group());
    let expected = format!(
        "Thing {namespace}/bare cannot be converted from {group}/v2 to {group}/v1: spec is missing: add one; mend or \
         delete it as {group}/v2"
    );
    assert!(message.contains(&expected), "{message}");
    // Neither the others, nor those who ask for what is stored, are concerned.
    things.api("v1").get("good").await.unwrap();
    assert_eq!(things.api("v2").list(&ListParams::default()).await.unwrap().items.len(), 2);

    let mend = Patch::Merge(json!({"spec": {"dimensions": {"height": 1}}}));
    things.api("v2").patch("bare", &PatchParams::default(), &mend).await.unwrap();
    assert_eq!(things.api("v1").get("bare").await.unwrap().data["spec"], json!({"size": 1}));

    things.create("v2", "bomb", json!({"spec": {}})).await;
    let (_, message) = refusal(things.api("v1").get("bomb").await);
    assert!(message.contains("the conversion panicked") && !message.contains("internals"), "{message}");
    things.api("v1").get("good").await.unwrap();
}

/// What is stored in the version that is asked for needs no conversion: that is why a service may be away.
#[tokio::test]
async fn nobody_is_asked_for_what_is_stored() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("conversion").await.unwrap();
    let things = Things { client, namespace: &namespace, versions: &["v2", "v1"], rule: None };
    // Nobody listens there.
    let address = SocketAddr::from(([127, 0, 0, 1], testkit::free_port().unwrap()));
    things.define(address).await;

    things.create("v2", "new", json!({"spec": {"dimensions": {"height": 4}}})).await;
    let api = things.api("v2");
    let taller = Patch::Merge(json!({"spec": {"dimensions": {"height": 5}}}));
    api.patch("new", &PatchParams::default(), &taller).await.unwrap();
    let status = Patch::Merge(json!({"status": {"ready": true}}));
    api.patch_status("new", &PatchParams::default(), &status).await.unwrap();
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
    let mut events = api.watch(&WatchParams::default().disable_bookmarks(), "0").await.unwrap().boxed();
    let first = tokio::time::timeout(DEADLINE, events.next()).await.expect("an event").unwrap();
    assert!(matches!(first, Ok(WatchEvent::Added(thing)) if thing.data["status"]["ready"] == true));

    let (code, message) = refusal(things.api("v1").get("new").await);
    assert_eq!(code, 500);
    assert!(message.contains("conversion webhook for") && message.contains("failed"), "{message}");
    api.delete("new", &Default::default()).await.unwrap();
}
