//! What an `ImageRepository` says about itself, and how much of it is believed.

use fleet::ObjectKey;
use fleet_api::Open;
use fleet_api::keys::{RECORDED_UID, VELERO_RESTORE};
use image_controller_api::image_repository::{CredentialActions, CredentialsStatus, ImageStatus};
use image_controller_api::{
    ImageRepository, ImageRepositoryStatus, Visibility, annotations, finalizers, labels,
};
use kube::ResourceExt as _;

use crate::names::RepositoryName;

pub(crate) fn is_going(object: &ImageRepository) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

/// Whether something at the registry belongs, or may belong, to it.
pub(crate) fn is_claimed(object: &ImageRepository) -> bool {
    finalizers::IMAGE_REPOSITORY.is_in(object.metadata.finalizers.as_ref())
}

/// Whether it is a copy from a backup, which starts nothing and owns nothing outside (contracts.md, decision 27).
pub(crate) fn is_restored(object: &ImageRepository) -> bool {
    VELERO_RESTORE.of(&object.metadata.labels).is_some()
        || recorded_uid(object).is_some_and(|recorded| Some(recorded) != object.metadata.uid.as_deref())
}

fn recorded_uid(object: &ImageRepository) -> Option<&str> {
    RECORDED_UID.of(&object.metadata.annotations)
}

/// `status.state`, `None` while it is not known.
pub(crate) fn state(object: &ImageRepository) -> Option<&str> {
    object.status.as_ref()?.state.as_deref().filter(|state| !state.is_empty())
}

pub(crate) fn is_ready(object: &ImageRepository) -> bool {
    state(object) == Some(ImageRepositoryStatus::READY)
}

pub(crate) fn message(object: &ImageRepository) -> &str {
    object.status.as_ref().and_then(|status| status.message.as_deref()).unwrap_or_default()
}

pub(crate) fn image(object: &ImageRepository) -> Option<&ImageStatus> {
    object.status.as_ref()?.image.as_ref()
}

/// `status.image.url`.
pub(crate) fn url(object: &ImageRepository) -> Option<&str> {
    image(object)?.url.as_deref()
}

pub(crate) fn credentials(object: &ImageRepository) -> Option<&CredentialsStatus> {
    object.status.as_ref()?.credentials.as_ref()
}

/// What is to be done once.
pub(crate) fn actions(object: &ImageRepository) -> CredentialActions {
    object.spec.credentials.clone().unwrap_or_default()
}

/// Its repository: that of its status, or that which is being made. `None` before, and where what is written there is not
/// of its namespace.
pub(crate) fn repository(object: &ImageRepository) -> Option<RepositoryName> {
    let namespace = object.namespace()?;
    let of_status = url(object).and_then(|url| RepositoryName::in_url(&namespace, url));
    of_status.or_else(|| {
        RepositoryName::parse(&namespace, annotations::REPOSITORY.of(&object.metadata.annotations)?)
    })
}

/// Visibility that is wanted. A word that this version does not know counts as the stricter one.
pub(crate) fn wanted_visibility(object: &ImageRepository) -> Visibility {
    let wanted = object.spec.image.as_ref().and_then(|image| image.visibility.as_ref());
    match wanted {
        None => Visibility::Public,
        Some(word) => word.known().copied().unwrap_or(Visibility::Private),
    }
}

/// Visibility as it was last known.
pub(crate) fn visibility(object: &ImageRepository) -> Option<Visibility> {
    image(object)?.visibility.as_ref().and_then(Open::known).copied()
}

/// The Component that it is labelled with.
pub(crate) fn component(object: &ImageRepository) -> Option<ObjectKey> {
    let name = labels::COMPONENT.of(&object.metadata.labels).filter(|name| !name.is_empty())?;
    Some(ObjectKey::of(object).sibling(name))
}

/// Whether it has an account to pull with.
pub(crate) fn has_pull_account(object: &ImageRepository) -> bool {
    credentials(object).is_some_and(|credentials| credentials.pull_robot_account.is_some())
}

/// Names of the robots to push and to pull with: ours are derived, those of the original are in the status.
pub(crate) fn robots(object: &ImageRepository, repository: &RepositoryName) -> (String, String) {
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    let is_ours = recorded_uid(object) == Some(uid);
    let credentials = credentials(object).filter(|_| !is_ours);
    let told = |name: Option<&String>| name.filter(|name| repository.has_robot(name)).cloned();
    let push = credentials.and_then(|credentials| told(credentials.push_robot_account.as_ref()));
    let pull = credentials.and_then(|credentials| told(credentials.pull_robot_account.as_ref()));
    (push.unwrap_or_else(|| repository.push_robot(uid)), pull.unwrap_or_else(|| repository.pull_robot(uid)))
}
