//! Whether there is to be a Snapshot of a group, and which.

use std::collections::BTreeMap;
use std::sync::Arc;

use application_service_api::{Application, Component, Snapshot};
use fleet::controller::chain;
use fleet::{Event, TraceContext, Write, WriteError, is_inert};
use fleet_api::keys;
use integration_service_api::IntegrationTestScenario;
use integration_service_api::annotations::{self, GROUP_TEST_INFO, PR_GROUP, STATUS};
use integration_service_api::labels::{self, snapshot_type};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::status::succeeded;

use super::member::{Info, Member};
use super::outcome::{Outcome, Status};
use crate::build::is_without_snapshot;
use crate::content::{NewSnapshot, Prefixes, Purpose, candidates, copied, label_of_run};
use crate::origin::Origin;
use crate::record;

/// A group whose Snapshots are older is left alone: they may be of another program, from before this one was installed.
const CONSIDERED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Members that make a group.
const LEAST: usize = 2;

/// What the decisions look at.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) now: Timestamp,
    /// The group's, as the label says.
    pub(super) hash: String,
    pub(super) application: Option<Arc<Application>>,
    /// Of the Application, as all below.
    pub(super) components: Vec<Arc<Component>>,
    pub(super) scenarios: Vec<Arc<IntegrationTestScenario>>,
    /// Of the group: those of its members and those of all of it.
    pub(super) snapshots: Vec<Arc<Snapshot>>,
    pub(super) builds: Vec<Arc<PipelineRun>>,
}

/// What is to be done before any forge is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plan {
    Rest(Hold),
    /// The members say why there is no Snapshot of the group.
    Say(Vec<Write>),
    /// The newest Snapshot of each Component and pull request, of which it is not known whether that is open.
    Ask(Vec<Member>),
}

/// Why nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// The Application is gone or going.
    NoApplication,
    /// All members say what became of the group.
    Done,
    /// Nothing of it was built lately.
    Old,
}

/// The members, and what is known of their pull requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) answers: Vec<(Member, Answer)>,
    pub(super) trace: Option<TraceContext>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Open,
    Closed,
    /// Why the forge cannot be asked.
    Unknown(String),
}

/// How far a build is, as far as the group is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// It ended, and should have a Snapshot.
    Built,
    /// It failed, or no Snapshot could be made of it.
    Failed,
    /// It is being deleted and will not end.
    Going,
}

pub(super) fn state_of(run: &PipelineRun) -> State {
    let condition = run.status.as_ref().and_then(|status| succeeded(&status.conditions));
    match condition.map(|condition| condition.status.as_str()) {
        Some("False") => State::Failed,
        Some("True") if is_without_snapshot(run) => State::Failed,
        Some("True") => State::Built,
        _ if run.metadata.deletion_timestamp.is_some() => State::Going,
        _ => State::Running,
    }
}

pub(super) fn plan(seen: &Observed) -> Plan {
    let is_going = |application: &Arc<Application>| application.metadata.deletion_timestamp.is_some();
    if seen.application.as_ref().is_none_or(is_going) {
        return Plan::Rest(Hold::NoApplication);
    }
    let members = newest(seen);
    if members.iter().all(Member::is_done) {
        return Plan::Rest(Hold::Done);
    }
    let is_young = |member: &Member| {
        let made = member.snapshot.metadata.creation_timestamp.as_ref();
        made.is_some_and(|made| seen.now.duration_since(made.0) < CONSIDERED_FOR)
    };
    if !members.iter().any(|member| !member.is_done() && is_young(member)) {
        return Plan::Rest(Hold::Old);
    }
    let obstacle = obstacle(seen, &members).or_else(|| lonely(&members));
    match obstacle {
        Some(outcome) => Plan::Say(say(&members, &outcome)),
        None => Plan::Ask(members),
    }
}

