//! Snapshots by which a user says what the candidate list is to hold (annex, L4).

use std::sync::Arc;

use application_service_api::snapshot::SnapshotComponent;
use application_service_api::{Component, Snapshot};
use kube::ResourceExt as _;

use crate::content::is_digest_pullspec;

/// What is wrong with such a Snapshot, for people; nothing if it can be carried out. `components` are those of its Application.
pub(crate) fn faults_of_override(snapshot: &Snapshot, components: &[Arc<Component>]) -> Vec<String> {
    let mut faults = Vec::new();
    if snapshot.spec.components.is_empty() {
        faults.push("spec.components is empty: name at least one Component with its image".to_owned());
    }
    for (at, entry) in snapshot.spec.components.iter().enumerate() {
        let is_there = components.iter().any(|component| {
            component.name_any() == entry.name && component.metadata.deletion_timestamp.is_none()
        });
        if !is_there {
            let application = &snapshot.spec.application;
            faults.push(format!("Component {} is none of Application {application}", entry.name));
        }
        if snapshot.spec.components[..at].iter().any(|other| other.name == entry.name) {
            faults.push(format!("Component {} is named more than once", entry.name));
        }
        if !is_digest_pullspec(entry.container_image.trim()) {
            let image = &entry.container_image;
            faults.push(format!("Component {}: containerImage {image:?} is no image by digest", entry.name));
        }
        faults.extend(
            missing_source(entry)
                .map(|field| format!("Component {}: source.git.{field} is missing", entry.name)),
        );
    }
    faults
}

/// The first of the fields that say where an image was built from, and are not there.
fn missing_source(entry: &SnapshotComponent) -> Option<&'static str> {
    let git = entry.source.as_ref().and_then(|source| source.git.as_ref());
    match git {
        None => Some("url"),
        Some(git) if git.url.is_empty() => Some("url"),
        Some(git) if git.revision.as_deref().unwrap_or_default().is_empty() => Some("revision"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    const IMAGE: &str = "reg.test/a@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn entry(name: &str) -> Value {
        let git = json!({"url": "https://git.test/a", "revision": "abc"});
        json!({"name": name, "containerImage": IMAGE, "source": {"git": git}})
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut entry = entry("a");
        *entry.pointer_mut(pointer).unwrap() = value;
        entry
    }

    #[rstest]
    #[case::fine(json!([entry("a")]), &[])]
    #[case::empty(json!([]), &["spec.components is empty"])]
    #[case::unknown(json!([entry("x")]), &["Component x is none of Application app"])]
    #[case::going(json!([entry("going")]), &["Component going is none"])]
    #[case::twice(json!([entry("a"), entry("a")]), &["a is named more than once"])]
    #[case::tag(json!([with("/containerImage", json!("reg.test/a:v1"))]), &["\"reg.test/a:v1\" is no image by digest"])]
    #[case::no_url(json!([with("/source/git/url", json!(""))]), &["source.git.url is missing"])]
    #[case::no_source(json!([with("/source", json!(null))]), &["source.git.url is missing"])]
    #[case::no_revision(json!([with("/source/git/revision", json!(null))]), &["source.git.revision is missing"])]
    #[case::all_at_once(
        json!([entry("x"), with("/containerImage", json!(""))]), &["Component x is none", "\"\" is no image"]
    )]
    fn finds(#[case] entries: Value, #[case] expected: &[&str]) {
        let of = |name: &str, deletion: Value| -> Arc<Component> {
            let metadata = json!({"name": name, "deletionTimestamp": deletion});
            Arc::new(serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap())
        };
        let components = [of("a", Value::Null), of("going", json!("2024-03-01T12:00:00Z"))];
        let snapshot: Snapshot = serde_json::from_value(json!({
            "metadata": {"name": "s"}, "spec": {"application": "app", "components": entries},
        }))
        .unwrap();
        let faults = faults_of_override(&snapshot, &components);
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
