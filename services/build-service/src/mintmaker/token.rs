//! Gives a run the token of the GitHub App when its pod starts: the token is good for an hour, and the run may have waited longer
//! than that (specification, section 6).
//!
//! The pod cannot mount its Secret, which has no token yet, and the kubelet says so in an Event.

use std::sync::Arc;

use application_service_api::Component;
use build_service_api::annotations::mintmaker::PROCESSED;
use build_service_api::names::mintmaker::TOKEN_KEY;
use fleet::write::PatchKind;
use fleet::{Fleet, MetadataPatch, ObjectKey, Runner, Wake, Write};
use fleet_api::AnnotationKey;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::{Api, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::pipeline_run::CANCELLED;
use serde_json::json;

use super::{Context, run};
use crate::failure::Failure;
use crate::git::Source;
use crate::nudge::ended;
use crate::renovate::Error;

/// On a run: why it was cancelled.
const CANCEL_REASON: AnnotationKey = AnnotationKey::new("mintmaker.appstudio.redhat.com/cancel-reason");

const REASON: &str = "TokenMissing";
const ACTION: &str = "AddToken";

pub(super) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = context.stores.clone();
    fleet
        .controller("tokens")
        .of(&stores.events)
        .consults(&stores.runs)
        .consults(&stores.components)
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some(event) = context.stores.events.get(&key) else { return Ok(Wake::OnChange) };
    if PROCESSED.of(&event.metadata.annotations) == Some("true") || !is_for_token(&event) {
        return Ok(Wake::OnChange);
    }
    if let Some(run) = run_of(&context, &event).await? {
        Box::pin(answer(&context, &run)).await?;
    }
    let processed = MetadataPatch::of(&*event).annotation(PROCESSED, Some("true"));
    context.writer.apply(&Vec::from_iter(processed.into_write())).await.map_err(Failure::from)?;
    Ok(Wake::OnChange)
}

/// `MountVolume.SetUp failed for volume "token" : references non-existent secret key: renovate-token`
fn is_for_token(event: &Event) -> bool {
    let message = event.message.as_deref().unwrap_or_default();
    let missing = message.split("references non-existent secret key: ").nth(1);
    let is_of_pod = event.involved_object.kind.as_deref() == Some("Pod");
    is_of_pod && missing.is_some_and(|key| key.trim_end() == TOKEN_KEY)
}

/// The run whose pod waits, by the Secret that its volume is of. `None` if it is no pod of ours, or is gone.
async fn run_of(context: &Context, event: &Event) -> Result<Option<Arc<PipelineRun>>, Failure> {
    let name = event.involved_object.name.as_deref().unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &context.namespace);
    let pod = pods.get_opt(name).await;
    let pod = pod.map_err(|error| Failure::of_api(&format!("Pod {name}"), &error))?;
    let volumes = pod.and_then(|pod| pod.spec).and_then(|spec| spec.volumes).unwrap_or_default();
    let secrets = volumes
        .into_iter()
        .filter_map(|volume| volume.secret)
        .filter(|secret| secret.items.iter().flatten().any(|item| item.key == TOKEN_KEY));
    // A run and its Secret have one name.
    let mut runs = secrets.filter_map(|secret| {
        let key = ObjectKey::new(context.namespace.as_str(), secret.secret_name?);
        context.stores.runs.get(&key)
    });
    Ok(runs.find(|run| ended(run).is_none() && run.metadata.deletion_timestamp.is_none()))
}

/// Adds the token to a run's Secret, or ends the run if there will be none.
async fn answer(context: &Context, run: &PipelineRun) -> Result<(), Failure> {
    match token(context, run).await {
        Ok(token) => Box::pin(add(context, run, token)).await,
        Err(Failure::Permanent { detail, .. }) => cancel(context, run, &detail).await,
        Err(failure) => Err(failure),
    }
}

async fn token(context: &Context, run: &PipelineRun) -> Result<fleet::Secret<String>, Failure> {
    let gone = |what: &str| Failure::permanent(build_service_api::ErrorId::Unknown, what);
    let key = run::component(run).ok_or_else(|| gone("the run names no Component"))?;
    let component: Option<Arc<Component>> = context.stores.components.get(&key);
    let component = component.ok_or_else(|| gone(&format!("Component {key} is gone")))?;
    let source =
        Source::of(&component).ok_or_else(|| gone(&format!("Component {key} has no repository")))??;
    let token = context.gits.run_token(&key.namespace, &source, context.life.least()).await?;
    Ok(token.token)
}

async fn add(context: &Context, run: &PipelineRun, token: fleet::Secret<String>) -> Result<(), Failure> {
    let key = ObjectKey::of(run);
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &key.namespace);
    let found = secrets.get_opt(&key.name).await;
    let found = found.map_err(|error| Failure::of_api(&format!("Secret {key}"), &error))?;
    let owned = found.filter(|secret| {
        secret.owner_references().iter().any(|owner| Some(&owner.uid) == run.metadata.uid.as_ref())
    });
    let Some(secret) = owned else {
        return cancel(context, run, "its Secret is gone").await;
    };
    if secret.data.as_ref().is_some_and(|data| data.contains_key(TOKEN_KEY)) {
        return Ok(());
    }
    let value = ByteString(token.expose().clone().into_bytes());
    let write = Write::patch(&secret, PatchKind::Merge, json!({"data": {TOKEN_KEY: value}}));
    context.writer.apply(&[write]).await?;
    tracing::info!(pipeline_run = key.name, "Token added");
    Ok(())
}

async fn cancel(context: &Context, run: &PipelineRun, reason: &str) -> Result<(), Failure> {
    let note = fleet::redact(&format!("No token for its repository: {reason}"));
    let body = json!({
        "metadata": {"annotations": {CANCEL_REASON.as_str(): note}},
        "spec": {"status": CANCELLED},
    });
    let writes = [
        Write::Event(fleet::Event::warning(run, REASON, ACTION, note.as_str())),
        Write::patch(run, PatchKind::Merge, body),
    ];
    context.writer.apply(&writes).await?;
    tracing::warn!(pipeline_run = run.name_any(), reason, "Run cancelled");
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "Pod",
        "MountVolume.SetUp failed for volume \"token\" : references non-existent secret key: renovate-token",
        true
    )]
    #[case(
        "Pod",
        "MountVolume.SetUp failed for volume \"x\" : references non-existent secret key: renovate-token-2",
        false
    )]
    #[case("Pod", "MountVolume.SetUp failed for volume \"x\" : secret \"y\" not found", false)]
    #[case("Node", "references non-existent secret key: renovate-token", false)]
    fn events_that_ask_for_a_token(#[case] kind: &str, #[case] message: &str, #[case] expected: bool) {
        let event: Event = serde_json::from_value(json!({
            "metadata": {"name": "e"}, "message": message, "involvedObject": {"kind": kind, "name": "p"},
        }))
        .unwrap();
        assert_eq!(is_for_token(&event), expected);
    }
}
