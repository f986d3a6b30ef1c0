//! What has to be found out, or tried, before the decision: which runs have ended, and which scenarios are to be started.

use std::sync::Arc;

use fleet::names;
use fleet_api::{Condition, ConditionState as _, Truth};
use integration_service_api::conditions::ScenarioValid;
use integration_service_api::status::{ScenarioStatus, TestStatus};
use integration_service_api::{IntegrationTestScenario, labels};
use jiff::Timestamp;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;

use super::decide::{Hold, is_open_again};
use super::evaluate::has_ended;
use super::observe::{Found, Seen};
use super::order::{Turn, turn};
use crate::conditions::Says as _;
use crate::record::Record;

/// What becomes of a scenario that has no run yet.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Start(Due),
    /// A run of this name was made for it before its name could be written down.
    Adopt(String),
    /// It cannot be run.
    Invalid(String),
}

/// A scenario whose time has come.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) scenario: Arc<IntegrationTestScenario>,
    pub(super) attempt: u32,
    /// Since when it waits.
    pub(super) since: Timestamp,
    /// Since when something is being made for it.
    pub(super) preparing_since: Option<Timestamp>,
}

impl Seen {
    /// Why nothing is started.
    pub(super) fn hold(&self) -> Option<Hold> {
        if self.snapshot.metadata.deletion_timestamp.is_some() {
            return Some(Hold::BeingDeleted);
        }
        if self.snapshot.is_out() {
            return Some(Hold::Out);
        }
        match &self.application {
            Found::There(application) if application.metadata.deletion_timestamp.is_none() => {}
            Found::There(_) => return Some(Hold::ApplicationBeingDeleted),
            Found::Gone => return Some(Hold::ApplicationGone),
            Found::Unknown => return Some(Hold::ApplicationUnknown),
        }
        if !self.faults.is_empty() {
            return Some(Hold::Wrong);
        }
        self.component_is_gone.then_some(Hold::ComponentGone)
    }

    /// The scenario of this name, if it is to stay.
    pub(super) fn scenario(&self, name: &str) -> Option<&Arc<IntegrationTestScenario>> {
        self.scenarios
            .iter()
            .find(|scenario| scenario.name_any() == name && scenario.metadata.deletion_timestamp.is_none())
    }

    pub(super) fn run(&self, name: &str) -> Option<&Arc<PipelineRun>> {
        self.runs.iter().find(|run| run.name_any() == name)
    }

    /// Runs that have ended and of which the record does not say it.
    pub(super) fn to_evaluate(&self) -> Vec<&PipelineRun> {
        let runs = self.unfinished().filter_map(|(_, run)| self.run(run)).filter(|run| has_ended(run));
        runs.map(|run| &**run).collect()
    }

    /// Runs that the record says are in progress, and that the store does not hold.
    pub(super) fn to_look_for(&self) -> Vec<&str> {
        self.unfinished().map(|(_, run)| run).filter(|run| self.run(run).is_none()).collect()
    }

    /// Scenarios in progress, and their runs.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = (&ScenarioStatus, &str)> {
        let entries = self.record.iter().flat_map(Record::entries);
        entries
            .filter(|entry| entry.state() == TestStatus::InProgress)
            .filter_map(|entry| Some((entry, entry.test_pipeline_run_name.as_deref()?)))
    }

    /// What becomes of the scenarios that wait.
    pub(super) fn fates(&self) -> Vec<(String, Fate)> {
        let Some(record) = &self.record else { return Vec::new() };
        // That the verdict is open again is said before anything runs, or a rerun would look finished.
        if self.hold().is_some() || is_open_again(&self.snapshot, record, &self.scenarios) {
            return Vec::new();
        }
        let fate = |entry: &ScenarioStatus| Some((entry.scenario.clone(), self.fate(entry)?));
        record.entries().iter().filter_map(fate).collect()
    }

    fn fate(&self, entry: &ScenarioStatus) -> Option<Fate> {
        let state = entry.state();
        let is_prepared = state == TestStatus::InProgress && entry.test_pipeline_run_name.is_none();
        if state != TestStatus::Pending && !is_prepared {
            return None;
        }
        let scenario = self.scenario(&entry.scenario)?;
        let snapshot = self.snapshot.name_any();
        if snapshot.len() > names::LABEL_VALUE {
            return Some(Fate::Invalid(format!(
                "The name of Snapshot {snapshot} is longer than the {} characters that a label of its runs may have",
                names::LABEL_VALUE
            )));
        }
        // A later attempt has its own name, by which its creation finds what was made before.
        if entry.attempt == 0
            && let Some(run) = self.made_for(&entry.scenario)
        {
            return Some(Fate::Adopt(run.name_any()));
        }
        if let Some(why) = why_invalid(scenario) {
            return Some(Fate::Invalid(why));
        }
        if !is_prepared {
            let record = self.record.as_ref()?;
            match turn(scenario, &self.scenarios, record) {
                Turn::Now => {}
                Turn::Later => return None,
                Turn::Never { why } => return Some(Fate::Invalid(why)),
            }
        }
        Some(Fate::Start(Due {
            scenario: Arc::clone(scenario),
            attempt: entry.attempt,
            since: entry.last_update_time.parse().unwrap_or(self.now),
            preparing_since: entry.start_time.as_ref().and_then(|time| time.parse().ok()),
        }))
    }

    /// The newest run that was made for a scenario of this very Snapshot, and stays.
    pub(super) fn made_for(&self, scenario: &str) -> Option<&Arc<PipelineRun>> {
        let uid = self.snapshot.uid();
        let is_of_it = |run: &&Arc<PipelineRun>| {
            let owners = run.owner_references();
            labels::SCENARIO.of(&run.metadata.labels) == Some(scenario)
                && run.metadata.deletion_timestamp.is_none()
                && (owners.is_empty() || owners.iter().any(|owner| Some(&owner.uid) == uid.as_ref()))
        };
        self.runs.iter().filter(is_of_it).max_by_key(|run| (run.creation_timestamp(), run.name_any()))
    }
}

/// What the scenario's own condition has against it. One that is seconds old has none yet.
fn why_invalid(scenario: &IntegrationTestScenario) -> Option<String> {
    let is_invalid = |condition: &&Condition| {
        condition.type_ == ScenarioValid::TYPE && condition.status == Truth::False.as_str()
    };
    let condition = scenario.status.as_ref()?.conditions.iter().find(is_invalid)?;
    Some(condition.message.clone())
}
