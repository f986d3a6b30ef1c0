//! Snapshots whose tests pass when there is a newer build already: what is older is not released after it (annex, L10).

use std::sync::Arc;

use application_service_api::{Component, Snapshot};
use integration_service_api::annotations::IGNORE_SUPERSESSION;
use integration_service_api::labels::snapshot_type;
use kube::ResourceExt as _;

use crate::promotion::{Age, component_of, is_push, type_of};
use fleet::is_inert;

/// What supersedes a Snapshot, for people. `component` is the one that was built, `others` are of the same Application.
pub(super) fn superseded_by(
    snapshot: &Snapshot,
    component: Option<&Component>,
    others: &[Arc<Snapshot>],
) -> Option<String> {
    if IGNORE_SUPERSESSION.of(&snapshot.metadata.annotations) == Some("true") || !is_of_a_build(snapshot) {
        return None;
    }
    let built = component_of(snapshot)?;
    let age = Age::of(snapshot);
    if component.and_then(Age::promoted).is_some_and(|promoted| promoted > age) {
        return Some(format!("the candidate list has a newer build of Component {built}"));
    }
    let newer = others.iter().filter(|other| {
        component_of(other) == Some(built)
            && is_of_a_build(other)
            && Age::of(other) > age
            && is_push(other)
            && !is_inert(&other.metadata)
    });
    let newest = newer.max_by_key(|other| (Age::of(other), other.name_any()))?;
    Some(format!("Snapshot {} is of a newer build of Component {built}", newest.name_any()))
}

/// What a user made is of no build.
fn is_of_a_build(snapshot: &Snapshot) -> bool {
    matches!(type_of(snapshot), Some(snapshot_type::COMPONENT | snapshot_type::COMPOSITE))
}
