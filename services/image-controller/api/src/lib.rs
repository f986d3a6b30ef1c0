//! The API of image-controller: an image repository with credentials of its own for a Component, or for
//! whoever asks; group `appstudio.redhat.com`, version `v1alpha1`. Besides the kind, the keys on Components
//! by which image repositories were asked for before the kind existed.
//!
//! ```text
//! ImageRepository ──▶ repository in the registry ◀── robot accounts
//!        └──────────▶ Secrets <name>-image-push, <name>-image-pull ──┘
//! ```
//!
//! Types and constants only. Fields that only the schema requires are read as empty when they are absent: one
//! object that a newer program stored must not break the watch of all others.

#![expect(unreachable_pub, reason = "kube's derive puts a public copy of each struct into a function")]

pub mod annotations;
pub mod component_image;
pub mod events;
pub mod finalizers;
pub mod image_repository;
pub mod labels;
pub mod names;

use fleet_api::editable;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

pub use component_image::ComponentImage;
pub use image_repository::{ImageRepository, ImageRepositorySpec, ImageRepositoryStatus, Visibility};

/// API group of all kinds in this crate.
pub const GROUP: &str = "appstudio.redhat.com";

/// The definitions of all kinds. `cargo xtask crds` writes them to `deploy/kustomize/crds/image-controller`.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![editable(ImageRepository::crd())]
}
