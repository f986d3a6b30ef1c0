//! All that is decided about a Repository and its runs together, and written in as few writes as can be.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleet::{Class, Classed, Controller, Event, ObjectKey, Presence, Runner, Wake, Write, WriteError};
use jiff::{SignedDuration, Timestamp};
use kube::{Api, ResourceExt as _};
use pipelines_as_code_api::Repository;
use pipelines_as_code_api::annotations::STARTED_RUNS;
use pipelines_engine_api::PipelineRun;
use serde_json::{Map, Value, json};

use super::incoming::{NotTaken, Requests};
use super::stores::BY_REPOSITORY;
use super::telling::Telling;
use super::{Context, clean_up, ending, history, incoming, queue, run};

/// How long runs wait for a Repository that is gone: what keeps objects in sync with Git sometimes makes them anew.
const REPOSITORY_PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Names in a list that are asked for at once. Those beyond keep their places: the list is its owner's to write, too.
const MAX_ASKED: usize = 32;

/// Why a Repository has to be looked at again.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub(super) enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Its place is kept for it.
    #[error("let run {run} begin")]
    Begin { run: ObjectKey, source: WriteError },
    #[error("find out whether run {run} is there")]
    Read { run: ObjectKey, source: kube::Error },
    #[error(transparent)]
    Intake(#[from] NotTaken),
}

impl Classed for Error {
    fn class(&self) -> Class {
        match self {
            Self::Write(error) => error.class(),
            // A refusal may be a webhook's, which is mended without any object of ours changing.
            Self::Begin { .. } | Self::Read { .. } | Self::Intake(_) => Class::Retry,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Write(error) => error.label(),
            other => other.into(),
        }
    }
}

pub(super) fn controller(controller: Controller, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let (repositories, all) = (context.repositories.clone(), context.repositories.store.clone());
    controller
        .of(&context.repositories.store)
        // What holds where a Repository says nothing has changed for all.
        .reads_changes(&context.repositories.store, move |change| {
            if change.key == repositories.global { repositories.store.keys() } else { Vec::new() }
        })
        .reads(&context.pipeline_runs, |run| run::repository(run).into_iter().collect())
        .reads_presence(&context.pipeline_runs, move || all.keys())
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    // What is not in the stores proves nothing before that.
    if context.pipeline_runs.presence() == Presence::Unknown {
        return Ok(Wake::OnChange);
    }
    let runs = context.pipeline_runs.indexed(BY_REPOSITORY, &key);
    let Some(repository) = context.repositories.get(&key) else {
        return orphans(&context, &key, &runs).await;
    };
    context.missing.lock().remove(&key);

    let limit = context.merged(&repository).spec.spec.concurrency_limit;
    // As long as nobody waits for a place, it does not matter who has one.
    let gone = if limit.is_some() && runs.iter().any(|run| run::is_paused(run)) {
        gone(&context, &key, &queue::unknown(&repository, &runs)).await?
    } else {
        BTreeSet::new()
    };
    let turns = queue::decide(&queue::Observed {
        repository: &repository,
        limit: limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0),
        runs: &runs,
        gone: &gone,
    });
    let ended = ended(&context, &runs);
    let (known, handed_over) = context.outcomes.of(&key);
    let requests = incoming::decide(&incoming::Observed {
        repository: &repository,
        runs: &runs,
        known: &known,
        handed_over: &handed_over,
    });
    let write =
        patch(&repository, &turns, history::with(&repository.spec.pipelinerun_status, &ended), &requests);
    context.writer.apply(write.as_slice()).await?;
    if write.is_some() {
        for (run, _) in &ended {
            context.run_waker.wake(ObjectKey::of(&**run));
        }
    }
    let begun = begin(&context, &turns.begin).await;
    let handed = hand_over(&context, &repository, &key, &requests).await;
    // What is too many goes last: it is nobody's hurry.
    let too_many = clean_up::too_many(&runs, &|run| context.settings_of(run));
    let deletes: Vec<Write> = too_many.iter().map(|run| Write::delete(&**run)).collect();
    context.writer.apply(&deletes).await?;
    begun?;
    handed
}

/// The runs that have ended and of which the forge has been told, with why they failed.
fn ended(context: &Context, runs: &[Arc<PipelineRun>]) -> Vec<history::Ended> {
    let ended = runs.iter().filter(|run| run::is_done(run) && !run::is_restored(&***run));
    let open = ended.filter(|run| run::state(run).is_some_and(|state| !run::is_final(state)));
    let told = open.filter_map(|run| match context.tellings.of(run) {
        Telling::Over(told) => Some((Arc::clone(run), told.failures)),
        Telling::NotBegun | Telling::UnderWay => None,
    });
    told.collect()
}

