//! Carries decisions about TaskRuns out.

use std::sync::Arc;

use fleet::{Classed as _, Event, Fleet, ObjectKey, Runner, Wake, Write, WriteError};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pipelines_engine_api::{TaskRun, annotations};
use serde_json::json;

use super::decide::{Action, Decided, Observed, Refused, decide, refused, too_large};
use crate::condition::{self, Verdict};
use crate::live::catalog::LiveCatalog;
use crate::live::surroundings::Snapshot;
use crate::live::writes;
use crate::service::Context;
use crate::stores::{BY_OWNER, owner_key};
use crate::{defaults, names, report};

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let stores = context.stores.clone();
    let controller = fleet
        .controller("taskrun")
        .of(&stores.task_runs)
        .reads(&stores.pods, |pod| writes::controlled_by(pod, "TaskRun"))
        .reads(&stores.requests, |request| writes::controlled_by(request, "TaskRun"))
        .consults(&stores.configuration)
        .consults(&stores.tasks)
        .consults(&stores.step_actions);
    let controller = context.surroundings.consulted_by(controller);
    context.surroundings.wakes(controller.waker());
    let context = Arc::clone(context);
    controller.reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let Some(run) = context.stores.task_runs.get(&key) else { return Ok(Wake::OnChange) };
    if !writes::is_ours(run.spec.managed_by.as_deref()) {
        return Ok(Wake::OnChange);
    }
    let config = context.configuration.current();
    let mut defaulted = TaskRun::clone(&run);
    defaults::task_run(&mut defaulted, &config, false);
    let uid = run.metadata.uid.as_deref().unwrap_or_default();
    let pods = context.stores.pods.indexed(BY_OWNER, &owner_key(&key.namespace, uid));
    let has_ended = run.status.as_ref().is_some_and(|status| condition::is_final(&status.conditions));
    let attempt = run.status.as_ref().map_or(0, |status| status.retries_status.len());
    let pod_name = names::pod(&key.name, attempt);
    let has_pod = pods.iter().any(|pod| pod.metadata.name.as_ref() == Some(&pod_name));
    let surroundings = if !has_pod && !has_ended {
        context.surroundings.around(&defaulted, &config).await
    } else {
        Snapshot::nothing(&context.surroundings)
    };
    let now = context.clock.now();
    let catalog = LiveCatalog::new(&context.stores);
    let observe = || Observed {
        run: &defaulted,
        pods: pods.clone(),
        now,
        config: &config,
        catalog: &catalog,
        surroundings: &surroundings,
        release: context.release,
        tools_image: &context.nop_image,
    };
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

async fn act(
    run: &TaskRun,
    decided: &mut Decided,
    context: &Context,
    now: jiff::Timestamp,
) -> Result<(), WriteError> {
    for action in std::mem::take(&mut decided.actions) {
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let is_pod = matches!(action, Action::CreatePod(_));
        let write = match &action {
            Action::Request(request) => Some(Write::create(&**request)),
            Action::Claim(claim) => Some(Write::create(&**claim)),
            Action::ConfigMap(config_map) => Some(Write::create(&**config_map)),
            Action::CreatePod(pod) => Some(Write::create(&**pod)),
            Action::DeletePod { name } => of_pod(context, namespace, name, |pod| Some(Write::delete(pod))),
            Action::CancelPod { name } => {
                annotate(context, namespace, name, annotations::CANCEL.as_str(), annotations::CANCEL_VALUE)
            }
            Action::Release { name } => {
                annotate(context, namespace, name, annotations::READY.as_str(), annotations::READY_VALUE)
            }
            Action::StopSidecars { name, containers } => of_pod(context, namespace, name, |pod| {
                let images: Vec<_> =
                    containers.iter().map(|name| json!({"name": name, "image": context.nop_image})).collect();
                Some(writes::strategic(pod, json!({"spec": {"containers": images}})))
            }),
            Action::Warn { reason, note } => {
                Some(Write::Event(Event::warning(run, reason, "CreatePod", note.clone())))
            }
        };
        let Some(write) = write else { continue };
        match context.writer.apply(std::slice::from_ref(&write)).await {
            Ok(()) => {}
            // The pod has gone: whatever it was to be told, it needs no telling.
            Err(error) if !is_pod && error.class() == fleet::Class::Forget => {}
            Err(error) if error.is_too_large() => return Err(error),
            Err(error) => {
                if !pod_was_refused(decided, &error, now) {
                    return Err(error);
                }
                break;
            }
        }
    }
    let store = &context.stores.task_runs;
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
    context.metrics.task_run(run, &old, &decided.status, context.configuration.current().observability);
    Ok(())
}

fn of_pod(
    context: &Context,
    namespace: &str,
    name: &str,
    write: impl Fn(&Pod) -> Option<Write>,
) -> Option<Write> {
    write(&*context.stores.pods.get(&ObjectKey::new(namespace, name))?)
}

fn annotate(context: &Context, namespace: &str, name: &str, key: &str, value: &str) -> Option<Write> {
    of_pod(context, namespace, name, |pod| {
        Some(writes::unversioned(pod, json!({"metadata": {"annotations": {key: value}}})))
    })
}

/// Whether the refusal of a pod (or of what comes before it) says how the run goes on; the status then says it.
fn pod_was_refused(decided: &mut Decided, error: &WriteError, now: jiff::Timestamp) -> bool {
    let (code, message) = match error {
        WriteError::Refused { source: kube::Error::Api(status), .. } => (status.code, status.message.clone()),
        WriteError::Taken { write } => {
            (422, format!("{write}: an object of this name exists that is not ours"))
        }
        _ => return false,
    };
    let status = &mut decided.status;
    status.pod_name.clear();
    match refused(code, &message) {
        Refused::Transient => false,
        Refused::Again { reason, message, after, unstarts } => {
            if unstarts {
                status.start_time = None;
            }
            condition::set(&mut status.conditions, Verdict::Unknown, reason.to_string(), message, now);
            let after = jiff::SignedDuration::try_from(after).ok();
            decided.wake = after.and_then(|after| now.checked_add(after).ok());
            true
        }
        Refused::Fault(fault) => {
            status.completion_time = Some(Time(now));
            condition::set(
                &mut status.conditions,
                Verdict::False,
                fault.reason.to_string(),
                format!("failed to create task run pod: {}", fault.message),
                now,
            );
            decided.wake = None;
            true
        }
    }
}
