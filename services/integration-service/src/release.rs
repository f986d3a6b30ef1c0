//! Releases that are made without anybody asking (spec, section 4.7).
//!
//! ```text
//! promotable Snapshot ─▶ for each automatic plan: Release ─▶ its status.automated ─▶ AutoReleased
//!                     └▶ superseded, or no such plan ──────────────────────────────▶ AutoReleased, with the reason
//! ```
//! `AutoReleased` comes last and is final: a plan that is added next week does not release last week's Snapshots.

mod automatic;
mod superseded;

use std::sync::Arc;
use std::time::Duration;

use application_service_api::{Application, Component, Snapshot};
use fleet::names::{LABEL_VALUE, fit, hash};
use fleet::{Event, FieldManager, ObjectKey, Presence, StatusPatch, TraceContext, Wake, Write, is_inert};
use integration_service_api::conditions::AutoReleased;
use jiff::Timestamp;
use kube::api::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use release_service_api::labels::AUTOMATED;
use release_service_api::{Release, ReleasePlan, ReleaseSpec};

use self::automatic::is_automatic;
use self::superseded::superseded_by;
use crate::conditions::Says as _;
use crate::content::{Prefixes, copied};
use crate::promotion::component_of;
use crate::stores::{BY_APPLICATION, BY_SNAPSHOT, Stores};

const MANAGER: FieldManager = FieldManager::new("integration-service/release");

/// Length of the hash in a name, and in the one that is taken when that belongs to something else (contracts.md, section d).
const HASH: usize = 10;
const LONGER_HASH: usize = 15;

/// How soon to look again while plans or Releases have not been listed.
const UNTIL_LISTED: Duration = Duration::from_secs(5);

/// All that the decision looks at.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) now: Timestamp,
    pub(crate) application: Arc<Application>,
    /// One that is to be promoted, all of it.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Whether it is known which plans and Releases there are.
    pub(crate) is_listed: bool,
    pub(crate) plans: Vec<Arc<ReleasePlan>>,
    /// Of the Snapshot.
    pub(crate) releases: Vec<Arc<Release>>,
    /// The one that was built.
    pub(crate) component: Option<Arc<Component>>,
    /// Snapshots of the Application.
    pub(crate) others: Vec<Arc<Snapshot>>,
    pub(crate) trace: Option<TraceContext>,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub(crate) struct Releases {
    /// Each for itself: one that is refused holds up no other.
    pub(crate) writes: Vec<Write>,
    /// What there is to say after these writes, if this is the end.
    pub(crate) outcome: Option<AutoReleased>,
    /// The first Release of the Snapshot is among the writes.
    pub(crate) is_first: bool,
    pub(crate) wake: Wake,
}

pub(crate) fn observe(
    stores: &Stores,
    application: &Arc<Application>,
    snapshot: &Arc<Snapshot>,
    now: Timestamp,
) -> Seen {
    let key = ObjectKey::of(&**application);
    let is_listed = [stores.plans.presence(), stores.releases.presence()]
        .iter()
        .all(|presence| *presence != Presence::Unknown);
    let others = if snapshot.has::<AutoReleased>() {
        Vec::new()
    } else {
        stores.snapshots.indexed(BY_APPLICATION, &key)
    };
    Seen {
        now,
        application: Arc::clone(application),
        is_listed,
        plans: stores.plans.indexed(BY_APPLICATION, &key),
        releases: stores.releases.indexed(BY_SNAPSHOT, &ObjectKey::of(&**snapshot)),
        component: component_of(snapshot).and_then(|name| stores.components.get(&key.sibling(name))),
        others,
        trace: TraceContext::observed(&**snapshot),
        snapshot: Arc::clone(snapshot),
    }
}

pub(crate) fn decide(seen: &Seen) -> Releases {
    if let Some(since) = seen.snapshot.since::<AutoReleased>() {
        // Whoever takes the mark away gets it back, but not on a Release that was made later: that is none of ours.
        let ours = seen.releases.iter().filter(|release| {
            release.metadata.creation_timestamp.as_ref().is_some_and(|created| created.0 <= since)
        });
        return Releases {
            writes: ours.filter_map(|release| mark(seen, release)).collect(),
            ..Releases::default()
        };
    }
    if !seen.is_listed {
        return Releases { wake: Wake::After(UNTIL_LISTED), ..Releases::default() };
    }
    let has_begun = seen.releases.iter().any(|release| is_ours(seen, release));
    if !has_begun && let Some(newer) = superseded_by(&seen.snapshot, seen.component.as_deref(), &seen.others)
    {
        let outcome = format!("Not released automatically: {newer}");
        return Releases { outcome: Some(AutoReleased::AutoReleased { outcome }), ..Releases::default() };
    }
    by_plans(seen)
}

