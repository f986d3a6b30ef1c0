//! An image repository asked for by annotation of a Component, as before there were `ImageRepository`s (spec section 4.6).
//!
//! A request becomes an `ImageRepository`, which does the work; what becomes of it is told in the annotation that the original
//! answered with. Components for which the original made robots itself get one too, and those robots go with the Component.

mod decide;

use std::sync::Arc;
use std::time::Duration;

use application_service_api::Component;
use fleet::{Fleet, MetadataPatch, ObjectKey, Presence, Runner, Wake};
use image_controller_api::{ImageRepository, finalizers};
use kube::ResourceExt as _;

use crate::Context;
use crate::image_repository::{Error, shape};
use crate::names::{RepositoryName, legacy_robot};
use crate::registry::{self, Backend};
use crate::stores::{BY_COMPONENT, BY_REPOSITORY, Stores, named_by};
use decide::{CleanUp, Next, Observed, decide};

/// Between two tries to delete what the original made.
const PAUSE: Duration = Duration::from_secs(5);

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    fleet
        .controller("component")
        .of(&context.stores.components)
        .reads(&context.stores.image_repositories, |object| {
            named_by(object, image_controller_api::labels::COMPONENT)
        })
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

/// Whether a Component that stays has the repository since the time of the original.
pub(crate) fn uses(stores: &Stores, object: &ImageRepository, repository: &RepositoryName) -> bool {
    let Some((_, name)) = repository.as_str().rsplit_once('/') else { return false };
    let component = stores.components.get(&ObjectKey::of(object).sibling(name));
    component.is_some_and(|component| {
        component.metadata.deletion_timestamp.is_none()
            && finalizers::COMPONENT.is_in(component.metadata.finalizers.as_ref())
            && decide::repository(&component).as_ref() == Some(repository)
    })
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some(component) = context.stores.components.get(&key) else { return Ok(Wake::OnChange) };
    if context.stores.image_repositories.presence() != Presence::Listed {
        return Ok(Wake::OnChange);
    }
    let mut image_repositories = context.stores.image_repositories.indexed(BY_COMPONENT, &key);
    image_repositories.retain(|object| !shape::is_going(object));
    let now = context.clock.now();
    let seen = Observed {
        image_repository: decide::choose(&component, image_repositories),
        is_shared: is_shared(&component, &context.stores),
        is_ambiguous: is_ambiguous(&component, &context.stores),
        give_up_at: component
            .metadata
            .deletion_timestamp
            .as_ref()
            .and_then(|deleted| deleted.0.checked_add(context.args.clean_up_limit).ok())
            .unwrap_or(now),
        component,
    };
    match decide(&seen) {
        Next::Settle(decision) => {
            tracing::debug!(hold = ?decision.hold, writes = decision.writes.len(), "Decided");
            context.writer.apply(&decision.writes).await?;
            Ok(decision.wake)
        }
        Next::CleanUp(plan) => {
            let left = match context.registry.connect().await {
                Ok(backend) => delete(&*backend, &plan).await,
                Err(error) => Err(error),
            };
            if let Err(error) = left {
                tracing::error!(
                    audit = true,
                    error = error.to_string(),
                    "Cannot delete what a Component had"
                );
                let is_transient =
                    matches!(error, registry::Error::Transient { .. } | registry::Error::NotConfigured);
                if is_transient && now < seen.give_up_at {
                    return Ok(Wake::After(PAUSE));
                }
            }
            let write = MetadataPatch::of(&*seen.component).without_finalizer(finalizers::COMPONENT);
            context.writer.apply(write.into_write().as_slice()).await?;
            Ok(Wake::OnChange)
        }
    }
}

async fn delete(backend: &dyn Backend, plan: &CleanUp) -> Result<(), registry::Error> {
    for robot in &plan.robots {
        backend.delete_robot(robot).await?;
    }
    if let Some(repository) = &plan.repository {
        backend.delete(repository.as_str()).await?;
    }
    Ok(())
}

/// Whether an `ImageRepository` has the repository: it goes with that.
fn is_shared(component: &Component, stores: &Stores) -> bool {
    let Some(repository) = decide::repository(component) else { return false };
    let key = ObjectKey::of(component).sibling(repository.as_str());
    !stores.image_repositories.indexed(BY_REPOSITORY, &key).is_empty()
}

/// Whether another Component, perhaps of another tenant, has robots of the same name: the original put three names together
/// without anything between them. Looked for only where robots are about to be deleted.
fn is_ambiguous(component: &Component, stores: &Stores) -> bool {
    if component.metadata.deletion_timestamp.is_none()
        || !finalizers::COMPONENT.is_in(component.metadata.finalizers.as_ref())
    {
        return false;
    }
    let own = ObjectKey::of(component);
    let robot = decide::robot(component);
    let others = stores.components.keys().into_iter().filter(|key| *key != own);
    others.filter_map(|key| stores.components.get(&key)).any(|other| {
        let is_legacy = finalizers::COMPONENT.is_in(other.metadata.finalizers.as_ref());
        is_legacy
            && legacy_robot(
                &other.namespace().unwrap_or_default(),
                &other.spec.application,
                &other.name_any(),
            ) == robot
    })
}
