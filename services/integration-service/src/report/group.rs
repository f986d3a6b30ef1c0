//! Groups (annex, L12): the members of a Snapshot, to whose pull requests its results go, and what a member says of a group that has no
//! Snapshot.

use application_service_api::Snapshot;
use integration_service_api::annotations::{CREATE_GROUP_SNAPSHOT_STATUS, GROUP_TEST_INFO};
use kube::ResourceExt as _;
use serde::Deserialize;

/// What is read of a member.
#[derive(Deserialize)]
struct Member {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    snapshot: String,
}

/// Snapshots that the group is made of. None of other namespaces: anybody may have written the annotation.
pub(super) fn members(snapshot: &Snapshot) -> Vec<String> {
    let text = snapshot.annotations().get(GROUP_TEST_INFO.as_str());
    let members: Vec<Member> = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let namespace = snapshot.namespace().unwrap_or_default();
    let is_ours = |member: &Member| member.namespace.is_empty() || member.namespace == namespace;
    let ours = members.into_iter().filter(|member| is_ours(member) && !member.snapshot.is_empty());
    ours.map(|member| member.snapshot).collect()
}

/// What is read of [`CREATE_GROUP_SNAPSHOT_STATUS`].
#[derive(Deserialize)]
struct Outcome {
    status: String,
    #[serde(default)]
    message: String,
}

/// Why there is no Snapshot of the group that this Snapshot belongs to, if there should be one.
pub(super) fn failure(snapshot: &Snapshot) -> Option<String> {
    let text = snapshot.annotations().get(CREATE_GROUP_SNAPSHOT_STATUS.as_str())?;
    let outcome: Outcome = serde_json::from_str(text).ok()?;
    (outcome.status == "failed").then_some(outcome.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_of_the_namespace() {
        let info = json!([
            {"namespace": "team", "component": "a", "snapshot": "one"},
            {"namespace": "others", "component": "b", "snapshot": "two"},
            {"namespace": "team", "component": "c", "snapshot": ""},
        ]);
        let snapshot: Snapshot = serde_json::from_value(json!({
            "metadata": {"name": "g", "namespace": "team", "annotations": {(GROUP_TEST_INFO.as_str()): info.to_string()}},
            "spec": {"application": "shop"},
        }))
        .unwrap();
        assert_eq!(members(&snapshot), ["one"]);
    }
}
