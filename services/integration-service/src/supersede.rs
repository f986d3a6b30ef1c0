//! Cancels what a newer build of a pull request has made needless: its older Snapshots, and the runs of their tests (annex, L13).
//!
//! ```text
//! a build starts ─┐                                                      ┌─▶ condition Canceled, which is final
//! a Snapshot comes ┴─▶ older ones of the same pull request, unfinished ──┴─▶ their runs: cancelled, our finalizer off
//! ```
//! What belongs together is found by the hash of its group; that of one Component's pull request is part of it.

mod decide;

use std::sync::Arc;

use fleet::{Fleet, ObjectKey, Runner, Wake, WriteError};
use integration_service_api::labels;
use jiff::Timestamp;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;

use crate::service::Context;
use crate::stores::{BY_GROUP, BY_SNAPSHOT};
use decide::{Observed, decide, run_began};

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = &context.stores;
    let (of_builds, of_siblings) = (stores.snapshots.clone(), stores.snapshots.clone());
    fleet
        .controller("supersede")
        .of(&stores.snapshots)
        .reads_changes(&stores.snapshots, move |change| {
            let Some(new) = change.new.as_deref().filter(|_| change.old.is_none()) else { return vec![] };
            let siblings = group_of(new).map(|group| of_siblings.indexed(BY_GROUP, &group));
            siblings.into_iter().flatten().map(|snapshot| ObjectKey::of(&*snapshot)).collect()
        })
        .reads_changes(&stores.builds, move |change| {
            let Some(new) = change.new.as_deref() else { return vec![] };
            if change.old.as_deref().is_some_and(|old| began_in(old) == began_in(new)) {
                return vec![];
            }
            let siblings = group_of(new).map(|group| of_builds.indexed(BY_GROUP, &group));
            siblings.into_iter().flatten().map(|snapshot| ObjectKey::of(&*snapshot)).collect()
        })
        .reads(&stores.tests, |run| {
            let snapshot = labels::SNAPSHOT.of(&run.metadata.labels);
            snapshot.map(|snapshot| ObjectKey::of(run).sibling(snapshot)).into_iter().collect()
        })
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

/// When a build began, and in which group.
fn began_in(run: &PipelineRun) -> (Option<ObjectKey>, Option<Timestamp>) {
    (group_of(run), run_began(run))
}

/// Key of [`BY_GROUP`].
fn group_of(object: &impl kube::Resource) -> Option<ObjectKey> {
    let hash = labels::PR_GROUP_SHA.of(&object.meta().labels)?;
    Some(ObjectKey::of(object).sibling(hash))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let stores = &context.stores;
    let Some(snapshot) = stores.snapshots.get(&key) else { return Ok(Wake::OnChange) };
    let group = group_of(&*snapshot);
    let now = context.clock.now();
    let seen = Observed {
        now,
        builds: group.as_ref().map(|group| stores.builds.indexed(BY_GROUP, group)).unwrap_or_default(),
        siblings: group.map(|group| stores.snapshots.indexed(BY_GROUP, &group)).unwrap_or_default(),
        tests: stores.tests.indexed(BY_SNAPSHOT, &key),
        snapshot,
    };
    let outcome = decide(&seen);
    tracing::debug!(hold = ?outcome.hold, writes = outcome.writes.len(), "Decided");
    context.writer.apply(&outcome.writes).await?;
    if let Some(canceled) = &outcome.canceled {
        context.metrics.attempt_ended(&seen.snapshot, canceled, now);
        tracing::info!(
            audit = true,
            action = "UPDATE",
            namespace = key.namespace,
            name = key.name,
            application = seen.snapshot.spec.application,
            component = seen.snapshot.labels().get(fleet_api::keys::COMPONENT.as_str()),
            "Cancelled a Snapshot of a pull request"
        );
    }
    Ok(Wake::OnChange)
}
