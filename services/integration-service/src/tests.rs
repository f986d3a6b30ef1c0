//! Runs the scenarios of each Snapshot and says what they came to (spec, sections 4.2 to 4.5).
//!
//! ```text
//! Snapshot ─▶ entry Pending ─▶ [environment] ─▶ test run, entry InProgress ─▶ run ends, its TaskRuns are read ─▶ entry final
//!                  ▲                                                                                              │
//!                  └──────────────────────────── label run: entry reset ◀─────────────────────────────────────────┤
//!                                                                                                                 ▼
//!                                                                              all required ones final: Finished, verdict
//! ```
//! The entries are the annotation that [`record`](crate::record) reads. A pass looks at what there is ([`observe`]), finds out how
//! runs ended ([`evaluate`]) and starts what is due ([`start`]); the [decision](decide) then says what is recorded of all this. A
//! crash at any point is made up for by the next pass: names of runs are derived from Snapshot, scenario and attempt.

mod decide;
mod definition;
mod due;
mod evaluate;
mod observe;
mod options;
mod order;
pub(crate) mod output;
mod rerun;
mod run;
mod start;

use std::sync::Arc;

use application_service_api::{Application, Snapshot};
use fleet::store::Change;
use fleet::{Class, Classed, Fleet, ObjectKey, Runner, Wake, Write, WriteError};
use integration_service_api::conditions::IntegrationStatus;
use integration_service_api::labels;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;

use crate::conditions::Says as _;
use crate::environments::{Leftovers, ephemeral};
use crate::service::Context;
use crate::stores::{BY_APPLICATION, BY_SNAPSHOT, Stores};
use decide::{Decided, decide, without_finalizer};
use evaluate::has_ended;
use observe::{Done, Seen, is_gone, is_held, observe};
pub(crate) use options::Options;

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("read what the tests of a Snapshot depend on")]
    Read(#[source] kube::Error),
}

impl Classed for Error {
    fn class(&self) -> Class {
        match self {
            Self::Write(error) => error.class(),
            Self::Read(error) => fleet::classify(error),
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Write(error) => error.label(),
            Self::Read(_) => "read",
        }
    }
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let (context, stores) = (Arc::clone(context), &context.stores);
    let (of_scenario, of_application) = (stores.clone(), stores.clone());
    let controller = fleet
        .controller("tests")
        .of(&stores.snapshots)
        .reads_changes(&stores.tests, |change| snapshot_of(change).into_iter().collect())
        .reads_changes(&stores.scenarios, move |change| {
            let scenarios = change.old.iter().chain(&change.new);
            scenarios
                .flat_map(|scenario| open_of(&of_scenario, &change.key.sibling(&scenario.spec.application)))
                .collect()
        })
        .reads_changes(&stores.applications, move |change| {
            if has_come_or_goes(change) { open_of(&of_application, &change.key) } else { Vec::new() }
        })
        .consults(&stores.components);
    ephemeral::wakes(controller, stores).reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

/// The Snapshot of a run with which something happened that matters. That single tasks of it end does not.
fn snapshot_of(change: &Change<PipelineRun>) -> Option<ObjectKey> {
    let matters =
        |run: &PipelineRun| (has_ended(run), run.metadata.deletion_timestamp.is_some(), is_held(run));
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && matters(old) == matters(new)
    {
        return None;
    }
    let run = change.new.as_ref().or(change.old.as_ref())?;
    labels::SNAPSHOT.of(&run.metadata.labels).map(|snapshot| change.key.sibling(snapshot))
}

fn has_come_or_goes(change: &Change<Application>) -> bool {
    let stays = |application: &Option<Arc<Application>>| {
        application.as_ref().is_some_and(|application| application.metadata.deletion_timestamp.is_none())
    };
    stays(&change.old) != stays(&change.new)
}

/// Snapshots of an Application that are still tested.
fn open_of(stores: &Stores, application: &ObjectKey) -> Vec<ObjectKey> {
    let is_open = |snapshot: &&Arc<Snapshot>| snapshot.passed().is_none() && !snapshot.is_out();
    let snapshots = stores.snapshots.indexed(BY_APPLICATION, application);
    snapshots.iter().filter(is_open).map(|snapshot| ObjectKey::of(&**snapshot)).collect()
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some(snapshot) = context.stores.snapshots.get(&key) else {
        return let_all_go(&context, &key).await;
    };
    let Some(seen) = observe(&context, snapshot).await.map_err(Error::Read)? else {
        return Ok(Wake::OnChange);
    };
    let (done, failure) = Box::pin(find_out(&context, &seen)).await?;
    let decided = decide(&seen, &done);
    if let Some(hold) = decided.hold {
        tracing::debug!(reason = <&str>::from(hold), "No test is started");
    }
    context.writer.apply(&decided.writes).await?;
    measure(&context, &seen, &decided);
    failure.map_or(Ok(decided.wake), Err)
}

/// Reads how runs ended and starts what is due. An error of a start comes beside what came of the others.
async fn find_out(context: &Context, seen: &Seen) -> Result<(Done, Option<Error>), Error> {
    let mut done = Done::default();
    let outcomes = evaluate::all(&context.client, seen.to_evaluate()).await.map_err(Error::Read)?;
    done.outcomes.extend(outcomes);
    for run in seen.to_look_for() {
        let key = ObjectKey::of(&*seen.snapshot).sibling(run);
        if is_gone(&context.client, &context.stores.tests, &key).await.map_err(Error::Read)? {
            done.gone.insert(run.to_owned());
        }
    }
    let (started, failure) = Box::pin(start::all(context, seen)).await;
    done.started.extend(started);
    Ok((done, failure))
}

/// The Snapshot is gone, so that nobody waits for its runs or what was made for them.
async fn let_all_go(context: &Context, key: &ObjectKey) -> Result<Wake, Error> {
    let stores = &context.stores;
    let runs = stores.tests.indexed(BY_SNAPSHOT, key);
    let mut writes: Vec<Write> = runs.iter().filter_map(|run| without_finalizer(run)).collect();
    writes.extend(Leftovers::of_snapshot(stores, key).deletes());
    if writes.is_empty() || !is_gone(&context.client, &stores.snapshots, key).await.map_err(Error::Read)? {
        return Ok(Wake::OnChange);
    }
    context.writer.apply(&writes).await?;
    Ok(Wake::OnChange)
}

fn measure(context: &Context, seen: &Seen, decided: &Decided) {
    let said = decided.said.as_ref().and_then(|conditions| conditions.integration_status.as_ref());
    let Some(status) = said else { return };
    let (snapshot, now) = (&*seen.snapshot, context.clock.now());
    if *status != IntegrationStatus::InProgress {
        context.metrics.attempt_ended(snapshot, status, now);
    } else if snapshot.integration_reason().is_none()
        && let Some(build_ended) = build_ended(snapshot)
    {
        context.metrics.responded(build_ended, now);
    }
}

fn build_ended(snapshot: &Snapshot) -> Option<jiff::Timestamp> {
    let seconds = snapshot.labels().get(labels::PIPELINE_RUN_FINISH_TIME.as_str())?.parse().ok()?;
    jiff::Timestamp::from_second(seconds).ok()
}
