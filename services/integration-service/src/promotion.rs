//! Passes on what was merged and is good: into the candidate list, which is what the next Snapshots of the Application hold.
//!
//! ```text
//! Snapshots of one Application, in the order of their builds, one at a time
//!
//! tests have ended ─▶ still what it would be by the list of now? ─no─▶ Invalid; a composite is tested in its place
//!                       │ yes
//!                       ├─ failed ─▶ Failed
//!                       └─ passed ─▶ Component: lastPromotedImage ─▶ build, containerImage ─▶ Snapshot: Passed, Added
//! ```
//! The queue's key is the Application, so two of its Snapshots are never looked at together (contracts.md, race 3). Each step is one
//! decision from objects as they are, and each but the last can be taken again.

mod age;
mod composite;
mod decide;
mod listing;
mod overrides;
mod turn;

use std::collections::BTreeSet;
use std::sync::Arc;

use fleet::{Event, Fleet, ObjectKey, Runner, Wake, WriteError};
use integration_service_api::conditions::IntegrationStatus;

pub(crate) use age::Age;
use decide::{Observed, decide};
pub(crate) use overrides::faults_of_override;
pub(crate) use turn::{component_of, is_held_back, is_push, is_settled, passes_verdict, turn_of, type_of};

use crate::service::Context;
use crate::stores::{BY_APPLICATION, IN_TURN};

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let promotion = context.args.gcl_promotion;
    let stores = &context.stores;
    fleet
        .controller("promotion")
        .reads_changes(&stores.snapshots, move |change| {
            let due = change.new.iter().filter(|snapshot| turn::task(snapshot, promotion).is_some());
            due.flat_map(|snapshot| turn_of(snapshot)).collect()
        })
        .reads(&stores.components, |component| {
            vec![ObjectKey::of(component).sibling(&component.spec.application)]
        })
        // What must pass, and what may fail.
        .reads(&stores.scenarios, |scenario| {
            vec![ObjectKey::of(scenario).sibling(&scenario.spec.application)]
        })
        .reads_changes(&stores.applications, |change| {
            let is_news = change.old.is_none() || change.new.is_none();
            if is_news { vec![change.key.clone()] } else { Vec::new() }
        })
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

/// Takes one step, then lets others go first: an Application may have many. A step that is refused for good holds up no other.
async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let mut set_aside = BTreeSet::new();
    let mut refused = None;
    loop {
        let seen = observe(&key, &context, set_aside.clone());
        let step = match decide(&seen) {
            Ok(step) => step,
            Err(hold) => {
                tracing::debug!(?hold, "Decided");
                return refused.map_or(Ok(Wake::OnChange), Err);
            }
        };
        match context.writer.apply(&step.writes).await {
            Ok(()) => {
                if step.is_superseded {
                    let invalid = IntegrationStatus::Invalid { cause: String::new() };
                    context.metrics.attempt_ended(&step.snapshot, &invalid, seen.now);
                }
                return Ok(Wake::After(std::time::Duration::ZERO));
            }
            Err(error) if error.is_permanent() && step.snapshot.metadata.uid.is_some() => {
                let note = fleet::controller::chain(&error);
                let event = Event::warning(&*step.snapshot, "NotPromoted", "Promote", note);
                context.writer.apply(&[event.into()]).await?;
                set_aside.extend(step.snapshot.metadata.uid.clone());
                refused = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
}

fn observe(key: &ObjectKey, context: &Context, set_aside: BTreeSet<String>) -> Observed {
    let stores = &context.stores;
    Observed {
        now: context.clock.now(),
        promotion: context.args.gcl_promotion,
        mirrors: context.args.mirror_container_image,
        application: stores.applications.get(key),
        components: stores.components.indexed(BY_APPLICATION, key),
        scenarios: stores.scenarios.indexed(BY_APPLICATION, key),
        snapshots: stores.snapshots.indexed(IN_TURN, key),
        set_aside,
    }
}
