//! The integration test API, group `appstudio.redhat.com`: `IntegrationTestScenario` in its versions, with the
//! conversions between them, and the labels, annotations, finalizers and conditions of integration-service, among
//! them those that it writes to Snapshots and runs. `Snapshot` itself is a kind of application-service.
//!
//! ```text
//! v1alpha1 (bundle) ─┐
//! v1beta1 ───────────┴─▶ v1beta2 (stored)      what a version has no field for is kept in annotations
//! ```
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
pub mod v1alpha1;
pub mod v1beta1;
pub mod v1beta2;
mod validation;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use conversion::{Version, convert};
pub use scenario::IntegrationTestScenarioStatus;
pub use v1beta2::{IntegrationTestScenario, IntegrationTestScenarioSpec};

/// API group of all kinds in this crate.
pub const GROUP: &str = "appstudio.redhat.com";

/// The definition of the kind, with all versions. `cargo xtask crds` writes it to
/// `deploy/kustomize/crds/integration-service`.
///
/// Only the stored version is served: the API server cannot convert to the others by itself. Those are there for the
/// schemas of what older programs stored. Only the stored one has selectable fields: where all versions have the same
/// and their schemas differ, the API server (1.34) refuses the definition.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut stored = IntegrationTestScenario::crd();
    for older in [v1beta1::IntegrationTestScenario::crd(), v1alpha1::IntegrationTestScenario::crd()] {
        stored.spec.versions.extend(older.spec.versions);
    }
    vec![stored]
}
