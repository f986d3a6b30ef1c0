//! What a plan says of its admission, and whose it is. Pure.

use std::sync::Arc;
use std::time::Duration;

use application_service_api::Application;
use fleet::{Decision, FieldManager, MetadataPatch, ObjectKey, StatusPatch, Wake, Write, is_inert};
use fleet_api::keys::GITOPS_TRACKING;
use jiff::Timestamp;
use kube::{Resource, ResourceExt as _};
use release_service_api::conditions::Matched;
use release_service_api::release_plan::MatchedReleasePlanAdmission;
use release_service_api::{ReleasePlan, ReleasePlanAdmission};

use crate::matching::{Mismatch, is_active};

const MANAGER: FieldManager = FieldManager::new("release-service/plan");

/// How soon a missing Application is looked for again: users make a plan before it.
const MISSING: Duration = Duration::from_mins(1);

/// All that the decision looks at.
pub(super) struct Seen {
    pub(super) now: Timestamp,
    pub(super) plan: Arc<ReleasePlan>,
    pub(super) admission: Result<Arc<ReleasePlanAdmission>, Mismatch>,
    pub(super) owner: Owner,
}

/// The Application that a plan is to be owned by.
pub(super) enum Owner {
    /// Somebody owns the plan already, or nobody is to.
    NotWanted,
    Missing,
    There(Box<Application>),
}

/// Why nothing happens.
#[derive(Debug, PartialEq)]
pub(super) enum Hold {
    /// It goes: what it says does not matter any more.
    BeingDeleted,
    /// It came out of a backup.
    Restored,
    /// Owner and status are as they should be.
    UpToDate,
}

impl fleet::Hold for Hold {}

pub(super) fn decide(seen: &Seen) -> Decision<Hold> {
    let plan = &*seen.plan;
    if plan.metadata.deletion_timestamp.is_some() {
        return Hold::BeingDeleted.into();
    }
    if is_inert(&plan.metadata) {
        return Hold::Restored.into();
    }
    let mut decision = Decision::default();
    match &seen.owner {
        Owner::NotWanted => {}
        Owner::Missing => decision.wake = Wake::After(MISSING),
        Owner::There(application) => decision.push(owned(plan, application)),
    }
    decision.push(status(seen));
    if decision.writes.is_empty() {
        decision.hold = Some(Hold::UpToDate);
    }
    decision
}

/// Whether its Application is to own the plan: nobody does yet, and no GitOps tool would make it again each time that it goes with
/// its owner (contracts.md, decision 25).
pub(super) fn wants_owner(plan: &ReleasePlan) -> bool {
    let is_owned = plan
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true) || owner.kind == Application::kind(&()));
    let is_going = plan.metadata.deletion_timestamp.is_some();
    !is_owned && !is_going && !is_tracked(plan) && !is_inert(&plan.metadata)
}

fn owned(plan: &ReleasePlan, application: &Application) -> Option<Write> {
    if application.metadata.deletion_timestamp.is_some() || is_tracked(application) {
        return None;
    }
    MetadataPatch::of(plan).owner(application.controller_owner_ref(&())?).into_write()
}

fn is_tracked(object: &impl Resource) -> bool {
    let metadata = object.meta();
    let has = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
        map.as_ref().is_some_and(|map| map.contains_key(key))
    };
    GITOPS_TRACKING.iter().any(|key| has(&metadata.annotations, key) || has(&metadata.labels, key))
}

fn status(seen: &Seen) -> Option<Write> {
    let (matched, admission) = match &seen.admission {
        Ok(admission) => {
            let name = ObjectKey::of(&**admission).to_string();
            let active = is_active(admission);
            (Matched::Matched, MatchedReleasePlanAdmission { name: Some(name), active })
        }
        Err(mismatch) => {
            (Matched::Unmatched { cause: mismatch.to_string() }, MatchedReleasePlanAdmission::default())
        }
    };
    let write = StatusPatch::of(&*seen.plan, MANAGER, seen.now)
        .field("releasePlanAdmission", admission)
        .condition(&matched)
        .into_write();
    write.map(untold)
}

/// Without the Event that goes with a changed condition: each side would be told of what the other one's owner does.
fn untold(mut write: Write) -> Write {
    if let Write::Status(apply) = &mut write {
        apply.transitions.clear();
    }
    write
}

#[cfg(test)]
mod tests;
