//! A Snapshot and what is around it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use application_service_api::Snapshot;
use fleet::Write;
use integration_service_api::status::TestStatus;
use integration_service_api::{IntegrationTestScenario, annotations, finalizers, labels};
use jiff::Timestamp;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};

use super::super::{Decided, decide};
use crate::record::{Record, initial};
use crate::tests::due::Fate;
use crate::tests::evaluate::Outcome;
use crate::tests::observe::{Done, Found, Seen};
use crate::tests::run::Wanted;
use crate::tests::start::Started;

/// Passes until nothing is left to do, at most.
const MOST_PASSES: usize = 30;

#[derive(Clone, Copy, Debug)]
pub(super) enum Application {
    There,
    Going,
    Gone,
    Unknown,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) scenarios: Vec<Arc<IntegrationTestScenario>>,
    pub(super) application: Application,
    pub(super) component_is_gone: bool,
    pub(super) faults: Vec<String>,
    pub(super) judges: bool,
    pub(super) is_push: bool,
    /// What the store lacks does not exist.
    pub(super) is_proven: bool,
    /// Scenarios whose runs cannot be made for now.
    pub(super) delayed: BTreeSet<String>,
    /// Reasons of Events.
    pub(super) events: Vec<&'static str>,
    /// Nothing happens after so many writes, runs that were made among them, but once.
    pub(super) crash_at: Option<usize>,
    runs: Vec<PipelineRun>,
    outcomes: BTreeMap<String, TestStatus>,
    writes: usize,
}

impl World {
    /// The Snapshot of a build, with required scenarios.
    pub(super) fn with(scenarios: &[&str]) -> Self {
        let snapshot = json!({
            "metadata": {"name": "shop-1", "namespace": "tenant", "uid": "u", "resourceVersion": "1", "annotations": {}},
            "spec": {"application": "shop"},
        });
        let mut world = Self {
            snapshot: serde_json::from_value(snapshot).unwrap(),
            scenarios: Vec::new(),
            application: Application::There,
            component_is_gone: false,
            faults: Vec::new(),
            judges: true,
            is_push: true,
            is_proven: true,
            delayed: BTreeSet::new(),
            events: Vec::new(),
            crash_at: None,
            runs: Vec::new(),
            outcomes: BTreeMap::new(),
            writes: 0,
        };
        for name in scenarios {
            world.add_scenario(name);
        }
        world.edit(&initial(&world.scenarios, Timestamp::UNIX_EPOCH));
        world
    }

    /// A Snapshot that a user made.
    pub(super) fn by_hand(mut self) -> Self {
        self.snapshot.metadata.annotations = None;
        self
    }

    pub(super) fn add_scenario(&mut self, name: &str) {
        let scenario = json!({"metadata": {"name": name}, "spec": {"application": "shop"}});
        self.scenarios.push(Arc::new(serde_json::from_value(scenario).unwrap()));
    }

    pub(super) fn optional(self, name: &str) -> Self {
        self.changed(name, &json!({"metadata": {"labels": {labels::OPTIONAL.as_str(): "true"}}}))
    }

    pub(super) fn after(self, name: &str, before: &str) -> Self {
        self.changed(name, &json!({"metadata": {"annotations": {annotations::RUN_AFTER.as_str(): before}}}))
    }

    pub(super) fn invalid(self, name: &str, message: &str) -> Self {
        let condition = json!({"type": "IntegrationTestScenarioValid", "status": "False", "reason": "Invalid",
            "message": message, "lastTransitionTime": "2024-01-01T00:00:00Z"});
        self.changed(name, &json!({"status": {"conditions": [condition]}}))
    }

    /// The scenario is for these occasions only, and not for this Snapshot.
    pub(super) fn context(self, name: &str, context: &str) -> Self {
        let mut world = self.changed(name, &json!({"spec": {"contexts": [{"name": context}]}}));
        let applicable = crate::record::scenarios_for(&world.snapshot, &world.scenarios);
        world.edit(&initial(&applicable, Timestamp::UNIX_EPOCH));
        world
    }

    fn changed(mut self, name: &str, patch: &Value) -> Self {
        for scenario in self.scenarios.iter_mut().filter(|scenario| scenario.name_any() == name) {
            let mut changed = json!(**scenario);
            merge(&mut changed, patch);
            *scenario = Arc::new(serde_json::from_value(changed).unwrap());
        }
        self
    }

    /// Somebody writes this into the annotation.
    pub(super) fn edit(&mut self, status: &str) {
        self.patch_snapshot(&json!({"metadata": {"annotations": {annotations::STATUS.as_str(): status}}}));
    }

