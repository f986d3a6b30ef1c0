//! Holds each Component until, when it goes, the others of its Application are tested without it (specification, section 4.10).

mod decide;

use std::sync::Arc;
use std::time::Duration;

use application_service_api::snapshot::SnapshotComponent;
use application_service_api::{Application, Component};
use fleet::{Fleet, ObjectKey, Runner, TraceContext, Wake, Write, WriteError};

use crate::content::{NewSnapshot, Purpose};
use crate::known::{Known, is_there_as_before};
use crate::service::Context;
use crate::stores::BY_APPLICATION;
use decide::{Observed, decide, refused};

/// How soon to look again when an object of the Snapshot's name turns out to exist: by then the store has it.
const TAKEN_RETRY: Duration = Duration::from_secs(1);

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = context.stores.clone();
    let components = stores.components.clone();
    fleet
        .controller("component")
        .of(&stores.components)
        .reads_changes(&stores.applications, move |change| {
            if is_there_as_before(change) {
                return Vec::new();
            }
            // Only one that goes waits for anything.
            let waiting = components.indexed(BY_APPLICATION, &change.key);
            let waiting = waiting.iter().filter(|component| component.metadata.deletion_timestamp.is_some());
            waiting.map(|component| ObjectKey::of(&**component)).collect()
        })
        .consults(&stores.snapshots)
        .consults(&stores.scenarios)
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let Some(component) = context.stores.components.get(&key) else { return Ok(Wake::OnChange) };
    let seen = observe(component, &context);
    let decision = decide(&seen);
    tracing::debug!(hold = ?decision.hold, writes = decision.writes.len(), "Decided");
    let creates = matches!(decision.writes.first(), Some(Write::Create(_)));
    // Apart, so that it is known what was refused.
    let (create, rest) = decision.writes.split_at(usize::from(creates));
    match context.writer.apply(create).await {
        Ok(()) => {}
        Err(WriteError::Taken { .. }) => return Ok(Wake::After(TAKEN_RETRY)),
        Err(error) => {
            let Some(decision) = refused(&seen, &error) else { return Err(error) };
            context.writer.apply(&decision.writes).await?;
            return Ok(decision.wake);
        }
    }
    context.writer.apply(rest).await?;
    Ok(decision.wake)
}

fn observe(component: Arc<Component>, context: &Context) -> Observed {
    let (stores, key) = (&context.stores, ObjectKey::of(&*component));
    let mut seen = Observed {
        now: context.clock.now(),
        application: Known::Unknown,
        components: Vec::new(),
        scenarios: Vec::new(),
        namesake: None,
        trace: TraceContext::observed(&*component),
        component,
    };
    if !decide::is_waiting(&seen.component) {
        return seen;
    }
    let application = key.sibling(&seen.component.spec.application);
    seen.application = Known::of(&stores.applications, &application);
    seen.components = stores.components.indexed(BY_APPLICATION, &application);
    seen.scenarios = stores.scenarios.indexed(BY_APPLICATION, &application);
    if let Known::There(application) = &seen.application {
        let [name, _] = seen.new_snapshot(application, Vec::new()).names();
        seen.namesake = stores.snapshots.get(&key.sibling(&name));
    }
    seen
}

impl Observed {
    fn new_snapshot<'a>(
        &'a self,
        application: &'a Application,
        components: Vec<SnapshotComponent>,
    ) -> NewSnapshot<'a> {
        NewSnapshot {
            application,
            purpose: Purpose::Removal { component: &self.component },
            components,
            labels: Default::default(),
            annotations: Default::default(),
            trace: self.trace,
        }
    }
}
