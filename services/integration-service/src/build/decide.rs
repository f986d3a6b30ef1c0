//! What a build's run is due.

use std::sync::Arc;
use std::time::Duration;

use application_service_api::{Application, Component, Snapshot};
use fleet::{Decision, Event, MetadataPatch, Presence, TraceContext, Wake, is_inert};
use integration_service_api::labels::{self, snapshot_type};
use integration_service_api::{IntegrationTestScenario, annotations, finalizers};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;

use super::outcome::{Outcome, Reason};
use super::pr_group::PrGroup;
use super::refusals::{LONGEST_PAUSE, Refusal};
use super::{run, snapshot};
use crate::content::{NewSnapshot, label_of_run};
use crate::known::Known;
use crate::origin::Origin;

/// How long a run that is being deleted waits for its signature: longer than chains itself goes on.
const DELETED_SIGNATURE_TIMEOUT: SignedDuration = SignedDuration::from_mins(8);

/// How long a Snapshot that a quota forbids is tried for (contracts.md, decision 11).
const QUOTA_TIMEOUT: SignedDuration = SignedDuration::from_mins(10);

/// The shortest pause between two attempts against a quota. Later ones are as long as it has been going on, up to a minute.
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// All that the decision looks at.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) now: Timestamp,
    /// Whether a build counts only once it is signed.
    pub(super) require_signed: bool,
    /// How long after its end a run is expected to be signed.
    pub(super) signature_timeout: SignedDuration,
    pub(super) run: Arc<PipelineRun>,
    /// The one that the run names, if it names one.
    pub(super) component: Option<Known<Component>>,
    /// That of the Component.
    pub(super) application: Known<Application>,
    /// Those labelled with the name of the run.
    pub(super) snapshots: Vec<Arc<Snapshot>>,
    pub(super) snapshot_presence: Presence,
    /// Of the Application.
    pub(super) components: Vec<Arc<Component>>,
    /// Of the Application.
    pub(super) scenarios: Vec<Arc<IntegrationTestScenario>>,
    /// The Snapshot that has the name which that of the run would get.
    pub(super) namesake: Option<Arc<Snapshot>>,
    /// When the API server last refused to take the Snapshot, if that was in this minute.
    pub(super) last_refusal: Option<Timestamp>,
    pub(super) trace: Option<TraceContext>,
}

/// Why nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It comes out of a backup.
    Inert,
    /// It names no Component.
    NoComponent,
    /// Its Component is gone, or goes.
    ComponentGone,
    /// Its Application goes.
    ApplicationGoes,
    /// What it names may exist: nobody has looked yet.
    NotListed,
    Running,
    /// It failed, or was deleted while it ran.
    Unsuccessful,
    NotSigned,
    /// Its Snapshot is recorded.
    Done,
    /// Several Snapshots say that they are of this run.
    SeveralSnapshots,
    /// It was said that there will be none.
    NoSnapshot,
    /// The quota is asked again later.
    Quota,
}

impl fleet::Hold for Hold {}

/// Holds the run while it may lead to a Snapshot, makes that, and lets the run go.
pub(super) fn decide(seen: &Observed) -> Decision<Hold> {
    let run = &*seen.run;
    let goes = run::deleted_at(run).is_some();
    if is_inert(&run.metadata) {
        return if goes { let_go(seen, Hold::Inert) } else { Hold::Inert.into() };
    }
    let component = match &seen.component {
        None => return Hold::NoComponent.into(),
        Some(Known::Unknown) => return Hold::NotListed.into(),
        Some(Known::There(component)) if component.metadata.deletion_timestamp.is_none() => component,
        Some(Known::There(_) | Known::Missing) => return let_go(seen, Hold::ComponentGone),
    };
    match run::ended(run) {
        None if goes => let_go(seen, Hold::Unsuccessful),
        None => begin(run),
        Some(false) => let_go(seen, Hold::Unsuccessful),
        Some(true) => succeeded(seen, component),
    }
}

/// The run goes on: it is kept until its end has been seen, and says what it belongs to.
fn begin(run: &PipelineRun) -> Decision<Hold> {
    let mut patch = MetadataPatch::of(run).finalizer(finalizers::PIPELINE_RUN);
    let group = PrGroup::of(&Origin::of(run));
    if let Some(group) = &group {
        patch = patch
            .annotation(annotations::PR_GROUP, Some(&group.name))
            .label(labels::PR_GROUP_SHA, Some(&group.hash));
    }
    let mut decision = Decision::from(Hold::Running);
    decision.push(patch.into_write());
    decision
}

