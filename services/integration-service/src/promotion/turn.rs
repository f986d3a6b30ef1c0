//! Which Snapshots the turn of an Application is about, and who says of each whether it passed.

use application_service_api::Snapshot;
use fleet::{ObjectKey, is_inert};
use fleet_api::keys;
use integration_service_api::conditions::AddedToGlobalCandidateList;
use integration_service_api::labels::{self, snapshot_type};
use release_service_api::labels::AUTO_RELEASE;

use crate::args::Promotion;
use crate::conditions::Says as _;
use crate::origin::Origin;

/// What is to be done with a Snapshot. The first comes before the second: what has passed is in the list before the next one is
/// compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// Its images belong in the candidate list.
    List,
    /// Its tests have ended; whether it passed depends on the candidate list, too.
    Judge,
}

/// Whether the condition `AppStudioTestSucceeded` of a Snapshot is written in the turn of its Application, once its tests have ended:
/// two that end together must not both be measured against the candidate list of before.
pub(crate) fn passes_verdict(snapshot: &Snapshot, promotion: Promotion) -> bool {
    promotion == Promotion::Tests
        && matches!(type_of(snapshot), Some(snapshot_type::COMPONENT | snapshot_type::COMPOSITE))
        && is_push(snapshot)
}

/// The Application whose turn the Snapshot may still be needed in.
pub(crate) fn turn_of(snapshot: &Snapshot) -> Vec<ObjectKey> {
    if is_settled(snapshot) || snapshot.spec.application.is_empty() {
        return Vec::new();
    }
    vec![ObjectKey::of(snapshot).sibling(&snapshot.spec.application)]
}

/// Whether the candidate list has nothing to expect of a Snapshot any more.
pub(crate) fn is_settled(snapshot: &Snapshot) -> bool {
    if snapshot.metadata.deletion_timestamp.is_some()
        || is_inert(&snapshot.metadata)
        || snapshot.is_out()
        || !is_push(snapshot)
    {
        return true;
    }
    let is_listed = snapshot.has::<AddedToGlobalCandidateList>() || is_held_back(snapshot);
    let names_none = component_of(snapshot).is_none();
    match (type_of(snapshot), snapshot.passed()) {
        (Some(snapshot_type::OVERRIDE), _) => is_listed,
        (_, Some(false)) => true,
        (Some(snapshot_type::COMPONENT | snapshot_type::COMPOSITE), None) => false,
        (_, None | Some(true)) => is_listed || names_none,
    }
}

/// What there is to do with it now, if anything.
pub(super) fn task(snapshot: &Snapshot, promotion: Promotion) -> Option<Task> {
    if is_settled(snapshot) {
        return None;
    }
    let is_over = type_of(snapshot) == Some(snapshot_type::OVERRIDE);
    let is_fresh_build = promotion == Promotion::Build
        && type_of(snapshot) == Some(snapshot_type::COMPONENT)
        && labels::BUILD_PIPELINE_RUN.of(&snapshot.metadata.labels).is_some()
        && component_of(snapshot).is_some()
        && !is_held_back(snapshot)
        && !snapshot.has::<AddedToGlobalCandidateList>();
    if is_over || is_fresh_build || snapshot.passed() == Some(true) {
        return Some(Task::List);
    }
    let is_tested = snapshot.is_finished() && snapshot.passed().is_none();
    (is_tested && passes_verdict(snapshot, promotion)).then_some(Task::Judge)
}

/// Whether a user, or the service that made it, wants it tested and nothing else.
pub(crate) fn is_held_back(snapshot: &Snapshot) -> bool {
    AUTO_RELEASE.of(&snapshot.metadata.labels) == Some("false")
}

/// Whether it is of what has been merged. Pull requests that are tested together never are.
pub(crate) fn is_push(snapshot: &Snapshot) -> bool {
    type_of(snapshot) != Some(snapshot_type::GROUP) && Origin::of(snapshot).is_push()
}

/// The Component that was built.
pub(crate) fn component_of(snapshot: &Snapshot) -> Option<&str> {
    keys::COMPONENT.of(&snapshot.metadata.labels)
}

pub(crate) fn type_of(snapshot: &Snapshot) -> Option<&str> {
    labels::TYPE.of(&snapshot.metadata.labels)
}

#[cfg(test)]
mod tests;
