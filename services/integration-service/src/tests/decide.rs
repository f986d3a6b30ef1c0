//! The decision about one Snapshot (spec, sections 4.2 to 4.6).
//!
//! At most one write to the Snapshot itself: the next one needs the version that this one makes, and comes with the next pass, which it
//! causes. First what is known is recorded, then it is said in the conditions.

use std::sync::Arc;

use application_service_api::Snapshot;
use fleet::{Event, MetadataPatch, ObjectKey, Wake, Write};
use integration_service_api::annotations::STATUS;
use integration_service_api::conditions::{IntegrationStatus, TestSucceeded};
use integration_service_api::status::TestStatus;
use integration_service_api::{IntegrationTestScenario, finalizers, labels};
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use serde_json::{Map, Value, json};

use super::due::Fate;
use super::evaluate::has_ended;
use super::observe::{Done, Seen, is_held};
use super::rerun::{self, Asked};
use super::run;
use super::start::Started;
use crate::conditions::{Conditions, Says as _};
use crate::record::{Record, Verdict, is_initialised, scenarios_for};

/// Most attempts that are looked for when a record is made anew from runs.
const MOST_ATTEMPTS: u32 = 100;

/// Why no test is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub(super) enum Hold {
    BeingDeleted,
    /// It is superseded, cancelled or wrong.
    Out,
    ApplicationGone,
    ApplicationBeingDeleted,
    ApplicationUnknown,
    /// An override Snapshot with faults.
    Wrong,
    ComponentGone,
}

impl fleet::Hold for Hold {}

impl Hold {
    /// It will not go away, so that nobody has to wait for a rerun.
    const fn is_for_good(self) -> bool {
        matches!(self, Self::Out | Self::Wrong | Self::ApplicationGone | Self::ComponentGone)
    }
}

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// In order.
    pub(super) writes: Vec<Write>,
    pub(super) wake: Wake,
    pub(super) hold: Option<Hold>,
    /// The conditions among the writes.
    pub(super) said: Option<Conditions>,
}

pub(super) fn decide(seen: &Seen, done: &Done) -> Decided {
    let Some(before) = &seen.record else { return rebuild(seen) };
    let mut decided = Decided { hold: seen.hold(), ..Decided::default() };
    let mut record = before.clone();
    track(seen, done, &mut record);

    let mut asked = rerun::of(&seen.snapshot);
    if decided.hold.is_none() {
        if !is_judged(&seen.snapshot) {
            initialise(seen, &mut record);
        }
        asked = rerun::carry_out(seen, asked, before, &mut record);
        carry_out_starts(seen, done, &mut record, &mut asked, &mut decided);
    } else if decided.hold.is_some_and(Hold::is_for_good) {
        asked = asked.refused();
    }

    // Also without any scenario: it says that this Snapshot has been looked at.
    let begins = decided.hold.is_none() && !is_initialised(&seen.snapshot) && !is_judged(&seen.snapshot);
    let said = || {
        let conditions = conditions(seen, &record)?;
        Some((conditions.write(&seen.snapshot, seen.now)?, conditions))
    };
    if record != *before || begins {
        decided.writes.push(written(&seen.snapshot, Some(&record), &asked));
    } else if let Some((write, conditions)) = said() {
        decided.writes.push(write);
        decided.said = Some(conditions);
    } else if asked.is_answered() {
        decided.writes.push(written(&seen.snapshot, None, &asked));
    }
    decided.writes.extend(asked.event(&seen.snapshot));
    decided.writes.extend(let_go(seen, &record));
    decided.writes.extend(seen.leftovers.iter().cloned());
    decided
}

