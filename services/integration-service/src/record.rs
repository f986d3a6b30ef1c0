//! How far each scenario of a Snapshot has come, as the Snapshot's annotation
//! [`STATUS`](integration_service_api::annotations::STATUS) says it (spec, section 4.4).
//!
//! ```text
//!          start            run ends
//! Pending ───────▶ InProgress ─────▶ TestPassed, TestFail, …        reset: Pending again, `attempt` + 1, no run
//! ```
//! Who writes it back does so with the version that was read ([`fleet::Write::merge`]).

mod applicable;
mod verdict;

pub(crate) use applicable::{Occasion, is_required, scenarios_for};
pub(crate) use verdict::Verdict;

use std::sync::Arc;

use application_service_api::Snapshot;
use integration_service_api::IntegrationTestScenario;
use integration_service_api::annotations::STATUS;
use integration_service_api::status::{MAX_DETAILS, ScenarioStatus, TestStatus};
use jiff::Timestamp;
use kube::ResourceExt as _;

/// What a record says of a scenario that has not been started.
const PENDING: &str = "Pending";

/// The annotation, read. Its entries are sorted by scenario, one of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Record {
    entries: Vec<ScenarioStatus>,
}

/// The annotation is there, and is no list of entries: somebody edited it.
#[derive(Debug, thiserror::Error)]
#[error("annotation {STATUS} is no list of scenarios with `scenario`, `status` and `lastUpdateTime`")]
pub(crate) struct Unreadable(#[from] serde_json::Error);

/// The annotation of a new Snapshot that `scenarios` apply to.
pub(crate) fn initial(scenarios: &[Arc<IntegrationTestScenario>], now: Timestamp) -> String {
    let mut record = Record::default();
    for scenario in scenarios {
        record.set(&scenario.name_any(), TestStatus::Pending, PENDING, now);
    }
    record.to_annotation()
}

/// Whether testing of a Snapshot was set up at all, if only with no scenario.
pub(crate) fn is_initialised(snapshot: &Snapshot) -> bool {
    snapshot.annotations().contains_key(STATUS.as_str())
}

impl Record {
    /// That of a Snapshot; empty if it has none.
    pub(crate) fn read(snapshot: &Snapshot) -> Result<Self, Unreadable> {
        let Some(text) = snapshot.annotations().get(STATUS.as_str()) else { return Ok(Self::default()) };
        let mut entries: Vec<ScenarioStatus> = serde_json::from_str(text)?;
        // Of two of one scenario the later one counts.
        entries.reverse();
        entries.sort_by(|a, b| a.scenario.cmp(&b.scenario));
        entries.dedup_by(|later, first| later.scenario == first.scenario);
        Ok(Self { entries })
    }

    pub(crate) fn entries(&self) -> &[ScenarioStatus] {
        &self.entries
    }

    pub(crate) fn entry(&self, scenario: &str) -> Option<&ScenarioStatus> {
        let at = self.position(scenario).ok()?;
        self.entries.get(at)
    }

    /// What a scenario has come to; `None` if it is not in the record.
    pub(crate) fn state(&self, scenario: &str) -> Option<TestStatus> {
        self.entry(scenario).map(ScenarioStatus::state)
    }

    /// Writes a state and what there is to say about it, with the times that belong to it. A scenario without entry gets one; one
    /// that is as it should be is left alone.
    pub(crate) fn set(&mut self, scenario: &str, status: TestStatus, details: &str, now: Timestamp) {
        let details = fitting(details);
        let entry = self.entry_mut(scenario);
        if entry.status.is(&status) && entry.details == details && !entry.last_update_time.is_empty() {
            return;
        }
        if !entry.status.is(&status) || entry.last_update_time.is_empty() {
            let now = now.to_string();
            match status {
                TestStatus::Pending => (entry.start_time, entry.completion_time) = (None, None),
                TestStatus::InProgress => (entry.start_time, entry.completion_time) = (Some(now), None),
                _ => entry.completion_time = Some(now),
            }
        }
        entry.status = status.into();
        details.clone_into(&mut entry.details);
        touch(entry, now);
    }

    /// The run `run` is the one of the scenario from now on.
    pub(crate) fn start(&mut self, scenario: &str, run: &str, now: Timestamp) {
        if self.entry(scenario).is_some_and(|entry| entry.test_pipeline_run_name.as_deref() == Some(run)) {
            return;
        }
        self.set(scenario, TestStatus::InProgress, &format!("PipelineRun {run} is in progress"), now);
        self.entry_mut(scenario).test_pipeline_run_name = Some(run.to_owned());
    }

    /// The scenario is to be run again, by a run of another name.
    pub(crate) fn reset(&mut self, scenario: &str, now: Timestamp) {
        self.set(scenario, TestStatus::Pending, "Asked for again", now);
        let entry = self.entry_mut(scenario);
        entry.test_pipeline_run_name = None;
        entry.attempt = entry.attempt.saturating_add(1);
    }

    /// Goes on with attempt number `attempt`, which is known from a run.
    pub(crate) fn set_attempt(&mut self, scenario: &str, attempt: u32) {
        self.entry_mut(scenario).attempt = attempt;
    }

    /// Keeps the entries of these scenarios only.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.entries.retain(|entry| is_kept(&entry.scenario));
    }

    /// The value of the annotation.
    pub(crate) fn to_annotation(&self) -> String {
        serde_json::json!(self.entries).to_string()
    }

    fn position(&self, scenario: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.scenario.as_str().cmp(scenario))
    }

    fn entry_mut(&mut self, scenario: &str) -> &mut ScenarioStatus {
        let at = self.position(scenario).unwrap_or_else(|at| {
            let entry = ScenarioStatus { scenario: scenario.to_owned(), ..ScenarioStatus::default() };
            self.entries.insert(at, entry);
            at
        });
        &mut self.entries[at]
    }
}

/// Sets `lastUpdateTime`, always to later than it was: what was reported to the forge is told by it.
fn touch(entry: &mut ScenarioStatus, now: Timestamp) {
    let last: Option<Timestamp> = entry.last_update_time.parse().ok();
    let time = match last {
        Some(last) if last >= now => last.checked_add(jiff::SignedDuration::from_micros(1)).unwrap_or(now),
        _ => now,
    };
    entry.last_update_time = time.to_string();
}

/// The beginning of a text, as much of it as an entry may hold.
fn fitting(details: &str) -> &str {
    &details[..details.floor_char_boundary(MAX_DETAILS)]
}

#[cfg(test)]
mod tests;
