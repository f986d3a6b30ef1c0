//! The kind as a real API server stores, checks and shows it.
#![expect(clippy::needless_pass_by_value, reason = "tables of tests take `json!(…)` as it stands")]

mod conversion;
mod definitions;
mod round_trip;
mod rules;

use serde_json::{Value, json};
use testkit::crd::Kinds;

static KINDS: Kinds = Kinds::new("integration-service", integration_service_api::crds);

fn scenario() -> Value {
    json!({
        "apiVersion": "appstudio.redhat.com/v1beta2", "kind": "IntegrationTestScenario",
        "metadata": {"name": "valid"},
        "spec": {"application": "shop", "resolverRef": git(json!({"url": "https://git.example.com/a"}))},
    })
}

/// A reference to Git with these parameters.
fn git(params: Value) -> Value {
    let params: Vec<Value> = params
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    json!({"resolver": "git", "params": params, "resourceKind": "pipeline"})
}