fn succeeded(seen: &Observed, component: &Component) -> Decision<Hold> {
    let run = &*seen.run;
    if run::snapshot(run).is_some() {
        return let_go(seen, Hold::Done);
    }
    let before = Outcome::of(run);
    if before.as_ref().is_some_and(Outcome::is_final) {
        return let_go(seen, Hold::NoSnapshot);
    }
    if seen.require_signed && !run::is_signed(run) {
        return unsigned(seen, before.as_ref());
    }
    let of_run: Vec<_> = seen.snapshots.iter().filter(|snapshot| is_of(snapshot, run)).collect();
    match of_run[..] {
        [] => {}
        [snapshot] => return record(seen, snapshot),
        _ => return let_go(seen, Hold::SeveralSnapshots),
    }
    let application = match &seen.application {
        Known::Unknown => return Hold::NotListed.into(),
        Known::Missing => {
            let message = format!(
                "Application {} (spec.application of Component {}) does not exist",
                component.spec.application,
                component.name_any()
            );
            return fail(seen, Reason::NoApplication, message);
        }
        Known::There(application) if application.metadata.deletion_timestamp.is_some() => {
            return let_go(seen, Hold::ApplicationGoes);
        }
        Known::There(application) => application,
    };
    match seen.snapshot_presence {
        Presence::Listed => {}
        // Nothing can be made, so nothing is waited for.
        Presence::Absent if run::deleted_at(run).is_some() => return let_go(seen, Hold::NotListed),
        Presence::Absent | Presence::Unknown => return Hold::NotListed.into(),
    }
    if let Some(at) = next_attempt(seen).filter(|at| seen.now < *at) {
        return Decision { wake: Wake::At(at), hold: Some(Hold::Quota), ..Decision::default() };
    }
    match snapshot::create(seen, &component.name_any(), application) {
        Ok(writes) => Decision { writes, wake: recorded(run), hold: None },
        Err(fault) => fail(seen, fault.reason(), chain(&fault)),
    }
}

/// When a run is looked at again whose Snapshot was just created. The Snapshot wakes it by a label, where the name fits into one.
fn recorded(run: &PipelineRun) -> Wake {
    let name = run.name_any();
    if label_of_run(&name) == name { Wake::OnChange } else { Wake::After(Duration::from_secs(1)) }
}

/// Whether a Snapshot is that of this run, and not one that was made for an earlier run of its name, nor one that was made of it in turn.
fn is_of(snapshot: &Snapshot, run: &PipelineRun) -> bool {
    let type_ = labels::TYPE.of(&snapshot.metadata.labels);
    let is_later = match (snapshot.creation_timestamp(), run::created_at(run)) {
        (Some(made), Some(created)) => made.0 >= created,
        _ => true,
    };
    is_later && type_.is_none_or(|type_| type_ == snapshot_type::COMPONENT)
}

/// The build's Snapshot exists: the run says so and is let go.
fn record(seen: &Observed, snapshot: &Snapshot) -> Decision<Hold> {
    let run = &*seen.run;
    let name = snapshot.name_any();
    let patch = MetadataPatch::of(run)
        .annotation(annotations::SNAPSHOT, Some(&name))
        .annotation(annotations::CREATE_SNAPSHOT_STATUS, Some(&Outcome::success(&name).to_annotation()))
        .annotation(annotations::SNAPSHOT_REFUSED_SINCE, None)
        .without_finalizer(finalizers::PIPELINE_RUN);
    // No Event: each build would cost one more write, and the Snapshot's own conditions are told.
    let mut decision = Decision::default();
    decision.push(patch.into_write());
    decision
}

/// A good build without a signature: it is waited for as long as the run is there, in vain only for a while.
fn unsigned(seen: &Observed, before: Option<&Outcome>) -> Decision<Hold> {
    let run = &*seen.run;
    let completed = run::completed_at(run).unwrap_or(seen.now);
    let (deadline, limit) = match run::deleted_at(run) {
        Some(deleted) => (deleted.saturating_add(DELETED_SIGNATURE_TIMEOUT), DELETED_SIGNATURE_TIMEOUT),
        None => (completed.saturating_add(seen.signature_timeout), seen.signature_timeout),
    };
    let deadline = deadline.unwrap_or(Timestamp::MAX);
    if seen.now < deadline {
        return Decision { wake: Wake::At(deadline), hold: Some(Hold::NotSigned), ..Decision::default() };
    }
    if run::deleted_at(run).is_some() {
        return let_go(seen, Hold::NotSigned);
    }
    if before.is_some() {
        return Hold::NotSigned.into();
    }
    let message = format!(
        "the build was not signed within {limit:#} of its end: is chains running? A Snapshot follows as soon as it is signed"
    );
    // The finalizer stays: a signature may come yet, and a deletion is held for minutes only.
    said(seen, &Outcome::failure(Reason::Unsigned, message), false)
}

