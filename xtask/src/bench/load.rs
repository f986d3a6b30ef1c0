//! Components by the thousand, as a cluster of many teams has them.
use application_service_api::{Application, Component};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::PostParams};
use serde_json::json;

use crate::ui;

/// Enough to keep an API server on two cores busy.
const CONCURRENCY: usize = 32;
/// Components of one namespace, all of one Application.
const TEAM: usize = 200;

/// Creates Components `from..to`, with the namespaces and Applications that they belong to.
pub(super) async fn create(client: &Client, from: usize, to: usize) -> anyhow::Result<()> {
    let step = ui::step(format!("{to} Components exist"));
    for team in from.div_ceil(TEAM)..to.div_ceil(TEAM) {
        let namespace = Namespace {
            metadata: kube::api::ObjectMeta { name: Some(namespace(team)), ..Default::default() },
            ..Namespace::default()
        };
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        let application: Application = serde_json::from_value(json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": self::namespace(team)},
            "spec": {"displayName": format!("Shop {team}"), "description": "Made for a benchmark."},
        }))?;
        Api::namespaced(client.clone(), &self::namespace(team))
            .create(&PostParams::default(), &application)
            .await?;
    }
    let mut created = from;
    let mut creations = futures::stream::iter(from..to)
        .map(|number| async move {
            let namespace = namespace(number / TEAM);
            let component = component(number, &namespace)?;
            Api::namespaced(client.clone(), &namespace).create(&PostParams::default(), &component).await?;
            anyhow::Ok(())
        })
        .buffer_unordered(CONCURRENCY);
    while creations.try_next().await?.is_some() {
        created += 1;
        if created.is_multiple_of(100) {
            step.waiting(&format!("{created} of {to}"));
        }
    }
    step.done();
    Ok(())
}

fn namespace(team: usize) -> String {
    format!("bench-{team}")
}

/// One that fills about what a user's fills: a Git source, two variables, an image with digest.
fn component(number: usize, namespace: &str) -> serde_json::Result<Component> {
    let name = format!("component-{number}");
    serde_json::from_value(json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Component",
        "metadata": {
            "name": name, "namespace": namespace,
            "annotations": {"example.com/team": "shop", "example.com/contact": "shop@example.com"},
        },
        "spec": {
            "componentName": name, "application": "shop",
            "source": {"git": {
                "url": format!("https://git.example.com/shop/{name}"), "revision": "main", "context": "./",
                "dockerfileUrl": "Dockerfile",
            }},
            "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "REGION", "value": "north"}],
            "targetPort": 8080, "replicas": 1,
            "containerImage": format!("registry.example.com/shop/{name}@sha256:{number:064x}"),
        },
    }))
}