/// Takes over what the runs have come to.
fn track(seen: &Seen, done: &Done, record: &mut Record) {
    for (entry, run) in seen.unfinished() {
        let scenario = &entry.scenario;
        if let Some(outcome) = done.outcomes.get(run) {
            record.set(scenario, outcome.status, &outcome.details, seen.now);
            continue;
        }
        let is_deleted = match seen.run(run) {
            Some(found) => found.metadata.deletion_timestamp.is_some() && !has_ended(found),
            None => done.gone.contains(run),
        };
        if is_deleted {
            let details = format!("PipelineRun {run} was deleted before its result could be read");
            record.set(scenario, TestStatus::Deleted, &details, seen.now);
        }
    }
}

/// An entry for each scenario that tests the Snapshot, and none for those that are gone.
fn initialise(seen: &Seen, record: &mut Record) {
    record.retain(|name| seen.scenario(name).is_some());
    for scenario in scenarios_for(&seen.snapshot, &seen.scenarios) {
        let name = scenario.name_any();
        if record.entry(&name).is_none() {
            record.set(&name, TestStatus::Pending, "Pending", seen.now);
        }
    }
}

/// Takes over what came of starting scenarios.
fn carry_out_starts(seen: &Seen, done: &Done, record: &mut Record, asked: &mut Asked, decided: &mut Decided) {
    for (name, fate) in seen.fates() {
        match (fate, done.started.get(&name)) {
            (Fate::Adopt(run), _) => record.start(&name, &run, seen.now),
            (Fate::Invalid(why), _) => record.set(&name, TestStatus::TestInvalid, &why, seen.now),
            (Fate::Start(_), Some(Started::Running { run })) => record.start(&name, run, seen.now),
            (Fate::Start(_), Some(Started::Preparing { details, wake })) => {
                record.set(&name, TestStatus::InProgress, details, seen.now);
                decided.wake = decided.wake.or(*wake, seen.now);
            }
            (Fate::Start(_), Some(Started::Waiting { wake })) => {
                decided.wake = decided.wake.or(*wake, seen.now);
                continue;
            }
            (Fate::Start(_), Some(Started::Ended { status, details, writes })) => {
                record.set(&name, *status, details, seen.now);
                decided.writes.extend(writes.iter().cloned());
            }
            // It could not be started for now.
            (Fate::Start(_), None) => continue,
        }
        *asked = std::mem::take(asked).answered_by(&name);
    }
}

/// Whether what all tests came to is known. Scenarios that appear later do not change it.
fn is_judged(snapshot: &Snapshot) -> bool {
    snapshot.passed().is_some() || snapshot.is_finished()
}

/// Whether a scenario that had ended runs again, which the conditions do not say yet.
pub(super) fn is_open_again(
    snapshot: &Snapshot,
    record: &Record,
    scenarios: &[Arc<IntegrationTestScenario>],
) -> bool {
    is_judged(snapshot) && Verdict::of(record, scenarios).is_open()
}

/// What the Snapshot has to say, if that changes.
fn conditions(seen: &Seen, record: &Record) -> Option<Conditions> {
    let snapshot = &*seen.snapshot;
    let invalid = |cause| {
        Some(Conditions {
            integration_status: Some(IntegrationStatus::Invalid { cause }),
            ..Conditions::default()
        })
    };
    match seen.hold() {
        Some(Hold::BeingDeleted | Hold::Out | Hold::ApplicationBeingDeleted | Hold::ApplicationUnknown) => {
            None
        }
        Some(Hold::ApplicationGone) => {
            invalid(format!("Application {} does not exist", snapshot.spec.application))
        }
        Some(Hold::Wrong) if snapshot.passed().is_none() => invalid(seen.faults.join("; ")),
        Some(Hold::Wrong | Hold::ComponentGone) | None => judged(seen, record),
    }
}