/// A Release for each plan that releases automatically and has none of this Snapshot.
fn by_plans(seen: &Seen) -> Releases {
    let mut decided = Releases::default();
    let (mut released, mut faulty, mut is_complete) = (Vec::new(), Vec::new(), true);
    for plan in seen.plans.iter().filter(|plan| plan.metadata.deletion_timestamp.is_none()) {
        match is_automatic(plan, &seen.snapshot, seen.now) {
            Ok(false) => continue,
            Err(invalid) => {
                let note = format!(
                    "Annotation release.appstudio.openshift.io/auto-release: {invalid}. No Release was made"
                );
                let event =
                    Event::warning(&**plan, "ExpressionInvalid", "Release", note).about(&*seen.snapshot);
                decided.writes.push(event.into());
                faulty.push(plan.name_any());
                continue;
            }
            Ok(true) => released.push(plan.name_any()),
        }
        let mut existing =
            seen.releases.iter().filter(|release| release.spec.release_plan == plan.name_any());
        if let Some(release) = existing.next() {
            decided.writes.extend(mark(seen, release));
            decided.writes.extend(existing.filter_map(|release| mark(seen, release)));
        } else {
            decided.is_first = seen.releases.is_empty();
            decided.writes.push(create(seen, plan));
            // It is marked once it is there.
            is_complete = false;
        }
    }
    if is_complete {
        decided.outcome = Some(AutoReleased::AutoReleased { outcome: outcome(&released, &faulty) });
    }
    decided
}

fn outcome(released: &[String], faulty: &[String]) -> String {
    let mut text = if released.is_empty() {
        "No ReleasePlan of the Application releases this Snapshot automatically".to_owned()
    } else {
        format!("Released automatically by ReleasePlan {}", released.join(", "))
    };
    if !faulty.is_empty() {
        text.push_str("; the expression is invalid of ReleasePlan ");
        text.push_str(&faulty.join(", "));
    }
    text
}

/// Says of a Release that a program made it, if it is one that this service made and did not say so.
fn mark(seen: &Seen, release: &Release) -> Option<Write> {
    let automated = StatusPatch::of(release, MANAGER, seen.now).field("automated", true);
    if is_ours(seen, release) { automated.into_write() } else { None }
}

/// Whether it is what this service makes. With the mark somebody else answers for a Release, so nobody must get one by giving a
/// Release of theirs our label.
fn is_ours(seen: &Seen, release: &Release) -> bool {
    let plan = seen.plans.iter().find(|plan| plan.name_any() == release.spec.release_plan);
    plan.is_some_and(|plan| names(seen, plan).contains(&release.name_any()))
        && AUTOMATED.of(&release.metadata.labels) == Some("true")
        && release.spec.data.is_none()
        && release.metadata.deletion_timestamp.is_none()
        && !is_inert(&release.metadata)
}

fn create(seen: &Seen, plan: &ReleasePlan) -> Write {
    let [name, alternative] = names(seen, plan);
    let (mut labels, annotations) = copied(&seen.snapshot.metadata, Prefixes::OfRelease);
    labels.insert(AUTOMATED.into(), "true".to_owned());
    let mut metadata = ObjectMeta {
        name: Some(name),
        namespace: seen.snapshot.namespace(),
        labels: Some(labels),
        annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
        owner_references: seen.application.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    TraceContext::annotate(seen.trace, &mut metadata);
    let spec = ReleaseSpec {
        snapshot: seen.snapshot.name_any(),
        release_plan: plan.name_any(),
        ..ReleaseSpec::default()
    };
    Write::create(&Release { metadata, spec, status: None }).or_named(alternative)
}

/// The name, and the one to take if that belongs to something else.
fn names(seen: &Seen, plan: &ReleasePlan) -> [String; 2] {
    let snapshot = &*seen.snapshot;
    let cause = [snapshot.uid().unwrap_or_default(), plan.uid().unwrap_or_default()];
    let cause = cause.each_ref().map(String::as_str);
    [HASH, LONGER_HASH]
        .map(|length| fit(LABEL_VALUE, &snapshot.name_any(), &format!("-{}", hash(length, &cause))))
}

#[cfg(test)]
mod tests;
