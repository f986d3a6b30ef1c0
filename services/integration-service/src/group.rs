//! Tests pull requests together that belong together: those of branches of the same name in several repositories of an Application
//! (annex, L12).
//!
//! ```text
//! newest Snapshot of each Component of the group ─▶ all their builds over? ─▶ their pull requests open? ─▶ two at least
//!                                                                                                            ▼
//!         members: what became of it  ◀── one Snapshot: the candidate list with the images of all members ◀──┘
//! ```
//! The queue's key is the group in its Application. What came of it is said by each member, which is how it is known that nothing is left
//! to do. A forge is asked only when everything else is there.

mod decide;
mod member;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use application_service_api::Snapshot;
use fleet::store::Change;
use fleet::{Classed, Fleet, ObjectKey, Runner, TraceContext, Wake, Write, WriteError};
use fleet_api::keys;
use integration_service_api::labels::{self, snapshot_type};
use pipelines_engine_api::PipelineRun;

use crate::conditions::Says as _;
use crate::report::git;
use crate::report::message::{Destination, Incomplete};
use crate::service::Context;
use crate::stores::{BY_APPLICATION, BY_GROUP};
use decide::{Answer, Group, Observed, Plan, decide, plan, refused};
use member::Member;
use outcome::Outcome;

/// How long after a change its group is looked at: several builds end together, and a new Snapshot is first of all to be tested.
const TOGETHER: Duration = Duration::from_secs(2);

/// Between the Application and the hash in a key. No name has it.
const SEPARATOR: char = '/';