fn judged(seen: &Seen, record: &Record) -> Option<Conditions> {
    let snapshot = &*seen.snapshot;
    let verdict = Verdict::of(record, &seen.scenarios);
    let of = |test_succeeded, integration_status| {
        Some(Conditions {
            test_succeeded,
            integration_status: Some(integration_status),
            ..Conditions::default()
        })
    };
    if verdict.is_open() {
        if is_judged(snapshot) {
            return of(Some(TestSucceeded::InProgress), IntegrationStatus::InProgress);
        }
        let is_begun = record.entries().iter().any(|entry| entry.state() != TestStatus::Pending);
        return if is_begun { of(None, IntegrationStatus::InProgress) } else { None };
    }
    if !is_initialised(snapshot) {
        return None;
    }
    match snapshot.passed() {
        // What came after the verdict stays as it is: that a Release could not be made, for one.
        Some(_) if snapshot.integration_reason().is_some_and(|reason| reason != "InProgress") => None,
        Some(_) => of(None, IntegrationStatus::Finished),
        None => of(verdict.condition().filter(|_| seen.judges), IntegrationStatus::Finished),
    }
}

/// The record and the answer to who asked for a rerun, in one write.
fn written(snapshot: &Snapshot, record: Option<&Record>, asked: &Asked) -> Write {
    let mut metadata = Map::new();
    if let Some(record) = record {
        metadata.insert("annotations".to_owned(), json!({ STATUS.as_str(): record.to_annotation() }));
    }
    if asked.is_answered() {
        metadata.insert("labels".to_owned(), json!({ labels::RUN.as_str(): null }));
    }
    Write::merge(snapshot, json!({ "metadata": Value::from(metadata) }))
}

/// Runs that nobody has to read any more lose our finalizer. The current ones of a pull request are let go by who reports them.
fn let_go(seen: &Seen, record: &Record) -> Vec<Write> {
    let is_over = |run: &PipelineRun| has_ended(run) || run.metadata.deletion_timestamp.is_some();
    let is_done_with = |run: &PipelineRun| {
        if seen.snapshot.metadata.deletion_timestamp.is_some() {
            return true;
        }
        let scenario = labels::SCENARIO.of(&run.metadata.labels).unwrap_or_default();
        let Some(entry) = record.entry(scenario) else { return true };
        match &entry.test_pipeline_run_name {
            Some(name) if *name == run.name_any() => {
                (seen.is_push || seen.has_settled) && entry.state().is_final()
            }
            Some(_) => true,
            // It may be the one that is about to be found.
            None => entry.state().is_final(),
        }
    };
    let runs = seen.runs.iter().filter(|run| is_held(run) && is_over(run) && is_done_with(run));
    runs.filter_map(|run| without_finalizer(run)).collect()
}

/// Lets a run go.
pub(super) fn without_finalizer(run: &PipelineRun) -> Option<Write> {
    MetadataPatch::of(run).without_finalizer(finalizers::PIPELINE_RUN).into_write()
}

/// Makes the record anew from the runs that are there.
fn rebuild(seen: &Seen) -> Decided {
    let mut record = Record::default();
    for scenario in &seen.scenarios {
        let name = scenario.name_any();
        let last = (1..MOST_ATTEMPTS).rev().find_map(|attempt| {
            let names = run::names(&seen.snapshot, &name, attempt);
            names.iter().find_map(|name| seen.run(name)).map(|run| (run, attempt))
        });
        let Some((run, attempt)) = last.or_else(|| Some((seen.made_for(&name)?, 0))) else { continue };
        record.start(&name, &run.name_any(), seen.now);
        record.set_attempt(&name, attempt);
    }
    let mut decided = Decided { hold: seen.hold(), ..Decided::default() };
    if decided.hold.is_none() {
        initialise(seen, &mut record);
        decided.writes.push(written(&seen.snapshot, Some(&record), &Asked::default()));
        let note = format!(
            "Annotation {STATUS} of Snapshot {} could not be read and was made anew from its runs: leave it to the service",
            ObjectKey::of(&*seen.snapshot)
        );
        decided.writes.push(Write::Event(Event::warning(
            &*seen.snapshot,
            "RecordUnreadable",
            "Rebuild",
            note,
        )));
    }
    decided
}

#[cfg(test)]
mod tests;
