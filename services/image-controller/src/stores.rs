//! What this service reads, and which part of it. Secrets are asked for by name.

use std::collections::BTreeMap;

use application_service_api::{Application, Component, ComponentSpec, ComponentStatus};
use fleet::{Fleet, Index, ObjectKey, Store};
use fleet_api::keys::{GITOPS_TRACKING, VELERO_RESTORE};
use image_controller_api::{ImageRepository, annotations, labels};
use k8s_openapi::api::core::v1::{ObjectReference, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::core::Expression;

use crate::args::{Args, BuildAccounts};
use crate::image_repository::shape;
use crate::links;
use crate::remote_secret::RemoteSecret;

/// `ImageRepository`s by the Component that they are labelled with.
pub(crate) const BY_COMPONENT: Index = Index("component");

/// `ImageRepository`s by the Application that they are labelled with.
pub(crate) const BY_APPLICATION: Index = Index("application");

/// `ImageRepository`s by their repository in the registry.
pub(crate) const BY_REPOSITORY: Index = Index("repository");

/// `ImageRepository`s by the `ServiceAccount`s that their Secrets are linked to.
pub(crate) const BY_ACCOUNT: Index = Index("account");

/// `ImageRepository`s by their namespace alone.
pub(crate) const BY_NAMESPACE: Index = Index("namespace");

/// The objects that this service reads.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) image_repositories: Store<ImageRepository>,
    pub(crate) components: Store<Component>,
    pub(crate) remote_secrets: Store<RemoteSecret>,
    pub(crate) accounts: Store<ServiceAccount>,
    /// Only where each Component has an account of its own.
    pub(crate) applications: Option<Store<Application>>,
}

impl Stores {
    pub(crate) fn new(fleet: &mut Fleet, args: &Args) -> Self {
        let accounts = args.build_service_account;
        let image_repositories = fleet
            .store()
            .index(BY_COMPONENT, |object: &ImageRepository| named_by(object, labels::COMPONENT))
            .index(BY_APPLICATION, |object: &ImageRepository| named_by(object, labels::APPLICATION))
            .index(BY_REPOSITORY, repository_of)
            .index(BY_ACCOUNT, move |object: &ImageRepository| links::accounts_of(object, accounts))
            .index(BY_NAMESPACE, |object: &ImageRepository| vec![namespace_of(object)])
            .build();
        let internal = Expression::Equal(labels::INTERNAL.into(), "true".to_owned());
        Self {
            image_repositories,
            components: fleet.store().optional().trim(trim_component).build(),
            remote_secrets: fleet.store().optional().labels(internal).build(),
            accounts: fleet.store().trim(trim_account).build(),
            applications: (accounts == BuildAccounts::PerComponent)
                .then(|| fleet.store().optional().trim(trim_application).build()),
        }
    }
}

/// The key under which all objects of one namespace are filed.
pub(crate) fn namespace_of(object: &ImageRepository) -> ObjectKey {
    ObjectKey::new(object.namespace().unwrap_or_default(), "")
}

/// What an `ImageRepository` names by a label.
pub(crate) fn named_by(object: &ImageRepository, label: fleet_api::LabelKey) -> Vec<ObjectKey> {
    let name = label.of(&object.metadata.labels).filter(|name| !name.is_empty());
    name.map(|name| ObjectKey::of(object).sibling(name)).into_iter().collect()
}

fn repository_of(object: &ImageRepository) -> Vec<ObjectKey> {
    let repository = shape::repository(object);
    repository.map(|name| ObjectKey::of(object).sibling(name.as_str())).into_iter().collect()
}