/// Why a group is looked at again later.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
enum Error {
    #[error("whether a pull request is open")]
    Forge(#[source] git::Error),
    #[error("read a Snapshot")]
    Snapshot(#[source] kube::Error),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Classed for Error {
    fn class(&self) -> fleet::Class {
        match self {
            Self::Forge(_) => fleet::Class::Retry,
            Self::Snapshot(error) => fleet::classify(error),
            Self::Write(error) => error.class(),
        }
    }

    fn label(&self) -> &'static str {
        self.into()
    }
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = &context.stores;
    fleet
        .controller("group")
        .reads_changes_after(&stores.snapshots, TOGETHER, |change: &Change<Snapshot>| {
            let facts =
                |snapshot: &Snapshot| (key_of_snapshot(snapshot), Outcome::of(snapshot), snapshot.is_out());
            let (old, new) = (change.old.as_deref().map(facts), change.new.as_deref().map(facts));
            if old == new {
                return Vec::new();
            }
            old.into_iter().chain(new).filter_map(|(key, ..)| key).collect()
        })
        .reads_changes_after(&stores.builds, TOGETHER, |change: &Change<PipelineRun>| {
            let facts = |run: &PipelineRun| (key_of_build(run), decide::state_of(run));
            let (old, new) = (change.old.as_deref().map(facts), change.new.as_deref().map(facts));
            if old == new {
                return Vec::new();
            }
            old.into_iter().chain(new).filter_map(|(key, _)| key).collect()
        })
        .consults(&stores.applications)
        .consults(&stores.components)
        .consults(&stores.scenarios)
        .consults(&stores.repositories)
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

/// The group that the Snapshot of a Component belongs to.
fn key_of_snapshot(snapshot: &Snapshot) -> Option<ObjectKey> {
    let labels = &snapshot.metadata.labels;
    let is_member = labels::TYPE.of(labels) == Some(snapshot_type::COMPONENT);
    let hash = labels::PR_GROUP_SHA.of(labels).filter(|_| is_member)?;
    Some(key(&ObjectKey::of(snapshot), &snapshot.spec.application, hash))
}

fn key_of_build(run: &PipelineRun) -> Option<ObjectKey> {
    let labels = &run.metadata.labels;
    let application = keys::APPLICATION.of(labels)?;
    Some(key(&ObjectKey::of(run), application, labels::PR_GROUP_SHA.of(labels)?))
}

fn key(of: &ObjectKey, application: &str, hash: &str) -> ObjectKey {
    of.sibling(format!("{application}{SEPARATOR}{hash}"))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some((application, hash)) = key.name.split_once(SEPARATOR) else { return Ok(Wake::OnChange) };
    let seen = observe(&context, &key.sibling(application), hash);
    let candidates = match plan(&seen) {
        Plan::Rest(hold) => {
            tracing::debug!(?hold, "Decided");
            return Ok(Wake::OnChange);
        }
        Plan::Say(writes) => {
            context.writer.apply(&writes).await?;
            return Ok(Wake::OnChange);
        }
        Plan::Ask(candidates) => candidates,
    };
    let group = ask(&context, candidates).await?;
    let writes = decide(&seen, &group);
    tracing::debug!(writes = writes.len(), "Decided");
    let creates = matches!(writes.first(), Some(Write::Create(_)));
    match context.writer.apply(&writes).await {
        Err(error) if creates && error.is_permanent() => {
            context.writer.apply(&refused(&group, &error)).await?;
        }
        written => written?,
    }
    Ok(Wake::OnChange)
}

fn observe(context: &Context, application: &ObjectKey, hash: &str) -> Observed {
    let stores = &context.stores;
    let group = application.sibling(hash);
    let mut snapshots = stores.snapshots.indexed(BY_GROUP, &group);
    snapshots.retain(|snapshot| snapshot.spec.application == application.name);
    let mut builds = stores.builds.indexed(BY_GROUP, &group);
    builds.retain(|run| keys::APPLICATION.of(&run.metadata.labels) == Some(&application.name));
    Observed {
        now: context.clock.now(),
        hash: hash.to_owned(),
        application: stores.applications.get(application),
        components: stores.components.indexed(BY_APPLICATION, application),
        scenarios: stores.scenarios.indexed(BY_APPLICATION, application),
        snapshots,
        builds,
    }
}

/// Asks for what is not in any store: whether the pull requests are open, and what the Snapshots hold. Each pull request is asked for
/// once.
async fn ask(context: &Context, candidates: Vec<Member>) -> Result<Group, Error> {
    let mut group = Group::default();
    for mut member in candidates {
        let known = group.answers.iter().find(|(other, _)| other.pull_request == member.pull_request);
        let answer = match known {
            Some((_, answer)) => answer.clone(),
            None => match is_open(context, &member).await {
                Ok(true) => Answer::Open,
                Ok(false) => Answer::Closed,
                Err(Unknown::ForNow(error)) => return Err(Error::Forge(error)),
                Err(Unknown::ForGood(why)) => Answer::Unknown(why),
            },
        };
        if answer == Answer::Open {
            member.snapshot = context.whole(&member.snapshot).await.map_err(Error::Snapshot)?;
            group.trace = group.trace.or_else(|| TraceContext::observed(&*member.snapshot));
        }
        group.answers.push((member, answer));
    }
    Ok(group)
}

/// Why it is not known whether a pull request is open.
enum Unknown {
    ForNow(git::Error),
    ForGood(String),
}

impl From<git::Error> for Unknown {
    fn from(error: git::Error) -> Self {
        if error.is_transient() {
            Self::ForNow(error)
        } else {
            Self::ForGood(fleet::controller::chain(&error))
        }
    }
}

impl From<Incomplete> for Unknown {
    fn from(error: Incomplete) -> Self {
        Self::ForGood(error.to_string())
    }
}

async fn is_open(context: &Context, member: &Member) -> Result<bool, Unknown> {
    let origin = member.origin();
    let destination = Destination::of(&origin)?;
    let number = origin.pull_request.and_then(|number| number.parse().ok());
    let number = number.ok_or(Incomplete::Missing("pull-request"))?;
    let namespace = member.namespace();
    let connection = context.sender.connect(&namespace, &destination).await?;
    match connection.forge.pull_request(&connection.repository, number).await {
        Ok(found) => Ok(found.is_open),
        // The repository is there, or there would be no connection to it; or it is hidden from us, which is as good.
        Err(forge::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(git::Error::from(error).into()),
    }
}
