//! Announces tests at pull requests whose build goes on or has failed (annex, L14): required checks that nobody has heard of yet
//! would hold up no merge.
//!
//! ```text
//! build run ─▶ decide ─▶ Round ─▶ telling ─▶ forge        until there is a Snapshot: then `report` goes on under the same names
//!     ▲          │ snapshot-creation-report
//!     └──────────┘
//! ```

mod decide;

use std::sync::Arc;

use fleet::{Fleet, ObjectKey, Runner, Wake, WriteError};
use fleet_api::keys;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;

use self::decide::{Observed, decide};
use crate::report::{Telling, Tellings};
use crate::service::Context;
use crate::stores::{BY_APPLICATION, BY_BUILD, BY_COMPONENT};

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = &context.stores;
    let controller = fleet
        .controller("early-report")
        .of(&stores.builds)
        .consults(&stores.scenarios)
        .consults(&stores.snapshots)
        .consults(&stores.repositories);
    let tellings = Tellings::new(controller.waker(), context.clock.clone());
    controller.reconcile(move |key| reconcile(key, Arc::clone(&context), tellings.clone()))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>, tellings: Tellings) -> Result<Wake, WriteError> {
    let Some(run) = context.stores.builds.get(&key) else {
        tellings.forget(&key);
        return Ok(Wake::OnChange);
    };
    let uid = run.uid().unwrap_or_default();
    let seen = observe(&context, &key, run, tellings.of(&key, &uid));
    let decided = decide(&seen);
    if let Some(hold) = &decided.decision.hold {
        tracing::debug!(hold = <&str>::from(hold), "Nothing to announce");
    }
    context.writer.apply(&decided.decision.writes).await?;
    if !decided.tell.is_empty() {
        let (sender, snapshots) = (context.sender.clone(), context.stores.snapshots.clone());
        let of = key.clone();
        tellings.begin(&key, &uid, move |sink| async move {
            // What is said of the Snapshot must not be taken back.
            let is_current = || snapshots.indexed(BY_BUILD, &of).is_empty();
            sender.tell(&of.namespace, decided.tell, &sink, is_current).await;
        });
    } else if decided.decision.wake == Wake::OnChange && !seen.telling.is_under_way {
        // What came of one that was under way may not have been seen.
        tellings.forget(&key);
    }
    Ok(decided.decision.wake)
}

fn observe(context: &Context, key: &ObjectKey, run: Arc<PipelineRun>, telling: Telling) -> Observed {
    let stores = &context.stores;
    let named = |label: fleet_api::LabelKey| {
        label.of(&run.metadata.labels).filter(|name| !name.is_empty()).map(|name| key.sibling(name))
    };
    let (application, component) = (named(keys::APPLICATION), named(keys::COMPONENT));
    Observed {
        now: context.clock.now(),
        builds: component.map(|key| stores.builds.indexed(BY_COMPONENT, &key)).unwrap_or_default(),
        scenarios: application.map(|key| stores.scenarios.indexed(BY_APPLICATION, &key)).unwrap_or_default(),
        has_snapshot: !stores.snapshots.indexed(BY_BUILD, key).is_empty(),
        telling,
        retry_for: context.args.report.report_retry_for,
        run,
    }
}
