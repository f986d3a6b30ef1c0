//! The kinds as a real API server stores, checks and shows them.
#![expect(clippy::needless_pass_by_value, reason = "tables of tests take `json!(…)` as it stands")]

mod definitions;
mod round_trip;
mod rules;

use serde_json::{Value, json};
use testkit::crd::Kinds;

static KINDS: Kinds = Kinds::new("release-service", release_service_api::crds);

fn object(kind: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": kind, "metadata": {"name": "valid"}, "spec": spec
    })
}

fn release() -> Value {
    object("Release", json!({"snapshot": "first", "releasePlan": "plan", "data": {"known": {"a": 1}}}))
}

fn plan() -> Value {
    object("ReleasePlan", json!({"application": "shop", "target": "managed"}))
}

fn admission() -> Value {
    object("ReleasePlanAdmission", json!({"applications": ["shop"], "origin": "tenant", "policy": "default"}))
}

fn pipeline() -> Value {
    json!({"pipelineRef": {"resolver": "git", "params": [{"name": "url", "value": "https://git.example.com/a"}]}})
}

fn config() -> Value {
    object("ReleaseServiceConfig", json!({}))
}