    /// A user asks for a scenario.
    pub(super) fn ask(&mut self, scenario: &str) {
        self.patch_snapshot(&json!({"metadata": {"labels": {labels::RUN.as_str(): scenario}}}));
    }

    /// Promotion finds a newer one.
    pub(super) fn supersede(&mut self) {
        let condition = json!({"type": "AppStudioIntegrationStatus", "status": "False", "reason": "Invalid",
            "message": "superseded", "lastTransitionTime": "2024-01-01T00:00:00Z"});
        self.patch_snapshot(&json!({"status": {"conditions": [condition]}}));
    }

    /// A run that was made some time before, of the Snapshot with this uid.
    pub(super) fn foreign_run(&mut self, name: &str, scenario: &str, owner: &str) {
        let run = json!({
            "metadata": {
                "name": name, "namespace": "tenant", "uid": name, "resourceVersion": "1",
                "creationTimestamp": format!("2024-01-01T00:00:{:02}Z", self.runs.len()),
                "labels": {labels::SCENARIO.as_str(): scenario, labels::SNAPSHOT.as_str(): "shop-1"},
                "finalizers": [finalizers::PIPELINE_RUN.as_str()],
                "ownerReferences": [{"apiVersion": "v", "kind": "Snapshot", "name": "shop-1", "uid": owner}],
            },
            "spec": {},
        });
        self.runs.push(serde_json::from_value(run).unwrap());
    }

    /// The run of a scenario ends, and comes to this.
    pub(super) fn ends(&mut self, scenario: &str, status: TestStatus) {
        let run = self.run_of(scenario).unwrap();
        self.end_run(&run);
        self.outcomes.insert(run, status);
    }

    pub(super) fn end_run(&mut self, run: &str) {
        self.patch_run(run, &json!({"status": {"conditions": [{"type": "Succeeded", "status": "True"}]}}));
    }

    /// Somebody deletes the run of a scenario, which its finalizer holds.
    pub(super) fn delete_run(&mut self, scenario: &str) {
        let run = self.run_of(scenario).unwrap();
        self.patch_run(&run, &json!({"metadata": {"deletionTimestamp": "2024-01-02T00:00:00Z"}}));
    }

    /// The store does not hold the run of a scenario any more.
    pub(super) fn forget_run(&mut self, scenario: &str) {
        let run = self.run_of(scenario).unwrap();
        self.runs.retain(|other| other.name_any() != run);
    }

    fn seen(&self) -> Seen {
        let application = json!({"metadata": {"name": "shop"}, "spec": {"displayName": "shop"}});
        let mut application: application_service_api::Application =
            serde_json::from_value(application).unwrap();
        if matches!(self.application, Application::Going) {
            application.metadata.deletion_timestamp =
                Some(serde_json::from_value(json!("2024-01-02T00:00:00Z")).unwrap());
        }
        Seen {
            now: "2024-01-02T00:00:00Z".parse().unwrap(),
            snapshot: Arc::new(self.snapshot.clone()),
            application: match self.application {
                Application::There | Application::Going => Found::There(Arc::new(application)),
                Application::Gone => Found::Gone,
                Application::Unknown => Found::Unknown,
            },
            component_is_gone: self.component_is_gone,
            scenarios: self.scenarios.clone(),
            runs: self.runs.iter().cloned().map(Arc::new).collect(),
            record: Record::read(&self.snapshot).ok(),
            faults: self.faults.clone(),
            judges: self.judges,
            is_push: self.is_push,
            has_settled: false,
            leftovers: Vec::new(),
        }
    }

    /// One pass of the controller, with its effects.
    pub(super) fn pass(&mut self) -> Decided {
        let seen = self.seen();
        let mut done = Done::default();
        for run in seen.to_evaluate() {
            let status = self.outcomes.get(&run.name_any()).copied().unwrap_or(TestStatus::TestPassed);
            done.outcomes.insert(run.name_any(), Outcome { status, details: format!("{status:?}") });
        }
        if self.is_proven {
            done.gone.extend(seen.to_look_for().into_iter().map(str::to_owned));
        }
        for (name, fate) in seen.fates() {
            if let Fate::Start(due) = fate
                && !self.delayed.contains(&name)
            {
                let wanted = Wanted {
                    snapshot: &seen.snapshot,
                    scenario: &due.scenario,
                    attempt: due.attempt,
                    environment: None,
                    definition: None,
                    timeouts: None,
                    service_account: None,
                    trace: None,
                };
                let run = self.make(&wanted.create());
                done.started.insert(name, Started::Running { run });
                if self.crashes() {
                    return Decided::default();
                }
            }
        }
        let decided = decide(&seen, &done);
        let of_snapshot = decided.writes.iter().filter(|write| is_of_snapshot(write)).count();
        assert!(of_snapshot <= 1, "the second one is refused: {:?}", decided.writes);
        for write in &decided.writes {
            self.apply(write);
            if self.crashes() {
                break;
            }
        }
        decided
    }

