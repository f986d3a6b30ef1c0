//! Keeps the model of each Application in its status.

mod decide;

use std::sync::Arc;

use application_service_api::Application;
use fleet::{Fleet, ObjectKey, Runner, Wake, WriteError};

pub use decide::{Hold, Observed, decide};

use crate::Context;
use crate::metrics::Kind;
use crate::stores::application_of;

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    fleet
        .controller("application")
        .of(&context.stores.applications)
        .reads(&context.stores.components, |component| vec![application_of(component)])
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let Some(application) = context.stores.applications.get(&key) else { return Ok(Wake::OnChange) };
    let decision = decide(&observe(application, &context));
    tracing::debug!(hold = ?decision.hold, writes = decision.writes.len(), "Decided");
    let outcome = context.writer.apply(&decision.writes).await;
    context.metrics.count(Kind::Application, &key, &decision.writes, &outcome);
    outcome.map(|()| decision.wake)
}

fn observe(application: Arc<Application>, context: &Context) -> Observed {
    Observed {
        now: context.clock.now(),
        components: context.stores.components_of(&ObjectKey::of(&*application)),
        application,
    }
}
