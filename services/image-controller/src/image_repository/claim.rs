//! The first write: whose repository it will be, before anything is made at the registry.

use application_service_api::Component;
use fleet::Write;
use fleet_api::Open;
use fleet_api::keys::RECORDED_UID;
use image_controller_api::{ImageRepository, annotations, finalizers, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use super::shape;
use crate::names::RepositoryName;
use crate::stores::is_tracked;

/// What is asked for is no name of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spec.image.name: {0} is no name of a repository below the namespace; give another one")]
pub(crate) struct Unusable(String);

impl Unusable {
    fn of(object: &ImageRepository) -> Self {
        let name = object.spec.image.as_ref().and_then(|image| image.name.clone());
        Self(name.unwrap_or_else(|| object.name_any()))
    }
}

/// The repository that is asked for: by name, or else by Application and Component, or the object itself.
pub(crate) fn name(
    object: &ImageRepository,
    component: Option<&Component>,
) -> Result<RepositoryName, Unusable> {
    let namespace = object.namespace().unwrap_or_default();
    let given = object.spec.image.as_ref().and_then(|image| image.name.as_deref());
    let wanted = given.filter(|name| !name.is_empty());
    // One that was made before keeps its repository.
    if let Some(repository) = shape::url(object).and_then(|_| shape::repository(object)) {
        return Ok(repository);
    }
    let found = match (wanted, component) {
        (Some(name), _) => RepositoryName::wanted(&namespace, name),
        (None, Some(component)) => {
            let label = labels::APPLICATION.of(&object.metadata.labels).filter(|name| !name.is_empty());
            let application = label.unwrap_or(&component.spec.application);
            RepositoryName::parse(&namespace, &format!("{namespace}/{application}/{}", component.name_any()))
        }
        (None, None) => RepositoryName::parse(&namespace, &format!("{namespace}/{}", object.name_any())),
    };
    found.ok_or_else(|| Unusable::of(object))
}

/// Finalizer, names and owner in one write. From then on everything that is made can be found again.
pub(crate) fn claim(
    object: &ImageRepository,
    component: Option<&Component>,
    repository: &RepositoryName,
) -> Write {
    let mut finalizers = object.metadata.finalizers.clone().unwrap_or_default();
    if !shape::is_claimed(object) {
        finalizers.push(finalizers::IMAGE_REPOSITORY.into());
    }
    let visibility = object.spec.image.as_ref().and_then(|image| image.visibility.clone());
    let visibility = visibility.unwrap_or(Open::Known(shape::wanted_visibility(object)));
    let mut metadata = json!({
        "finalizers": finalizers,
        "annotations": {
            annotations::REPOSITORY.as_str(): repository.as_str(),
            RECORDED_UID.as_str(): object.metadata.uid,
        },
    });
    if let Some(component) = component
        && labels::APPLICATION.of(&object.metadata.labels).is_none_or(str::is_empty)
    {
        metadata["labels"] = json!({ labels::APPLICATION.as_str(): component.spec.application });
    }
    if let Some(owners) = component.and_then(|component| owners(object, component)) {
        metadata["ownerReferences"] = json!(owners);
    }
    let image = json!({"name": repository.as_str(), "visibility": visibility});
    Write::merge(object, json!({"metadata": metadata, "spec": {"image": image}}))
}

/// With the Component among them, so that it goes with it. `None` if nothing changes.
fn owners(object: &ImageRepository, component: &Component) -> Option<Vec<OwnerReference>> {
    if is_tracked(object) || is_tracked(component) {
        return None;
    }
    let uid = component.uid()?;
    let mut owners = object.owner_references().to_vec();
    if owners.iter().any(|owner| owner.uid == uid) {
        return None;
    }
    owners.push(OwnerReference {
        api_version: Component::api_version(&()).into_owned(),
        kind: Component::kind(&()).into_owned(),
        name: component.name_any(),
        uid,
        ..OwnerReference::default()
    });
    Some(owners)
}
