//! Carries decisions about PipelineRuns out.

use std::sync::Arc;

use fleet::{Classed as _, Event, Fleet, ObjectKey, Runner, Wake, Write, WriteError};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use pipelines_engine_api::reasons::PipelineRunReason as Reason;
use pipelines_engine_api::{CustomRun, PipelineRun, PipelineRunStatus, TaskRun, custom_run, task_run};
use serde_json::json;

use super::decide::{Action, Decided, Observed, decide, too_large};
use super::progress::Child;
use crate::condition::{self, Verdict};
use crate::live::catalog::LiveCatalog;
use crate::live::writes;
use crate::service::Context;
use crate::stores::{BY_OWNER, owner_key};
use crate::{defaults, report};

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = context.stores.clone();
    fleet
        .controller("pipelinerun")
        .of(&stores.pipeline_runs)
        .reads(&stores.task_runs, |run| writes::controlled_by(run, "PipelineRun"))
        .reads(&stores.requests, |request| writes::controlled_by(request, "PipelineRun"))
        .consults(&stores.configuration)
        .consults(&stores.pipelines)
        .consults(&stores.tasks)
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let Some(run) = context.stores.pipeline_runs.get(&key) else { return Ok(Wake::OnChange) };
    if !writes::is_ours(run.spec.managed_by.as_deref()) {
        return Ok(Wake::OnChange);
    }
    let config = context.configuration.current();
    let mut defaulted = PipelineRun::clone(&run);
    defaults::pipeline_run(&mut defaulted, &config, false);
    let uid = run.metadata.uid.as_deref().unwrap_or_default();
    let children = context.stores.task_runs.indexed(BY_OWNER, &owner_key(&key.namespace, uid));
    let now = context.clock.now();
    let catalog = LiveCatalog::new(&context.stores);
    let children: Vec<_> = children.into_iter().map(Child::TaskRun).collect();
    let observe =
        || Observed { run: &defaulted, children: children.clone(), now, config: &config, catalog: &catalog };
    let mut decided = loop {
        let decided = decide(&observe());
        if !catalog.ask(&context.client, &key.namespace).await? {
            break decided;
        }
    };
    match Box::pin(act(&run, &mut decided, &context, now)).await {
        Err(error) if error.is_too_large() => {
            decided = too_large(&observe(), &writes::refused_to_store(&error));
            Box::pin(act(&run, &mut decided, &context, now)).await?;
        }
        Err(error) => {
            context.writer.apply(report::failed(&*run, &error).as_slice()).await?;
            return Err(error);
        }
        Ok(()) => {}
    }
    Ok(decided.wake.map_or(Wake::OnChange, Wake::At))
}

/// Actions first, then the record of them: after a crash in between, names find what was made.
async fn act(
    run: &PipelineRun,
    decided: &mut Decided,
    context: &Context,
    now: jiff::Timestamp,
) -> Result<(), WriteError> {
    for action in std::mem::take(&mut decided.actions) {
        let is_end = matches!(action, Action::End { .. });
        let write = match action {
            Action::Request(request) => Write::create(&*request),
            Action::Claim(claim) => Write::create(&*claim),
            Action::Create(child) => Write::create(&*child),
            Action::End { child, message } => end(&child, message),
        };
        match context.writer.apply(std::slice::from_ref(&write)).await {
            Ok(()) => {}
            // What is to end has gone.
            Err(error) if is_end && error.class() == fleet::Class::Forget => {}
            Err(error) if error.is_too_large() => return Err(error),
            Err(error) if is_end => {
                could_not(run, decided, &error, now);
                break;
            }
            Err(error) if error.is_permanent() => {
                let note = failed(decided, &write, &error, now);
                let event = Event::warning(run, "TaskRunsCreationFailed", "CreateRun", note);
                context.writer.apply(&[Write::Event(event)]).await?;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let store = &context.stores.pipeline_runs;
    let labelled =
        writes::add_metadata(&context.writer, store, run, &decided.labels, &decided.annotations).await?;
    let run = labelled.as_deref().unwrap_or(run);
    let mut writes: Vec<Write> = Vec::new();
    let old = run.status.clone().unwrap_or_default();
    if let Some(write) = writes::status(run, &old, &decided.status) {
        writes.push(write);
        writes.extend(report::events(run, &old.conditions, &decided.status.conditions));
    }
    context.writer.apply(&writes).await?;
    context.metrics.pipeline_run(run, &old, &decided.status, context.configuration.current().observability);
    Ok(())
}

/// Tells a child to end. Without the version that was read: what else changes about it does not matter.
fn end(child: &Child, message: &str) -> Write {
    match child {
        Child::TaskRun(run) => {
            writes::spec::<TaskRun>(run, &json!({"status": task_run::CANCELLED, "statusMessage": message}))
        }
        Child::CustomRun(run) => writes::spec::<CustomRun>(
            run,
            &json!({"status": custom_run::CANCELLED, "statusMessage": message}),
        ),
    }
}

/// Children could not be told to end: the run has not ended either, and is looked at again.
fn could_not(run: &PipelineRun, decided: &mut Decided, error: &WriteError, now: jiff::Timestamp) {
    let timed_out = pipelines_engine_api::status::succeeded(&decided.status.conditions)
        .is_some_and(|condition| condition.reason == Reason::PipelineRunTimeout.to_string());
    let (reason, what) = if timed_out {
        (Reason::PipelineRunCouldntTimeOut, "timed out")
    } else {
        (Reason::PipelineRunCouldntCancel, "cancelled")
    };
    let status = &mut decided.status;
    if condition::is_final(&status.conditions) {
        let message = format!(
            "PipelineRun {:?} was {what} but had errors trying to end TaskRuns: {error}",
            run.name_any()
        );
        status.completion_time = None;
        condition::set(&mut status.conditions, Verdict::Unknown, reason.to_string(), message, now);
    }
    let again = now.checked_add(jiff::SignedDuration::from_secs(1)).ok();
    decided.wake = [decided.wake, again].into_iter().flatten().min();
}

/// A child can never be made. Returns why.
fn failed(decided: &mut Decided, write: &Write, error: &WriteError, now: jiff::Timestamp) -> String {
    let status: &mut PipelineRunStatus = &mut decided.status;
    let message = format!("error creating {}: {}", write.key(), fleet::controller::chain(error));
    status.completion_time = Some(Time(now));
    let reason = Reason::CreateRunFailed.to_string();
    condition::set(&mut status.conditions, Verdict::False, reason, message.clone(), now);
    decided.wake = None;
    message
}
