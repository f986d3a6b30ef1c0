//! Whether a managed run that failed is repeated, and what it then gets more of (spec, section 4.11).
//!
//! ```text
//! run fails for want of memory or time ─▶ policy: may it be repeated? ─▶ mitigate: with what ─▶ the next run
//!        └────────────── status.managedPipelineAttempts: one entry for each run ──────────────────┘
//! ```
//! Of Releases that cannot be repeated, nothing is recorded.

mod memory;
mod mitigate;
mod policy;

use kube::Api;
use pipelines_engine_api::PipelineRun;
use release_service_api::Phase;
use release_service_api::release::{Attempt, RoleBindings};
use release_service_api::release_plan_admission::RetryInfo;
use serde_json::json;

use fleet::{ObjectKey, patience};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::mitigate::{Mitigated, Spec, mitigate};
pub(crate) use self::policy::retry_info;
use super::account::Account;
use super::observe::{Seen, Slot, slot};
use super::start::{Due, run_name};
use super::track::Failure;
use crate::matching::plans_of;
use crate::service::Context;

/// The next attempt after one that failed, or `None` if the failure stands. Reads the failed run for what it had.
pub(crate) async fn next(
    context: &Context,
    seen: &Seen,
    account: &Account,
    failure: &Failure,
) -> Result<Option<Due>, kube::Error> {
    let failed = slot(account.status(), Phase::Managed);
    let due = Slot { attempt: failed.attempt.saturating_add(1), ..failed };
    let info = info(context, seen);
    let is_there = seen.runs.contains_key(&due);
    if !is_there && (account.is_invalid() || !may_repeat(&info, failed.attempt, failure)) {
        return Ok(None);
    }
    let recorded = account.status().managed_pipeline_attempts.last();
    let carried = recorded.and_then(|attempt| attempt.mitigation.as_ref());
    let spec = spec_of(context, seen, failed).await?;
    let mitigated =
        spec.map_or(Mitigated::Exhausted, |spec| mitigate(&policy::limits(&info), failure, &spec, carried));
    let (mitigation, task_run_specs) = match mitigated {
        Mitigated::With { mitigation, task_run_specs } => (Some(mitigation), Some(task_run_specs)),
        Mitigated::AsBefore { task_run_specs } => (carried.cloned(), Some(task_run_specs)),
        // It was made before somebody changed the limits: it is followed, whatever it has.
        Mitigated::Exhausted if is_there => (None, None),
        Mitigated::Exhausted => return Ok(None),
    };
    // Not now: each pass comes here again while the run cannot be made.
    let since = recorded.and_then(|attempt| attempt.completion_time.as_ref()).map_or(seen.now, |time| time.0);
    Ok(Some(Due { slot: due, since, mitigation, task_run_specs }))
}

/// Notes in the account that the run of an attempt is there.
pub(crate) fn began(
    context: &Context,
    seen: &Seen,
    account: &mut Account,
    due: &Due,
    run: &ObjectKey,
    bindings: &RoleBindings,
) {
    if due.slot.phase == Phase::Managed {
        let is_repeatable = info(context, seen).enabled == Some(true);
        note_beginning(account, due, run, bindings, is_repeatable, seen.now);
    }
}

/// Notes in the account how an attempt ended: well without a `failure`. Says whether it did so with more than the one before.
pub(crate) fn ended(
    context: &Context,
    seen: &Seen,
    account: &mut Account,
    slot: Slot,
    at: Timestamp,
    failure: Option<&Failure>,
) -> bool {
    if slot.phase != Phase::Managed {
        return false;
    }
    let follows = Slot { attempt: slot.attempt.saturating_add(1), ..slot };
    let is_repeatable =
        info(context, seen).enabled == Some(true) || (failure.is_some() && seen.runs.contains_key(&follows));
    note_end(account, slot, at, failure, is_repeatable)
}

