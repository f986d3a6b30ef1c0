//! What is read of the cluster by watches, and which part of it. Secrets and ConfigMaps are never among it.

use std::collections::BTreeMap;
use std::sync::Arc;

use application_service_api::component::ComponentSource;
use application_service_api::{Component, ComponentSpec, ComponentStatus};
use build_service_api::{BuildPipelineSelector, labels};
use fleet::{Fleet, Index, ObjectKey, Store};
use fleet_api::keys;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::core::Expression;
use pipelines_as_code_api::Repository;
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::pipeline_run::PipelineRunSpec;

/// Components by the repository that they are built from, as [`repository_key`] writes it.
pub(crate) const BY_SOURCE: Index = Index("source");

/// Components by their namespace: the key's name is empty.
pub(crate) const BY_NAMESPACE: Index = Index("namespace");

/// Repositories by the URL that they watch, as [`repository_key`] writes it.
pub(crate) const BY_URL: Index = Index("url");

/// Runs by the Component that they are labelled with.
pub(crate) const BY_COMPONENT: Index = Index("component");

/// Beginnings of the annotations of Components that are read.
const ANNOTATIONS: [&str; 7] = [
    "build.appstudio.",
    "image.redhat.com/",
    "image-controller.appstudio.redhat.com/",
    "mintmaker.appstudio.redhat.com/",
    "fleet.konflux-ci.dev/",
    "git-provider",
    "skip-initial-checks",
];

/// The objects that this service reads. Cheap to clone.
#[derive(Clone)]
pub struct Stores {
    pub components: Store<Component>,
    pub selectors: Store<BuildPipelineSelector>,
    /// Of the service's own namespace, whatever namespaces it works in.
    pub global_selectors: Store<BuildPipelineSelector>,
    /// Of Pipelines-as-Code, which may come later.
    pub repositories: Store<Repository>,
    /// Runs of Components, as far as it matters whether they are there.
    pub runs: Store<PipelineRun>,
}

impl Stores {
    pub(crate) fn new(fleet: &mut Fleet) -> Self {
        let namespace = fleet.namespace().to_owned();
        Self {
            components: fleet
                .store()
                .optional()
                .trim(trim_component)
                .index(BY_SOURCE, by_source)
                .index(BY_NAMESPACE, by_namespace)
                .build(),
            selectors: fleet.store().build(),
            global_selectors: fleet.store().only_in(namespace).build(),
            repositories: fleet.store().optional().trim(trim_repository).index(BY_URL, by_url).build(),
            runs: fleet
                .store()
                .labels(Expression::Exists(labels::COMPONENT.into()))
                .optional()
                .trim(trim_run)
                .index(BY_COMPONENT, by_component)
                .build(),
        }
    }

    /// Components of this namespace that are built from this repository, but for those on their way out.
    pub(crate) fn built_from(&self, namespace: &str, url: &str) -> Vec<Arc<Component>> {
        let mut found = self.components.indexed(BY_SOURCE, &repository_key(namespace, url));
        found.retain(|component| component.metadata.deletion_timestamp.is_none());
        found
    }
}

/// Namespace, and what two URLs of one repository have in common: the host in lower case, no userinfo, no trailing `/`
/// and no `.git` (contracts.md, section d).
pub(crate) fn repository_key(namespace: &str, url: &str) -> ObjectKey {
    let url = url.trim().trim_end_matches('/');
    let url = url.strip_suffix(".git").unwrap_or(url).trim_end_matches('/');
    let name = match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{}://{}/{path}", scheme.to_ascii_lowercase(), host.to_ascii_lowercase())
        }
        None => url.to_owned(),
    };
    ObjectKey::new(namespace, name)
}

/// URL of the repository that a Component is built from, if it is from one.
pub(crate) fn source_url(component: &Component) -> Option<&str> {
    let git = component.spec.source.as_ref()?.git.as_ref()?;
    Some(git.url.as_str()).filter(|url| !url.is_empty())
}

fn by_source(component: &Component) -> Vec<ObjectKey> {
    let namespace = component.namespace().unwrap_or_default();
    source_url(component).map(|url| repository_key(&namespace, url)).into_iter().collect()
}

fn by_namespace(component: &Component) -> Vec<ObjectKey> {
    vec![ObjectKey::new(component.namespace().unwrap_or_default(), "")]
}

fn by_url(repository: &Repository) -> Vec<ObjectKey> {
    let namespace = repository.namespace().unwrap_or_default();
    repository.spec.spec.url.as_deref().map(|url| repository_key(&namespace, url)).into_iter().collect()
}

