//! Deletes what was made at the registry, for a bounded time, and lets the object go.

use std::time::Duration;

use fleet::{MetadataPatch, Wake, Write};
use image_controller_api::finalizers;

use super::decide::{CleanUp, Observed};
use super::error::Error;
use super::events;
use crate::Context;
use crate::pull_secrets::namespace;
use crate::registry::{self, Backend};

/// Between two tries. Not the growing pauses of other work: it is over after a bounded time.
const PAUSE: Duration = Duration::from_secs(5);

pub(super) async fn carry_out(context: &Context, seen: &Observed, plan: &CleanUp) -> Result<Wake, Error> {
    let object = &*seen.image_repository;
    let left = match context.registry.connect().await {
        Ok(backend) => {
            let mut left = delete(&*backend, plan).await;
            if plan.is_last
                && let Err(error) = namespace::leave(context, &*backend, object).await
            {
                match error {
                    Error::Registry(error) => left.push(error),
                    other => return Err(other),
                }
            }
            left
        }
        Err(error) => vec![error],
    };
    if let Some(error) = left.iter().find(|error| !is_final(error))
        && seen.now < plan.give_up_at
    {
        tracing::warn!(error = error.to_string(), "Cannot clean up at the registry; trying again");
        return Ok(Wake::After(PAUSE));
    }
    let mut writes: Vec<Write> = Vec::new();
    if !left.is_empty() {
        let text = left.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        tracing::error!(audit = true, error = text, "Left things at the registry");
        writes.push(events::clean_up_incomplete(object, &text).into());
    }
    writes.extend(MetadataPatch::of(object).without_finalizer(finalizers::IMAGE_REPOSITORY).into_write());
    context.writer.apply(&writes).await?;
    Ok(Wake::OnChange)
}

/// Deletes all that it can, the accounts first. Returns what could not be deleted.
async fn delete(backend: &dyn Backend, plan: &CleanUp) -> Vec<registry::Error> {
    let mut left = Vec::new();
    for robot in &plan.robots {
        left.extend(backend.delete_robot(robot).await.err());
    }
    if let Some(repository) = &plan.repository {
        left.extend(backend.delete(repository.as_str()).await.err());
    }
    left
}

/// Whether asking again would be answered the same.
fn is_final(error: &registry::Error) -> bool {
    matches!(
        error,
        registry::Error::Refused { .. } | registry::Error::Unsupported | registry::Error::PlanLimit
    )
}
