//! Runs that another service asks for by an annotation of the Repository (contracts.md, decision 19).
//!
//! ```text
//! fleet.konflux-ci.dev/incoming ─▶ decide ─▶ Intake: worked on as any other delivery, under the entry's id
//!                                    ▲ a run with the id as its cause, or Outcomes
//!                                    └─▶ fleet.konflux-ci.dev/incoming-outcome, and the entry goes: one write
//! ```
//! What was handed over is only remembered so as not to do it at each change: an entry is there until its outcome is, and one
//! id never makes two runs.

mod outcomes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet::ObjectKey;
use fleet_api::keys::CAUSE;
use futures::future::BoxFuture;
use kube::ResourceExt as _;
use pipelines_as_code_api::annotations::{INCOMING, INCOMING_OUTCOME};
use pipelines_as_code_api::{IncomingOutcome, IncomingRequest, Repository};
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};

pub use self::outcomes::Outcomes;
pub(super) use self::outcomes::PATIENCE;
use super::run;

/// Outcomes that stay on a Repository, the latest.
const MAX_OUTCOMES: usize = 32;

/// Entries that are looked at; further ones wait.
const MAX_ENTRIES: usize = 64;

/// Characters of an id. It becomes part of what is kept of a delivery.
const MAX_ID: usize = 128;

/// Works on deliveries.
pub trait Intake: Send + Sync + 'static {
    /// Takes a request of a Repository, as a delivery of the request's id. One that is known already is taken as well.
    ///
    /// # Errors
    /// When there is no room now.
    fn put<'a>(
        &'a self,
        repository: &'a ObjectKey,
        request: &'a IncomingRequest,
    ) -> BoxFuture<'a, Result<(), NotTaken>>;
}

/// A request could not be taken, for now.
#[derive(Debug, thiserror::Error)]
#[error("the request cannot be taken now: {0}")]
pub struct NotTaken(pub String);

/// All that the decision may look at.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    pub repository: &'a Repository,
    /// All runs of the Repository.
    pub runs: &'a [Arc<PipelineRun>],
    /// What this process knows of, by id.
    pub known: &'a BTreeMap<String, IncomingOutcome>,
    /// Ids that were handed over already.
    pub handed_over: &'a BTreeSet<String>,
}

/// What becomes of the entries.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Requests {
    pub hand_over: Vec<IncomingRequest>,
    /// Annotations to write, if any changes.
    pub annotations: Option<Value>,
    /// Ids of all entries that stay.
    pub open: BTreeSet<String>,
    /// What is wrong with the annotation as a whole.
    pub problem: Option<String>,
}

pub fn decide(seen: &Observed<'_>) -> Requests {
    let annotations = &seen.repository.metadata.annotations;
    let Some(text) = INCOMING.of(annotations).filter(|text| !text.trim().is_empty()) else {
        return Requests::default();
    };
    if run::is_restored(seen.repository) || seen.repository.metadata.deletion_timestamp.is_some() {
        return Requests::default();
    }
    let entries: Vec<Value> = match serde_json::from_str(text) {
        Ok(entries) => entries,
        Err(error) => {
            let problem = format!("annotation {INCOMING} is no list of requests: {error}");
            return Requests { problem: Some(problem), ..Requests::default() };
        }
    };
    let outcomes = INCOMING_OUTCOME.of(annotations).and_then(|text| serde_json::from_str(text).ok());
    let mut outcomes: Vec<IncomingOutcome> = outcomes.unwrap_or_default();
    let mut requests = Requests::default();
    let mut staying: Vec<&Value> = Vec::new();
    let mut has_ended = false;
    for (index, entry) in entries.iter().enumerate() {
        let Some(id) = entry["id"].as_str().filter(|id| is_id(id)) else {
            requests.problem = Some(format!(
                "annotation {INCOMING}: the entry of index {index} has no id of 1 to {MAX_ID} characters"
            ));
            staying.push(entry);
            continue;
        };
        if outcomes.iter().any(|outcome| outcome.id == id) {
            has_ended = true;
            continue;
        }
        let request = read(entry);
        if let Some(outcome) =
            request.as_ref().map_or_else(|refused| Some(refused.clone()), |_| outcome(seen, id))
        {
            has_ended = true;
            outcomes.push(outcome);
            continue;
        }
        staying.push(entry);
        if requests.open.len() >= MAX_ENTRIES {
            continue;
        }
        let is_first = requests.open.insert(id.to_owned());
        if let Some(request) = request.ok().filter(|_| is_first && !seen.handed_over.contains(id)) {
            requests.hand_over.push(request);
        }
    }
    if has_ended {
        outcomes.drain(..outcomes.len().saturating_sub(MAX_OUTCOMES));
        let left = if staying.is_empty() { Value::Null } else { json!(json!(staying).to_string()) };
        requests.annotations = Some(json!({
            INCOMING.as_str(): left,
            INCOMING_OUTCOME.as_str(): json!(outcomes).to_string(),
        }));
    }
    requests
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().count() <= MAX_ID && !id.contains(char::is_control)
}

/// An entry, or the outcome of one that asks for nothing that there could be.
fn read(entry: &Value) -> Result<IncomingRequest, IncomingOutcome> {
    let refused = |message: String| IncomingOutcome {
        id: entry["id"].as_str().unwrap_or_default().to_owned(),
        pipeline_run: None,
        message: Some(message),
    };
    let request: IncomingRequest = serde_json::from_value(entry.clone())
        .map_err(|error| refused(format!("the request cannot be read: {error}")))?;
    for (field, value) in [("branch", &request.branch), ("pipelineRun", &request.pipeline_run)] {
        if value.is_empty() {
            return Err(refused(format!("{field}: must not be empty")));
        }
    }
    Ok(request)
}

/// What became of a request, if it is known.
fn outcome(seen: &Observed<'_>, id: &str) -> Option<IncomingOutcome> {
    let is_cause = |run: &&Arc<PipelineRun>| CAUSE.of(&run.metadata.annotations) == Some(id);
    let started = seen.runs.iter().find(is_cause).map(|run| IncomingOutcome {
        id: id.to_owned(),
        pipeline_run: Some(run.name_any()),
        message: None,
    });
    started.or_else(|| seen.known.get(id).cloned())
}

#[cfg(test)]
mod tests;