/// The newest Snapshot of each Component of the Application and each of its pull requests in the group.
fn newest(seen: &Observed) -> Vec<Member> {
    let is_there = |member: &Member| {
        let component = seen.components.iter().find(|component| component.name_any() == member.component);
        component.is_some_and(|component| component.metadata.deletion_timestamp.is_none())
    };
    let mut newest: BTreeMap<_, Member> = BTreeMap::new();
    for member in seen.snapshots.iter().filter_map(Member::of).filter(is_there) {
        let place = (member.component.clone(), member.pull_request.clone());
        match newest.get(&place) {
            Some(other) if other.began >= member.began => {}
            _ => drop(newest.insert(place, member)),
        }
    }
    newest.into_values().collect()
}

/// What of the newest builds of each Component stands in the way. That one still runs counts more than that another one failed.
fn obstacle(seen: &Observed, members: &[Member]) -> Option<Outcome> {
    let mut newest: BTreeMap<&str, &PipelineRun> = BTreeMap::new();
    let is_one = |run: &&PipelineRun| {
        !Origin::of(*run).is_push() && !is_inert(&run.metadata) && state_of(run) != State::Going
    };
    for run in seen.builds.iter().map(|run| &**run).filter(is_one) {
        let Some(component) = keys::COMPONENT.of(&run.metadata.labels) else { continue };
        let other = newest.entry(component).or_insert(run);
        if began(run) > began(other) {
            *other = run;
        }
    }
    let has_snapshot = |run: &PipelineRun| {
        let label = label_of_run(&run.name_any());
        annotations::SNAPSHOT.of(&run.metadata.annotations).is_some()
            || members.iter().any(|member| member.build() == Some(&label))
    };
    let find = |wanted: State| {
        newest
            .iter()
            .find(|(_, run)| state_of(run) == wanted && (wanted != State::Built || !has_snapshot(run)))
    };
    if let Some((component, run)) = find(State::Running) {
        let message = format!(
            "The build of Component {component} in the group, PipelineRun {}, is running",
            run.name_any()
        );
        return Some(Outcome::new(Status::Waiting, message));
    }
    if let Some((component, run)) = find(State::Failed) {
        let message = format!(
            "There is no Snapshot of the newest build of Component {component} in the group, PipelineRun {}",
            run.name_any()
        );
        return Some(Outcome::new(Status::Failed, message));
    }
    let (component, run) = find(State::Built)?;
    let message = format!(
        "The build of Component {component} in the group, PipelineRun {}, has no Snapshot yet",
        run.name_any()
    );
    Some(Outcome::new(Status::Waiting, message))
}

fn began(run: &PipelineRun) -> Option<Timestamp> {
    let started = run.status.as_ref().and_then(|status| status.start_time.as_ref());
    started.or(run.metadata.creation_timestamp.as_ref()).map(|time| time.0)
}

/// One Component makes no group.
fn lonely(members: &[Member]) -> Option<Outcome> {
    let mut components: Vec<&str> = members.iter().map(|member| member.component.as_str()).collect();
    components.dedup();
    (components.len() < LEAST).then(alone)
}

fn alone() -> Outcome {
    let message = "No open pull request of another Component has a branch of this name".to_owned();
    Outcome::new(Status::Alone, message)
}

/// Lets all that have no final word say it.
fn say(members: &[Member], outcome: &Outcome) -> Vec<Write> {
    let silent = members.iter().filter(|member| !member.is_done());
    silent.filter_map(|member| outcome.write(&member.snapshot)).collect()
}

/// The Snapshot of the group, then what its members say of it.
pub(super) fn decide(seen: &Observed, group: &Group) -> Vec<Write> {
    let Some(application) = &seen.application else { return Vec::new() };
    if let Some(outcome) = group.unknown() {
        return say(&group.members(), &outcome);
    }
    let members = group.open();
    if members.len() < LEAST {
        return group.tell(&alone(), &[]);
    }
    let new = snapshot(seen, application, &members, group.trace);
    let info = GROUP_TEST_INFO.of(&new.metadata.annotations);
    // Made by an attempt that got no further; the candidate list may have moved since, and with it the name.
    let known = seen
        .snapshots
        .iter()
        .find(|snapshot| is_of_group(snapshot) && GROUP_TEST_INFO.of(&snapshot.metadata.annotations) == info);
    let name = known.map_or(new.name_any(), |known| known.name_any());
    let outcome = Outcome::new(Status::Created, format!("It is tested with others in Snapshot {name}"));
    let mut writes = Vec::new();
    if known.is_none() {
        writes.push(Write::create(&new));
    }
    writes.extend(group.tell(&outcome, &members));
    writes
}