/// Takes our finalizer off. One that is being deleted also says whether there is a Snapshot.
fn let_go(seen: &Observed, hold: Hold) -> Decision<Hold> {
    let run = &*seen.run;
    let mut patch = MetadataPatch::of(run).without_finalizer(finalizers::PIPELINE_RUN);
    if let Some(snapshot) = run::snapshot(run).filter(|_| run::is_held(run) && run::deleted_at(run).is_some())
    {
        let outcome = Outcome::success(snapshot).to_annotation();
        patch = patch.annotation(annotations::CREATE_SNAPSHOT_STATUS, Some(&outcome));
    }
    let mut decision = Decision::from(hold);
    decision.push(patch.into_write());
    decision
}

/// There will be no Snapshot: the run says why and is let go.
fn fail(seen: &Observed, reason: Reason, message: String) -> Decision<Hold> {
    said(seen, &Outcome::failure(reason, message), true)
}

fn said(seen: &Observed, outcome: &Outcome, lets_go: bool) -> Decision<Hold> {
    let run = &*seen.run;
    let mut patch = MetadataPatch::of(run)
        .annotation(annotations::CREATE_SNAPSHOT_STATUS, Some(&outcome.to_annotation()))
        .annotation(annotations::SNAPSHOT_REFUSED_SINCE, None);
    if lets_go {
        patch = patch.without_finalizer(finalizers::PIPELINE_RUN);
    }
    let mut decision = Decision::from(Hold::NoSnapshot);
    let Some(write) = patch.into_write() else { return decision };
    decision.push(write);
    let note = format!("No Snapshot was made of this build: {}", outcome.message);
    decision.push(Event::warning(run, "SnapshotNotCreated", "CreateSnapshot", note));
    decision
}

/// What follows when the API server refused the Snapshot.
pub(super) fn refused(seen: &Observed, refusal: &Refusal) -> Decision<Hold> {
    let run = &*seen.run;
    let text = match refusal {
        Refusal::Permanent(text) => {
            return fail(seen, Reason::Refused, format!("the Snapshot was refused: {text}"));
        }
        Refusal::Quota(text) => text,
    };
    let since = refused_since(run).unwrap_or(seen.now);
    if seen.now.duration_since(since) >= QUOTA_TIMEOUT {
        let message = format!("the Snapshot was refused for {QUOTA_TIMEOUT:#}: {text}");
        return fail(seen, Reason::QuotaExceeded, message);
    }
    let patch =
        MetadataPatch::of(run).annotation(annotations::SNAPSHOT_REFUSED_SINCE, Some(&since.to_string()));
    let at = seen.now.saturating_add(pause(since, seen.now)).unwrap_or(Timestamp::MAX);
    let mut decision = Decision { wake: Wake::At(at), hold: Some(Hold::Quota), ..Decision::default() };
    if let Some(write) = patch.into_write() {
        decision.push(write);
        let note = format!("The Snapshot is refused and tried again for {QUOTA_TIMEOUT:#}: {text}");
        decision.push(Event::warning(run, "QuotaExceeded", "CreateSnapshot", note));
    }
    decision
}

/// When a refused Snapshot may be tried again.
fn next_attempt(seen: &Observed) -> Option<Timestamp> {
    let last = seen.last_refusal?;
    let since = refused_since(&seen.run)?;
    last.saturating_add(pause(since, last)).ok()
}

/// How long to wait after a refusal `at`, the first of which was at `since`.
fn pause(since: Timestamp, at: Timestamp) -> SignedDuration {
    at.duration_since(since).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

fn refused_since(run: &PipelineRun) -> Option<Timestamp> {
    annotations::SNAPSHOT_REFUSED_SINCE.of(&run.metadata.annotations)?.parse().ok()
}

/// An error and its sources.
fn chain(error: &snapshot::Fault) -> String {
    fleet::controller::chain(error)
}

impl Observed {
    /// The names that the Snapshot of this run may have, if it can have any.
    pub(super) fn snapshot_names(&self) -> Option<[String; 2]> {
        let (Some(Known::There(component)), Known::There(application)) = (&self.component, &self.application)
        else {
            return None;
        };
        let component = component.name_any();
        let purpose = self.purpose(&component);
        let (labels, annotations) = Default::default();
        let new = NewSnapshot { application, purpose, components: vec![], labels, annotations, trace: None };
        Some(new.names())
    }

    /// Whether something else has the first of these names.
    pub(super) fn is_name_taken(&self) -> bool {
        self.namesake.is_some()
    }
}

#[cfg(test)]
mod tests;
