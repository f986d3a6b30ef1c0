//! The next step in the turn of an Application.

use std::collections::BTreeSet;
use std::sync::Arc;

use application_service_api::snapshot::SnapshotComponent;
use application_service_api::{Application, Component, Snapshot};
use fleet::Write;
use integration_service_api::IntegrationTestScenario;
use integration_service_api::conditions::AddedToGlobalCandidateList;
use integration_service_api::labels::snapshot_type;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::age::Age;
use super::composite::{changed, own_entry, supersede};
use super::listing::{Listing, is_older, list};
use super::overrides::faults_of_override;
use super::turn::{Task, component_of, is_held_back, task, type_of};
use crate::args::Promotion;
use crate::conditions::{Conditions, Says as _};
use crate::record::{Record, Verdict};

/// All that the decision looks at.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) now: Timestamp,
    pub(crate) promotion: Promotion,
    /// Whether `spec.containerImage` shows what was promoted.
    pub(crate) mirrors: bool,
    pub(crate) application: Option<Arc<Application>>,
    /// Of the Application, as the scenarios are.
    pub(crate) components: Vec<Arc<Component>>,
    pub(crate) scenarios: Vec<Arc<IntegrationTestScenario>>,
    /// Those of the Application that the candidate list may still hear of.
    pub(crate) snapshots: Vec<Arc<Snapshot>>,
    /// Uids of Snapshots whose step was refused for good, so that they do not hold up the others.
    pub(crate) set_aside: BTreeSet<String>,
}

/// One step of one Snapshot. Afterwards all is looked at again.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) writes: Vec<Write>,
    /// The Snapshot was found to be superseded.
    pub(crate) is_superseded: bool,
}

/// Why there is no step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    NoApplication,
    /// Nothing is made for an Application that goes.
    ApplicationGoes,
    /// No Snapshot waits, or all that do wait for something else.
    NothingToDo,
}

impl fleet::Hold for Hold {}

/// Lists what has passed before it judges what comes next, each in the order of the builds.
pub(crate) fn decide(seen: &Observed) -> Result<Step, Hold> {
    let Some(application) = &seen.application else { return Err(Hold::NoApplication) };
    if application.metadata.deletion_timestamp.is_some() {
        return Err(Hold::ApplicationGoes);
    }
    let waits = |snapshot: &Arc<Snapshot>| {
        let is_set_aside = snapshot.metadata.uid.as_ref().is_some_and(|uid| seen.set_aside.contains(uid));
        let task = task(snapshot, seen.promotion).filter(|_| !is_set_aside)?;
        Some((task, Age::of(snapshot), snapshot.name_any(), Arc::clone(snapshot)))
    };
    let mut waiting: Vec<_> = seen.snapshots.iter().filter_map(waits).collect();
    waiting.sort_by(|(task, age, name, _), (other_task, other_age, other_name, _)| {
        (task, age, name).cmp(&(other_task, other_age, other_name))
    });
    let steps = waiting.into_iter().map(|(task, age, _, snapshot)| {
        let (is_superseded, writes) = match task {
            Task::List => (false, promote(seen, &snapshot, age, Conditions::default())),
            Task::Judge => judge(seen, application, &snapshot, age),
        };
        Step { snapshot, writes, is_superseded }
    });
    steps.into_iter().find(|step| !step.writes.is_empty()).ok_or(Hold::NothingToDo)
}

/// Says whether a Snapshot passed whose tests have ended, or has another one tested in its place.
fn judge(
    seen: &Observed,
    application: &Arc<Application>,
    snapshot: &Snapshot,
    age: Age,
) -> (bool, Vec<Write>) {
    // What cannot be read is put right by whoever writes it, which wakes us.
    let Ok(record) = Record::read(snapshot) else { return (false, Vec::new()) };
    let verdict = Verdict::of(&record, &seen.scenarios);
    let Some(test_succeeded) = verdict.condition() else { return (false, Vec::new()) };
    let is_orphaned = component_of(snapshot).is_some_and(|name| component(seen, name).is_none());
    if is_orphaned {
        // Its Component is gone; nobody waits for it.
        return (false, Vec::new());
    }
    let is_candidate = !is_held_back(snapshot)
        && !snapshot.has::<AddedToGlobalCandidateList>()
        && !component_of(snapshot)
            .and_then(|name| component(seen, name))
            .is_some_and(|own| is_older(own, age));
    if is_candidate && let Some(components) = changed(seen, snapshot) {
        return (true, supersede(seen, application, snapshot, components));
    }
    let says = Conditions { test_succeeded: Some(test_succeeded), ..Conditions::default() };
    let writes = if verdict == Verdict::Passed && !is_held_back(snapshot) {
        promote(seen, snapshot, age, says)
    } else {
        says.write(snapshot, seen.now).into_iter().collect()
    };
    (false, writes)
}

/// Puts what a Snapshot was made for into the candidate list. Last comes its record, together with what else there is to say: the list
/// is right before the Snapshot has passed, so that none is measured against the list of before.
fn promote(seen: &Observed, snapshot: &Snapshot, age: Age, mut says: Conditions) -> Vec<Write> {
    if !snapshot.has::<AddedToGlobalCandidateList>() {
        let Some(entries) = entries(seen, snapshot) else { return Vec::new() };
        match list_all(seen, &entries, age) {
            Progress::Write(writes) => return writes,
            Progress::Done { mut writes, kept } => {
                if !entries.is_empty() {
                    says.added = Some(if kept.is_empty() {
                        AddedToGlobalCandidateList::Added
                    } else {
                        AddedToGlobalCandidateList::Kept { cause: kept.join("; ") }
                    });
                }
                writes.extend(says.write(snapshot, seen.now));
                return writes;
            }
        }
    }
    says.write(snapshot, seen.now).into_iter().collect()
}

/// Components with the images that they are to have in the list. `None` if that cannot be said: the Snapshot then waits.
fn entries<'a>(
    seen: &'a Observed,
    snapshot: &'a Snapshot,
) -> Option<Vec<(&'a Arc<Component>, &'a SnapshotComponent)>> {
    if type_of(snapshot) == Some(snapshot_type::OVERRIDE) {
        if !faults_of_override(snapshot, &seen.components).is_empty() {
            return None;
        }
        let listed = &snapshot.spec.components;
        return listed.iter().map(|entry| Some((component(seen, &entry.name)?, entry))).collect();
    }
    // Of those that were made because a Component went, none was built.
    let Some(name) = component_of(snapshot) else { return Some(Vec::new()) };
    Some(vec![(component(seen, name)?, own_entry(snapshot)?)])
}

enum Progress {
    /// Needed before anything else.
    Write(Vec<Write>),
    /// With these the list is as it should be; `kept` says what is not in it, and why.
    Done { writes: Vec<Write>, kept: Vec<String> },
}

fn list_all(seen: &Observed, entries: &[(&Arc<Component>, &SnapshotComponent)], age: Age) -> Progress {
    let (mut statuses, mut writes, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for (component, entry) in entries {
        match list(component, entry, age, seen.mirrors, seen.now) {
            Listing::Status(write) => statuses.push(write),
            Listing::Rest(write) => writes.extend(write),
            Listing::Kept(cause) => kept.push(cause),
        }
    }
    if statuses.is_empty() { Progress::Done { writes, kept } } else { Progress::Write(statuses) }
}

/// One of the Application's Components, unless it goes.
fn component<'a>(seen: &'a Observed, name: &str) -> Option<&'a Arc<Component>> {
    seen.components
        .iter()
        .find(|component| component.name_any() == name && component.metadata.deletion_timestamp.is_none())
}

#[cfg(test)]
mod tests;
