//! What is to be done about a request: run, track, bring back, clean up.

use std::sync::Arc;

use fleet::{Event, FieldManager, MetadataPatch, StatusPatch, TraceContext, Wake, Write};
use fleet_api::keys::{RECORDED_UID, VELERO_RESTORE};
use internal_services_api::conditions::Succeeded;
use internal_services_api::events::EventReason;
use internal_services_api::{InternalRequest, finalizers};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use pipelines_engine_api::{PipelineRun, PipelineSpec};
use serde_json::json;

use super::results::{self, Results};
use super::run::{self, Outcome};
use super::state::{ended_at, is_completed, is_running, progress, recorded};
use super::verdict::refusal;
use super::wanted::{self, Ingredients};
use crate::settings::Settings;
use crate::stores::is_held;

const MANAGER: FieldManager = FieldManager::new("internal-services/request");

/// What Events call the work.
const ACTION: &str = "Serve";

/// At least so long between two notes of how far a run is.
pub(super) const PROGRESS: SignedDuration = SignedDuration::from_secs(30);

/// How long a run waits for room in a quota (contracts.md, section b).
const QUOTA_PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Longest name that can be the value of a label.
const LABEL_VALUE: usize = fleet::names::LABEL_VALUE;

/// How the service is set, as far as decisions go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) allowed_accounts: Vec<String>,
    pub(crate) from_request_namespace: bool,
    /// Zero: for ever.
    pub(crate) time_to_live: SignedDuration,
}

/// The Pipeline that a request names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Named {
    /// Nobody has looked: it is not needed, or comes from elsewhere.
    #[default]
    NotAsked,
    Missing,
    There(Box<PipelineSpec>),
}

/// All that the decision looks at.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) now: Timestamp,
    pub(super) request: Arc<InternalRequest>,
    pub(super) settings: Settings,
    pub(super) options: Options,
    /// Namespace of runs.
    pub(super) home: String,
    /// The remote cluster.
    pub(super) cluster: String,
    /// Its run; `None` if there is none for sure.
    pub(super) run: Option<Arc<PipelineRun>>,
    pub(super) pipeline: Named,
    /// When it was last noted how far the run is.
    pub(super) noted: Option<Timestamp>,
    pub(super) trace: Option<TraceContext>,
}

/// A write, and where.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Local(Write),
    Remote(Write),
}

/// Why nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing of ours keeps it.
    BeingDeleted,
    /// It came out of a backup: what it asked for was done, or is no longer wanted.
    Restored,
    /// Its run goes on.
    Running,
    Completed,
}

#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub(super) struct Decision {
    /// In order; the first failure stops the rest.
    pub(super) steps: Vec<Step>,
    pub(super) wake: Wake,
    pub(super) hold: Option<Hold>,
    /// The end that the status will tell of.
    pub(super) ended: Option<Succeeded>,
}

impl Decision {
    fn local(&mut self, write: impl Into<Option<Write>>) {
        self.steps.extend(write.into().map(Step::Local));
    }

    fn remote(&mut self, write: impl Into<Option<Write>>) {
        self.steps.extend(write.into().map(Step::Remote));
    }

    fn or_hold(mut self, hold: Hold) -> Self {
        if self.steps.is_empty() {
            self.hold = Some(hold);
        }
        self
    }
}

impl Observed {
    /// Whether a run is needed that is not there.
    pub(super) fn needs_run(&self) -> bool {
        let request = &self.request;
        self.run.is_none()
            && request.metadata.deletion_timestamp.is_none()
            && !is_completed(request)
            && recorded(request).is_none()
            && !is_running(request)
            && !is_restored(request)
            && self.refusal().is_none()
    }

    fn refusal(&self) -> Option<String> {
        refusal(&self.request, &self.settings, &self.options.allowed_accounts)
    }
}

fn is_restored(request: &InternalRequest) -> bool {
    let recorded = RECORDED_UID.of(&request.metadata.annotations);
    VELERO_RESTORE.of(&request.metadata.labels).is_some()
        || recorded.is_some_and(|uid| Some(uid) != request.metadata.uid.as_deref())
}

pub(super) fn decide(seen: &Observed) -> Decision {
    let request = &*seen.request;
    if request.metadata.deletion_timestamp.is_some() {
        return let_go(seen);
    }
    if is_completed(request) {
        return over(seen);
    }
    if let Some(run) = &seen.run {
        return track(seen, run);
    }
    if is_restored(request) {
        return Decision::default().or_hold(Hold::Restored);
    }
    match recorded(request) {
        Some(recorded) => fail(seen, format!("PipelineRun {recorded} was deleted")),
        // The original does not write down which.
        None if is_running(request) => fail(seen, "its PipelineRun was deleted".to_owned()),
        None => start(seen),
    }
}

