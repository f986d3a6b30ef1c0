//! The account that pulls all image repositories of a namespace, and its Secret.
//!
//! The login is for `<host>/<organization>/<namespace>`, which clients take for every repository below it.

use std::collections::BTreeMap;

use fleet::{ObjectKey, Write, WriteError};
use image_controller_api::names::NAMESPACE_PULL_SECRET;
use image_controller_api::{ImageRepository, labels};
use k8s_openapi::api::core::v1;
use kube::api::ObjectMeta;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::Context;
use crate::credentials::{self, TYPE};
use crate::delivery;
use crate::image_repository::Error;
use crate::names::{RepositoryName, namespace_robot};
use crate::registry::{Backend, Robot, Role};

/// The namespace whose uid tells clusters apart.
const OF_CLUSTER: &str = "kube-system";

/// Lets the account pull this repository too, and has its Secret be there.
pub(crate) async fn join(
    context: &Context,
    backend: &dyn Backend,
    object: &ImageRepository,
    repository: &RepositoryName,
) -> Result<(), Error> {
    let robot = robot(context, object).await?;
    let namespace = object.namespace().unwrap_or_default();
    let login = backend.robot(&robot, &format!("Pulls all images of namespace {namespace}")).await?;
    backend.grant(repository.as_str(), &robot, Role::Read).await?;
    deliver(context, backend, object, &login).await
}

/// Name of the account.
pub(crate) async fn robot(context: &Context, object: &ImageRepository) -> Result<String, Error> {
    let cluster = context.cluster.get_or_try_init(async || {
        let namespaces: Api<v1::Namespace> = Api::all(context.client.clone());
        let namespace = namespaces.get_metadata(OF_CLUSTER).await.map_err(Error::Cluster)?;
        Ok::<_, Error>(namespace.uid().unwrap_or_default())
    });
    Ok(namespace_robot(&object.namespace().unwrap_or_default(), cluster.await?))
}

/// Has the Secret carry this login.
pub(crate) async fn deliver(
    context: &Context,
    backend: &dyn Backend,
    object: &ImageRepository,
    login: &Robot,
) -> Result<(), Error> {
    let namespace = object.namespace().unwrap_or_default();
    let logins = credentials::of_repository(&backend.url(&namespace), login);
    let write = match find(context, &namespace).await? {
        None => Some(Write::create(&v1::Secret {
            metadata: ObjectMeta {
                name: Some(NAMESPACE_PULL_SECRET.to_owned()),
                namespace: Some(namespace),
                labels: Some(BTreeMap::from([(labels::INTERNAL.into(), "true".to_owned())])),
                ..ObjectMeta::default()
            },
            type_: Some(TYPE.to_owned()),
            data: Some(credentials::data(&logins)),
            ..v1::Secret::default()
        })),
        Some(present) if !is_ours(&present) => {
            return Err(delivery::Error::Taken(NAMESPACE_PULL_SECRET.to_owned()).into());
        }
        Some(present) => (!credentials::is_in(&present, &logins))
            .then(|| Write::merge(&present, json!({"data": credentials::data(&logins)}))),
    };
    match context.writer.apply(write.as_slice()).await {
        Err(WriteError::Taken { .. }) => Err(delivery::Error::Taken(NAMESPACE_PULL_SECRET.to_owned()).into()),
        outcome => Ok(outcome?),
    }
}

/// Deletes account and Secret: no repository is left for them.
pub(crate) async fn leave(
    context: &Context,
    backend: &dyn Backend,
    object: &ImageRepository,
) -> Result<(), Error> {
    let robot = robot(context, object).await?;
    backend.delete_robot(&robot).await?;
    let secret = find(context, &object.namespace().unwrap_or_default()).await?.filter(is_ours);
    let write = secret.map(|secret| Write::delete(&secret));
    Ok(context.writer.apply(write.as_slice()).await?)
}

/// Its Secret, whoever made it.
pub(super) async fn find(context: &Context, namespace: &str) -> Result<Option<v1::Secret>, delivery::Error> {
    context.deliverer().find(&ObjectKey::new(namespace, NAMESPACE_PULL_SECRET)).await
}

fn is_ours(secret: &v1::Secret) -> bool {
    labels::INTERNAL.of(&secret.metadata.labels) == Some("true")
}
