//! Serves one request of the remote cluster (specification, section 4.2).
//!
//! ```text
//! InternalRequest ──allowed? pipeline there?──▶ finalizer ─▶ PipelineRun ─▶ Running
//!       │ no                                                    │ done
//!       ▼                                                       ▼
//!    Rejected                            Succeeded, Failed; run deleted; finalizer off
//! ```

mod decide;
mod results;
mod run;
pub(crate) mod state;
mod verdict;
pub(crate) mod wanted;

use std::collections::HashMap;
use std::sync::Arc;

use fleet::{Class, Classed, Fleet, ObjectKey, Runner, TraceContext, Wake, Write, WriteError, patience};
use internal_services_api::InternalRequest;
use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use parking_lot::Mutex;
use pipelines_engine_api::{Pipeline, PipelineRun};

pub(crate) use decide::Options;
pub(crate) use run::{is_done, name_of, uid_of};

use crate::service::Context;
use crate::stores::{BY_REQUEST, OPEN, all, is_held, request_of};
use decide::{Decision, Named, Observed, Step, decide, refused};
use state::{is_completed, recorded};

/// How soon to look again when an object of the run's name turns out to exist: by then the store has it, or it is gone.
const TAKEN_RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// Why a request could not be served now.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum Error {
    #[error("read {what}")]
    Read { what: String, source: kube::Error },
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Classed for Error {
    fn class(&self) -> Class {
        match self {
            Self::Read { .. } => Class::Retry,
            Self::Write(error) => error.class(),
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Read { .. } => self.into(),
            Self::Write(error) => error.label(),
        }
    }
}

/// When it was last written how far a run is, by the request's uid. It only sets the pace: forgotten, it costs one write.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<HashMap<String, Timestamp>>);

impl Notes {
    fn last(&self, request: &InternalRequest) -> Option<Timestamp> {
        self.0.lock().get(request.metadata.uid.as_deref()?).copied()
    }

    fn note(&self, request: &InternalRequest, now: Timestamp) {
        let mut notes = self.0.lock();
        notes.retain(|_, at| now.duration_since(*at) <= decide::PROGRESS);
        notes.insert(request.uid().unwrap_or_default(), now);
    }
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let stores = &context.stores;
    let controller = fleet
        .controller("request")
        .of(&stores.requests)
        .reads(&stores.runs, |run: &PipelineRun| request_of(run).into_iter().collect())
        .consults(&stores.configs);
    let (waker, requests) = (controller.waker(), stores.requests.clone());
    // What waits for the remote cluster waits no longer than that is away, however long its pauses have become.
    context.remote.on_reachable(move |is_reachable| {
        if is_reachable {
            requests.indexed(OPEN, &all()).iter().for_each(|request| waker.wake(ObjectKey::of(&**request)));
        }
    });
    let context = Arc::clone(context);
    controller.reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some(request) = context.stores.requests.get(&key) else { return Ok(Wake::OnChange) };
    let seen = Box::pin(observe(request, &context)).await?;
    let decision = decide(&seen);
    tracing::debug!(hold = ?decision.hold, writes = decision.steps.len(), "Decided");
    let Err((error, is_create)) = act(&context, &seen, &decision).await else { return Ok(decision.wake) };
    match (is_create, &error) {
        (true, WriteError::Taken { .. }) => Ok(Wake::After(TAKEN_RETRY)),
        (true, _) => match refused(&seen, &error) {
            Some(decision) => match act(&context, &seen, &decision).await {
                Ok(()) => Ok(decision.wake),
                Err((error, _)) => Err(error.into()),
            },
            None => Err(error.into()),
        },
        (false, _) => Err(error.into()),
    }
}

/// Carries out the steps. With an error comes whether it is about the creation of the run.
async fn act(context: &Context, seen: &Observed, decision: &Decision) -> Result<(), (WriteError, bool)> {
    for step in &decision.steps {
        let (writer, write) = match step {
            Step::Local(write) => (&context.writer, write),
            Step::Remote(write) => (context.remote.writer(), write),
        };
        let written = writer.apply(std::slice::from_ref(write)).await;
        written.map_err(|error| (error, matches!(write, Write::Create(_))))?;
        if matches!(write, Write::Status(_)) {
            match &decision.ended {
                Some(state) => context.metrics.ended(&seen.request, state, seen.now),
                None => context.notes.note(&seen.request, seen.now),
            }
        }
    }
    Ok(())
}

async fn observe(request: Arc<InternalRequest>, context: &Context) -> Result<Observed, Error> {
    let mut seen = Observed {
        now: context.clock.now(),
        settings: context.settings(),
        options: context.options.clone(),
        home: context.home.clone(),
        cluster: String::new(),
        run: None,
        pipeline: Named::NotAsked,
        noted: context.notes.last(&request),
        trace: TraceContext::observed(&*request),
        request,
    };
    seen.run = in_store(&seen.request, context);
    if seen.run.is_none() && may_be_missing_from_store(&seen.request) {
        seen.run = Box::pin(live(&seen.request, context)).await?;
    }
    if seen.needs_run() {
        cluster(context).await?.clone_into(&mut seen.cluster);
        if let Some(name) = seen.request.spec.request.clone() {
            seen.pipeline = Box::pin(pipeline(&name, context)).await?;
        }
    }
    Ok(seen)
}

fn in_store(request: &InternalRequest, context: &Context) -> Option<Arc<PipelineRun>> {
    let runs = context.stores.runs.indexed(BY_REQUEST, &ObjectKey::of(request));
    runs.into_iter().find(|run| run::is_of(run, request))
}

/// Whether something depends on there being no run: that a request fails, or is let go.
fn may_be_missing_from_store(request: &InternalRequest) -> bool {
    if request.metadata.deletion_timestamp.is_some() {
        return is_held(request) && !is_completed(request);
    }
    !is_completed(request) && recorded(request).is_some()
}

/// Its run as the API server has it, under the name that its status has, or else the one that it would have.
async fn live(request: &InternalRequest, context: &Context) -> Result<Option<Arc<PipelineRun>>, Error> {
    let name = match recorded(request).and_then(|place| place.split_once('/')) {
        Some((namespace, _)) if namespace != context.home => return Ok(None),
        Some((_, name)) => name.to_owned(),
        None => name_of(cluster(context).await?, &request.uid().unwrap_or_default()),
    };
    let runs: Api<PipelineRun> = Api::namespaced(context.client.clone(), &context.home);
    let found = patience::read(|| runs.get_opt(&name)).await;
    let found = found.map_err(|source| read(format!("PipelineRun {}/{name}", context.home), source))?;
    // A status is what others can write: it does not make another request's run this one's.
    Ok(found.filter(|run| run::is_of(run, request)).map(Arc::new))
}

async fn pipeline(name: &str, context: &Context) -> Result<Named, Error> {
    let pipelines: Api<Pipeline> = Api::namespaced(context.client.clone(), &context.home);
    let found = patience::read(|| pipelines.get_opt(name)).await;
    let found = found.map_err(|source| read(format!("Pipeline {}/{name}", context.home), source))?;
    Ok(found.map_or(Named::Missing, |pipeline| Named::There(Box::new(pipeline.spec))))
}

async fn cluster(context: &Context) -> Result<&str, Error> {
    let found = context.identity.of(&context.remote).await;
    found.map_err(|source| read("Namespace kube-system of the remote cluster".to_owned(), source))
}

fn read(what: String, source: kube::Error) -> Error {
    Error::Read { what, source }
}