    fn crashes(&mut self) -> bool {
        self.writes += 1;
        self.crash_at.take_if(|at| *at < self.writes).is_some()
    }

    /// Passes until nothing is left to do.
    pub(super) fn settle(&mut self) {
        for _ in 0..MOST_PASSES {
            let before = (self.snapshot.clone(), self.runs.clone());
            self.pass();
            if before == (self.snapshot.clone(), self.runs.clone()) {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.snapshot);
    }

    /// Makes a run, or finds it made.
    fn make(&mut self, write: &Write) -> String {
        let Write::Create(create) = write else { panic!("{write:?}") };
        let name = create.key.name.clone();
        if self.runs.iter().all(|run| run.name_any() != name) {
            let mut run: PipelineRun = serde_json::from_value(create.object.clone()).unwrap();
            run.metadata.uid = Some(name.clone());
            run.metadata.resource_version = Some("1".to_owned());
            self.runs.push(run);
        }
        name
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Patch(patch) if is_of_snapshot(write) => {
                let version = &patch.body["metadata"]["resourceVersion"];
                assert_eq!(version.as_str(), self.snapshot.metadata.resource_version.as_deref());
                self.patch_snapshot(&patch.body);
            }
            Write::Patch(patch) => self.patch_run(&patch.target.key.name, &patch.body),
            Write::Status(status) => {
                assert!(status.version.is_some(), "others write conditions, too");
                self.patch_snapshot(&json!({ "status": status.fields }));
            }
            Write::Event(event) => self.events.push(event.reason),
            other => panic!("{other:?}"),
        }
    }

    fn patch_snapshot(&mut self, patch: &Value) {
        let mut json = json!(self.snapshot);
        merge(&mut json, patch);
        let mut snapshot: Snapshot = serde_json::from_value(json).unwrap();
        let version: u64 = self.snapshot.resource_version().unwrap().parse().unwrap();
        snapshot.metadata.resource_version = Some((version + 1).to_string());
        self.snapshot = snapshot;
    }

    fn patch_run(&mut self, name: &str, patch: &Value) {
        let run = self.runs.iter_mut().find(|run| run.name_any() == name).unwrap();
        let mut json = json!(run);
        merge(&mut json, patch);
        *run = serde_json::from_value(json).unwrap();
    }

    fn record(&self) -> Record {
        Record::read(&self.snapshot).unwrap()
    }

    pub(super) fn states(&self) -> Vec<(String, TestStatus)> {
        let record = self.record();
        record.entries().iter().map(|entry| (entry.scenario.clone(), entry.state())).collect()
    }

    pub(super) fn state(&self, scenario: &str) -> TestStatus {
        self.record().state(scenario).unwrap()
    }

    pub(super) fn details(&self, scenario: &str) -> String {
        self.record().entry(scenario).unwrap().details.clone()
    }

    pub(super) fn attempt(&self, scenario: &str) -> u32 {
        self.record().entry(scenario).unwrap().attempt
    }

    pub(super) fn run_of(&self, scenario: &str) -> Option<String> {
        self.record().entry(scenario)?.test_pipeline_run_name.clone()
    }

    /// How many runs there are.
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// How many of them have our finalizer.
    pub(super) fn held(&self) -> usize {
        self.runs.iter().filter(|run| crate::tests::observe::is_held(run)).count()
    }

    pub(super) fn asked(&self) -> Option<&str> {
        labels::RUN.of(&self.snapshot.metadata.labels)
    }

    /// Reasons of the conditions `AppStudioIntegrationStatus` and `AppStudioTestSucceeded`; empty if absent.
    pub(super) fn reasons(&self) -> (&str, &str) {
        let reason = |type_| self.condition(type_).map_or("", |condition| condition.reason.as_str());
        (reason("AppStudioIntegrationStatus"), reason("AppStudioTestSucceeded"))
    }

    pub(super) fn message(&self, type_: &str) -> &str {
        self.condition(type_).map_or("", |condition| condition.message.as_str())
    }

    fn condition(&self, type_: &str) -> Option<&fleet_api::Condition> {
        let conditions = &self.snapshot.status.as_ref()?.conditions;
        conditions.iter().find(|condition| condition.type_ == type_)
    }
}

fn is_of_snapshot(write: &Write) -> bool {
    match write {
        Write::Patch(patch) => patch.target.resource.kind == "Snapshot",
        Write::Status(_) => true,
        _ => false,
    }
}

/// A merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().map(|target| target.remove(key));
        } else {
            merge(&mut target[key], value);
        }
    }
}
