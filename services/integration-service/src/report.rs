//! Reports results at pull requests (spec, section 4.9).
//!
//! ```text
//! Snapshot: status ───────────────┐
//!     git-reporter-status ◀─┐     ▼
//!     runs' finalizers off ◀┴─ decide ─▶ Round ─▶ telling ─▶ lane of the repository ─▶ Sender ─▶ forge
//!                               ▲                    │
//!                               └────── done ────────┘
//! ```
//! What is said is said under a name by which it is found again, so that saying it twice changes nothing: after a crash all is said once
//! more that is not recorded.

mod decide;
pub(crate) mod git;
mod group;
mod lanes;
mod links;
pub(crate) mod message;
mod options;
mod reported;
mod send;
mod tasks;
pub(crate) mod telling;
mod text;
mod words;

use std::sync::Arc;

use application_service_api::Snapshot;
use fleet::{Fleet, ObjectKey, Runner, Wake, WriteError};
use integration_service_api::IntegrationTestScenario;
use integration_service_api::labels::snapshot_type;
use kube::ResourceExt as _;

use crate::conditions::Says as _;
use crate::record::{self, Occasion, Record};
use crate::service::Context;
use crate::stores::{BY_APPLICATION, BY_SNAPSHOT};

pub(crate) use decide::is_settled;
pub(crate) use git::key_of as repository_key;
pub(crate) use message::{Destination, Message, Round, Subject, overview_at_once};
pub(crate) use options::Options;
pub(crate) use reported::Keys;
pub(crate) use send::Sender;
pub(crate) use telling::{Telling, Tellings};

use decide::{Observed, decide};

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = &context.stores;
    let controller = fleet
        .controller("report")
        .of(&stores.snapshots)
        .consults(&stores.tests)
        .consults(&stores.scenarios)
        .consults(&stores.repositories);
    let tellings = Tellings::new(controller.waker(), context.clock.clone());
    controller.reconcile(move |key| reconcile(key, Arc::clone(&context), tellings.clone()))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>, tellings: Tellings) -> Result<Wake, WriteError> {
    let Some(snapshot) = context.stores.snapshots.get(&key) else {
        tellings.forget(&key);
        return Ok(Wake::OnChange);
    };
    let uid = snapshot.uid().unwrap_or_default();
    let seen = observe(&context, &key, snapshot, tellings.of(&key, &uid));
    let decided = decide(&seen);
    if let Some(hold) = &decided.decision.hold {
        tracing::debug!(hold = <&str>::from(hold), "Nothing to report");
    }
    context.writer.apply(&decided.decision.writes).await?;
    if decided.tell.is_empty() {
        // What came of one that was under way may not have been seen.
        if decided.decision.wake == Wake::OnChange && !seen.telling.is_under_way {
            tellings.forget(&key);
        }
    } else {
        let (sender, snapshots) = (context.sender.clone(), context.stores.snapshots.clone());
        let of = key.clone();
        tellings.begin(&key, &uid, move |sink| async move {
            let is_current = || snapshots.get(&of).is_some_and(|snapshot| !snapshot.is_out());
            sender.tell(&of.namespace, decided.tell, &sink, is_current).await;
        });
    }
    Ok(decided.decision.wake)
}

fn observe(context: &Context, key: &ObjectKey, snapshot: Arc<Snapshot>, telling: Telling) -> Observed {
    let stores = &context.stores;
    let record = Record::read(&snapshot);
    let of_failed_group = match group::failure(&snapshot) {
        Some(_) => scenarios_of_group(context, key, &snapshot),
        None => Vec::new(),
    };
    let scenarios =
        record.iter().flat_map(Record::entries).map(|entry| &entry.scenario).chain(&of_failed_group);
    let may_fail = |scenario: &&String| {
        stores
            .scenarios
            .get(&key.sibling(scenario.as_str()))
            .is_some_and(|found| !record::is_required(&found))
    };
    let optional = scenarios.filter(may_fail).cloned().collect();
    let members = group::members(&snapshot);
    Observed {
        now: context.clock.now(),
        members: members.iter().filter_map(|name| stores.snapshots.get(&key.sibling(name))).collect(),
        optional,
        of_failed_group,
        runs: stores.tests.indexed(BY_SNAPSHOT, key),
        telling,
        retry_for: context.args.report.report_retry_for,
        record,
        snapshot,
    }
}

/// Those that test the Snapshots of groups, and say so.
fn scenarios_of_group(context: &Context, key: &ObjectKey, snapshot: &Snapshot) -> Vec<String> {
    let occasion = Occasion { snapshot_type: Some(snapshot_type::GROUP), component: None, is_push: false };
    let found = context.stores.scenarios.indexed(BY_APPLICATION, &key.sibling(&snapshot.spec.application));
    let is_for_groups = |scenario: &IntegrationTestScenario| {
        let is_alive = scenario.metadata.deletion_timestamp.is_none();
        // Without contexts it tests the Snapshot itself, too.
        is_alive && !scenario.spec.contexts.is_empty() && occasion.calls_for(scenario)
    };
    found.iter().filter(|scenario| is_for_groups(scenario)).map(|scenario| scenario.name_any()).collect()
}
