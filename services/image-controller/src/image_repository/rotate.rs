//! Replaces tokens, each exactly once, and delivers the new ones.

use fleet::{MetadataPatch, Wake, Write};
use image_controller_api::{ImageRepository, annotations};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::decide::Observed;
use super::error::Error;
use super::provision::robot_description;
use super::rotation::{Account, Recorded};
use super::{events, shape, status};
use crate::Context;
use crate::credentials;
use crate::delivery::{Delivery, Purpose};
use crate::names::{pull_secret, push_secret};
use crate::pull_secrets::namespace;
use crate::registry::Backend;

/// Writes down which tokens are to be replaced.
pub(super) async fn begin(
    context: &Context,
    object: &ImageRepository,
    accounts: &[Account],
) -> Result<Wake, Error> {
    let backend = context.registry.connect().await?;
    let mut recorded = Recorded::default();
    for account in accounts {
        let robot = robot(context, object, *account).await?;
        let login = backend.robot(&robot, &robot_description(object)).await?;
        recorded.push(*account, &login.token);
    }
    let noted = MetadataPatch::of(object).annotation(annotations::ROTATED, Some(&recorded.to_string()));
    context.writer.apply(noted.into_write().as_slice()).await?;
    Ok(Wake::OnChange)
}

/// Replaces the next one that is still as it was written down, and delivers it. After the last, it is no longer asked for.
///
/// One in each pass, so that what was done is not looked at again when something else fails.
pub(super) async fn carry_out(
    context: &Context,
    seen: &Observed,
    recorded: &Recorded,
) -> Result<Wake, Error> {
    let object = &*seen.image_repository;
    let backend = context.registry.connect().await?;
    let Some(account) = recorded.next() else {
        context.writer.apply(&finish(seen, &*backend, recorded)).await?;
        return Ok(Wake::OnChange);
    };
    let robot = robot(context, object, account).await?;
    let mut login = backend.robot(&robot, &robot_description(object)).await?;
    if recorded.is_old(account, &login.token) {
        login = backend.rotate(&robot).await?;
    }
    match account {
        Account::Push => deliver(context, object, &*backend, Purpose::Push, &login).await?,
        Account::Pull => deliver(context, object, &*backend, Purpose::Pull, &login).await?,
        Account::Namespace => namespace::deliver(context, &*backend, object, &login).await?,
    }
    let noted = recorded.delivered(account).to_string();
    let noted = MetadataPatch::of(object).annotation(annotations::ROTATED, Some(&noted)).into_write();
    context.writer.apply(noted.as_slice()).await?;
    Ok(Wake::OnChange)
}

/// What is written when all are replaced: the time, and last that it is no longer asked for.
fn finish(seen: &Observed, backend: &dyn Backend, recorded: &Recorded) -> Vec<Write> {
    let object = &*seen.image_repository;
    let mut wanted = object.status.clone().unwrap_or_default();
    wanted.message = backend.notice().map(str::to_owned);
    if recorded.has(Account::Push) {
        wanted.credentials.get_or_insert_default().generation_timestamp = Some(Time(seen.now));
    }
    let mut done = Vec::new();
    done.extend(recorded.has(Account::Push).then_some("regenerate-token"));
    done.extend(recorded.has(Account::Namespace).then_some("regenerate-namespace-pull-token"));
    let mut writes: Vec<Write> = status::write(object, &wanted).into_iter().collect();
    writes.push(status::without_action(object, &done, &[annotations::ROTATED]));
    writes.push(events::rotated(object).into());
    writes
}

async fn robot(context: &Context, object: &ImageRepository, account: Account) -> Result<String, Error> {
    let (push, pull) =
        shape::repository(object).map(|repository| shape::robots(object, &repository)).unwrap_or_default();
    match account {
        Account::Push => Ok(push),
        Account::Pull => Ok(pull),
        Account::Namespace => namespace::robot(context, object).await,
    }
}

async fn deliver(
    context: &Context,
    object: &ImageRepository,
    backend: &dyn Backend,
    purpose: Purpose,
    login: &crate::registry::Robot,
) -> Result<(), Error> {
    let (Some(repository), Some(delivery)) = (shape::repository(object), Delivery::of(object)) else {
        return Ok(());
    };
    let name = match purpose {
        Purpose::Push => push_secret(&object.name_any()),
        Purpose::Pull => pull_secret(&object.name_any()),
    };
    let logins = credentials::of_repository(&backend.url(repository.as_str()), login);
    let deliverer = context.deliverer();
    Ok(deliverer.deliver(object, delivery, purpose, &name, &logins).await?)
}