/// The Component that a run is labelled with.
pub(crate) fn by_component(run: &PipelineRun) -> Vec<ObjectKey> {
    let name = labels::COMPONENT.of(&run.metadata.labels).filter(|name| !name.is_empty());
    name.map(|name| ObjectKey::of(run).sibling(name)).into_iter().collect()
}

/// Keeps what tells whether there is something to do. What a request needs beside it is read when there is one.
fn trim_component(component: &mut Component) {
    let annotations = &mut component.metadata.annotations;
    keep(annotations, |key| ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix)));
    keep(&mut component.metadata.labels, |key| key == keys::VELERO_RESTORE.as_str());
    let spec = std::mem::take(&mut component.spec);
    component.spec = ComponentSpec {
        application: spec.application,
        secret: spec.secret,
        source: spec.source.map(|source| ComponentSource { git: source.git, ..ComponentSource::default() }),
        container_image: spec.container_image,
        build_nudges_ref: spec.build_nudges_ref,
        skip_offboarding_pr: spec.skip_offboarding_pr,
        ..ComponentSpec::default()
    };
    let devfile = component.status.take().and_then(|status| status.devfile);
    component.status = Some(ComponentStatus { devfile, ..ComponentStatus::default() });
}

fn trim_repository(repository: &mut Repository) {
    repository.spec.pipelinerun_status = Vec::new();
    trim_last_applied(&mut repository.metadata);
}

fn trim_run(run: &mut PipelineRun) {
    let wanted = [labels::COMPONENT, labels::TYPE].map(fleet_api::LabelKey::as_str);
    keep(&mut run.metadata.labels, |key| wanted.contains(&key));
    run.metadata.annotations = None;
    run.metadata.owner_references = None;
    run.spec = PipelineRunSpec::default();
    run.status = None;
}

fn trim_last_applied(metadata: &mut ObjectMeta) {
    keep(&mut metadata.annotations, |key| key != "kubectl.kubernetes.io/last-applied-configuration");
}

fn keep(map: &mut Option<BTreeMap<String, String>>, is_wanted: impl Fn(&str) -> bool) {
    if let Some(entries) = map {
        entries.retain(|key, _| is_wanted(key));
    }
    if map.as_ref().is_some_and(BTreeMap::is_empty) {
        *map = None;
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("https://git.example/acme/app")]
    #[case("https://GIT.example/acme/app.git")]
    #[case("https://git.example/acme/app/")]
    #[case("https://git.example/acme/app.git/")]
    #[case("https://user@git.example/acme/app")]
    fn one_repository_has_one_key(#[case] url: &str) {
        assert_eq!(repository_key("n", url), ObjectKey::new("n", "https://git.example/acme/app"));
    }

    #[rstest]
    #[case("https://git.example/acme/App")]
    #[case("https://git.example/acme/app2")]
    #[case("https://other.example/acme/app")]
    fn another_repository_has_another(#[case] url: &str) {
        assert_ne!(repository_key("n", url), repository_key("n", "https://git.example/acme/app"));
    }

    #[test]
    fn trimming_keeps_what_decisions_read() {
        let mut component: Component = serde_json::from_value(json!({
            "metadata": {
                "name": "c", "namespace": "n", "uid": "u", "finalizers": ["f"],
                "annotations": {
                    "build.appstudio.openshift.io/request": "configure-pac", "image.redhat.com/image": "{}",
                    "git-provider-url": "https://g", "fleet.konflux-ci.dev/uid": "u", "note": "x",
                },
                "labels": {"velero.io/restore-name": "r", "a": "b"},
            },
            "spec": {
                "componentName": "c", "application": "a", "secret": "s", "containerImage": "i", "replicas": 3,
                "source": {"git": {"url": "https://git.example/acme/app"}}, "build-nudges-ref": ["d"],
            },
            "status": {"devfile": "d", "lastBuiltCommit": "x"},
        }))
        .unwrap();
        trim_component(&mut component);
        assert_eq!(component.annotations().len(), 4);
        assert_eq!(component.labels().keys().collect::<Vec<_>>(), ["velero.io/restore-name"]);
        assert_eq!(component.spec.replicas, None);
        assert_eq!(by_source(&component), [ObjectKey::new("n", "https://git.example/acme/app")]);
        assert_eq!(component.spec.build_nudges_ref, ["d"]);
        let status = component.status.unwrap();
        assert_eq!((status.devfile.as_deref(), status.last_built_commit), (Some("d"), None));
    }
}
