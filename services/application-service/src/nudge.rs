//! Keeps, on each Component, the names of those that nudge it, and reports cycles of nudges.

mod decide;
pub mod graph;

use std::sync::Arc;

use application_service_api::Component;
use fleet::{Fleet, ObjectKey, Runner, Wake, WriteError};
use kube::ResourceExt as _;

pub use decide::{Hold, Observed, decide};

use crate::Context;
use crate::stores::{BY_NUDGED, nudged_by};

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    fleet
        .controller("nudge")
        .of(&context.stores.components)
        // Any change wakes the Components that are nudged, not only one of the list: a cycle that is found or broken
        // travels along it from status to status.
        .reads(&context.stores.components, nudged_by)
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let Some(component) = context.stores.components.get(&key) else { return Ok(Wake::OnChange) };
    let decision = decide(&observe(component, &key, &context));
    tracing::debug!(hold = ?decision.hold, writes = decision.writes.len(), "Decided");
    context.writer.apply(&decision.writes).await?;
    Ok(decision.wake)
}

fn observe(component: Arc<Component>, key: &ObjectKey, context: &Context) -> Observed {
    let components = &context.stores.components;
    let nudgers = components.indexed(BY_NUDGED, key);
    let cycle = graph::cycle(&key.name, &component.spec.build_nudges_ref, |name| {
        components
            .get(&key.sibling(name))
            .map(|other| other.spec.build_nudges_ref.clone())
            .unwrap_or_default()
    });
    Observed {
        now: context.clock.now(),
        nudgers: nudgers
            .iter()
            .filter(|nudger| nudger.metadata.deletion_timestamp.is_none())
            .map(|nudger| nudger.name_any())
            .collect(),
        cycle,
        component,
    }
}
