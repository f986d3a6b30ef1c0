//! The API of enterprise-contract: policies that decide whether images may be released; group
//! `appstudio.redhat.com`, version `v1alpha1`.
//!
//! ```text
//! EnterpriseContractPolicy ── sources ──▶ Rego and data in registries and Git repositories
//!        ▲ spec.policy
//! ReleasePlanAdmission, integration tests ──▶ ec ──▶ TEST_OUTPUT
//! ```
//!
//! Types and constants only. Fields that only the schema requires are read as empty when they are absent: one
//! object that a newer program stored must not break the watch of all others.

#![expect(unreachable_pub, reason = "kube's derive puts a public copy of each struct into a function")]

pub mod annotations;
pub mod conditions;
pub mod labels;
pub mod names;
pub mod policy;

use fleet_api::editable;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use policy::{EnterpriseContractPolicy, EnterpriseContractPolicySpec, EnterpriseContractPolicyStatus};

/// API group of all kinds in this crate.
pub const GROUP: &str = "appstudio.redhat.com";

/// The definitions of all kinds. `cargo xtask crds` writes them to
/// `deploy/kustomize/crds/enterprise-contract`.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![editable(EnterpriseContractPolicy::crd())]
}
