//! The kinds as a real API server stores, checks and shows them.
#![expect(clippy::needless_pass_by_value, reason = "tables of tests take `json!(…)` as it stands")]

mod definitions;
mod round_trip;
mod rules;

use serde_json::{Value, json};
use testkit::crd::Kinds;

static KINDS: Kinds = Kinds::new("gitops-service", gitops_service_api::crds);

fn object(kind: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": kind, "metadata": {"name": "valid"}, "spec": spec
    })
}

fn target() -> Value {
    let credentials = json!({
        "defaultNamespace": "n", "apiURL": "https://c", "clusterCredentialsSecret": "s",
        "allowInsecureSkipTLSVerify": false,
    });
    object(
        "DeploymentTarget",
        json!({"deploymentTargetClassName": "class", "kubernetesCredentials": credentials, "claimRef": "claim"}),
    )
}

fn claim() -> Value {
    object("DeploymentTargetClaim", json!({"deploymentTargetClassName": "class", "targetName": "target"}))
}

/// Not in a namespace: its name is the test's own, for tests run side by side.
fn class(name: &str) -> Value {
    let mut class = object(
        "DeploymentTargetClass",
        json!({"provisioner": "appstudio.redhat.com/devsandbox", "reclaimPolicy": "Delete"}),
    );
    class["metadata"]["name"] = name.into();
    class
}
