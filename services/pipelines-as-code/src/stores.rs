//! What is read of the cluster by watches, and how Repositories are found.

use std::sync::Arc;

use fleet::{Fleet, Index, ObjectKey, Presence, Store};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use pipelines_as_code_api::{Repository, annotations};
use url::Url;

use crate::defaults;

/// Repositories by the URL of what they watch: see [`url_key`].
pub const BY_URL: Index = Index("url");

/// Repositories by their name alone.
const BY_NAME: Index = Index("name");

/// On an object: what kubectl applied last, as large as the object itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The ConfigMap with our settings, in our own namespace.
pub fn configuration(fleet: &mut Fleet, name: &str) -> Store<ConfigMap> {
    let namespace = fleet.namespace().to_owned();
    fleet.store().only_in(namespace).fields(format!("metadata.name={name}")).build()
}

/// All Repositories. Cheap to clone.
#[derive(Clone)]
pub struct Repositories {
    pub store: Store<Repository>,
    pub global: ObjectKey,
}

impl Repositories {
    pub fn new(fleet: &mut Fleet) -> Self {
        let global = defaults::key(fleet.namespace());
        let store = fleet.store().trim(trim).index(BY_URL, filed_under).index(BY_NAME, by_name).build();
        Self { store, global }
    }

    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Repository>> {
        self.store.get(key)
    }

    /// The Repository that watches this URL: of several the oldest. Whoever calls it has seen that all are known.
    pub fn watching(&self, url: &str) -> Option<Arc<Repository>> {
        let found = self.store.indexed(BY_URL, &url_key(url));
        let alive = found.into_iter().filter(|repository| repository.metadata.deletion_timestamp.is_none());
        // In the order of their keys, so that of the same age always the same one is found.
        alive.min_by_key(|repository| repository.creation_timestamp().map(|time| time.0))
    }

    /// Those of this name, in whatever namespace.
    pub(crate) fn called(&self, name: &str) -> Vec<Arc<Repository>> {
        self.store.indexed(BY_NAME, &ObjectKey::new("", name))
    }

    /// The Repository that holds what others take where they say nothing.
    pub fn global(&self) -> Option<Arc<Repository>> {
        self.store.get(&self.global)
    }

    /// Whether the absence of a Repository means that there is none.
    pub fn are_known(&self) -> bool {
        self.store.presence() == Presence::Listed
    }
}

fn by_name(repository: &Repository) -> Vec<ObjectKey> {
    vec![ObjectKey::new("", repository.name_any())]
}

fn filed_under(repository: &Repository) -> Vec<ObjectKey> {
    repository
        .spec
        .spec
        .url
        .as_deref()
        .filter(|url| !url.trim().is_empty())
        .map(url_key)
        .into_iter()
        .collect()
}

/// Under what a Repository is filed in [`BY_URL`]. The same for all ways to write a URL: the case of the host, userinfo, a `/`
/// or `.git` at the end do not matter (contracts.md, section d).
pub fn url_key(url: &str) -> ObjectKey {
    ObjectKey::new("", normalised(url))
}

fn normalised(url: &str) -> String {
    let url = url.trim();
    let text = match Url::parse(url) {
        // Lower-case host, no port where it is the scheme's own.
        Ok(mut parsed) if parsed.has_host() => {
            // Neither fails where there is a host.
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.set_query(None);
            parsed.set_fragment(None);
            parsed.to_string()
        }
        _ => url.to_owned(),
    };
    let text = text.trim_end_matches('/');
    text.strip_suffix(".git").unwrap_or(text).trim_end_matches('/').to_owned()
}

/// Most of what clients leave in annotations is never read. Nothing is written from a trimmed object as a whole.
fn trim(repository: &mut Repository) {
    if let Some(kept) = &mut repository.metadata.annotations {
        kept.remove(LAST_APPLIED);
        let is_ours =
            |key: &str| key.starts_with(annotations::PREFIX) || key.starts_with("fleet.konflux-ci.dev/");
        kept.retain(|key, _| is_ours(key));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    /// Repositories that a test fills. They are known from the start.
    pub(crate) fn repositories() -> Repositories {
        let store = Store::new(trim, vec![(BY_URL, Arc::new(filed_under)), (BY_NAME, Arc::new(by_name))]);
        store.mark_synced();
        Repositories { store, global: defaults::key("pipelines-as-code") }
    }

    /// A Repository `tenant/app` with this spec.
    pub(crate) fn repository(spec: &serde_json::Value) -> Repository {
        named("app", "2024-03-01T12:00:00Z", spec)
    }

    fn named(name: &str, created: &str, spec: &serde_json::Value) -> Repository {
        serde_json::from_value(json!({
            "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository",
            "metadata": {"name": name, "namespace": "tenant", "uid": format!("uid-{name}"), "resourceVersion": "1",
                "creationTimestamp": created},
            "spec": spec,
        }))
        .unwrap()
    }

    #[rstest]
    #[case("https://git.test/team/app")]
    #[case("https://GIT.test/team/app/")]
    #[case("https://git.test/team/app.git")]
    #[case("https://git.test/team/app.git/")]
    #[case("https://git.test:443/team/app")]
    #[case("https://user:word@git.test/team/app")]
    #[case(" https://git.test/team/app ")]
    fn urls_that_are_the_same(#[case] url: &str) {
        assert_eq!(url_key(url), ObjectKey::new("", "https://git.test/team/app"));
    }

    #[rstest]
    #[case("https://git.test/team/App")]
    #[case("http://git.test/team/app")]
    #[case("https://git.test:8443/team/app")]
    #[case("https://git.test/team")]
    #[case("")]
    fn urls_that_are_not(#[case] url: &str) {
        assert_ne!(url_key(url), url_key("https://git.test/team/app"));
    }

    #[test]
    fn the_oldest_repository_counts_and_one_that_goes_does_not() {
        let repositories = repositories();
        let spec = json!({"url": "https://git.test/team/app"});
        repositories.store.apply(named("newer", "2024-03-02T12:00:00Z", &spec));
        repositories.store.apply(named("older", "2024-03-01T12:00:00Z", &spec));
        let name = || repositories.watching("https://git.test/team/app/").map(|found| found.name_any());
        assert_eq!(name().as_deref(), Some("older"));
        let mut going = named("older", "2024-03-01T12:00:00Z", &spec);
        going.metadata.resource_version = Some("2".to_owned());
        going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
        repositories.store.apply(going);
        assert_eq!(name().as_deref(), Some("newer"));
        assert!(repositories.watching("https://git.test/team/other").is_none());
    }

    #[test]
    fn a_repository_without_url_is_found_by_none() {
        let repositories = repositories();
        repositories.store.apply(repository(&json!({"url": ""})));
        assert!(repositories.watching("").is_none());
    }

    #[test]
    fn keeps_the_annotations_that_are_read() {
        let mut repository = repository(&json!({}));
        let all =
            [annotations::INCOMING.as_str(), "pipelinesascode.tekton.dev/x", LAST_APPLIED, "other.test/y"];
        repository.metadata.annotations = Some(all.map(|key| (key.to_owned(), String::new())).into());
        trim(&mut repository);
        assert_eq!(repository.metadata.annotations.unwrap().len(), 2);
    }
}
