use application_service_api::Snapshot;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2024-03-10T00:00:00Z".parse().unwrap()
}

/// Made nine days before.
fn entry(metadata: &Value) -> Option<Entry> {
    let mut object = json!({"metadata": metadata, "spec": {}});
    object["metadata"]["name"] = json!("s");
    object["metadata"]["uid"] = json!("u");
    object["metadata"]["creationTimestamp"] = json!("2024-03-01T00:00:00Z");
    let snapshot: Snapshot = serde_json::from_value(object).unwrap();
    Entry::of(&snapshot, now())
}

#[rstest]
#[case::made_by_hand(json!({}), true)]
#[case::push(json!({"pac.test.appstudio.openshift.io/event-type": "push"}), true)]
#[case::pull_request(json!({"pac.test.appstudio.openshift.io/event-type": "pull_request"}), false)]
#[case::group(json!({"test.appstudio.openshift.io/type": "group"}), false)]
#[case::composite(json!({"test.appstudio.openshift.io/type": "composite"}), true)]
fn tells_pushes(#[case] labels: Value, #[case] expected: bool) {
    assert_eq!(entry(&json!({"labels": labels})).unwrap().is_push, expected);
}

#[rstest]
#[case::for_ever("true", true)]
#[case::not("false", false)]
#[case::not_said("", false)]
#[case::go_duration_that_lasts("240h", true)]
#[case::go_duration_that_is_over("200h30m", false)]
#[case::days_that_last("10d", true)]
#[case::days_that_are_over("8d", false)]
#[case::meant_to_keep_it("yes, please", true)]
fn is_kept_as_the_user_says(#[case] value: &str, #[case] expected: bool) {
    let metadata = json!({"annotations": {"test.appstudio.openshift.io/keep-snapshot": value}});
    assert_eq!(entry(&metadata).unwrap().is_untouchable, expected);
}

#[test]
fn what_comes_from_a_backup_is_not_ours() {
    assert!(entry(&json!({"labels": {"velero.io/restore-name": "r"}})).unwrap().is_untouchable);
    assert!(entry(&json!({"annotations": {"fleet.konflux-ci.dev/uid": "other"}})).unwrap().is_untouchable);
}

#[test]
fn what_is_being_deleted_does_not_count() {
    assert_eq!(entry(&json!({"deletionTimestamp": "2024-03-02T00:00:00Z"})), None);
}