impl Group {
    fn members(&self) -> Vec<Member> {
        self.answers.iter().map(|(member, _)| member.clone()).collect()
    }

    /// That a forge could not be asked, and why.
    fn unknown(&self) -> Option<Outcome> {
        self.answers.iter().find_map(|(member, answer)| {
            let Answer::Unknown(why) = answer else { return None };
            let component = &member.component;
            let message =
                format!("Whether the pull request of Component {component} is open is not known: {why}");
            Some(Outcome::new(Status::Failed, message))
        })
    }

    /// The newest of each Component whose pull request is open.
    fn open(&self) -> Vec<Member> {
        let mut newest: BTreeMap<&str, &Member> = BTreeMap::new();
        for (member, _) in self.answers.iter().filter(|(_, answer)| *answer == Answer::Open) {
            let other = newest.entry(&member.component).or_insert(member);
            if member.began > other.began {
                *other = member;
            }
        }
        newest.into_values().cloned().collect()
    }

    /// What each says: those that are part of a Snapshot also if they said something else before, others if they said nothing.
    fn tell(&self, outcome: &Outcome, included: &[Member]) -> Vec<Write> {
        let closed = Outcome::new(Status::Alone, "The pull request is not open any more".to_owned());
        let write = |(member, answer): &(Member, Answer)| {
            let is_included = included.contains(member);
            let outcome = if *answer == Answer::Closed { &closed } else { outcome };
            (is_included || !member.is_done()).then(|| outcome.write(&member.snapshot)).flatten()
        };
        self.answers.iter().filter_map(write).collect()
    }
}

fn is_of_group(snapshot: &Snapshot) -> bool {
    labels::TYPE.of(&snapshot.metadata.labels) == Some(snapshot_type::GROUP)
}

/// The candidate list with what the members built. It speaks for the newest of them.
fn snapshot(
    seen: &Observed,
    application: &Application,
    members: &[Member],
    trace: Option<TraceContext>,
) -> Snapshot {
    let mut list = candidates(&seen.components);
    for entry in members.iter().filter_map(Member::entry) {
        list.with(entry.clone());
    }
    let newest = members.iter().max_by_key(|member| member.began).map(|member| &member.snapshot.metadata);
    let (labels, mut annotations) =
        newest.map(|newest| copied(newest, Prefixes::OfSnapshot)).unwrap_or_default();
    if let Some(name) = newest.and_then(|newest| PR_GROUP.of(&newest.annotations)) {
        annotations.insert(PR_GROUP.into(), name.to_owned());
    }
    let infos: Vec<Info> = members.iter().map(Member::info).collect();
    let infos = serde_json::to_string(&infos).unwrap_or_default();
    annotations.insert(GROUP_TEST_INFO.into(), infos);
    let purpose = Purpose::Group { hash: &seen.hash };
    let new = NewSnapshot { application, purpose, components: list.entries, labels, annotations, trace };
    let mut snapshot = new.build();
    let scenarios = record::scenarios_for(&snapshot, &seen.scenarios);
    let pending = record::initial(&scenarios, seen.now);
    snapshot.metadata.annotations.get_or_insert_default().insert(STATUS.into(), pending);
    snapshot
}

/// The API server does not take it, and will not.
pub(super) fn refused(group: &Group, error: &WriteError) -> Vec<Write> {
    let members = group.members();
    let why = format!("The Snapshot of the group cannot be created: {}", chain(error));
    let mut writes = say(&members, &Outcome::new(Status::Failed, why.clone()));
    let told = members.iter().filter(|member| !member.is_done());
    writes.extend(told.map(|member| {
        Event::warning(&*member.snapshot, "GroupSnapshotRefused", "CreateGroupSnapshot", why.clone()).into()
    }));
    writes
}

#[cfg(test)]
mod tests;
