//! Ties each Component to its Application and keeps its model in its status.

mod decide;
mod secret;

use std::sync::Arc;

use application_service_api::Component;
use fleet::{Fleet, ObjectKey, Runner, Wake, WriteError};

pub use decide::{Hold, Observed, decide};
pub use secret::SecretState;

use crate::Context;
use crate::metrics::Kind;
use crate::stores::{BY_APPLICATION, application_of};

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let components = context.stores.components.clone();
    fleet
        .controller("component")
        .of(&context.stores.components)
        .reads_changes(&context.stores.applications, move |change| {
            // Only what a Component depends on: an Application's status changes with each of its Components.
            let state = |application: &application_service_api::Application| {
                (application.metadata.uid.clone(), application.metadata.deletion_timestamp.is_some())
            };
            if change.old.as_deref().map(state) == change.new.as_deref().map(state) {
                return Vec::new();
            }
            components
                .indexed(BY_APPLICATION, &change.key)
                .iter()
                .map(|component| ObjectKey::of(&**component))
                .collect()
        })
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let Some(component) = context.stores.components.get(&key) else { return Ok(Wake::OnChange) };
    let decision = decide(&observe(component, &context).await);
    tracing::debug!(hold = ?decision.hold, writes = decision.writes.len(), "Decided");
    let outcome = context.writer.apply(&decision.writes).await;
    context.metrics.count(Kind::Component, &key, &decision.writes, &outcome);
    outcome.map(|()| decision.wake)
}

async fn observe(component: Arc<Component>, context: &Context) -> Observed {
    Observed {
        now: context.clock.now(),
        application: context.stores.applications.get(&application_of(&component)),
        secret: secret::look_up(&context.client, &component).await,
        component,
    }
}
