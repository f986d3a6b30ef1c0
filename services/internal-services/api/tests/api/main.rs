//! The kinds as a real API server stores, checks and shows them.
#![expect(clippy::needless_pass_by_value, reason = "tables of tests take `json!(…)` as it stands")]

mod definitions;
mod round_trip;
mod rules;

use serde_json::{Value, json};
use testkit::crd::Kinds;

static KINDS: Kinds = Kinds::new("internal-services", internal_services_api::crds);

fn object(kind: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": kind, "metadata": {"name": "valid"}, "spec": spec
    })
}

fn request() -> Value {
    object("InternalRequest", json!({"request": "sign", "params": {"a": "b"}}))
}

fn config() -> Value {
    object("InternalServicesConfig", json!({"allowList": ["managed"]}))
}
