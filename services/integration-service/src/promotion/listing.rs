//! Puts one image into the candidate list.

use std::sync::Arc;

use application_service_api::Component;
use application_service_api::snapshot::SnapshotComponent;
use fleet::{FieldManager, StatusPatch, Write};
use fleet_api::keys::GITOPS_TRACKING;
use integration_service_api::annotations::{MIRROR_CONTAINER_IMAGE, PROMOTED_BUILD};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::json;

use super::age::Age;
use crate::content::is_digest_pullspec;

const MANAGER: FieldManager = FieldManager::new("integration-service/candidate");

/// What is left to do until a Component's candidate is what it should be. Each write is refused if anybody else wrote to the
/// Component in between, and then all is looked at again.
#[derive(Debug)]
pub(super) enum Listing {
    /// The image becomes the candidate: this is what decides (contracts.md, decision 25).
    Status(Write),
    /// What follows from that, if anything does: of which build the image is, and `spec.containerImage`.
    Rest(Option<Write>),
    /// The candidate stays what it is.
    Kept(String),
}

/// Makes `entry`, which was built at `age`, the candidate of its Component.
pub(super) fn list(
    component: &Arc<Component>,
    entry: &SnapshotComponent,
    age: Age,
    mirrors: bool,
    now: Timestamp,
) -> Listing {
    let (name, image) = (component.name_any(), entry.container_image.trim());
    if !is_digest_pullspec(image) {
        return Listing::Kept(format!(
            "Component {name}: image {image} has no digest, so it stays out of the candidate list"
        ));
    }
    if is_older(component, age) {
        return Listing::Kept(format!("Component {name}: the candidate list has a newer build already"));
    }
    match status(component, entry, image, now) {
        Some(write) => Listing::Status(write),
        None => Listing::Rest(rest(component, image, age, mirrors)),
    }
}

/// Whether the candidate of the Component is of a later build.
pub(super) fn is_older(component: &Component, age: Age) -> bool {
    Age::promoted(component).is_some_and(|promoted| promoted > age)
}

fn status(component: &Component, entry: &SnapshotComponent, image: &str, now: Timestamp) -> Option<Write> {
    let git = entry.source.as_ref().and_then(|source| source.git.as_ref());
    let built = git.and_then(|git| git.revision.as_deref()).filter(|revision| !revision.is_empty());
    let before = component.status.as_ref().and_then(|status| status.last_built_commit.as_deref());
    StatusPatch::of(component, MANAGER, now)
        .field("lastPromotedImage", image)
        .field("lastBuiltCommit", built.or(before))
        .if_unchanged()
        .into_write()
}

fn rest(component: &Component, image: &str, age: Age, mirrors: bool) -> Option<Write> {
    let promoted = age.to_annotation();
    let is_mirrored = component.spec.container_image.as_deref() == Some(image);
    let mirrors = mirrors && !is_mirrored && !keeps_its_image(component);
    if !mirrors && PROMOTED_BUILD.of(&component.metadata.annotations) == Some(promoted.as_str()) {
        return None;
    }
    let mut body = json!({"metadata": {"annotations": {PROMOTED_BUILD.as_str(): promoted}}});
    if mirrors {
        body["spec"] = json!({"containerImage": image});
    }
    Some(Write::merge(component, body))
}

/// Whether `spec.containerImage` is nothing that this service writes: a GitOps tool would write back, or the user said so.
fn keeps_its_image(component: &Component) -> bool {
    let (annotations, labels) = (component.annotations(), component.labels());
    MIRROR_CONTAINER_IMAGE.of(&component.metadata.annotations) == Some("false")
        || GITOPS_TRACKING.iter().any(|key| annotations.contains_key(*key) || labels.contains_key(*key))
}
