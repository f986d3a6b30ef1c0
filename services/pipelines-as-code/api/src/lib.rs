//! The API of pipelines-as-code, group `pipelinesascode.tekton.dev`, version `v1alpha1`: which Git repository
//! is watched for a namespace, the keys that it reads in `.tekton/` and leaves on the runs, and how another
//! service asks for a run.
//!
//! ```text
//! forge ── event ──▶ Repository (by spec.url) ── .tekton/*.yaml ──▶ PipelineRun
//!                        ▲ annotation: IncomingRequest
//!                   build-service
//! ```
//!
//! Types and constants only. Fields that only the schema requires are read as empty when they are absent: one
//! object that a newer program stored must not break the watch of all others.

#![expect(unreachable_pub, reason = "kube's derive puts a public copy of each struct into a function")]

pub mod annotations;
pub mod events;
pub mod finalizers;
pub mod incoming;
pub mod labels;
pub mod names;
pub mod pipeline_run;
pub mod repository;
pub mod run_history;

use fleet_api::editable;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use incoming::{IncomingOutcome, IncomingRequest};
pub use repository::{Repository, RepositoryContent, RepositorySpec, RepositoryStatus};

/// API group of all kinds in this crate.
pub const GROUP: &str = "pipelinesascode.tekton.dev";

/// The definitions of all kinds. `cargo xtask crds` writes them to `deploy/kustomize/crds/pipelines-as-code`.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![editable(Repository::crd())]
}
