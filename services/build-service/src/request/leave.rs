//! The end of a Component for which Pipelines-as-Code is set up. Its forge does not keep it: what cannot be done there within
//! some seconds is left, and told.

use std::time::Duration;

use application_service_api::Component;
use build_service_api::events::EventReason;
use build_service_api::finalizers;
use fleet::{Event, MetadataPatch, ObjectKey};
use kube::ResourceExt as _;
use tokio::time::timeout;

use super::Error;
use super::decide::is_restored;
use crate::{Context, pac};

/// How long a forge is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// What was tried, in our Events.
const ACTION: &str = "CleanUp";

/// Cleans up after a Component, and lets it go.
pub(super) async fn leave(context: &Context, component: &Component) -> Result<(), Error> {
    // What a backup brought back has nothing of its own at the forge.
    if !is_restored(component) {
        let left = match timeout(PATIENCE, pac::leave(context, component)).await {
            Ok(Ok(url)) => {
                tracing::info!(url, "Cleaned up after a Component");
                None
            }
            Ok(Err(failure)) => Some(failure.to_string()),
            Err(_) => Some(format!("its forge has not answered within {} s", PATIENCE.as_secs())),
        };
        if let Some(why) = left {
            let note = format!(
                "{} goes, but what was set up at its forge may be left (webhook, branch, pipelines in .tekton): {why}",
                component.name_any()
            );
            let reason = EventReason::ErrorConfiguringPacForComponentRepository;
            let event = Event::warning(component, reason.into(), ACTION, note);
            context.write(&[event.into()]).await?;
        }
    }
    // Its other finalizers went meanwhile.
    let newest = context.stores.components.get(&ObjectKey::of(component));
    let newest = newest.filter(|newest| newest.metadata.uid == component.metadata.uid);
    let patch = MetadataPatch::of(newest.as_deref().unwrap_or(component))
        .without_finalizer(finalizers::PAC)
        .into_write();
    Ok(context.write(&patch.into_iter().collect::<Vec<_>>()).await?)
}