/// Keeps what a request by annotation and the image are about. `status.devfile` becomes a mark that there is one.
fn trim_component(component: &mut Component) {
    trim_metadata(&mut component.metadata);
    let spec = std::mem::take(&mut component.spec);
    component.spec = ComponentSpec {
        component_name: spec.component_name,
        application: spec.application,
        container_image: spec.container_image,
        ..ComponentSpec::default()
    };
    let devfile = component.status.take().and_then(|status| status.devfile);
    if devfile.is_some_and(|devfile| !devfile.is_empty()) {
        component.status =
            Some(ComponentStatus { devfile: Some("(there)".to_owned()), ..ComponentStatus::default() });
    }
}

/// Keeps its links by name.
fn trim_account(account: &mut ServiceAccount) {
    let metadata = &mut account.metadata;
    metadata.annotations = None;
    metadata.labels = None;
    metadata.owner_references = None;
    for secret in account.secrets.iter_mut().flatten() {
        *secret = ObjectReference { name: secret.name.take(), ..ObjectReference::default() };
    }
}

fn trim_application(application: &mut Application) {
    trim_metadata(&mut application.metadata);
    application.spec = application_service_api::ApplicationSpec::default();
    application.status = None;
}

fn trim_metadata(metadata: &mut ObjectMeta) {
    let is_read = |key: &str| {
        key == annotations::GENERATE.as_str()
            || key == annotations::IMAGE.as_str()
            || key == VELERO_RESTORE.as_str()
            || GITOPS_TRACKING.contains(&key)
    };
    keep(&mut metadata.annotations, is_read);
    keep(&mut metadata.labels, is_read);
}

fn keep(map: &mut Option<BTreeMap<String, String>>, is_read: impl Fn(&str) -> bool) {
    if let Some(entries) = map {
        entries.retain(|key, _| is_read(key));
    }
    if map.as_ref().is_some_and(BTreeMap::is_empty) {
        *map = None;
    }
}

/// Whether a GitOps tool keeps the object in sync with a repository; such objects get no owner from us.
pub(crate) fn is_tracked(object: &impl kube::Resource) -> bool {
    GITOPS_TRACKING
        .iter()
        .any(|key| object.annotations().contains_key(*key) || object.labels().contains_key(*key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn trimming_keeps_what_decisions_read() {
        let mut component: Component = serde_json::from_value(json!({
            "metadata": {
                "name": "c", "namespace": "n", "uid": "u", "finalizers": ["f"],
                "annotations": {"image.redhat.com/generate": "true", "image.redhat.com/image": "{}", "other": "x"},
                "labels": {"velero.io/restore-name": "r", "other": "x"},
            },
            "spec": {"componentName": "c", "application": "a", "containerImage": "i", "replicas": 3},
            "status": {"devfile": "long", "conditions": []},
        }))
        .unwrap();
        trim_component(&mut component);
        assert_eq!(component.metadata.annotations.as_ref().map(BTreeMap::len), Some(2));
        assert_eq!(component.metadata.labels.as_ref().map(BTreeMap::len), Some(1));
        assert_eq!(component.spec.replicas, None);
        assert_eq!(component.spec.container_image.as_deref(), Some("i"));
        assert_eq!(component.status.unwrap().devfile.as_deref(), Some("(there)"));
    }

    #[test]
    fn a_component_without_model_has_none_afterwards() {
        let status = ComponentStatus { devfile: Some(String::new()), ..ComponentStatus::default() };
        let mut component = Component { status: Some(status), ..Component::default() };
        trim_component(&mut component);
        assert_eq!(component.status, None);
    }

    #[test]
    fn accounts_keep_the_names_of_their_links() {
        let mut account: ServiceAccount = serde_json::from_value(json!({
            "metadata": {"name": "a", "labels": {"x": "y"}},
            "secrets": [{"name": "s", "namespace": "n"}],
            "imagePullSecrets": [{"name": "p"}],
        }))
        .unwrap();
        trim_account(&mut account);
        assert_eq!(account.secrets.unwrap()[0].name.as_deref(), Some("s"));
        assert_eq!(account.image_pull_secrets.unwrap()[0].name, "p");
    }
}
