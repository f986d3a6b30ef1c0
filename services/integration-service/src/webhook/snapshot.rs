//! New Snapshots, most of them made by hand: ours come labelled, and under names that fit.

use application_service_api::Snapshot;
use fleet::names::LABEL_VALUE;
use fleet::webhook::{Operation, Review, Verdict};
use fleet_api::keys;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use kube::ResourceExt as _;
use serde_json::{Value, json};

/// Labels a Snapshot with the Application that its spec names, unless it has that label.
pub(super) fn labelled(review: &Review<Snapshot>) -> Verdict {
    let (Operation::Create, Some(snapshot)) = (&review.operation, &review.object) else {
        return Verdict::Allow;
    };
    let application = &snapshot.spec.application;
    let is_label_value = (1..=LABEL_VALUE).contains(&application.len());
    if !is_label_value || keys::APPLICATION.of(&snapshot.metadata.labels).is_some() {
        return Verdict::Allow;
    }
    let key = keys::APPLICATION.as_str();
    let add = |path: PointerBuf, value: Value| PatchOperation::Add(AddOperation { path, value });
    Verdict::Patch(Patch(vec![match &snapshot.metadata.labels {
        Some(_) => add(PointerBuf::from_tokens(["metadata", "labels", key]), json!(application)),
        None => add(PointerBuf::from_tokens(["metadata", "labels"]), json!({ key: application })),
    }]))
}

/// Refuses a name with which no run of a test could be labelled.
pub(super) fn named(review: &Review<Snapshot>) -> Verdict {
    let (Operation::Create, Some(snapshot)) = (&review.operation, &review.object) else {
        return Verdict::Allow;
    };
    let name = snapshot.name_any();
    if name.len() <= LABEL_VALUE {
        return Verdict::Allow;
    }
    Verdict::deny(format!(
        "metadata.name: {name} has {} characters: runs of tests carry the name of their Snapshot as a label, which has \
         {LABEL_VALUE} at most",
        name.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::testing::review;
    use rstest::rstest;

    fn snapshot(labels: &Value, application: &str) -> Value {
        json!({"metadata": {"name": "s", "labels": labels}, "spec": {"application": application}})
    }

    #[rstest]
    #[case::without_labels(snapshot(&Value::Null, "shop"), Some("shop"))]
    #[case::with_others(snapshot(&json!({"a": "b"}), "shop"), Some("shop"))]
    #[case::with_its_own(snapshot(&json!({"appstudio.openshift.io/application": "other"}), "shop"), None)]
    #[case::of_no_application(snapshot(&Value::Null, ""), None)]
    #[case::of_a_name_that_is_no_label(snapshot(&Value::Null, &"a".repeat(64)), None)]
    fn names_its_application(#[case] mut object: Value, #[case] expected: Option<&str>) {
        let verdict = labelled(&review(Operation::Create, &object));
        match (verdict, expected) {
            (Verdict::Patch(patch), Some(expected)) => {
                json_patch::patch(&mut object, &patch).unwrap();
                let labels = &object["metadata"]["labels"];
                assert_eq!(labels["appstudio.openshift.io/application"], expected);
            }
            (verdict, expected) => assert_eq!((verdict, expected), (Verdict::Allow, None)),
        }
    }

    #[rstest]
    #[case::of_63(63, Operation::Create, true)]
    #[case::of_64(64, Operation::Create, false)]
    #[case::of_64_that_is_there(64, Operation::Update, true)]
    fn has_a_name_that_fits(#[case] length: usize, #[case] operation: Operation, #[case] is_allowed: bool) {
        let object = json!({"metadata": {"name": "a".repeat(length)}, "spec": {"application": "shop"}});
        assert_eq!(named(&review(operation, &object)) == Verdict::Allow, is_allowed);
    }
}