/// Its run is cancelled first, then it may go.
fn let_go(seen: &Observed) -> Decision {
    let mut decision = Decision::default();
    if !is_held(&seen.request) {
        return decision.or_hold(Hold::BeingDeleted);
    }
    if let Some(run) = &seen.run {
        if run::is_done(run) {
            decision.local(delete(seen, run));
        } else if !run::is_cancelled(run) && run.metadata.deletion_timestamp.is_none() {
            let cancelled = json!({"spec": {"status": pipelines_engine_api::pipeline_run::CANCELLED}});
            decision.local(Write::patch(&**run, fleet::write::PatchKind::Merge, cancelled));
        }
    }
    decision.remote(free(&seen.request));
    decision
}

/// The run goes, also where that failed before, then nothing holds the request; after its time it goes as well.
fn over(seen: &Observed) -> Decision {
    let mut decision = Decision::default();
    if let Some(run) = &seen.run {
        decision.local(delete(seen, run));
    }
    decision.remote(free(&seen.request));
    let time_to_live = seen.options.time_to_live;
    if let Some(at) = ended_at(&seen.request).filter(|_| !time_to_live.is_zero()) {
        let due = at.saturating_add(time_to_live).unwrap_or(Timestamp::MAX);
        if due <= seen.now {
            decision.remote(Write::delete(&*seen.request));
        } else {
            decision.wake = Wake::At(due);
        }
    }
    decision.or_hold(Hold::Completed)
}

fn delete(seen: &Observed, run: &PipelineRun) -> Option<Write> {
    let is_kept = seen.settings.debug || run.metadata.deletion_timestamp.is_some();
    (!is_kept).then(|| Write::delete(run))
}

fn free(request: &InternalRequest) -> Option<Write> {
    MetadataPatch::of(request).without_finalizer(finalizers::PIPELINE_RUN_CLEANUP).into_write()
}

fn hold(request: &InternalRequest) -> Option<Write> {
    MetadataPatch::of(request).finalizer(finalizers::PIPELINE_RUN_CLEANUP).into_write()
}

fn start(seen: &Observed) -> Decision {
    let request = &*seen.request;
    if let Some(cause) = seen.refusal() {
        return reject(seen, cause);
    }
    if seen.pipeline == Named::Missing {
        let name = request.spec.request.as_deref().unwrap_or_default();
        return reject(seen, format!("No endpoint to handle '{name}' requests"));
    }
    let name = request.name_any();
    if name.len() > LABEL_VALUE {
        return fail(
            seen,
            format!(
                "the request's name has {} characters; its run is labelled with it, so {LABEL_VALUE} are the limit",
                name.len()
            ),
        );
    }
    let pipeline = match &seen.pipeline {
        Named::There(pipeline) => Some(&**pipeline),
        Named::NotAsked | Named::Missing => None,
    };
    let run = wanted::run(
        request,
        Ingredients {
            home: &seen.home,
            cluster: &seen.cluster,
            settings: &seen.settings,
            pipeline,
            from_request_namespace: seen.options.from_request_namespace,
            trace: seen.trace,
        },
    );
    let mut decision = Decision::default();
    // Before there is a run: else it would go on when the request goes.
    decision.remote(hold(request));
    decision.local(Write::create(&run));
    mark(&mut decision, seen, &run, String::new());
    decision
}

/// It runs, and which run it is.
fn mark(decision: &mut Decision, seen: &Observed, run: &PipelineRun, progress: String) {
    let request = &*seen.request;
    let place = place(run);
    let status = request.status.as_ref();
    let started = status.and_then(|status| status.start_time.clone()).unwrap_or(Time(seen.now));
    decision.remote(quietly(
        StatusPatch::of(request, MANAGER, seen.now)
            .condition(&Succeeded::Running { progress })
            .field("startTime", started)
            .field("pipelineRun", &place),
    ));
    if !is_running(request) {
        let note = format!("PipelineRun {place} was created in the private cluster");
        decision.remote(Event::normal(request, EventReason::Started.into(), ACTION, note));
    }
}

fn place(run: &PipelineRun) -> String {
    format!("{}/{}", run.namespace().unwrap_or_default(), run.name_any())
}

