//! The Components that are nudged, by what is changed for them: a branch of a repository.

use std::sync::Arc;

use application_service_api::Component;
use build_service_api::annotations;
use fleet_api::keys;
use kube::ResourceExt as _;

use crate::failure::Failure;
use crate::git::{Source, is_commit};

/// A branch of a repository, and the Components that are built from it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The same for all Components of the branch.
    pub(crate) key: String,
    /// The first of them, for messages and credentials.
    pub(crate) component: Arc<Component>,
    /// Their names.
    pub(crate) nudged: Vec<String>,
    pub(crate) source: Result<Source, Failure>,
}

impl Group {
    /// Absent means the default branch.
    pub(crate) fn branch(&self) -> Option<&str> {
        self.source.as_ref().ok()?.revision.as_deref()
    }
}

/// Groups Components, in the order of their names. Those without a repository, or built from a commit, are left out.
pub(crate) fn groups(targets: &[Arc<Component>]) -> Vec<Group> {
    let mut targets: Vec<_> = targets.iter().collect();
    targets.sort_by_key(|component| component.name_any());
    let mut groups: Vec<Group> = Vec::new();
    for component in targets {
        let name = component.name_any();
        let Some(source) = Source::of(component) else { continue };
        if keys::VELERO_RESTORE.of(&component.metadata.labels).is_some() {
            continue;
        }
        let key = match &source {
            Ok(source) if source.revision.as_deref().is_some_and(is_commit) => continue,
            Ok(source) => {
                let branch = source.revision.as_deref().unwrap_or_default();
                format!("{}@{branch}", source.name())
            }
            Err(_) => format!("component {name}"),
        };
        if let Some(group) = groups.iter_mut().find(|group| group.key == key) {
            group.nudged.push(name);
        } else {
            groups.push(Group { key, component: Arc::clone(component), nudged: vec![name], source });
        }
    }
    groups
}

/// Whether the name of the Component that is nudged shall not be part of the branch's.
pub(crate) fn has_simple_branch(nudging: &Component) -> bool {
    annotations::NUDGE_SIMPLE_BRANCH.of(&nudging.metadata.annotations) == Some("true")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn component(name: &str, url: &str, revision: Option<&str>) -> Arc<Component> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "tenant"},
                "spec": {"componentName": name, "application": "a", "source": {"git": {"url": url, "revision": revision}}},
            }))
            .unwrap(),
        )
    }

    #[test]
    fn a_branch_is_changed_once_for_all_its_components() {
        let targets = [
            component("web", "https://github.com/acme/app", Some("main")),
            component("api", "https://github.com/acme/app.git", Some("main")),
            component("old", "https://github.com/acme/app", Some("release")),
            component("cli", "https://github.com/acme/cli", None),
            component(
                "pinned",
                "https://github.com/acme/pinned",
                Some("8cc5aef17d528ca5ab893dd430004fec8bf9beaa"),
            ),
            component("odd", "https://git.example/acme/odd", None),
        ];
        let found = groups(&targets);
        let found: Vec<_> = found
            .iter()
            .map(|group| (group.key.as_str(), group.nudged.join(","), group.source.is_ok()))
            .collect();
        assert_eq!(
            found,
            [
                ("github.com/acme/app@main", "api,web".to_owned(), true),
                ("github.com/acme/cli@", "cli".to_owned(), true),
                ("component odd", "odd".to_owned(), false),
                ("github.com/acme/app@release", "old".to_owned(), true),
            ]
        );
    }
}
