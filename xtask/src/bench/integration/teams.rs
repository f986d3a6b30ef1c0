//! Applications with Components and a scenario, as a cluster of many teams has them.
use application_service_api::{Application, Component};
use futures::{StreamExt as _, TryStreamExt as _};
use integration_service_api::IntegrationTestScenario;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use testkit::builders;

use crate::ui;

/// Enough to keep an API server on two cores busy.
pub(super) const CONCURRENCY: usize = 32;
/// Components of an Application.
pub(super) const COMPONENTS: usize = 2;
pub(super) const APPLICATION: &str = "shop";
/// The one scenario of each Application.
pub(super) const SCENARIO: &str = "smoke";

/// A team's namespace, with an Application.
pub(super) struct Team {
    pub(super) namespace: String,
    /// Of what belongs to the Application.
    pub(super) owner: OwnerReference,
}

/// Creates so many Applications, each in a namespace of its own.
pub(super) async fn create(client: &Client, applications: usize) -> anyhow::Result<Vec<Team>> {
    let step = ui::step(format!("{applications} Applications exist"));
    let mut creations = futures::stream::iter(0..applications)
        .map(|number| team(client, format!("bench-{number}")))
        .buffered(CONCURRENCY);
    let mut teams = Vec::new();
    while let Some(team) = creations.try_next().await? {
        teams.push(team);
        step.waiting(&format!("{} of {applications}", teams.len()));
    }
    step.done();
    Ok(teams)
}

/// Creates a namespace with an Application, its Components and its scenario.
pub(super) async fn team(client: &Client, namespace: String) -> anyhow::Result<Team> {
    let params = PostParams::default();
    Api::all(client.clone()).create(&params, &builders::namespace(&namespace)).await?;
    let application: Application = serde_json::from_value(json!({
        "metadata": {"name": APPLICATION}, "spec": {"displayName": "Shop"},
    }))?;
    let application = Api::namespaced(client.clone(), &namespace).create(&params, &application).await?;
    for number in 0..COMPONENTS {
        let name = component(number);
        let object: Component = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "componentName": name, "application": APPLICATION,
                "source": {"git": {"url": repository(&name), "revision": "main"}},
                "containerImage": image(&name, number),
            },
        }))?;
        Api::namespaced(client.clone(), &namespace).create(&params, &object).await?;
    }
    let scenario: IntegrationTestScenario = serde_json::from_value(json!({
        "metadata": {"name": SCENARIO},
        "spec": {"application": APPLICATION, "resolverRef": {"resolver": "bundles", "params": [
            {"name": "bundle", "value": "registry.example.com/tests/smoke:1"},
            {"name": "name", "value": "smoke"},
            {"name": "kind", "value": "pipeline"},
        ]}},
    }))?;
    Api::namespaced(client.clone(), &namespace).create(&params, &scenario).await?;
    Ok(Team { namespace, owner: builders::controller_reference(&application) })
}

pub(super) fn component(number: usize) -> String {
    format!("app-{}", number % COMPONENTS)
}

pub(super) fn repository(component: &str) -> String {
    format!("https://git.example.com/acme/{component}")
}

pub(super) fn image(component: &str, number: usize) -> String {
    format!("{}@{}", image_repository(component), digest(number))
}

pub(super) fn image_repository(component: &str) -> String {
    format!("registry.example.com/shop/{component}")
}

pub(super) fn digest(number: usize) -> String {
    format!("sha256:{number:064x}")
}

pub(super) fn commit(number: usize) -> String {
    format!("{number:040x}")
}

/// The status of a run that has succeeded.
pub(super) fn succeeded(results: &Value) -> Value {
    json!({
        "startTime": "2024-04-01T10:00:00Z", "completionTime": "2024-04-01T10:05:00Z", "results": results,
        "conditions": [{
            "type": "Succeeded", "status": "True", "reason": "Succeeded", "message": "",
            "lastTransitionTime": "2024-04-01T10:05:00Z",
        }],
    })
}
