//! What a Release says of itself: read from its status, changed by a pass, written once (spec, sections 2.1, 2.7 and 3.3).
//!
//! The guards of the transitions are here: a change that is not legal where the Release stands does nothing.

use std::collections::BTreeMap;

use fleet::{Event, FieldManager, ObjectKey, StatusPatch, Write};
use fleet_api::{Condition, ConditionState};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use release_service_api::conditions::{
    FinalPipelineProcessed, MESSAGE_BYTES, ManagedCollectorsPipelineProcessed, ManagedPipelineProcessed,
    Processed, Progress, ReleaseFailure, Released, TenantCollectorsPipelineProcessed,
    TenantPipelineProcessed, Validated,
};
use release_service_api::events::EventReason;
use release_service_api::release::{
    Attempt, Attribution, CollectorsProcessing, PhaseProcessing, Processing, RoleBindings, Validation,
};
use release_service_api::{Phase, Release, ReleaseStatus};
use serde_json::{Value, json};
use strum::IntoEnumIterator as _;

use crate::conditions::{FAILED, PROGRESSING, SKIPPED, find, has_failed, is_finished, is_true, of_phase};
use crate::trim::{OF_TENANT, status_of};

const MANAGER: FieldManager = FieldManager::new("release-service/release");

/// What Events say that something was done to.
const ACTION: &str = "Release";

/// How far a phase has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Succeeded,
    Skipped,
    Failed,
}

impl State {
    pub(crate) fn is_finished(self) -> bool {
        self != Self::Running
    }

    /// As the condition has it.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Running => PROGRESSING,
            Self::Succeeded => "Succeeded",
            Self::Skipped => SKIPPED,
            Self::Failed => FAILED,
        }
    }
}

/// The status of a Release as this pass leaves it.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    now: Timestamp,
    /// Fields as they are to be; conditions as they were.
    status: ReleaseStatus,
    released: Option<Released>,
    validated: Option<Validated>,
    progress: BTreeMap<Phase, Progress>,
    events: Vec<Told>,
    has_mended: bool,
}

/// An Event of this pass.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    reason: EventReason,
    is_warning: bool,
    note: String,
}

impl Account {
    pub(crate) fn of(release: &Release, now: Timestamp) -> Self {
        Self {
            now,
            status: release.status.clone().unwrap_or_default(),
            released: None,
            validated: None,
            progress: BTreeMap::new(),
            events: Vec::new(),
            has_mended: false,
        }
    }

    /// The fields of the status as this pass leaves them. Its conditions are those that were read.
    pub(crate) fn status(&self) -> &ReleaseStatus {
        &self.status
    }

    /// It has been taken up.
    pub(crate) fn has_begun(&self) -> bool {
        self.released.is_some() || self.condition::<Released>().is_some()
    }

    /// `Released` is under way.
    pub(crate) fn is_progressing(&self) -> bool {
        match &self.released {
            Some(released) => *released == Released::Progressing,
            None => self.condition::<Released>().is_some_and(|condition| !is_finished(condition)),
        }
    }

    /// `Released` is final, good or bad.
    pub(crate) fn is_finished(&self) -> bool {
        self.has_begun() && !self.is_progressing()
    }

    /// `Released` is final and bad.
    pub(crate) fn has_failed(&self) -> bool {
        match &self.released {
            Some(released) => matches!(released, Released::Failed(_)),
            None => self.condition::<Released>().is_some_and(has_failed),
        }
    }

    /// It was found good, whatever became of that later.
    pub(crate) fn was_valid(&self) -> bool {
        matches!(self.validated, Some(Validated::Succeeded))
            || self.condition::<Validated>().is_some_and(is_true)
            || self.status.validation.as_ref().and_then(|validation| validation.failed_post_validation)
                == Some(true)
    }

    /// It was found bad and stays so.
    pub(crate) fn is_invalid(&self) -> bool {
        match &self.validated {
            Some(validated) => *validated != Validated::Succeeded,
            None => self.condition::<Validated>().is_some_and(has_failed),
        }
    }

    /// How far a phase has come; `None` if nobody has said anything of it.
    pub(crate) fn phase(&self, phase: Phase) -> Option<State> {
        if let Some(progress) = self.progress.get(&phase) {
            return Some(match progress {
                Progress::Progressing { .. } => State::Running,
                Progress::Succeeded => State::Succeeded,
                Progress::Skipped => State::Skipped,
                Progress::Failed { .. } => State::Failed,
            });
        }
        self.read(phase)
    }

