//! What the forge is to be told of a Snapshot, and what follows when it was.

use std::collections::BTreeSet;
use std::sync::Arc;

use application_service_api::Snapshot;
use fleet::{Decision, Event, MetadataPatch, Wake, is_inert};
use fleet_api::keys;
use integration_service_api::annotations::{GIT_REPORTER_STATUS, GIT_REPORTING_FAILURE, PR_LAST_UPDATE};
use integration_service_api::status::{ScenarioStatus, TestStatus};
use integration_service_api::{finalizers, labels};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;

use super::message::{Destination, Incomplete, Message, Round, Subject, is_too_much};
use super::reported::{Keys, Reported};
use super::telling::Telling;
use super::text;
use crate::conditions::Says as _;
use crate::origin::Origin;
use crate::record::{Record, Unreadable};

/// All that the decision may look at.
pub(crate) struct Observed {
    pub(crate) now: Timestamp,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) record: Result<Record, Unreadable>,
    /// Of a Snapshot of a group: those of its members that are still there.
    pub(crate) members: Vec<Arc<Snapshot>>,
    /// Scenarios that may fail.
    pub(crate) optional: BTreeSet<String>,
    /// Those that would test the group that the Snapshot belongs to, if that has no Snapshot though it should.
    pub(crate) of_failed_group: Vec<String>,
    /// Test runs of the Snapshot.
    pub(crate) runs: Vec<Arc<PipelineRun>>,
    pub(crate) telling: Telling,
    /// How long a forge is tried to be reached.
    pub(crate) retry_for: SignedDuration,
}

/// Why nothing is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub(crate) enum Hold {
    /// It is no Snapshot of a pull request.
    Push,
    /// It was restored from a backup.
    Restored,
    /// It is cancelled, or can never be promoted.
    Out,
    /// Somebody has made its annotation unreadable.
    Unreadable,
    /// What it says of itself leads to no forge.
    NoDestination,
    /// The forge is being told.
    UnderWay,
    /// The forge knows all.
    Reported,
}

impl fleet::Hold for Hold {}

/// What to write, and what to say.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Decided {
    pub(crate) decision: Decision<Hold>,
    /// Nothing else is under way then.
    pub(crate) tell: Vec<Round>,
}

impl From<Hold> for Decided {
    fn from(hold: Hold) -> Self {
        Self { decision: hold.into(), tell: Vec::new() }
    }
}

/// Each state of each scenario is said once at each pull request, then recorded, then its run may go.
pub(crate) fn decide(seen: &Observed) -> Decided {
    let snapshot = &*seen.snapshot;
    if is_inert(&snapshot.metadata) {
        return Hold::Restored.into();
    }
    if !is_reported(snapshot) {
        return Hold::Push.into();
    }
    let Ok(record) = &seen.record else { return Hold::Unreadable.into() };
    if snapshot.is_out() {
        let mut decided = Decided::from(Hold::Out);
        decided.let_go(seen, record, |_| true);
        return decided;
    }
    let mut reported = Reported::read(snapshot, record.entries().iter().map(|entry| entry.scenario.as_str()));
    let places = places(seen);
    let mut decided = Decided::default();
    let mut failures: Vec<String> = Vec::new();
    let (mut changed, mut succeeded) = (false, false);
    for done in &seen.telling.done {
        if !reported.knows(&done.keys, &done.updated) {
            reported.record(&done.keys, &done.updated);
            changed = true;
            succeeded |= done.failure.is_none();
            failures.extend(done.failure.clone());
        }
    }
    let mut open = BTreeSet::new();
    let mut rounds = Vec::new();
    for place in &places {
        if let Err(incomplete) = &place.destination {
            failures.push(incomplete.to_string());
            continue;
        }
        let due: Vec<Message> = place
            .messages(seen, record)
            .into_iter()
            .filter(|message| !reported.knows(&message.keys, &message.updated))
            .collect();
        let (given_up, due): (Vec<Message>, Vec<Message>) =
            due.into_iter().partition(|message| seen.gives_up(message));
        for message in given_up {
            reported.record(&message.keys, &message.updated);
            changed = true;
            failures.extend(seen.telling.retry.as_ref().map(|retry| retry.why.clone()));
        }
        if !matches!(place.kind, Kind::FailedGroup(_)) {
            open.extend(due.iter().map(|message| message.scenario.clone()));
        }
        if !due.is_empty() {
            rounds.push(place.round(snapshot, record.entries(), due));
        }
    }
    decided.record(seen, changed.then_some(&reported), failures.first().map(String::as_str), succeeded);
    decided.let_go(seen, record, |scenario| !open.contains(scenario));
    if rounds.is_empty() {
        let hopeless = !places.is_empty() && places.iter().all(|place| place.destination.is_err());
        decided.decision.hold = Some(if hopeless { Hold::NoDestination } else { Hold::Reported });
    } else if seen.telling.is_under_way {
        decided.decision.hold = Some(Hold::UnderWay);
    } else {
        match &seen.telling.retry {
            Some(retry) if retry.at > seen.now => decided.decision.wake = Wake::At(retry.at),
            _ => decided.tell = rounds,
        }
    }
    decided
}

