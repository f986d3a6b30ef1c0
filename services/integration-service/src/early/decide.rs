//! What a pull request is told while there is no Snapshot of it yet.

use std::sync::Arc;

use fleet::{Decision, Event, MetadataPatch, ObjectKey, Wake, is_inert};
use fleet_api::keys;
use integration_service_api::IntegrationTestScenario;
use integration_service_api::annotations::{CREATE_SNAPSHOT_STATUS, SNAPSHOT, SNAPSHOT_CREATION_REPORT};
use integration_service_api::labels::snapshot_type;
use integration_service_api::status::TestStatus;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::status::succeeded;
use serde::Deserialize;

use crate::origin::Origin;
use crate::pull_request::PullRequest;
use crate::record::{self, Occasion};
use crate::report::{Destination, Keys, Message, Round, Subject, Telling, overview_at_once};

/// All that the decision may look at.
pub(super) struct Observed {
    pub(super) now: Timestamp,
    pub(super) run: Arc<PipelineRun>,
    /// Builds of the same Component.
    pub(super) builds: Vec<Arc<PipelineRun>>,
    /// Of the Application.
    pub(super) scenarios: Vec<Arc<IntegrationTestScenario>>,
    /// The build has one.
    pub(super) has_snapshot: bool,
    pub(super) telling: Telling,
    /// How long a forge is tried to be reached.
    pub(super) retry_for: SignedDuration,
}

/// Why nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub(super) enum Hold {
    /// It builds no pull request.
    Push,
    /// It was restored from a backup, or is of no Component.
    NotOurs,
    /// The Snapshot is what is reported now.
    HasSnapshot,
    /// A newer build of the same pull request speaks for it.
    Superseded,
    /// No scenario tests it.
    NoScenario,
    /// What it says of itself leads to no forge.
    NoDestination,
    /// It was so long ago that nobody waits for it.
    TooLate,
    /// The forge is being told.
    UnderWay,
    /// The forge knows.
    Reported,
}

impl fleet::Hold for Hold {}

/// What to write, and what to say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Decided {
    pub(super) decision: Decision<Hold>,
    pub(super) tell: Vec<Round>,
}

impl From<Hold> for Decided {
    fn from(hold: Hold) -> Self {
        Self { decision: hold.into(), tell: Vec::new() }
    }
}

/// Each scenario that will test the build is said to be waiting, or to have nothing to wait for, so that nobody merges too early. What was
/// said last is recorded on the run.
pub(super) fn decide(seen: &Observed) -> Decided {
    let run = &*seen.run;
    let labels = &run.metadata.labels;
    let Some(component) = keys::COMPONENT.of(labels) else { return Hold::NotOurs.into() };
    if is_inert(&run.metadata) {
        return Hold::NotOurs.into();
    }
    let origin = Origin::of(run);
    if origin.is_push() {
        return Hold::Push.into();
    }
    if seen.has_snapshot || SNAPSHOT.of(&run.metadata.annotations).is_some() {
        return Hold::HasSnapshot.into();
    }
    if seen.builds.iter().any(|other| is_newer(other, run)) {
        return Hold::Superseded.into();
    }
    let (status, details) = state(run);
    let word: &'static str = status.into();
    if SNAPSHOT_CREATION_REPORT.of(&run.metadata.annotations) == Some(word) {
        return Hold::Reported.into();
    }
    let occasion = Occasion {
        snapshot_type: Some(snapshot_type::COMPONENT),
        component: Some(component),
        is_push: false,
    };
    let messages: Vec<Message> = seen
        .scenarios
        .iter()
        .filter(|scenario| scenario.metadata.deletion_timestamp.is_none() && occasion.calls_for(scenario))
        .map(|scenario| message(run, scenario, status, &details))
        .collect();
    if messages.is_empty() {
        return Hold::NoScenario.into();
    }
    let Ok(destination) = Destination::of(&origin) else { return Hold::NoDestination.into() };
    let is_done = |message: &Message| {
        let mut done = seen.telling.done.iter();
        done.any(|done| done.keys == message.keys && done.updated == message.updated)
    };
    if messages.iter().all(is_done) {
        return recorded(seen, word);
    }
    if seen.telling.is_under_way {
        return Hold::UnderWay.into();
    }
    if seen.is_too_late() {
        return Hold::TooLate.into();
    }
    if let Some(retry) = seen.telling.retry.as_ref().filter(|retry| retry.at > seen.now) {
        let decision = Decision { wake: Wake::At(retry.at), ..Decision::default() };
        return Decided { decision, tell: Vec::new() };
    }
    let round = Round {
        overview: overview_at_once(&destination, &messages),
        destination: Ok(destination),
        subject: Subject::Build(run.name_any()),
        component: Some(component.to_owned()),
        messages,
    };
    Decided { decision: Decision::default(), tell: vec![round] }
}