/// Without the kit's own Event of a condition: the reasons of ours are what people look for.
fn quietly(patch: StatusPatch) -> Option<Write> {
    let mut write = patch.into_write()?;
    if let Write::Status(apply) = &mut write {
        apply.transitions.clear();
    }
    Some(write)
}

fn track(seen: &Observed, run: &PipelineRun) -> Decision {
    match run::outcome(run) {
        None => go_on(seen, run),
        Some(outcome) => end(seen, run, outcome),
    }
}

fn go_on(seen: &Observed, run: &PipelineRun) -> Decision {
    let request = &*seen.request;
    let (shown, now) = (progress(request), run::progress(run));
    let next = seen.noted.map_or(seen.now, |noted| noted.saturating_add(PROGRESS).unwrap_or(Timestamp::MAX));
    let is_early = is_running(request) && next > seen.now;
    let text = match &now {
        Some(now) if !is_early => now.as_str(),
        _ => shown,
    };
    let mut decision = Decision::default();
    // Of a run that was made before a crash, or by the original.
    decision.remote(hold(request));
    mark(&mut decision, seen, run, text.to_owned());
    if now.as_deref().is_some_and(|now| now != text) {
        decision.wake = Wake::At(next);
    }
    decision.or_hold(Hold::Running)
}

fn end(seen: &Observed, run: &PipelineRun, outcome: Outcome<'_>) -> Decision {
    let (state, results) = match (outcome, results::of(run)) {
        (_, Err(too_large)) => (Succeeded::Failed { cause: too_large.to_string() }, Results::default()),
        (Outcome::Succeeded, Ok(results)) => (Succeeded::Succeeded, results),
        // What a run said before it failed is what people look at.
        (Outcome::Failed { message }, Ok(results)) => {
            (Succeeded::Failed { cause: message.to_owned() }, results)
        }
    };
    finish(seen, state, &results, Some(run))
}

fn fail(seen: &Observed, cause: String) -> Decision {
    finish(seen, Succeeded::Failed { cause }, &Results::default(), None)
}

fn reject(seen: &Observed, cause: String) -> Decision {
    finish(seen, Succeeded::Rejected { cause }, &Results::default(), None)
}

/// What is left of it goes in the next pass, which this write brings about: a run that is gone before could tell nothing any more.
fn finish(seen: &Observed, state: Succeeded, results: &Results, run: Option<&PipelineRun>) -> Decision {
    let request = &*seen.request;
    let status = request.status.as_ref();
    let started = status.and_then(|status| status.start_time.clone()).or(run.map(|_| Time(seen.now)));
    let place = run.map(place).or_else(|| recorded(request).map(str::to_owned));
    let texts = Some(&results.texts).filter(|texts| !texts.is_empty());
    let mut decision = Decision::default();
    decision.remote(quietly(
        StatusPatch::of(request, MANAGER, seen.now)
            .condition(&state)
            .field("startTime", started)
            .field("completionTime", Time(seen.now))
            .field("pipelineRun", place)
            .field("results", texts),
    ));
    decision.remote(told(request, &state, results));
    decision.ended = Some(state);
    decision
}

fn told(request: &InternalRequest, state: &Succeeded, results: &Results) -> Event {
    match state {
        Succeeded::Failed { cause } => {
            Event::warning(request, EventReason::Failed.into(), ACTION, cause.as_str())
        }
        Succeeded::Rejected { cause } => {
            Event::warning(request, EventReason::Rejected.into(), ACTION, cause.as_str())
        }
        Succeeded::Succeeded | Succeeded::Running { .. } => {
            let converted: Vec<_> =
                results.converted.iter().map(|(name, type_)| format!("{name} ({type_})")).collect();
            let note = if converted.is_empty() {
                "the run succeeded".to_owned()
            } else {
                format!("the run succeeded; results that are JSON now: {}", converted.join(", "))
            };
            Event::normal(request, EventReason::Succeeded.into(), ACTION, note)
        }
    }
}

/// The API server does not take the run. `None`: it may the next time.
pub(super) fn refused(seen: &Observed, error: &fleet::WriteError) -> Option<Decision> {
    let fleet::WriteError::Refused { source: kube::Error::Api(status), .. } = error else { return None };
    let waited = seen.request.creation_timestamp().map(|created| seen.now.duration_since(created.0));
    let is_quota = status.code == 403 && !error.is_permanent();
    let is_final = error.is_permanent() || (is_quota && waited >= Some(QUOTA_PATIENCE));
    if !is_final {
        return None;
    }
    Some(fail(seen, format!("the run could not be created: {}", status.message)))
}

#[cfg(test)]
mod tests;