/// All that is to be written to a Repository, in one write under the version that was read.
fn patch(
    repository: &Repository,
    turns: &queue::Turns,
    history: Option<Vec<pipelines_as_code_api::run_history::RunStatus>>,
    requests: &Requests,
) -> Option<Write> {
    let mut annotations = match &requests.annotations {
        Some(Value::Object(annotations)) => annotations.clone(),
        _ => Map::new(),
    };
    let is_needed = turns.is_news || history.is_some() || !annotations.is_empty();
    // Places that are free again are taken out of the list with the next write: as long as nobody waits, it does not matter.
    let recorded = queue::recorded(repository);
    match &turns.places {
        Some(places) if *places != recorded => {
            annotations.insert(STARTED_RUNS.into(), queue::record(places));
        }
        None if STARTED_RUNS.of(&repository.metadata.annotations).is_some() => {
            annotations.insert(STARTED_RUNS.into(), Value::Null);
        }
        _ => {}
    }
    let mut body = json!({});
    if !annotations.is_empty() {
        body["metadata"]["annotations"] = annotations.into();
    }
    if let Some(history) = history {
        body["pipelinerun_status"] = json!(history);
    }
    is_needed.then(|| Write::merge(repository, body))
}

/// Each by itself: one that cannot begin does not keep the others.
async fn begin(context: &Arc<Context>, runs: &[Arc<PipelineRun>]) -> Result<(), Error> {
    let mut outcome = Ok(());
    for run in runs {
        match context.writer.apply(&[queue::begin(run)]).await {
            Ok(()) => context
                .tellings
                .begin(run, ending::tell_beginning(Arc::clone(context), ObjectKey::of(&**run))),
            // Gone: its deletion is on its way to us.
            Err(source) if source.class() == Class::Forget => {}
            Err(source) => outcome = Err(Error::Begin { run: ObjectKey::of(&**run), source }),
        }
    }
    outcome
}

async fn hand_over(
    context: &Context,
    repository: &Repository,
    key: &ObjectKey,
    requests: &Requests,
) -> Result<Wake, Error> {
    context.outcomes.keep(key, &requests.open);
    if let Some(problem) = &requests.problem {
        let event = Event::warning(repository, "IncomingRequestInvalid", "ReadRequests", problem.as_str());
        context.writer.apply(&[Write::Event(event)]).await?;
    }
    for request in &requests.hand_over {
        context.intake.put(key, request).await?;
        context.outcomes.handed_over(key, &request.id);
    }
    Ok(if requests.open.is_empty() { Wake::OnChange } else { Wake::After(incoming::PATIENCE) })
}

/// Of what is in the list and no known run: what needs no place any more, as the API server says.
async fn gone(
    context: &Context,
    repository: &ObjectKey,
    places: &queue::Places,
) -> Result<BTreeSet<String>, Error> {
    let api: Api<PipelineRun> = Api::namespaced(context.client.clone(), &repository.namespace);
    let mut gone = BTreeSet::new();
    for (name, uid) in places.iter().take(MAX_ASKED) {
        let found = api.get_opt(name).await;
        let found = found.map_err(|source| Error::Read { run: repository.sibling(name.as_str()), source })?;
        if found.is_none_or(|run| run.metadata.uid.as_ref() != Some(uid) || queue::has_left(&run)) {
            gone.insert(name.clone());
        }
    }
    Ok(gone)
}

/// Runs whose Repository is gone wait for it for a while; then those are ended that have not begun. Others go on.
async fn orphans(context: &Context, key: &ObjectKey, runs: &[Arc<PipelineRun>]) -> Result<Wake, Error> {
    context.outcomes.keep(key, &BTreeSet::new());
    let waiting: Vec<_> =
        runs.iter().filter(|run| run::is_paused(run) && !run::is_being_deleted(run)).collect();
    if waiting.is_empty() {
        context.missing.lock().remove(key);
        return Ok(Wake::OnChange);
    }
    let now = context.clock.now();
    let since = *context.missing.lock().entry(key.clone()).or_insert(now);
    let Some(until) = given_up_at(since).filter(|until| *until > now) else {
        let writes: Vec<Write> = waiting.iter().map(|run| queue::give_up(run)).collect();
        for run in waiting {
            tracing::warn!(
                namespace = key.namespace,
                pipeline_run = run.name_any(),
                "Run is ended: its Repository is gone"
            );
        }
        context.writer.apply(&writes).await?;
        return Ok(Wake::OnChange);
    };
    Ok(Wake::At(until))
}

fn given_up_at(since: Timestamp) -> Option<Timestamp> {
    since.checked_add(REPOSITORY_PATIENCE).ok()
}

#[cfg(test)]
mod tests;
