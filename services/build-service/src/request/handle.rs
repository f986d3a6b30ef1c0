//! A claimed request: dealt with, and its end recorded.

use application_service_api::Component;
use build_service_api::{Request, annotations, finalizers};
use fleet::{Class, Classed as _, Event, MetadataPatch, ObjectKey, Wake, Write, WriteError, patience};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Value, json};

use super::decide::{Step, ended, failed, tell};
use super::{Error, Stop, Task, observe, simple};
use crate::claim::Claim;
use crate::failure::{Failure, cut};
use crate::git::Notice;
use crate::status::{self, Outcome};
use crate::{Context, pac};

/// How often the end is recorded anew where somebody else writes to the Component at the same time.
const TRIES: usize = 8;

/// Bytes of what is told of something that is tried again.
const LONGEST: usize = 500;

/// What was tried, in our Events.
const ACTION: &str = "Build";

/// Deals with a request of `seen`, which may be a little old.
pub(super) async fn handle(
    context: &Context,
    seen: &Component,
    request: Request,
    claim: Claim,
) -> Result<Wake, Error> {
    let key = ObjectKey::of(seen);
    let Some(component) = live(context, seen).await? else { return Ok(Wake::OnChange) };
    if !is_claimed(&component, request, &claim) {
        // The watch will tell.
        return Ok(Wake::OnChange);
    }
    let outcome = match carry_out(context, &component, request, &claim).await {
        Ok(outcome) => outcome,
        Err(Stop { failure: Failure::Transient { detail, retry_after }, .. }) => {
            let message = format!("trying again: {}", cut(&fleet::redact(&detail), LONGEST));
            if let Step::Write(changes) = tell(&component, &message) {
                // Only what is shown: whoever writes at the same time need not be heeded.
                let body = json!({"metadata": {"annotations": changes}});
                let write = Write::patch(&component, fleet::write::PatchKind::Merge, body);
                context.write(&[write]).await?;
            }
            let request = request.into();
            return match retry_after {
                Some(delay) => Ok(Wake::After(delay)),
                None => Err(Error::Unfinished { request, component: key, detail }),
            };
        }
        Err(Stop { failure, notice }) => {
            tracing::info!(request = <&str>::from(request), %failure, "A request failed for good");
            if let Some(notice) = notice {
                publish(context, &component, notice).await?;
            }
            failed(request, failure)
        }
    };
    if let Some(event) = pac::event(&component, &outcome) {
        context.write(&[event.into()]).await?;
    }
    record(context, component, request, &claim, &outcome).await?;
    Ok(Wake::OnChange)
}

async fn carry_out(
    context: &Context,
    component: &Component,
    request: Request,
    claim: &Claim,
) -> Result<Outcome, Stop> {
    let task = Task::new(context, component, claim)?;
    match request {
        Request::TriggerSimpleBuild => simple::build(&task).await,
        Request::ConfigurePac => pac::configure(&task, true).await,
        Request::ConfigurePacNoMr => pac::configure(&task, false).await,
        Request::UnconfigurePac => pac::unconfigure(&task).await,
        Request::TriggerPacBuild => pac::trigger(&task).await,
    }
}

