//! Makes a Snapshot of each build that ended well and is signed, and holds the build's run until that is done (specification,
//! section 4.1).
//!
//! ```text
//! build run ──running──▶ finalizer, group of its pull request
//!    │ succeeded, signed
//!    ▼
//! Snapshot (owner Application: candidate list with the new image) ──▶ named in the run's annotation, finalizer off
//! ```

mod decide;
mod outcome;
mod pr_group;
mod refusals;
mod run;
mod snapshot;

use std::sync::Arc;
use std::time::Duration;

use application_service_api::{Application, Component, Snapshot};
use fleet::store::Change;
use fleet::{Fleet, ObjectKey, Runner, TraceContext, Wake, Write, WriteError};
use fleet_api::keys;
use pipelines_engine_api::PipelineRun;

use crate::content::label_of_run;
use crate::known::{Known, is_there_as_before};
use crate::service::Context;
use crate::stores::{BY_APPLICATION, BY_BUILD, BY_COMPONENT};
use decide::{Observed, decide, refused};
use refusals::{Refusal, Refusals};

/// How soon to look again when an object of the Snapshot's name turns out to exist: by then the store has it.
const TAKEN_RETRY: Duration = Duration::from_secs(1);

/// Whether a run says that no Snapshot could be made of it.
pub(crate) fn is_without_snapshot(run: &PipelineRun) -> bool {
    outcome::Outcome::of(run).is_some_and(|outcome| outcome.is_failure())
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = context.stores.clone();
    let of_component = stores.builds.clone();
    let of_application = stores.builds.clone();
    let all = stores.builds.clone();
    let refusals = Arc::new(Refusals::default());
    fleet
        .controller("build")
        .of(&stores.builds)
        .reads_changes(&stores.snapshots, |change: &Change<Snapshot>| {
            // One that was made, or went. What becomes of it meanwhile is no business of the build.
            if change.old.is_some() == change.new.is_some() {
                return Vec::new();
            }
            let builds = change.old.iter().chain(&change.new);
            builds.filter_map(|snapshot| build_of(snapshot)).collect()
        })
        .reads_changes(&stores.components, move |change: &Change<Component>| {
            if is_there_as_before(change) {
                return Vec::new();
            }
            keys_of(&of_component.indexed(BY_COMPONENT, &change.key))
        })
        .reads_changes(&stores.applications, move |change: &Change<Application>| {
            if is_there_as_before(change) {
                return Vec::new();
            }
            keys_of(&of_application.indexed(BY_APPLICATION, &change.key))
        })
        .reads_presence(&stores.snapshots, move || all.keys())
        .consults(&stores.scenarios)
        .reconcile(move |key| reconcile(key, Arc::clone(&context), Arc::clone(&refusals)))
}

/// The run that a Snapshot was made for. One whose name is too long for a label is not found so, and looks by itself.
fn build_of(snapshot: &Snapshot) -> Option<ObjectKey> {
    let label = integration_service_api::labels::BUILD_PIPELINE_RUN.of(&snapshot.metadata.labels)?;
    Some(ObjectKey::of(snapshot).sibling(label))
}

fn keys_of(runs: &[Arc<PipelineRun>]) -> Vec<ObjectKey> {
    runs.iter().map(|run| ObjectKey::of(&**run)).collect()
}

async fn reconcile(
    key: ObjectKey,
    context: Arc<Context>,
    refusals: Arc<Refusals>,
) -> Result<Wake, WriteError> {
    let Some(run) = context.stores.builds.get(&key) else { return Ok(Wake::OnChange) };
    let seen = observe(run, &context, &refusals);
    let decision = decide(&seen);
    tracing::debug!(hold = ?decision.hold, writes = decision.writes.len(), "Decided");
    let creates = matches!(decision.writes.first(), Some(Write::Create(_)));
    match context.writer.apply(&decision.writes).await {
        Err(WriteError::Taken { .. }) if creates => Ok(Wake::After(TAKEN_RETRY)),
        Err(error) if creates => {
            let refusal = Refusal::try_from(error)?;
            refusals.note(&seen.run, seen.now);
            let decision = refused(&seen, &refusal);
            context.writer.apply(&decision.writes).await?;
            Ok(decision.wake)
        }
        done => done.map(|()| decision.wake),
    }
}

fn observe(run: Arc<PipelineRun>, context: &Context, refusals: &Refusals) -> Observed {
    let (stores, key) = (&context.stores, ObjectKey::of(&*run));
    let component = keys::COMPONENT
        .of(&run.metadata.labels)
        .map(|name| Known::of(&stores.components, &key.sibling(name)));
    let mut seen = Observed {
        now: context.clock.now(),
        require_signed: context.args.require_signed,
        signature_timeout: context.args.signature_timeout,
        component,
        application: Known::Unknown,
        snapshots: Vec::new(),
        snapshot_presence: stores.snapshots.presence(),
        components: Vec::new(),
        scenarios: Vec::new(),
        namesake: None,
        last_refusal: refusals.last(&run),
        trace: TraceContext::observed(&*run),
        run,
    };
    let Some(Known::There(component)) = &seen.component else { return seen };
    if run::ended(&seen.run) != Some(true) || run::snapshot(&seen.run).is_some() {
        // Nothing below is looked at while it runs, nor afterwards.
        return seen;
    }
    let application = key.sibling(&component.spec.application);
    seen.application = Known::of(&stores.applications, &application);
    seen.snapshots = stores.snapshots.indexed(BY_BUILD, &key.sibling(label_of_run(&key.name)));
    seen.components = stores.components.indexed(BY_APPLICATION, &application);
    seen.scenarios = stores.scenarios.indexed(BY_APPLICATION, &application);
    seen.namesake = seen.snapshot_names().and_then(|[name, _]| stores.snapshots.get(&key.sibling(&name)));
    seen
}