/// Whether a Snapshot's results are for a pull request.
fn is_reported(snapshot: &Snapshot) -> bool {
    is_of_group(snapshot) || !Origin::of(snapshot).is_push()
}

fn is_of_group(snapshot: &Snapshot) -> bool {
    labels::TYPE.of(&snapshot.metadata.labels) == Some(labels::snapshot_type::GROUP)
}

/// Whether all that there will ever be to say of a Snapshot was said, unless a scenario is asked for again. `members` are the names of
/// the Snapshots of a group.
pub(crate) fn is_settled(snapshot: &Snapshot) -> bool {
    if !is_reported(snapshot) || snapshot.is_out() {
        return true;
    }
    let Ok(record) = Record::read(snapshot) else { return false };
    if snapshot.annotations().contains_key(GIT_REPORTING_FAILURE.as_str()) {
        return record.entries().iter().all(|entry| entry.state().is_final());
    }
    let reported = Reported::read(snapshot, record.entries().iter().map(|entry| entry.scenario.as_str()));
    let keys = |scenario: &str| -> Vec<Keys> {
        if is_of_group(snapshot) {
            super::group::members(snapshot).iter().map(|member| Keys::of_member(scenario, member)).collect()
        } else {
            vec![Keys::of_snapshot(scenario, &snapshot.name_any())]
        }
    };
    record.entries().iter().all(|entry| {
        let is_known = |keys: &Keys| reported.knows(keys, &entry.last_update_time);
        entry.state().is_final() && keys(&entry.scenario).iter().all(is_known)
    })
}

/// Where a Snapshot is reported.
struct Place {
    destination: Result<Destination, Incomplete>,
    component: Option<String>,
    /// The Snapshot whose pull request it is.
    snapshot: String,
    kind: Kind,
}

/// What is reported at a [`Place`].
enum Kind {
    /// A Snapshot, at its own pull request.
    Own,
    /// The Snapshot of a group, at that of a member.
    Member,
    /// That a group has no Snapshot, and why.
    FailedGroup(String),
}

impl Place {
    fn messages(&self, seen: &Observed, record: &Record) -> Vec<Message> {
        let is_optional = |scenario: &String| seen.optional.contains(scenario);
        let entry = |entry: &ScenarioStatus| {
            let scenario = &entry.scenario;
            let keys = match self.kind {
                Kind::Member => Keys::of_member(scenario, &self.snapshot),
                _ => Keys::of_snapshot(scenario, &self.snapshot),
            };
            Message::of(entry, keys, is_optional(scenario))
        };
        let failed = |scenario: &String, why: &str| Message {
            keys: Keys::of_failed_group(scenario),
            updated: <&str>::from(TestStatus::GroupSnapshotCreationFailed).to_owned(),
            scenario: scenario.clone(),
            status: TestStatus::GroupSnapshotCreationFailed,
            details: why.to_owned(),
            is_optional: is_optional(scenario),
            run: None,
            started_at: None,
            completed_at: None,
        };
        match &self.kind {
            Kind::FailedGroup(why) => seen.of_failed_group.iter().map(|one| failed(one, why)).collect(),
            Kind::Own | Kind::Member => record.entries().iter().map(entry).collect(),
        }
    }

