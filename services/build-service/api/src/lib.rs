//! The API of build-service: which pipeline builds a Component, and when dependencies are updated; group
//! `appstudio.redhat.com`, version `v1alpha1`. Besides the kinds, the keys on Components, runs and Secrets by
//! which users and other services deal with builds.
//!
//! ```text
//! BuildPipelineSelector ── chooses the pipeline for ──▶ Component ── is built by ──▶ PipelineRun
//! DependencyUpdateCheck ── has its repository updated ────▲  request, status: annotations
//! ```
//!
//! Types and constants only. Fields that only the schema requires are read as empty when they are absent: one
//! object that a newer program stored must not break the watch of all others.

#![expect(unreachable_pub, reason = "kube's derive puts a public copy of each struct into a function")]

pub mod annotations;
pub mod build_pipeline_selector;
pub mod build_run;
pub mod build_status;
pub mod dependency_update_check;
pub mod errors;
pub mod events;
pub mod finalizers;
pub mod labels;
pub mod names;
pub mod pipeline_config;
pub mod request;

use fleet_api::editable;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use build_pipeline_selector::{BuildPipelineSelector, BuildPipelineSelectorSpec};
pub use build_status::BuildStatus;
pub use dependency_update_check::{
    DependencyUpdateCheck, DependencyUpdateCheckSpec, DependencyUpdateCheckStatus,
};
pub use errors::ErrorId;
pub use pipeline_config::PipelineConfig;
pub use request::Request;

/// API group of all kinds in this crate.
pub const GROUP: &str = "appstudio.redhat.com";

/// The definitions of all kinds. `cargo xtask crds` writes them to `deploy/kustomize/crds/build-service`.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [BuildPipelineSelector::crd(), DependencyUpdateCheck::crd()].map(editable).into()
}
