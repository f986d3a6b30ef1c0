//! What this service reads, and which part of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use application_service_api::component::ComponentSource;
use application_service_api::{Application, Component, ComponentSpec, ComponentStatus};
use fleet::{Fleet, Index, ObjectKey, Store};
use fleet_api::keys::GITOPS_TRACKING;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;

/// Components by the Application that they name.
pub(crate) const BY_APPLICATION: Index = Index("application");

/// Components by each Component that they nudge.
pub(crate) const BY_NUDGED: Index = Index("nudged");

/// The objects that this service reads.
#[derive(Clone)]
pub struct Stores {
    pub applications: Store<Application>,
    pub components: Store<Component>,
}

impl Stores {
    pub(crate) fn new(fleet: &mut Fleet) -> Self {
        Self {
            applications: fleet.store().trim(trim_application).build(),
            components: fleet
                .store()
                .trim(trim_component)
                .index(BY_APPLICATION, |component: &Component| vec![application_of(component)])
                .index(BY_NUDGED, nudged_by)
                .build(),
        }
    }

    /// The Components that belong to an Application and are not on their way out.
    pub(crate) fn components_of(&self, application: &ObjectKey) -> Vec<Arc<Component>> {
        let mut components = self.components.indexed(BY_APPLICATION, application);
        components.retain(|component| component.metadata.deletion_timestamp.is_none());
        components
    }
}

/// The Application that a Component names, which need not exist.
pub(crate) fn application_of(component: &Component) -> ObjectKey {
    ObjectKey::of(component).sibling(&component.spec.application)
}

/// The Components that a Component nudges, which need not exist.
pub(crate) fn nudged_by(component: &Component) -> Vec<ObjectKey> {
    let key = ObjectKey::of(component);
    component.spec.build_nudges_ref.iter().map(|name| key.sibling(name)).collect()
}

fn trim_application(application: &mut Application) {
    trim_metadata(&mut application.metadata);
}

/// Keeps what the model, ownership and nudging depend on. Whatever else a Component has is nobody's business here, and
/// twenty thousand of them have to fit into a small process.
fn trim_component(component: &mut Component) {
    trim_metadata(&mut component.metadata);
    let spec = std::mem::take(&mut component.spec);
    component.spec = ComponentSpec {
        component_name: spec.component_name,
        application: spec.application,
        secret: spec.secret,
        source: spec.source.map(|source| ComponentSource {
            git: source.git,
            dockerfile_uri: source.dockerfile_uri,
            url: source.url,
            ..ComponentSource::default()
        }),
        env: spec.env.into_iter().filter(|variable| variable.value_from.is_some()).collect(),
        container_image: spec.container_image,
        build_nudges_ref: spec.build_nudges_ref,
        ..ComponentSpec::default()
    };
    if let Some(status) = component.status.take() {
        component.status = Some(ComponentStatus {
            conditions: status.conditions,
            container_image: status.container_image,
            devfile: status.devfile,
            build_nudged_by: status.build_nudged_by,
            ..ComponentStatus::default()
        });
    }
}

fn trim_metadata(metadata: &mut ObjectMeta) {
    keep_tracking(&mut metadata.annotations);
    keep_tracking(&mut metadata.labels);
}

fn keep_tracking(map: &mut Option<BTreeMap<String, String>>) {
    if let Some(entries) = map {
        entries.retain(|key, _| GITOPS_TRACKING.contains(&key.as_str()));
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
    use super::*;
    use serde_json::json;

    #[test]
    fn trimming_keeps_what_decisions_read() {
        let mut component: Component = serde_json::from_value(json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Component",
            "metadata": {
                "name": "c", "namespace": "n", "uid": "u", "generation": 3, "finalizers": ["f"],
                "annotations": {"argocd.argoproj.io/tracking-id": "t", "kubectl.kubernetes.io/last-applied": "{}"},
                "labels": {"a": "b"},
            },
            "spec": {
                "componentName": "c", "application": "a", "secret": "s", "containerImage": "i", "replicas": 3,
                "source": {"git": {"url": "https://git.example/x"}},
                "build-nudges-ref": ["d"],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
            },
            "status": {"devfile": "d", "lastBuiltCommit": "x", "build-nudged-by": ["e"]},
        }))
        .unwrap();
        trim_component(&mut component);
        assert!(is_tracked(&component));
        assert_eq!(component.metadata.labels, None);
        assert_eq!(component.metadata.generation, Some(3));
        assert_eq!(component.metadata.finalizers, Some(vec!["f".to_owned()]));
        assert_eq!(component.spec.replicas, None);
        assert_eq!(component.spec.env.len(), 1, "literal values are never looked at");
        assert_eq!(component.spec.build_nudges_ref, ["d"]);
        let status = component.status.unwrap();
        assert_eq!((status.devfile.as_deref(), status.last_built_commit), (Some("d"), None));
        assert_eq!(status.build_nudged_by, ["e"]);
    }
}