    fn round(&self, snapshot: &Snapshot, entries: &[ScenarioStatus], messages: Vec<Message>) -> Round {
        let is_too_much = !matches!(self.kind, Kind::FailedGroup(_))
            && self.destination.as_ref().is_ok_and(|to| is_too_much(to, entries.len()));
        let overview = is_too_much
            .then(|| entries.iter().map(|entry| (entry.scenario.clone(), entry.state())).collect());
        Round {
            destination: self.destination.clone(),
            subject: Subject::Snapshot(snapshot.name_any()),
            component: self.component.clone(),
            messages,
            overview,
        }
    }
}

/// The pull request of the Snapshot; that of each member, if it is of a group.
fn places(seen: &Observed) -> Vec<Place> {
    let snapshot = &*seen.snapshot;
    if !is_of_group(snapshot) {
        let destination = Destination::of(&Origin::of(snapshot));
        let place = |component: Option<&str>, kind| Place {
            destination: destination.clone(),
            component: component.map(str::to_owned),
            snapshot: snapshot.name_any(),
            kind,
        };
        let own = place(keys::COMPONENT.of(&snapshot.metadata.labels), Kind::Own);
        let group =
            super::group::failure(snapshot).map(|why| place(Some(text::GROUP), Kind::FailedGroup(why)));
        return std::iter::once(own).chain(group).collect();
    }
    let mut places: Vec<Place> = Vec::new();
    for member in &seen.members {
        let destination = Destination::of(&Origin::of(&**member));
        // Several Components of one repository share a pull request.
        if places.iter().any(|place| place.destination == destination) {
            continue;
        }
        let component = Some(text::GROUP.to_owned());
        places.push(Place { destination, component, snapshot: member.name_any(), kind: Kind::Member });
    }
    places
}

impl Observed {
    /// Whether a state that could not be reported is left alone now. Times that are no times, or to come, count as the Snapshot's.
    fn gives_up(&self, message: &Message) -> bool {
        if self.telling.retry.is_none() || self.telling.is_under_way {
            return false;
        }
        let created = self.snapshot.metadata.creation_timestamp.as_ref().map_or(self.now, |time| time.0);
        let updated = message.updated.parse().ok().filter(|updated| *updated <= self.now);
        let since: Timestamp = updated.map_or(created, |updated: Timestamp| updated.max(created));
        self.now.duration_since(since) >= self.retry_for
    }
}

impl Decided {
    /// Records what was reported, and why something was not; something that was takes the reason away.
    fn record(
        &mut self,
        seen: &Observed,
        reported: Option<&Reported>,
        failure: Option<&str>,
        succeeded: bool,
    ) {
        let snapshot = &*seen.snapshot;
        let mut patch = MetadataPatch::of(snapshot);
        if let Some(reported) = reported {
            let text = reported.to_annotation();
            patch = patch.annotation(GIT_REPORTER_STATUS, Some(&text)).annotation(PR_LAST_UPDATE, None);
        }
        if let Some(failure) = failure {
            let known = GIT_REPORTING_FAILURE.of(&snapshot.metadata.annotations);
            patch = patch.annotation(GIT_REPORTING_FAILURE, Some(failure));
            if known != Some(failure) {
                let note = format!("The results are not at the pull request: {failure}");
                self.decision.push(Event::warning(snapshot, "GitReportingFailed", "Report", note));
            }
        } else if succeeded {
            patch = patch.annotation(GIT_REPORTING_FAILURE, None);
        }
        self.decision.push(patch.into_write());
    }

    /// Takes our finalizer off the runs of scenarios that are final and `may_go`.
    fn let_go(&mut self, seen: &Observed, record: &Record, may_go: impl Fn(&str) -> bool) {
        let is_out = seen.snapshot.is_out();
        for run in &seen.runs {
            let name = run.name_any();
            let is_of = |entry: &&ScenarioStatus| entry.test_pipeline_run_name.as_ref() == Some(&name);
            let is_free = record
                .entries()
                .iter()
                .filter(is_of)
                .any(|entry| is_out || entry.state().is_final() && may_go(&entry.scenario));
            if is_free {
                let patch = MetadataPatch::of(&**run).without_finalizer(finalizers::PIPELINE_RUN);
                self.decision.push(patch.into_write());
            }
        }
    }
}

#[cfg(test)]
mod tests;
