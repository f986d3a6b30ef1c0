//! Whether a Snapshot is needless, and what then becomes of it and of the runs of its tests.

use std::sync::Arc;

use application_service_api::Snapshot;
use fleet::{MetadataPatch, Write, is_inert};
use fleet_api::keys;
use integration_service_api::annotations::CANCELLED;
use integration_service_api::conditions::IntegrationStatus;
use integration_service_api::finalizers::PIPELINE_RUN;
use integration_service_api::labels::{self, snapshot_type};
use jiff::Timestamp;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::pipeline_run::CANCELLED_RUN_FINALLY;
use pipelines_engine_api::status::succeeded;
use serde_json::json;

use crate::conditions::{Conditions, Says as _};
use crate::origin::Origin;
use crate::promotion::Age;
use crate::pull_request::PullRequest;

/// Reason of the condition of a Snapshot that is cancelled.
const CANCELED: &str = "Canceled";

/// What the decision looks at.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) now: Timestamp,
    pub(super) snapshot: Arc<Snapshot>,
    /// Builds of its group, of whatever Application.
    pub(super) builds: Vec<Arc<PipelineRun>>,
    /// Snapshots of its group, itself among them.
    pub(super) siblings: Vec<Arc<Snapshot>>,
    /// Runs of its tests.
    pub(super) tests: Vec<Arc<PipelineRun>>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// The condition comes first: who makes another run meanwhile meets it.
    pub(super) writes: Vec<Write>,
    /// What is said of the Snapshot, if it was not cancelled before.
    pub(super) canceled: Option<IntegrationStatus>,
    pub(super) hold: Option<Hold>,
}

/// Why a Snapshot stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It is going, or came out of a backup.
    NotOurs,
    /// What was merged is tested to its end.
    Push,
    /// It has its verdict, and none of its tests runs.
    Finished,
    /// It is invalid.
    Invalid,
    /// There is nothing newer.
    Newest,
}

pub(super) fn decide(seen: &Observed) -> Outcome {
    let snapshot = &*seen.snapshot;
    let hold = |hold| Outcome { hold: Some(hold), ..Outcome::default() };
    if snapshot.metadata.deletion_timestamp.is_some() || is_inert(&snapshot.metadata) {
        return hold(Hold::NotOurs);
    }
    if snapshot.integration_reason() == Some(CANCELED) {
        return Outcome { writes: cancel(&seen.tests), ..Outcome::default() };
    }
    if snapshot.is_out() {
        return hold(Hold::Invalid);
    }
    if !is_group(snapshot) && Origin::of(snapshot).is_push() {
        return hold(Hold::Push);
    }
    if snapshot.passed().is_some() && seen.tests.iter().all(|run| has_ended(run)) {
        return hold(Hold::Finished);
    }
    let Some(cause) = superseded_by(seen) else { return hold(Hold::Newest) };
    let canceled = IntegrationStatus::Canceled { cause };
    let conditions = Conditions { integration_status: Some(canceled.clone()), ..Conditions::default() };
    let mut writes = Vec::from_iter(conditions.write(snapshot, seen.now));
    writes.extend(cancel(&seen.tests));
    Outcome { writes, canceled: Some(canceled), hold: None }
}

/// What is newer, in words; `None` if nothing is.
fn superseded_by(seen: &Observed) -> Option<String> {
    let snapshot = &*seen.snapshot;
    let began = Age::of(snapshot).began();
    let is_newer = |other: &&Arc<Snapshot>| {
        is_group(other) == is_group(snapshot)
            && other.spec.application == snapshot.spec.application
            && Age::of(other).began() > began
            && (is_group(snapshot) || is_of_the_same(snapshot, &***other))
            && !is_inert(&other.metadata)
    };
    if let Some(newer) = seen.siblings.iter().find(is_newer) {
        return Some(format!("Superseded by Snapshot {}, of a newer build", newer.name_any()));
    }
    let own = labels::BUILD_PIPELINE_RUN.of(&snapshot.metadata.labels);
    let is_newer = |run: &&Arc<PipelineRun>| {
        !Origin::of(&***run).is_push()
            && keys::APPLICATION.of(&run.metadata.labels) == Some(&snapshot.spec.application)
            && run_began(run).is_some_and(|run| run > began)
            && Some(run.name_any().as_str()) != own
            && (is_group(snapshot) || is_of_the_same(snapshot, &***run))
            && !is_inert(&run.metadata)
    };
    let newer = seen.builds.iter().find(is_newer)?;
    Some(format!("Superseded by a newer build, PipelineRun {}", newer.name_any()))
}

/// Whether both are of one Component and one pull request.
fn is_of_the_same(snapshot: &Snapshot, other: &impl kube::Resource) -> bool {
    let component = keys::COMPONENT.of(&snapshot.metadata.labels);
    let pull_request = PullRequest::of(snapshot);
    component.is_some()
        && pull_request.is_some()
        && component == keys::COMPONENT.of(&other.meta().labels)
        && pull_request == PullRequest::of(other)
}

fn is_group(snapshot: &Snapshot) -> bool {
    labels::TYPE.of(&snapshot.metadata.labels) == Some(snapshot_type::GROUP)
}

/// When a build began; of one that waits, when it was made.
pub(super) fn run_began(run: &PipelineRun) -> Option<Timestamp> {
    let started = run.status.as_ref().and_then(|status| status.start_time.as_ref());
    started.or(run.metadata.creation_timestamp.as_ref()).map(|time| time.0)
}

/// Ends the runs of a Snapshot that is cancelled, and lets go of them: nothing of them is reported.
fn cancel(tests: &[Arc<PipelineRun>]) -> Vec<Write> {
    tests.iter().filter_map(|run| end(run)).collect()
}

fn end(run: &PipelineRun) -> Option<Write> {
    if has_ended(run) || run.metadata.deletion_timestamp.is_some() || is_stopped(run) {
        return MetadataPatch::of(run).without_finalizer(PIPELINE_RUN).into_write();
    }
    let others = run.finalizers().iter().filter(|finalizer| *finalizer != PIPELINE_RUN.as_str());
    let body = json!({
        "metadata": {"annotations": {CANCELLED.as_str(): "true"}, "finalizers": others.collect::<Vec<_>>()},
        "spec": {"status": CANCELLED_RUN_FINALLY},
    });
    Some(Write::merge(run, body))
}

fn has_ended(run: &PipelineRun) -> bool {
    let condition = run.status.as_ref().and_then(|status| succeeded(&status.conditions));
    condition.is_some_and(|condition| condition.status != "Unknown")
}

/// Whether it was told to end, by us or by anybody.
fn is_stopped(run: &PipelineRun) -> bool {
    CANCELLED.of(&run.metadata.annotations) == Some("true")
}

#[cfg(test)]
mod tests;