/// Whether runs of this Release's admission are repeated now.
fn info(context: &Context, seen: &Seen) -> RetryInfo {
    let Some(admission) = seen.admission() else { return RetryInfo::default() };
    retry_info(&seen.config, admission, &plans_of(&context.stores, admission))
}

/// `attempt`: the one that failed, from 0.
fn may_repeat(info: &RetryInfo, attempt: u32, failure: &Failure) -> bool {
    let counts = [Attempt::OOM_KILL, Attempt::PIPELINE_RUN_TIMEOUT, Attempt::TASK_RUN_TIMEOUT];
    info.enabled == Some(true)
        && i64::from(attempt) < info.max_retries.unwrap_or_default()
        && counts.contains(&failure.reason.as_str())
}

/// What the failed run was told to do. The store does not keep that. `None` if it is gone.
async fn spec_of(context: &Context, seen: &Seen, failed: Slot) -> Result<Option<Spec>, kube::Error> {
    let known = seen.runs.get(&failed);
    let Some(namespace) = known.and_then(|run| run.metadata.namespace.clone()) else { return Ok(None) };
    let runs: Api<PipelineRun> = Api::namespaced(context.client.clone(), &namespace);
    let name = run_name(seen.uid(), failed);
    let found = patience::read(|| runs.get_opt(&name)).await?;
    Ok(found.map(|run| Spec {
        task_run_specs: run.spec.task_run_specs.iter().map(|spec| json!(spec)).collect(),
        timeouts: run.spec.timeouts.unwrap_or_default(),
    }))
}

fn note_beginning(
    account: &mut Account,
    due: &Due,
    run: &ObjectKey,
    bindings: &RoleBindings,
    is_repeatable: bool,
    now: Timestamp,
) {
    let attempts = account.attempts_mut();
    let index = usize::try_from(due.slot.attempt).unwrap_or(usize::MAX);
    // Noted already, or the first of those that are never repeated.
    if index != attempts.len() || (index == 0 && !is_repeatable) {
        return;
    }
    attempts.push(Attempt {
        pipeline_run: Some(run.to_string()),
        role_bindings: (*bindings != RoleBindings::default()).then(|| bindings.clone()),
        start_time: Some(Time(now)),
        status: Some(Attempt::PROGRESSING.to_owned()),
        mitigation: due.mitigation.clone(),
        ..Attempt::default()
    });
}

fn note_end(
    account: &mut Account,
    slot: Slot,
    at: Timestamp,
    failure: Option<&Failure>,
    is_repeatable: bool,
) -> bool {
    let first = account.processing(Phase::Managed).cloned().unwrap_or_default();
    let attempts = account.attempts_mut();
    let index = usize::try_from(slot.attempt).unwrap_or(usize::MAX);
    // It began before anybody said that it may be repeated.
    if attempts.is_empty() && index == 0 && is_repeatable {
        attempts.push(Attempt {
            pipeline_run: first.pipeline_run,
            role_bindings: first.role_bindings,
            start_time: first.start_time,
            ..Attempt::default()
        });
    }
    let Some(attempt) = attempts.get_mut(index).filter(|attempt| attempt.completion_time.is_none()) else {
        return false;
    };
    attempt.completion_time = Some(Time(at));
    match failure {
        None => attempt.status = Some(Attempt::SUCCEEDED.to_owned()),
        Some(failure) => {
            attempt.status = Some(Attempt::FAILED.to_owned());
            let reason = if failure.reason.is_empty() { Attempt::ERROR } else { &failure.reason };
            attempt.failure_reason = Some(reason.to_owned());
            attempt.last_task.clone_from(&failure.last_task);
            attempt.last_step.clone_from(&failure.last_step);
            let tasks = &failure.successful_tasks;
            attempt.successful_tasks = (!tasks.is_empty()).then(|| json!(tasks));
        }
    }
    failure.is_none() && attempt.mitigation.is_some()
}

#[cfg(test)]
mod tests;
