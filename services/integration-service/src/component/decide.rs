//! What a Component is due.

use std::sync::Arc;

use application_service_api::snapshot::SnapshotComponent;
use application_service_api::{Application, Component, Snapshot};
use fleet::{
    Class, Classed as _, Decision, Event, MetadataPatch, TraceContext, Wake, Write, WriteError, is_inert,
};
use integration_service_api::{IntegrationTestScenario, annotations, finalizers, labels};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use crate::content::{NewSnapshot, candidates};
use crate::known::Known;
use crate::record;

/// How long the deletion of a Component waits for its last Snapshot.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Pause between two attempts that a quota forbids.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(30);

/// All that the decision looks at.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) now: Timestamp,
    pub(super) component: Arc<Component>,
    /// The one that `spec.application` names.
    pub(super) application: Known<Application>,
    /// Of the Application, this one among them.
    pub(super) components: Vec<Arc<Component>>,
    /// Of the Application.
    pub(super) scenarios: Vec<Arc<IntegrationTestScenario>>,
    /// The Snapshot that has the name which the one of its removal would get.
    pub(super) namesake: Option<Arc<Snapshot>>,
    pub(super) trace: Option<TraceContext>,
}

/// Why nothing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It comes out of a backup.
    Inert,
    /// It is held, and stays.
    Held,
    /// It goes, and nothing of it concerns us.
    Gone,
    /// The Application is gone, or goes with all that it has.
    ApplicationGone,
    /// The Application may exist: nobody has looked yet.
    NotListed,
    /// No other Component of the Application has an image.
    NothingLeft,
    /// The rest is being tested already.
    Done,
    /// The quota is asked again later.
    Quota,
    /// The API server does not take the Snapshot.
    Refused,
}

impl fleet::Hold for Hold {}

/// Whether it goes and is held by us.
pub(super) fn is_waiting(component: &Component) -> bool {
    component.metadata.deletion_timestamp.is_some()
        && finalizers::COMPONENT.is_in(component.metadata.finalizers.as_ref())
}

/// Holds the Component; when it goes, makes a Snapshot of the others and lets it go.
pub(super) fn decide(seen: &Observed) -> Decision<Hold> {
    let component = &*seen.component;
    let goes = component.metadata.deletion_timestamp.is_some();
    match (is_inert(&component.metadata), goes) {
        (true, false) => return Hold::Inert.into(),
        (true, true) => return let_go(component, Hold::Inert),
        (false, false) => {
            let mut decision = Decision::from(Hold::Held);
            decision.push(MetadataPatch::of(component).finalizer(finalizers::COMPONENT).into_write());
            return decision;
        }
        (false, true) if !is_waiting(component) => return Hold::Gone.into(),
        (false, true) => {}
    }
    let application = match &seen.application {
        Known::Unknown => return Hold::NotListed.into(),
        Known::There(application) if application.metadata.deletion_timestamp.is_none() => application,
        Known::There(_) | Known::Missing => return let_go(component, Hold::ApplicationGone),
    };
    let rest = candidates(&seen.components).entries;
    if rest.is_empty() {
        return let_go(component, Hold::NothingLeft);
    }
    if seen.namesake.as_deref().is_some_and(|snapshot| is_of(snapshot, application)) {
        return let_go(component, Hold::Done);
    }
    let mut decision = Decision::default();
    decision.push(create(seen, application, rest));
    decision.writes.extend(let_go(component, Hold::Done).writes);
    decision
}

/// Whether a Snapshot of the right name is ours: it belongs to the Application.
fn is_of(snapshot: &Snapshot, application: &Application) -> bool {
    let is_owner = |uid: &str| Some(uid) == application.metadata.uid.as_deref();
    let has_type = labels::TYPE.of(&snapshot.metadata.labels).is_some();
    has_type && snapshot.owner_references().iter().any(|owner| is_owner(&owner.uid))
}

fn create(seen: &Observed, application: &Application, rest: Vec<SnapshotComponent>) -> Write {
    let new: NewSnapshot<'_> = seen.new_snapshot(application, rest);
    let mut snapshot = new.build();
    if seen.namesake.is_some() {
        let [_, alternative] = new.names();
        snapshot.metadata.name = Some(alternative);
    }
    let scenarios = record::scenarios_for(&snapshot, &seen.scenarios);
    let pending = record::initial(&scenarios, seen.now);
    snapshot.metadata.annotations.get_or_insert_default().insert(annotations::STATUS.into(), pending);
    Write::create(&snapshot)
}

fn let_go(component: &Component, hold: Hold) -> Decision<Hold> {
    let mut decision = Decision::from(hold);
    decision.push(MetadataPatch::of(component).without_finalizer(finalizers::COMPONENT).into_write());
    decision
}

/// What follows when the API server refused the Snapshot; `None` if it may take it in a moment. A deletion waits for minutes, not for
/// ever.
pub(super) fn refused(seen: &Observed, error: &WriteError) -> Option<Decision<Hold>> {
    let WriteError::Refused { source: kube::Error::Api(status), .. } = error else { return None };
    let component = &*seen.component;
    let deleted = component.metadata.deletion_timestamp.as_ref().map_or(seen.now, |time| time.0);
    let is_late = seen.now.duration_since(deleted) >= PATIENCE;
    if error.is_permanent() || is_late || error.class() != Class::Retry {
        let note = format!(
            "The other Components of Application {} are not tested without this one: their Snapshot was refused: {}",
            component.spec.application, status.message
        );
        let event = Event::warning(component, "SnapshotNotCreated", "CreateSnapshot", note);
        let mut decision = let_go(component, Hold::Refused);
        decision.writes.insert(0, event.into());
        return Some(decision);
    }
    let is_quota = status.code == 403;
    is_quota.then(|| Decision { wake: Wake::After(PAUSE), hold: Some(Hold::Quota), ..Decision::default() })
}

#[cfg(test)]
mod tests;
