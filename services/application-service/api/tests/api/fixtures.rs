//! Objects that are valid, to be spoilt by a test.

use serde_json::{Value, json};

fn object(kind: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": kind,
        "metadata": { "name": "valid" },
        "spec": spec,
    })
}

pub(crate) fn application() -> Value {
    object("Application", json!({ "displayName": "Web shop" }))
}

pub(crate) fn component() -> Value {
    object(
        "Component",
        json!({
            "componentName": "frontend",
            "application": "shop",
            "source": { "git": { "url": "https://git.example.com/shop" } },
        }),
    )
}

pub(crate) fn image_component() -> Value {
    object(
        "Component",
        json!({
            "componentName": "frontend", "application": "shop", "containerImage": "images.example.com/shop:1"
        }),
    )
}

pub(crate) fn detection() -> Value {
    object("ComponentDetectionQuery", json!({ "git": { "url": "https://git.example.com/shop" } }))
}

pub(crate) fn snapshot() -> Value {
    let image =
        |name| json!({ "name": name, "containerImage": format!("images.example.com/{name}@sha256:0") });
    object("Snapshot", json!({ "application": "shop", "components": [image("a"), image("b"), image("c")] }))
}

pub(crate) fn environment() -> Value {
    object("Environment", json!({ "displayName": "Development", "deploymentStrategy": "Manual" }))
}

pub(crate) fn binding() -> Value {
    object(
        "SnapshotEnvironmentBinding",
        json!({ "application": "shop", "environment": "development", "snapshot": "s", "components": [] }),
    )
}

pub(crate) fn promotion() -> Value {
    object(
        "PromotionRun",
        json!({ "application": "shop", "snapshot": "s", "manualPromotion": { "targetEnvironment": "production" } }),
    )
}
