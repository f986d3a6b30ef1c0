//! What a `CustomResourceDefinition` says about what is stored. No I/O.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

/// A definition under which objects may be stored in an older version.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outdated {
    /// The kind in its storage version: to read and write in it takes no conversion of what is in it already.
    pub(super) resource: ApiResource,
    pub(super) is_namespaced: bool,
    /// In which versions something may be stored, the storage version among them.
    pub(super) stored_versions: Vec<String>,
    /// Changes whenever the definition is made anew, or its spec is edited.
    edition: (Option<String>, Option<i64>),
    resource_version: Option<String>,
}

impl Outdated {
    /// `None` if all is stored in the storage version, or if there will soon be nothing stored at all.
    pub(super) fn of(crd: &CustomResourceDefinition) -> Option<Self> {
        let storage = crd.spec.versions.iter().find(|version| version.storage)?;
        let stored_versions = crd.status.as_ref()?.stored_versions.clone()?;
        let is_up_to_date = stored_versions.iter().all(|version| *version == storage.name);
        if is_up_to_date || crd.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let kind = GroupVersionKind::gvk(&crd.spec.group, &storage.name, &crd.spec.names.kind);
        Some(Self {
            resource: ApiResource::from_gvk_with_plural(&kind, &crd.spec.names.plural),
            is_namespaced: crd.spec.scope != "Cluster",
            stored_versions,
            edition: (crd.metadata.uid.clone(), crd.metadata.generation),
            resource_version: crd.metadata.resource_version.clone(),
        })
    }

    /// Whether a migration that began with `self` has done what `later` asks for: objects written meanwhile were
    /// written in the same storage version.
    pub(super) fn covers(&self, later: &Self) -> bool {
        self.edition == later.edition && self.stored_versions == later.stored_versions
    }

    /// Records that all is stored in the storage version. Refused (409) if the definition has changed since.
    pub(super) fn finished(&self) -> Value {
        json!({
            "metadata": { "resourceVersion": self.resource_version },
            "status": { "storedVersions": [self.resource.version] },
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn crd(stored: &[&str], change: &Value) -> CustomResourceDefinition {
        let mut crd = json!({
            "metadata": {"name": "things.example.com", "uid": "u", "generation": 4, "resourceVersion": "7"},
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things"},
                "versions": [
                    {"name": "v1", "served": true, "storage": false},
                    {"name": "v2", "served": true, "storage": true},
                ],
            },
            "status": {"storedVersions": stored},
        });
        json_patch::merge(&mut crd, change);
        serde_json::from_value(crd).unwrap()
    }

    #[rstest]
    #[case::older_and_newer(crd(&["v1", "v2"], &json!({})), true)]
    #[case::newer_only(crd(&["v2"], &json!({})), false)]
    // The API server adds the storage version at the next change of the definition.
    #[case::older_only(crd(&["v1"], &json!({})), true)]
    #[case::rolled_back(crd(&["v2", "v3"], &json!({})), true)]
    #[case::goes_away(crd(&["v1", "v2"], &json!({"metadata": {"deletionTimestamp": "2024-03-01T12:00:00Z"}})), false)]
    #[case::not_stored_yet(crd(&[], &json!({})), false)]
    #[case::no_status(crd(&[], &json!({"status": null})), false)]
    fn finds_what_is_outdated(#[case] crd: CustomResourceDefinition, #[case] expected: bool) {
        assert_eq!(Outdated::of(&crd).is_some(), expected);
    }

    #[test]
    fn reads_and_writes_in_the_storage_version() {
        let outdated = Outdated::of(&crd(&["v1", "v2"], &json!({}))).unwrap();
        assert_eq!(outdated.resource.api_version, "example.com/v2");
        assert_eq!(outdated.resource.plural, "things");
        let finished = json!({"metadata": {"resourceVersion": "7"}, "status": {"storedVersions": ["v2"]}});
        assert_eq!(outdated.finished(), finished);
    }

    #[rstest]
    #[case::nothing_of_note(json!({"metadata": {"resourceVersion": "8", "labels": {"a": "b"}}}), true)]
    #[case::edited(json!({"metadata": {"generation": 5}}), false)]
    #[case::made_anew(json!({"metadata": {"uid": "other"}}), false)]
    #[case::stored_in_another(json!({"status": {"storedVersions": ["v1", "v2", "v3"]}}), false)]
    fn begins_anew_when_the_definition_changed(#[case] change: Value, #[case] expected: bool) {
        let [before, after] =
            [json!({}), change].map(|change| Outdated::of(&crd(&["v1", "v2"], &change)).unwrap());
        assert_eq!(before.covers(&after), expected);
    }
}
