//! Does what was decided.

use fleet::{MetadataPatch, Wake, Write};
use image_controller_api::{ImageRepository, ImageRepositoryStatus, Visibility, annotations};
use serde_json::json;

use super::decide::{Next, Observed};
use super::error::Error;
use super::{clean_up, messages, notifications, provision, rotate, shape, status};
use crate::Context;
use crate::delivery;
use crate::names::RepositoryName;
use crate::pull_secrets::namespace;
use crate::registry;

pub(super) async fn act(context: &Context, seen: &Observed, next: Next) -> Result<Wake, Error> {
    let object = &*seen.image_repository;
    let wake = match next {
        Next::Settle(decision) => {
            context.writer.apply(&decision.writes).await?;
            context.metrics.count(object, &decision.writes, seen.now);
            return Ok(decision.wake);
        }
        // Its own errors are told otherwise: nothing must keep it from going.
        Next::CleanUp(plan) => return clean_up::carry_out(context, seen, &plan).await,
        Next::Provision(plan) => Box::pin(provision::carry_out(context, seen, &plan)).await,
        Next::SetVisibility { repository, to } => set_visibility(context, object, &repository, to).await,
        Next::BeginRotation(accounts) => rotate::begin(context, object, &accounts).await,
        Next::Rotate(recorded) => Box::pin(rotate::carry_out(context, seen, &recorded)).await,
        Next::JoinNamespace(repository) => join_namespace(context, object, &repository).await,
        Next::Notify { repository, known, hash } => notify(context, object, &repository, &known, &hash).await,
        // Nothing that anybody asked for: not told where it fails.
        Next::LookUp(repository) => return look_up(context, seen, &repository).await,
    };
    match wake {
        Err(error) => tell(context, object, error).await,
        done => done,
    }
}

/// Says in the status what stands in the way, and asks for another try.
async fn tell(context: &Context, object: &ImageRepository, error: Error) -> Result<Wake, Error> {
    let message = match &error {
        Error::Registry(error) => error.to_string(),
        Error::Deliver(error @ delivery::Error::Taken(_)) => error.to_string(),
        // Of the API server, which passes.
        Error::Deliver(_) | Error::Write(_) | Error::Cluster(_) => return Err(error),
    };
    if let Some(object) = context.stores.image_repositories.get(&fleet::ObjectKey::of(object)) {
        context.writer.apply(status::say(&object, &message).as_slice()).await?;
    }
    match error {
        Error::Registry(registry::Error::Transient { retry_after: Some(pause), step, detail }) => {
            tracing::warn!(step, error = detail, seconds = pause.as_secs(), "The registry asks for a pause");
            Ok(Wake::After(pause))
        }
        error => Err(error),
    }
}

async fn set_visibility(
    context: &Context,
    object: &ImageRepository,
    repository: &RepositoryName,
    to: Visibility,
) -> Result<Wake, Error> {
    let backend = context.registry.connect().await?;
    let mut wanted = object.status.clone().unwrap_or_default();
    match backend.set_visibility(repository.as_str(), to).await {
        Ok(()) => {
            wanted.message = backend.notice().map(str::to_owned);
            wanted.image.get_or_insert_default().visibility = Some(to.into());
            context.writer.apply(status::write(object, &wanted).as_slice()).await?;
        }
        Err(registry::Error::PlanLimit) => {
            wanted.message = Some(messages::NO_MORE_PRIVATE.to_owned());
            let now = shape::visibility(object).unwrap_or_default();
            let mut writes: Vec<Write> = status::write(object, &wanted).into_iter().collect();
            writes.push(Write::patch(
                object,
                fleet::write::PatchKind::Merge,
                json!({"spec": {"image": {"visibility": now}}}),
            ));
            context.writer.apply(&writes).await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Wake::OnChange)
}

async fn join_namespace(
    context: &Context,
    object: &ImageRepository,
    repository: &RepositoryName,
) -> Result<Wake, Error> {
    let backend = context.registry.connect().await?;
    namespace::join(context, &*backend, object, repository).await?;
    let ensured = annotations::NAMESPACE_PULL_SECRET_ENSURED;
    let mut writes: Vec<Write> =
        MetadataPatch::of(object).annotation(ensured, Some("true")).into_write().into_iter().collect();
    writes.extend(status::say(object, backend.notice().unwrap_or_default()));
    context.writer.apply(&writes).await?;
    Ok(Wake::OnChange)
}

async fn notify(
    context: &Context,
    object: &ImageRepository,
    repository: &RepositoryName,
    known: &[image_controller_api::image_repository::NotificationStatus],
    hash: &str,
) -> Result<Wake, Error> {
    let backend = context.registry.connect().await?;
    let outcome = notifications::carry_out(&*backend, repository, &object.spec.notifications, known).await?;
    let mut wanted = object.status.clone().unwrap_or_default();
    wanted.notifications = outcome.known;
    wanted.message = outcome.refused.or_else(|| backend.notice().map(str::to_owned));
    let mut writes: Vec<Write> = status::write(object, &wanted).into_iter().collect();
    writes.extend(MetadataPatch::of(object).annotation(annotations::NOTIFIED, Some(hash)).into_write());
    context.writer.apply(&writes).await?;
    Ok(Wake::OnChange)
}

/// Asks whether the repository is there, and who may pull; and has notifications that failed sent again.
async fn look_up(context: &Context, seen: &Observed, repository: &RepositoryName) -> Result<Wake, Error> {
    let object = &*seen.image_repository;
    let backend = context.registry.connect().await?;
    let found = backend.find(repository.as_str()).await?;
    let mut wanted = object.status.clone().unwrap_or_default();
    if let Some(visibility) = found {
        if !shape::is_ready(object) {
            wanted.message = backend.notice().map(str::to_owned);
        }
        wanted.state = Some(ImageRepositoryStatus::READY.to_owned());
        wanted.image.get_or_insert_default().visibility = Some(visibility.into());
        notifications::reset(&*backend, repository, &wanted.notifications).await?;
    } else {
        wanted.state = Some(ImageRepositoryStatus::MISSING.to_owned());
        wanted.message = Some(messages::MISSING.to_owned());
    }
    context.writer.apply(status::write(object, &wanted).as_slice()).await?;
    context.look_ups.done(object, seen.now);
    Ok(Wake::After(context.args.registry_check_interval))
}