    /// The same as it was before this pass. What nobody can make sense of did not go well.
    pub(crate) fn read(&self, phase: Phase) -> Option<State> {
        let condition = of_phase(&self.status.conditions, phase)?;
        Some(match condition.reason.as_str() {
            SKIPPED if is_true(condition) => State::Skipped,
            _ if is_true(condition) => State::Succeeded,
            PROGRESSING => State::Running,
            _ => State::Failed,
        })
    }

    /// The phase that runs.
    pub(crate) fn running(&self) -> Option<Phase> {
        Phase::iter().find(|phase| self.phase(*phase) == Some(State::Running))
    }

    /// It was found good, and then bad: what it was given is to be taken back.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.was_valid() && self.is_invalid()
    }

    /// Times, run and bindings of a phase.
    pub(crate) fn processing(&self, phase: Phase) -> Option<&PhaseProcessing> {
        status_of(&self.status, phase)
    }

    fn processing_mut(&mut self, phase: Phase) -> &mut PhaseProcessing {
        let status = &mut self.status;
        let field = match phase {
            Phase::TenantCollectors | Phase::ManagedCollectors => {
                let collectors =
                    status.collectors_processing.get_or_insert_with(CollectorsProcessing::default);
                if phase == Phase::TenantCollectors {
                    &mut collectors.tenant_collectors_processing
                } else {
                    &mut collectors.managed_collectors_processing
                }
            }
            Phase::Tenant => &mut status.tenant_processing,
            Phase::Managed => &mut status.managed_processing,
            Phase::Final => &mut status.final_processing,
        };
        field.get_or_insert_with(PhaseProcessing::default)
    }

    /// It is taken up.
    pub(crate) fn begin(&mut self) {
        if self.has_begun() {
            return;
        }
        self.released = Some(Released::Progressing);
        self.status.start_time = Some(Time(self.now));
    }

    /// All checks passed. Says so once.
    pub(crate) fn valid(&mut self, attribution: Attribution, target: String) {
        if self.is_finished() {
            return;
        }
        self.status.attribution = Some(attribution);
        // Once there is a managed run, it is there.
        if self.processing(Phase::Managed).is_none_or(|processing| processing.pipeline_run.is_none()) {
            self.status.target = Some(target);
        }
        if !self.was_valid() {
            self.validated = Some(Validated::Succeeded);
            self.status.validation.get_or_insert_with(Validation::default).time = Some(Time(self.now));
        }
    }

    /// A check failed for good. Phases that run are followed to their end; no other starts.
    pub(crate) fn invalid(&mut self, cause: &str) {
        if self.is_invalid() || self.is_finished() {
            return;
        }
        let was_valid = self.was_valid();
        self.tell(EventReason::ValidationFailed, true, cause);
        self.validated = Some(Validated::Failed { cause: cut(cause) });
        let validation = self.status.validation.get_or_insert_with(Validation::default);
        validation.time = Some(Time(self.now));
        if was_valid {
            validation.failed_post_validation = Some(true);
        }
        self.fail_release(ReleaseFailure::Validation);
    }

    /// When it may be deleted. Never changes once it is said.
    pub(crate) fn expires(&mut self, at: Timestamp) {
        self.status.expiration_time.get_or_insert(Time(at));
    }

    /// The run of a phase is there. `what`: the run, and how many of its tasks are done.
    pub(crate) fn run_made(&mut self, phase: Phase, run: &ObjectKey, bindings: RoleBindings, what: &str) {
        if self.phase(phase).is_some_and(State::is_finished) {
            return;
        }
        let is_known = |processing: &PhaseProcessing| processing.pipeline_run == Some(run.to_string());
        if !self.processing(phase).is_some_and(is_known) {
            self.tell(
                EventReason::PipelineRunCreated,
                false,
                &format!("PipelineRun {run} of the {phase} phase"),
            );
        }
        self.progress.insert(phase, Progress::Progressing { what: cut(what) });
        let now = Time(self.now);
        if phase == Phase::Managed {
            self.status.target = Some(run.namespace.clone());
        }
        let processing = self.processing_mut(phase);
        processing.start_time.get_or_insert(now);
        processing.pipeline_run = Some(run.to_string());
        processing.role_bindings = (bindings != RoleBindings::default()).then_some(bindings);
    }

    /// How far the run of a phase is, in its condition's message.
    pub(crate) fn progressed(&mut self, phase: Phase, what: &str) {
        let is_running = self.phase(phase) == Some(State::Running);
        let is_said =
            of_phase(&self.status.conditions, phase).is_some_and(|condition| condition.message == what);
        if is_running && (!is_said || self.progress.contains_key(&phase)) {
            self.progress.insert(phase, Progress::Progressing { what: cut(what) });
        }
    }

    /// The run of a phase did its work.
    pub(crate) fn succeeded(&mut self, phase: Phase, at: Timestamp) {
        if self.phase(phase) == Some(State::Running) {
            self.progress.insert(phase, Progress::Succeeded);
            self.processing_mut(phase).completion_time = Some(Time(at));
        }
    }

    /// The run of a phase failed.
    pub(crate) fn failed(&mut self, phase: Phase, at: Timestamp, cause: &str, is_only_phase: bool) {
        if self.phase(phase) != Some(State::Running) {
            return;
        }
        self.fail_phase(phase, at, cause);
        let failure = if is_only_phase { ReleaseFailure::Processing } else { ReleaseFailure::Phase(phase) };
        self.fail_release(failure);
    }

    /// The run of a phase could not be made. `bindings`: those that were, for somebody to remove.
    pub(crate) fn not_started(&mut self, phase: Phase, cause: &str, bindings: RoleBindings) {
        if self.phase(phase).is_some_and(State::is_finished) {
            return;
        }
        let now = self.now;
        let processing = self.processing_mut(phase);
        processing.start_time.get_or_insert(Time(now));
        if bindings != RoleBindings::default() {
            processing.role_bindings = Some(bindings);
        }
        self.fail_phase(phase, now, cause);
        self.fail_release(ReleaseFailure::Creation(phase));
    }

    /// A phase is not configured, or may not start any more.
    pub(crate) fn skip(&mut self, phase: Phase) {
        if self.phase(phase).is_none() {
            self.progress.insert(phase, Progress::Skipped);
        }
    }

    /// All phases are over and none failed.
    pub(crate) fn complete(&mut self) {
        if self.is_progressing() {
            self.released = Some(Released::Succeeded);
            self.status.completion_time = Some(Time(self.now));
            self.tell(EventReason::Released, false, "Released");
        }
    }

    /// The attempts of the managed phase.
    pub(crate) fn attempts_mut(&mut self) -> &mut Vec<Attempt> {
        &mut self.status.managed_pipeline_attempts
    }

    /// What the collectors of the plan found: an object by collector.
    pub(crate) fn collected(&mut self, found: &Value) {
        self.status.collectors = Some(json!({ OF_TENANT: found }));
    }

    /// An attempt succeeded that got more than the one before.
    pub(crate) fn mended(&mut self) {
        self.has_mended = true;
    }

    pub(crate) fn has_mended(&self) -> bool {
        self.has_mended
    }

    fn fail_phase(&mut self, phase: Phase, at: Timestamp, cause: &str) {
        self.tell(EventReason::PhaseFailed, true, &format!("{phase} phase: {cause}"));
        self.progress.insert(phase, Progress::Failed { cause: cut(cause) });
        self.processing_mut(phase).completion_time = Some(Time(at));
    }

    fn fail_release(&mut self, failure: ReleaseFailure) {
        self.begin();
        if self.is_progressing() {
            self.released = Some(Released::Failed(failure));
            self.status.completion_time = Some(Time(self.now));
        }
    }

    fn tell(&mut self, reason: EventReason, is_warning: bool, note: &str) {
        self.events.push(Told { reason, is_warning, note: note.to_owned() });
    }

    /// What this pass changes about `Released`: the reason.
    pub(crate) fn newly_released(&self) -> Option<&'static str> {
        self.released.as_ref().map(ConditionState::reason)
    }

    /// What this pass changes about `Validated`: the reason.
    pub(crate) fn newly_validated(&self) -> Option<&'static str> {
        self.validated.as_ref().map(ConditionState::reason)
    }

    /// The phases of which this pass says something, and how far they are now.
    pub(crate) fn changed_phases(&self) -> impl Iterator<Item = (Phase, State)> {
        self.progress.keys().filter_map(|phase| Some((*phase, self.phase(*phase)?)))
    }

    /// Reason of `Validated`, if it was said.
    pub(crate) fn validated_reason(&self) -> &str {
        let read = self.condition::<Validated>().map(|condition| condition.reason.as_str());
        self.newly_validated().or(read).unwrap_or_default()
    }

    /// What the writes of this pass are: the status, if it says anything new, then what users are told. With `has_phases`, phases that are
    /// skipped are named: there are others than the managed one. A Release of that alone looks as it always did.
    pub(crate) fn writes(&self, release: &Release, has_phases: bool) -> Vec<Write> {
        let mut writes: Vec<Write> = self.status_write(release, has_phases).into_iter().collect();
        if self.released == Some(Released::Progressing) && self.events.is_empty() {
            writes.push(event(release, EventReason::ReleaseStarted, false, "Taken up"));
        }
        writes
            .extend(self.events.iter().map(|told| event(release, told.reason, told.is_warning, &told.note)));
        writes
    }

    fn status_write(&self, release: &Release, has_phases: bool) -> Option<Write> {
        let status = &self.status;
        let patch = StatusPatch::of(release, MANAGER, self.now)
            .field("attribution", &status.attribution)
            .field("target", &status.target)
            .field("validation", &status.validation)
            .field("processing", self.mirrored())
            .field("collectorsProcessing", &status.collectors_processing)
            .field("tenantProcessing", &status.tenant_processing)
            .field("managedProcessing", &status.managed_processing)
            .field("managedPipelineAttempts", none_if_empty(&status.managed_pipeline_attempts))
            .field("finalProcessing", &status.final_processing)
            .field("collectors", &status.collectors)
            .field("startTime", &status.start_time)
            .field("completionTime", &status.completion_time)
            .field("expirationTime", &status.expiration_time);
        let patch = said(patch, self.released.as_ref());
        let patch = said(patch, self.validated.as_ref());
        let managed = self.shown(Phase::Managed, has_phases).cloned();
        let patch = said(patch, managed.clone().map(Processed).as_ref());
        let of = |phase| self.shown(phase, has_phases).cloned();
        let patch = said(patch, of(Phase::TenantCollectors).map(TenantCollectorsPipelineProcessed).as_ref());
        let patch =
            said(patch, of(Phase::ManagedCollectors).map(ManagedCollectorsPipelineProcessed).as_ref());
        let patch = said(patch, of(Phase::Tenant).map(TenantPipelineProcessed).as_ref());
        let patch = said(patch, managed.map(ManagedPipelineProcessed).as_ref());
        let patch = said(patch, of(Phase::Final).map(FinalPipelineProcessed).as_ref());
        patch.into_write().map(without_transitions)
    }

    fn shown(&self, phase: Phase, has_phases: bool) -> Option<&Progress> {
        self.progress.get(&phase).filter(|progress| has_phases || **progress != Progress::Skipped)
    }

    /// The managed phase as programs know it that know of no other.
    fn mirrored(&self) -> Option<Processing> {
        let managed = self.status.managed_processing.as_ref()?;
        Some(Processing {
            start_time: managed.start_time.clone(),
            completion_time: managed.completion_time.clone(),
            pipeline_run: managed.pipeline_run.clone(),
            role_binding: managed.role_bindings.as_ref().and_then(|all| all.tenant_role_binding.clone()),
        })
    }

    fn condition<C: ConditionState>(&self) -> Option<&Condition> {
        find::<C>(&self.status.conditions)
    }
}

fn none_if_empty<T>(list: &Vec<T>) -> Option<&Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn said<C: ConditionState>(patch: StatusPatch, state: Option<&C>) -> StatusPatch {
    match state {
        Some(state) => patch.condition(state),
        None => patch.keep::<C>(),
    }
}

/// Users are told by Events of their own: one for what happened, not one for each condition.
fn without_transitions(mut write: Write) -> Write {
    if let Write::Status(apply) = &mut write {
        apply.transitions.clear();
    }
    write
}

fn event(release: &Release, reason: EventReason, is_warning: bool, note: &str) -> Write {
    let make = if is_warning { Event::warning } else { Event::normal };
    make(release, reason.into(), ACTION, note).into()
}

/// At most [`MESSAGE_BYTES`], cut between two characters.
fn cut(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

#[cfg(test)]
mod tests;
