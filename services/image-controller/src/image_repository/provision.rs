//! Makes repository, robots and Secrets. Each step finds what an earlier pass has made, so a crash costs nothing but time.

use fleet::{Wake, Write};
use image_controller_api::image_repository::{CredentialsStatus, ImageStatus};
use image_controller_api::{ImageRepository, ImageRepositoryStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::decide::{Observed, Provision, fail};
use super::error::Error;
use super::{events, messages, status};
use crate::Context;
use crate::credentials;
use crate::delivery::{Delivery, Purpose};
use crate::names::{pull_secret, push_secret};
use crate::registry::{self, Backend, Role};

/// What the registry shows beside a robot.
pub(super) fn robot_description(object: &ImageRepository) -> String {
    format!("ImageRepository {} of namespace {}", object.name_any(), object.namespace().unwrap_or_default())
}

pub(super) async fn carry_out(context: &Context, seen: &Observed, plan: &Provision) -> Result<Wake, Error> {
    let object = &*seen.image_repository;
    let backend = context.registry.connect().await?;
    match Box::pin(make(context, object, &*backend, plan)).await {
        Ok(status) => {
            let mut writes: Vec<Write> =
                status::write(object, &complete(status, seen, plan)).into_iter().collect();
            writes.push(events::provisioned(object, &backend.url(plan.repository.as_str())).into());
            context.writer.apply(&writes).await?;
            context.look_ups.done(object, seen.now);
            context.metrics.provisioned(object, seen.now);
            Ok(Wake::OnChange)
        }
        Err(Error::Registry(registry::Error::PlanLimit)) => refuse(context, seen, messages::PLAN_LIMIT).await,
        Err(Error::Registry(error @ (registry::Error::Refused { .. } | registry::Error::Unsupported))) => {
            refuse(context, seen, &error.to_string()).await
        }
        Err(error) => Err(error),
    }
}

async fn refuse(context: &Context, seen: &Observed, message: &str) -> Result<Wake, Error> {
    let writes = fail(&seen.image_repository, message);
    context.writer.apply(&writes).await?;
    context.metrics.count(&seen.image_repository, &writes, seen.now);
    Ok(Wake::OnChange)
}

/// All that is outside, and the Secrets. Returns what of the status comes from the registry.
async fn make(
    context: &Context,
    object: &ImageRepository,
    backend: &dyn Backend,
    plan: &Provision,
) -> Result<ImageRepositoryStatus, Error> {
    let repository = plan.repository.as_str();
    let namespace = object.namespace().unwrap_or_default();
    let description = format!("Images of namespace {namespace}");
    backend.create(repository, plan.visibility, &description).await?;
    // One that was there already may be visible to others than we asked for.
    let visibility = backend.find(repository).await?.unwrap_or(plan.visibility);

    let url = backend.url(repository);
    let name = object.name_any();
    let deliverer = context.deliverer();
    let accounts = [
        (Purpose::Push, Role::Write, Some(&plan.push), push_secret(&name)),
        (Purpose::Pull, Role::Read, plan.pull.as_ref(), pull_secret(&name)),
    ];
    for (purpose, role, robot, secret) in accounts {
        let Some(robot) = robot else { continue };
        let login = backend.robot(robot, &robot_description(object)).await?;
        backend.grant(repository, robot, role).await?;
        let logins = credentials::of_repository(&url, &login);
        deliverer.deliver(object, plan.delivery, purpose, &secret, &logins).await?;
    }
    Ok(ImageRepositoryStatus {
        message: backend.notice().map(str::to_owned),
        image: Some(ImageStatus { url: Some(url), visibility: Some(visibility.into()) }),
        ..ImageRepositoryStatus::default()
    })
}

fn complete(made: ImageRepositoryStatus, seen: &Observed, plan: &Provision) -> ImageRepositoryStatus {
    let object = &*seen.image_repository;
    let name = object.name_any();
    let push = Some(push_secret(&name));
    let pull = plan.pull.as_ref().map(|_| pull_secret(&name));
    let is_remote = plan.delivery == Delivery::RemoteSecret;
    ImageRepositoryStatus {
        state: Some(ImageRepositoryStatus::READY.to_owned()),
        credentials: Some(CredentialsStatus {
            generation_timestamp: Some(Time(seen.now)),
            push_robot_account: Some(plan.push.clone()),
            pull_robot_account: plan.pull.clone(),
            push_remote_secret: push.clone().filter(|_| is_remote),
            pull_remote_secret: pull.clone().filter(|_| is_remote),
            push_secret: push,
            pull_secret: pull,
        }),
        notifications: object.status.as_ref().map(|status| status.notifications.clone()).unwrap_or_default(),
        ..made
    }
}
