//! The integration test API, group `appstudio.redhat.com`: `IntegrationTestScenario` in its versions, with the
//! conversions between them, and the labels, annotations, finalizers and conditions of integration-service, among
//! them those that it writes to Snapshots and runs. `Snapshot` itself is a kind of application-service.
//!
//! ```text
//! v1alpha1 (bundle) ─┐
//! v1beta1 ───────────┴─▶ v1beta2 (stored)      what a version has no field for is kept in annotations
//! ```
//!
//! The API server asks integration-service for conversions, under [`CONVERSION_PATH`]. What is stored in the version that
//! is asked for needs none, so while integration-service is not there (or not installed at all):
//!
//! - everything works in `v1beta2`, be it reading, writing, watching or deleting, as long as all objects are stored in
//!   it. That is so unless an older program stored them; the service migrates those as soon as it runs. Every service of
//!   the fleet reads `v1beta2`, so none is held up.
//! - what was written through an older version (its `managedFields` tell) can be read, deleted and patched in
//!   `v1beta2`, too, but not by server-side apply, which has to look at the fields of the other writers in their version.
//! - requests in `v1beta1` and `v1alpha1` fail, with an error that names the webhook. They work again with the service;
//!   nothing is lost in between.
//!
//! Types, constants and pure functions only. Fields that only the schema of this version requires are read as empty
//! when they are absent: one object that a newer program stored must not break the watch of all others.

#![expect(unreachable_pub, reason = "kube's derive puts a public copy of each struct into a function")]

pub mod annotations;
pub mod conditions;
pub mod conversion;
pub mod finalizers;
pub mod labels;
pub mod scenario;
pub mod status;
pub mod v1alpha1;
pub mod v1beta1;
pub mod v1beta2;
mod validation;

use fleet_api::editable;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, ServiceReference, WebhookClientConfig,
    WebhookConversion,
};
use kube::CustomResourceExt as _;

pub use conversion::{Version, convert};
pub use scenario::IntegrationTestScenarioStatus;
pub use v1beta2::{IntegrationTestScenario, IntegrationTestScenarioSpec};

/// API group of all kinds in this crate.
pub const GROUP: &str = "appstudio.redhat.com";

/// Where integration-service answers with [`convert`] when the API server asks.
pub const CONVERSION_PATH: &str = "/convert";

/// The definition of the kind, with all versions. `cargo xtask crds` writes it to
/// `deploy/kustomize/crds/integration-service`.
///
/// All versions are served. Only the stored one has selectable fields: where all versions have the same and their
/// schemas differ, the API server (1.34) refuses the definition. The authority of the webhook is written by its leader.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut stored = IntegrationTestScenario::crd();
    for older in [v1beta1::IntegrationTestScenario::crd(), v1alpha1::IntegrationTestScenario::crd()] {
        stored.spec.versions.extend(older.spec.versions);
    }
    stored.spec.conversion = Some(webhook());
    vec![editable(stored)]
}

/// Service and namespace are named after the service, as those of all services.
fn webhook() -> CustomResourceConversion {
    let service = ServiceReference {
        name: "integration-service".to_owned(),
        namespace: "integration-service".to_owned(),
        path: Some(CONVERSION_PATH.to_owned()),
        port: Some(443),
    };
    CustomResourceConversion {
        strategy: "Webhook".to_owned(),
        webhook: Some(WebhookConversion {
            client_config: Some(WebhookClientConfig {
                service: Some(service),
                ..WebhookClientConfig::default()
            }),
            conversion_review_versions: vec!["v1".to_owned()],
        }),
    }
}