/// Writes what became of the request, and removes it and its claim. Another request that has come meanwhile stays.
async fn record(
    context: &Context,
    mut component: Component,
    request: Request,
    claim: &Claim,
    outcome: &Outcome,
) -> Result<(), Error> {
    let now = context.clock.now();
    let mut tries = 0;
    loop {
        // Also after what was written meanwhile, such as the finalizer: the version that was read is too old.
        match live(context, &component).await? {
            Some(read) => component = read,
            None => return Ok(()),
        }
        if annotations::CLAIM.of(&component.metadata.annotations) != Some(claim.to_string().as_str()) {
            return Ok(());
        }
        let status = status::after(status::of(&component), outcome, now);
        let mut changes = ended(&status);
        if !is_claimed(&component, request, claim) {
            changes.remove(annotations::REQUEST.as_str());
        }
        let mut body = json!({"metadata": {"annotations": changes}});
        if let Some(finalizers) = finalizers_after(&component, outcome) {
            body["metadata"]["finalizers"] = finalizers;
        }
        let written = context.write(&[Write::merge(&component, body)]).await;
        tries += 1;
        match written {
            Ok(()) => {
                observe(&context.metrics, &component, claim, outcome, now);
                return Ok(());
            }
            Err(error) if tries < TRIES && is_conflict(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// All finalizers, where ours goes with this outcome.
fn finalizers_after(component: &Component, outcome: &Outcome) -> Option<Value> {
    let list = component.metadata.finalizers.as_ref();
    let has_ours = finalizers::PAC.is_in(list);
    if !has_ours || !matches!(outcome, Outcome::Disabled { .. }) {
        return None;
    }
    Some(list.into_iter().flatten().filter(|name| *name != finalizers::PAC.as_str()).cloned().collect())
}

/// The Component with our finalizer, before anything is made outside.
pub(crate) async fn hold(context: &Context, component: &Component) -> Result<(), Stop> {
    let Some(write) = MetadataPatch::of(component).finalizer(finalizers::PAC).into_write() else {
        return Ok(());
    };
    context.write(&[write]).await.map_err(|error| Stop::of_write(&error))
}

/// The Component as it is at this moment; `None` if it is gone or another, or goes.
async fn live(context: &Context, component: &Component) -> Result<Option<Component>, Error> {
    let key = ObjectKey::of(component);
    let components: Api<Component> = Api::namespaced(context.client.clone(), &key.namespace);
    let read = patience::read(|| components.get_opt(&key.name)).await;
    let read = read.map_err(|source| Error::Read { component: key, source })?;
    let is_same = |read: &Component| {
        read.metadata.uid == component.metadata.uid && read.metadata.deletion_timestamp.is_none()
    };
    Ok(read.filter(is_same))
}

fn is_claimed(component: &Component, request: Request, claim: &Claim) -> bool {
    let annotations = &component.metadata.annotations;
    let asked = annotations::REQUEST.of(annotations).map(str::trim);
    asked == Some(request.into()) && annotations::CLAIM.of(annotations) == Some(claim.to_string().as_str())
}

fn is_conflict(error: &WriteError) -> bool {
    matches!(error, WriteError::Refused { source: kube::Error::Api(status), .. } if status.is_conflict())
        && error.class() == Class::Retry
}

pub(super) async fn publish(
    context: &Context,
    component: &Component,
    notice: Notice,
) -> Result<(), WriteError> {
    let reason = notice.reason.into();
    let event = match notice.secret {
        None => Event::warning(component, reason, ACTION, notice.text),
        Some(key) => {
            let mut secret = Secret::default();
            secret.metadata.name = Some(key.name);
            secret.metadata.namespace = Some(key.namespace);
            Event::warning(&secret, reason, ACTION, notice.text).about(component)
        }
    };
    context.write(&[event.into()]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(finalizers: &[&str]) -> Component {
        serde_json::from_value(json!({"metadata": {"name": "c", "finalizers": finalizers}, "spec": {}}))
            .unwrap()
    }

    #[test]
    fn only_our_finalizer_goes_and_only_where_nothing_is_left_outside() {
        let ours = finalizers::PAC.as_str();
        let component = component(&["a", ours, "b"]);
        let disabled = Outcome::Disabled { url: None };
        assert_eq!(finalizers_after(&component, &disabled), Some(json!(["a", "b"])));
        assert_eq!(finalizers_after(&component, &Outcome::Built), None);
        let failed = Outcome::PacFailed(build_service_api::ErrorId::Unknown, String::new());
        assert_eq!(finalizers_after(&component, &failed), None);
        assert_eq!(finalizers_after(&self::component(&["a"]), &disabled), None);
    }
}
