//! What a check is about: branches of repositories, each once (specification, section 6).

use std::collections::BTreeMap;
use std::sync::Arc;

use application_service_api::Component;
use build_service_api::DependencyUpdateCheckSpec;
use build_service_api::annotations::mintmaker::DISABLED;
use fleet::ObjectKey;
use kube::ResourceExt as _;
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::git::{Source, is_commit};

/// A branch of a repository, by what Components say of it.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    /// The same for all Components of the branch, of characters that keys of a ConfigMap may have.
    pub(super) id: String,
    /// Those that are built from it, in the order of their names.
    pub(super) components: Vec<Arc<Component>>,
    pub(super) source: Result<Source, Failure>,
}

impl Branch {
    /// Host and owner, which take turns. Of what has no forge that is known: none.
    pub(super) fn place(&self) -> Place {
        match &self.source {
            Ok(source) => {
                Place { host: source.host.clone(), owner: source.repository.owner().to_lowercase() }
            }
            Err(_) => Place::default(),
        }
    }
}

/// Whose turn it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) host: String,
    /// Organisation, group or person.
    pub(super) owner: String,
}

/// Label of runs: one of a branch goes on at a time.
pub(super) fn branch_hash(name: &str) -> String {
    let mut text = data_encoding::HEXLOWER.encode(&Sha256::digest(name));
    text.truncate(12);
    text
}

/// `<host>/<repository>@<branch>`
pub(super) fn branch_name(source: &Source, branch: &str) -> String {
    format!("{}@{branch}", source.name())
}

/// The branches of the Components that a check names, in the order of their ids.
pub(super) fn branches(spec: &DependencyUpdateCheckSpec, components: &[Arc<Component>]) -> Vec<Branch> {
    let mut named: Vec<_> = components.iter().filter(|component| is_named(spec, component)).collect();
    named.sort_by_key(|component| ObjectKey::of(&***component));
    let mut found: BTreeMap<String, Branch> = BTreeMap::new();
    for component in named {
        let Some(source) = Source::of(component) else { continue };
        let name = match &source {
            // A commit has no newer one.
            Ok(source) if source.revision.as_deref().is_some_and(is_commit) => continue,
            Ok(source) => branch_name(source, source.revision.as_deref().unwrap_or_default()),
            Err(_) => format!("component {}", ObjectKey::of(&**component)),
        };
        let id = branch_hash(&name);
        let branch = found.entry(id.clone()).or_insert_with(|| Branch { id, components: Vec::new(), source });
        branch.components.push(Arc::clone(component));
    }
    found.into_values().collect()
}

fn is_named(spec: &DependencyUpdateCheckSpec, component: &Component) -> bool {
    let is_left_alone = component.metadata.deletion_timestamp.is_some()
        || DISABLED.of(&component.metadata.annotations) == Some("true");
    if is_left_alone {
        return false;
    }
    let (namespace, name) = (component.namespace().unwrap_or_default(), component.name_any());
    spec.namespaces.is_empty()
        || spec.namespaces.iter().filter(|one| one.namespace == namespace).any(|one| {
            one.applications.is_empty()
                || one
                    .applications
                    .iter()
                    .filter(|one| one.application == component.spec.application)
                    .any(|one| one.components.is_empty() || one.components.contains(&name))
        })
}

#[cfg(test)]
pub(super) mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn component(
        key: &str,
        application: &str,
        url: &str,
        revision: Option<&str>,
    ) -> Arc<Component> {
        let (namespace, name) = key.split_once('/').unwrap();
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "componentName": name, "application": application,
                    "source": {"git": {"url": url, "revision": revision}},
                },
            }))
            .unwrap(),
        )
    }

    fn scene() -> Vec<Arc<Component>> {
        let mut disabled = (*component("a/off", "shop", "https://github.com/acme/off", None)).clone();
        disabled.annotations_mut().insert(DISABLED.as_str().to_owned(), "true".to_owned());
        vec![
            component("a/web", "shop", "https://github.com/acme/app", None),
            component("a/api", "shop", "https://github.com/acme/app.git", None),
            component("a/old", "shop", "https://github.com/acme/app", Some("release")),
            component("a/tool", "tools", "https://gitlab.com/acme/tool", None),
            component("b/web", "shop", "https://github.com/acme/app", None),
            component("b/pinned", "shop", "https://github.com/acme/app", Some("8cc5aef")),
            component("b/odd", "shop", "https://git.example/acme/odd", None),
            Arc::new(disabled),
        ]
    }

    #[rstest]
    #[case::all(json!([]), &["a/api a/web b/web", "a/old", "a/tool", "b/odd"])]
    #[case::a_namespace(json!([{"namespace": "a"}]), &["a/api a/web", "a/old", "a/tool"])]
    #[case::an_application(
        json!([{"namespace": "a", "applications": [{"application": "tools"}]}]), &["a/tool"])]
    #[case::components(
        json!([{"namespace": "a", "applications": [{"application": "shop", "components": ["old", "off"]}]}]), &["a/old"])]
    #[case::several(
        json!([{"namespace": "a", "applications": [{"application": "tools"}]}, {"namespace": "b"}]),
        &["a/tool", "b/odd", "b/web"]
    )]
    #[case::none(json!([{"namespace": "c"}]), &[])]
    fn a_check_names(#[case] namespaces: Value, #[case] expected: &[&str]) {
        let spec = serde_json::from_value(json!({ "namespaces": namespaces })).unwrap();
        let mut found: Vec<String> = branches(&spec, &scene())
            .iter()
            .map(|branch| {
                let names = branch.components.iter().map(|component| ObjectKey::of(&**component).to_string());
                names.collect::<Vec<_>>().join(" ")
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_branch_has_the_hash_of_its_name() {
        // printf github.com/acme/app@main | sha256sum
        assert_eq!(branch_hash("github.com/acme/app@main").len(), 12);
        assert_eq!(branch_hash("abc"), "ba7816bf8f01");
    }
}
