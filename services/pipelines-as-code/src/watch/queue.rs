//! Who of a Repository's runs may go on (spec section 4.12). Pure: what the objects say is all that counts, so nothing is lost
//! when the service is.
//!
//! ```text
//! runs, started-runs ─▶ starts ─▶ 1. Repository: started-runs, under the version read   (409: somebody else was here)
//!                                 2. each run: state, no longer paused, likewise        (lost: it is in the list, so again)
//! ```
//! A place is taken by a name in the list or by a run that goes on, and is free again once its run has ended, is being deleted
//! or is gone. None of these is ever taken back, so whoever decides by an old copy of a run keeps a place for too long, and
//! never gives one away twice; who decides by an old copy of the list is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet::Write;
use jiff::Timestamp;
use kube::ResourceExt as _;
use pipelines_as_code_api::annotations::{STARTED_RUNS, written as annotations};
use pipelines_as_code_api::pipeline_run::State;
use pipelines_as_code_api::{Repository, finalizers, labels};
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};

use super::run;

/// All that the decision may look at.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    pub repository: &'a Repository,
    /// Its `concurrency_limit`, or the one that holds for all.
    pub limit: Option<usize>,
    /// All runs of the Repository that are known.
    pub runs: &'a [Arc<PipelineRun>],
    /// Those of [`unknown`] that need no place any more, as the API server says.
    pub gone: &'a BTreeSet<String>,
}

/// Who is next.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Turns {
    /// The runs that have a place. `None` where there is no limit.
    pub places: Option<Places>,
    /// The list has to be written before anybody begins.
    pub is_news: bool,
    /// Paused runs that may begin.
    pub begin: Vec<Arc<PipelineRun>>,
}

/// Runs that have a place: names, with their uids, for a delivery that comes again makes a run of the same name.
pub type Places = BTreeMap<String, String>;

/// A Repository's list. What cannot be read is none: runs that go on count all the same.
pub fn recorded(repository: &Repository) -> Places {
    let list = STARTED_RUNS.of(&repository.metadata.annotations);
    list.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default()
}

/// What is in the list and no known run: somebody has to ask the API server for it.
pub fn unknown(repository: &Repository, runs: &[Arc<PipelineRun>]) -> Places {
    let mut places = recorded(repository);
    for run in runs {
        if has_place(&places, run) {
            places.remove(&run.name_any());
        }
    }
    places
}

fn has_place(places: &Places, run: &PipelineRun) -> bool {
    places.get(&run.name_any()).is_some_and(|uid| run.metadata.uid.as_ref() == Some(uid))
}

/// Who may begin.
pub fn decide(seen: &Observed<'_>) -> Turns {
    let is_waiting =
        |run: &PipelineRun| run::is_paused(run) && !run::is_being_deleted(run) && !run::is_restored(run);
    let waiting = seen.runs.iter().filter(|run| is_waiting(run));
    let Some(limit) = seen.limit else {
        return Turns { begin: waiting.cloned().collect(), ..Turns::default() };
    };
    let mut places = recorded(seen.repository);
    places.retain(|name, _| !seen.gone.contains(name));
    let mut runs = Vec::new();
    for run in seen.runs {
        let name = run.name_any();
        if has_left(run) {
            if has_place(&places, run) {
                places.remove(&name);
            }
        } else if is_waiting(run) || goes_on(run) {
            let is_paused = is_waiting(run) && !has_place(&places, run);
            runs.push(Run { name, created_at: run::created_at(run), is_paused, order: run::order(run) });
        }
    }
    // Of others it is only known that they have a place.
    for name in unknown(seen.repository, seen.runs).into_keys().filter(|name| places.contains_key(name)) {
        runs.push(Run { name, created_at: Timestamp::UNIX_EPOCH, is_paused: false, order: Vec::new() });
    }
    let namespace = seen.repository.namespace().unwrap_or_default();
    let next = starts(&namespace, Some(limit), &runs);
    // Who had this name before is gone, but nobody has asked for it yet.
    let is_free = |name: &str| !places.contains_key(name);
    let next: BTreeSet<String> = next.into_iter().filter(|name| is_free(name)).map(str::to_owned).collect();
    // Names of runs that are gone would be asked for again each time.
    let is_news = !next.is_empty() || !seen.gone.is_empty();
    let given = seen.runs.iter().filter(|run| next.contains(&run.name_any()));
    places.extend(given.map(|run| (run.name_any(), run.uid().unwrap_or_default())));
    let begin = waiting.filter(|run| has_place(&places, run)).cloned().collect();
    Turns { places: Some(places), is_news, begin }
}

/// Whether a run needs no place any more. Never taken back.
pub fn has_left(run: &PipelineRun) -> bool {
    run::is_done(run) || run::is_being_deleted(run)
}

fn goes_on(run: &PipelineRun) -> bool {
    !run::is_paused(run) && run::state(run).is_some_and(|state| !run::is_final(state))
}

/// `started-runs` of a Repository.
pub fn record(places: &Places) -> Value {
    json!(json!(places).to_string())
}

/// Lets a paused run begin, if it is still as it was read.
pub fn begin(run: &PipelineRun) -> Write {
    let state: &str = State::Started.into();
    let mut metadata = json!({
        "labels": {labels::STATE.as_str(): state},
        "annotations": {annotations::STATE.as_str(): state},
    });
    if !run::has_finalizer(run) {
        let mut all = run.metadata.finalizers.clone().unwrap_or_default();
        all.push(finalizers::PIPELINE_RUN.into());
        metadata["finalizers"] = json!(all);
    }
    Write::merge(run, json!({"metadata": metadata, "spec": {"status": null}}))
}

/// Ends a paused run whose Repository is gone: nobody would ever let it begin.
pub fn give_up(run: &PipelineRun) -> Write {
    Write::merge(run, json!({"spec": {"status": pipelines_engine_api::pipeline_run::CANCELLED}}))
}

/// One run of a Repository that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub name: String,
    pub created_at: Timestamp,
    /// `spec.status` is `PipelineRunPending`.
    pub is_paused: bool,
    /// Annotation `execution-order`: the runs of its event, as `<namespace>/<name>`, in their order. Empty if there is none.
    pub order: Vec<String>,
}

/// Names of the paused runs that may start now, in their order. `limit` is the Repository's `concurrency_limit`: without one
/// all may.
///
/// A run that is not paused holds a place, whatever its annotations say.
pub fn starts<'a>(namespace: &str, limit: Option<usize>, runs: &'a [Run]) -> Vec<&'a str> {
    let (waiting, going): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.is_paused);
    let free = limit.map_or(usize::MAX, |limit| limit.saturating_sub(going.len()));
    in_order(namespace, waiting).into_iter().take(free).map(|run| run.name.as_str()).collect()
}

/// Events one after another, and within an event the order that its runs were given. The time of an event is that of its
/// first run: its runs are made at once, so their own times say nothing.
fn in_order<'a>(namespace: &str, mut runs: Vec<&'a Run>) -> Vec<&'a Run> {
    let mut events: BTreeMap<&[String], Timestamp> = BTreeMap::new();
    for run in &runs {
        let first = events.entry(&run.order).or_insert(run.created_at);
        *first = run.created_at.min(*first);
    }
    runs.sort_by_cached_key(|run| {
        let own = format!("{namespace}/{}", run.name);
        let position = run.order.iter().position(|name| *name == own);
        // Without a place of its own in an order, a run counts by itself.
        let event = position.and_then(|_| events.get(run.order.as_slice()));
        (*event.unwrap_or(&run.created_at), position, run.created_at, run.name.clone())
    });
    runs
}

#[cfg(test)]
mod tests;
