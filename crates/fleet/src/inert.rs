//! Objects that came out of a backup.

use fleet_api::keys::{RECORDED_UID, VELERO_BACKUP, VELERO_RESTORE};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Whether an object is a copy of one that has had its time (contracts.md, decision 27), or is being copied. Nothing follows
/// from it, and it is left as it is.
pub fn is_inert(metadata: &ObjectMeta) -> bool {
    let is_copy = RECORDED_UID
        .of(&metadata.annotations)
        .is_some_and(|recorded| Some(recorded) != metadata.uid.as_deref());
    is_copy || VELERO_RESTORE.of(&metadata.labels).is_some() || VELERO_BACKUP.of(&metadata.labels).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::usual(&json!({"uid": "a"}), false)]
    #[case::knows_itself(&json!({"uid": "a", "annotations": {"fleet.konflux-ci.dev/uid": "a"}}), false)]
    #[case::copy(&json!({"uid": "a", "annotations": {"fleet.konflux-ci.dev/uid": "b"}}), true)]
    #[case::restored(&json!({"uid": "a", "labels": {"velero.io/restore-name": "r"}}), true)]
    #[case::backed_up(&json!({"uid": "a", "labels": {"velero.io/backup-name": "b"}}), true)]
    fn tells(#[case] metadata: &Value, #[case] expected: bool) {
        let metadata: ObjectMeta = serde_json::from_value(metadata.clone()).unwrap();
        assert_eq!(is_inert(&metadata), expected);
    }
}