fn recorded(seen: &Observed, word: &str) -> Decided {
    let run = &*seen.run;
    let mut decision = Decision::default();
    if let Some(failure) = seen.telling.done.iter().find_map(|done| done.failure.as_ref()) {
        let note = format!("Its tests are not announced at the pull request: {failure}");
        decision.push(Event::warning(run, "GitReportingFailed", "Report", note));
    }
    let patch = MetadataPatch::of(run).annotation(SNAPSHOT_CREATION_REPORT, Some(word));
    decision.push(patch.into_write());
    Decided { decision, tell: Vec::new() }
}

fn message(
    run: &PipelineRun,
    scenario: &IntegrationTestScenario,
    status: TestStatus,
    details: &str,
) -> Message {
    let name = scenario.name_any();
    Message {
        keys: Keys::of_snapshot(&name, &run.name_any()),
        updated: <&str>::from(status).to_owned(),
        scenario: name,
        status,
        details: details.to_owned(),
        is_optional: !record::is_required(scenario),
        run: Some(run.name_any()),
        started_at: None,
        completed_at: None,
    }
}

/// How far the build has come, and what it says of that.
fn state(run: &PipelineRun) -> (TestStatus, String) {
    let end = run.status.as_ref().and_then(|status| succeeded(&status.conditions));
    match end.map(|condition| (condition.status.as_str(), &condition.message)) {
        Some(("True", _)) => match failure(run) {
            Some(message) => (TestStatus::SnapshotCreationFailed, message),
            // Its signature is waited for.
            None => (TestStatus::BuildPLRInProgress, String::new()),
        },
        Some(("False", message)) => (TestStatus::BuildPLRFailed, message.clone()),
        _ if run.metadata.deletion_timestamp.is_some() => {
            (TestStatus::BuildPLRFailed, "It was deleted before it ended".to_owned())
        }
        _ => (TestStatus::BuildPLRInProgress, String::new()),
    }
}

/// The part of [`CREATE_SNAPSHOT_STATUS`] that is read.
#[derive(Deserialize)]
struct Creation {
    status: String,
    #[serde(default)]
    message: String,
}

/// Why no Snapshot could be made.
fn failure(run: &PipelineRun) -> Option<String> {
    let creation = CREATE_SNAPSHOT_STATUS.of(&run.metadata.annotations)?;
    let creation: Creation = serde_json::from_str(creation).ok()?;
    (creation.status == "failed").then_some(creation.message)
}

/// Whether another build of the Component is of the same pull request, and began later.
fn is_newer(other: &PipelineRun, run: &PipelineRun) -> bool {
    let begun = |run: &PipelineRun| {
        (run.metadata.creation_timestamp.as_ref().map(|time| time.0), ObjectKey::of(run).name)
    };
    let is_same = PullRequest::of(other) == PullRequest::of(run) && !Origin::of(other).is_push();
    is_same && begun(other) > begun(run)
}

impl Observed {
    fn is_too_late(&self) -> bool {
        let status = self.run.status.as_ref();
        let ended = status.and_then(|status| status.completion_time.as_ref());
        let since = ended.or(self.run.metadata.deletion_timestamp.as_ref());
        let since = since.or(self.run.metadata.creation_timestamp.as_ref());
        since.is_some_and(|since| self.now.duration_since(since.0) >= self.retry_for)
    }
}

#[cfg(test)]
mod tests;
