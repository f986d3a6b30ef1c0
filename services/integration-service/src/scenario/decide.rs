//! Whether a scenario can be run.

use std::sync::Arc;

use application_service_api::Application;
use fleet::{Decision, FieldManager, MetadataPatch, StatusPatch, Write};
use fleet_api::keys::GITOPS_TRACKING;
use integration_service_api::conditions::ScenarioValid;
use integration_service_api::scenario::TestEnvironment;
use integration_service_api::{IntegrationTestScenario, finalizers};
use jiff::Timestamp;
use kube::{Resource, ResourceExt as _};

use super::faults;
use crate::environments::{Leftovers, Unreadable};

const MANAGER: FieldManager = FieldManager::new("integration-service/scenario");

/// All that the decision looks at.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) now: Timestamp,
    pub(super) scenario: Arc<IntegrationTestScenario>,
    pub(super) application: Named,
    /// Whether this installation deals with Environments.
    pub(super) environments_enabled: bool,
    pub(super) environment: Result<Option<TestEnvironment>, Unreadable>,
    /// Whether the Environment exists that it names, if it names one.
    pub(super) environment_is_there: bool,
    pub(super) leftovers: Leftovers,
}

/// The Application that a scenario names.
#[derive(Clone, Debug)]
pub(super) enum Named {
    There(Arc<Application>),
    Missing,
    /// What is not in the store may exist.
    NotHeardOf,
}

/// Why nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It is gone as soon as others let go of it.
    BeingDeleted,
    /// Nothing is known of Applications yet.
    NotHeardOf,
    /// Owner, finalizer and condition are as they should be.
    UpToDate,
}

impl fleet::Hold for Hold {}

pub(super) fn decide(seen: &Seen) -> Decision<Hold> {
    let scenario = &*seen.scenario;
    if scenario.metadata.deletion_timestamp.is_some() {
        return going(seen);
    }
    let application = match &seen.application {
        Named::NotHeardOf => return Hold::NotHeardOf.into(),
        Named::There(application) => Some(&**application),
        Named::Missing => None,
    };
    let mut decision = Decision::default();
    decision.push(metadata(scenario, application));
    let state = match faults(seen) {
        faults if faults.is_empty() => ScenarioValid::Valid,
        faults => ScenarioValid::Invalid { cause: faults.join("; ") },
    };
    decision.push(StatusPatch::of(scenario, MANAGER, seen.now).condition(&state).into_write());
    if decision.writes.is_empty() {
        decision.hold = Some(Hold::UpToDate);
    }
    decision
}

/// What was made for its runs goes first, or nobody would know of it any more. That may be gone already.
fn going(seen: &Seen) -> Decision<Hold> {
    let finalizer = MetadataPatch::of(&*seen.scenario).without_finalizer(finalizers::SCENARIO).into_write();
    let Some(finalizer) = finalizer else { return Hold::BeingDeleted.into() };
    let mut decision = Decision { writes: seen.leftovers.deletes(), ..Decision::default() };
    decision.push(finalizer);
    decision
}

/// Finalizer, and the Application as its owner if it has none: what somebody else said about that stays.
fn metadata(scenario: &IntegrationTestScenario, application: Option<&Application>) -> Option<Write> {
    let patch = MetadataPatch::of(scenario).finalizer(finalizers::SCENARIO);
    let owner = application
        .filter(|application| application.metadata.deletion_timestamp.is_none())
        .filter(|application| {
            scenario.owner_references().is_empty() && !is_tracked(scenario) && !is_tracked(*application)
        })
        .and_then(|application| application.controller_owner_ref(&()));
    match owner {
        Some(owner) => patch.owner(owner).into_write(),
        None => patch.into_write(),
    }
}

/// Whether a GitOps tool keeps the object in sync with a repository (contracts.md, decision 25).
fn is_tracked(object: &impl Resource) -> bool {
    let metadata = object.meta();
    GITOPS_TRACKING.iter().any(|key| {
        let has = |map: &Option<std::collections::BTreeMap<String, String>>| {
            map.as_ref().is_some_and(|map| map.contains_key(*key))
        };
        has(&metadata.annotations) || has(&metadata.labels)
    })
}

/// All that keeps it from being run, each with what to do.
fn faults(seen: &Seen) -> Vec<String> {
    let spec = &seen.scenario.spec;
    let mut faults = Vec::new();
    if matches!(seen.application, Named::Missing) {
        faults.push(format!(
            "spec.application: Application {} does not exist in this namespace",
            spec.application
        ));
    }
    match &seen.environment {
        Err(error) => faults.push(error.to_string()),
        Ok(Some(environment)) if !seen.environments_enabled => faults.push(format!(
            "spec.environment: {} cannot be copied, for Environments are switched off in this installation",
            environment.name
        )),
        Ok(Some(environment)) if !seen.environment_is_there => faults.push(format!(
            "spec.environment: Environment {} does not exist in this namespace",
            environment.name
        )),
        Ok(_) => {}
    }
    faults.extend(faults::of(spec));
    faults
}

#[cfg(test)]
mod tests;
