//! What a Release is given before anything is made for it: our finalizer, and what says where its Snapshot comes from.

use std::collections::BTreeMap;

use application_service_api::Snapshot;
use fleet::Write;
use fleet_api::keys::RECORDED_UID;
use kube::ResourceExt as _;
use release_service_api::annotations::{PREFIX, PULL_REQUEST_PREFIX};
use release_service_api::{Release, finalizers};
use serde_json::{Map, Value, json};

/// The patch, once in the life of a Release: what is taken off again later stays off.
///
/// Labels and annotations that the Release has are left as they are: who made it chose them.
pub(super) fn taking_up(release: &Release, snapshot: Option<&Snapshot>) -> Option<Write> {
    let metadata = &release.metadata;
    if finalizers::RELEASE.is_in(metadata.finalizers.as_ref()) {
        return None;
    }
    let of_snapshot = snapshot.map(|snapshot| &snapshot.metadata);
    let labels = missing(of_snapshot.and_then(|from| from.labels.as_ref()), metadata.labels.as_ref());
    let mut annotations =
        missing(of_snapshot.and_then(|from| from.annotations.as_ref()), metadata.annotations.as_ref());
    // A copy that comes out of a backup has another uid, and is not released once more.
    annotations.insert(RECORDED_UID.into(), json!(metadata.uid));
    let mut finalizers = release.finalizers().to_vec();
    finalizers.push(finalizers::RELEASE.into());
    let mut patch = json!({"finalizers": finalizers, "annotations": annotations});
    if !labels.is_empty() {
        patch["labels"] = labels.into();
    }
    Some(Write::merge(release, json!({ "metadata": patch })))
}

type Entries = BTreeMap<String, String>;

/// What of `from` is copied and not in `to`.
fn missing(from: Option<&Entries>, to: Option<&Entries>) -> Map<String, Value> {
    let is_copied = |key: &str| [PREFIX, PULL_REQUEST_PREFIX].iter().any(|prefix| key.starts_with(prefix));
    let is_new = |key: &str| !to.is_some_and(|to| to.contains_key(key));
    from.into_iter()
        .flatten()
        .filter(|(key, _)| is_copied(key) && is_new(key))
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let entries = json!({
            "appstudio.openshift.io/component": "api",
            "pac.test.appstudio.openshift.io/sha": "1",
            "pac.test.appstudio.openshift.io/event-type": "push",
            "test.appstudio.openshift.io/type": "component",
            "kubectl.kubernetes.io/last-applied-configuration": "x",
        });
        serde_json::from_value(json!({
            "metadata": {"name": "s", "labels": entries, "annotations": entries}, "spec": {"application": "shop"},
        }))
        .unwrap()
    }

    fn body(release: &Value) -> Option<Value> {
        let release: Release = serde_json::from_value(json!({"metadata": release, "spec": {}})).unwrap();
        match taking_up(&release, Some(&snapshot()))? {
            Write::Patch(patch) => Some(patch.body),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn copies_where_the_snapshot_comes_from_and_holds_the_release() {
        let body = body(&json!({
            "name": "r", "namespace": "n", "uid": "u", "resourceVersion": "3", "finalizers": ["theirs/f"],
            "labels": {"appstudio.openshift.io/component": "mine"},
        }))
        .unwrap();
        assert_eq!(
            body,
            json!({"metadata": {
                "uid": "u", "resourceVersion": "3",
                "finalizers": ["theirs/f", "appstudio.redhat.com/release-finalizer"],
                "labels": {
                    "pac.test.appstudio.openshift.io/event-type": "push", "pac.test.appstudio.openshift.io/sha": "1",
                },
                "annotations": {
                    "appstudio.openshift.io/component": "api",
                    "fleet.konflux-ci.dev/uid": "u",
                    "pac.test.appstudio.openshift.io/event-type": "push", "pac.test.appstudio.openshift.io/sha": "1",
                },
            }})
        );
    }

    #[test]
    fn once() {
        let held = json!({"name": "r", "uid": "u", "finalizers": ["appstudio.redhat.com/release-finalizer"]});
        assert_eq!(body(&held), None);
    }
}
