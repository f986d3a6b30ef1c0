//! The labels by which plans and admissions are switched off.

use fleet::names::LABEL_VALUE;
use fleet::webhook::{Operation, Review, Verdict};
use fleet_api::LabelKey;
use release_service_api::labels::{AUTO_RELEASE, BLOCK_RELEASES};

use super::Object;
use super::changes::Changes;

/// A new plan releases by itself unless it says something else.
pub(super) fn plan_defaulted(review: &Review<Object>) -> Verdict {
    defaulted(review, &[(AUTO_RELEASE, "true")])
}

/// A new admission is open unless it says something else: in the words of today, and of the original's first version.
pub(super) fn admission_defaulted(review: &Review<Object>) -> Verdict {
    defaulted(review, &[(AUTO_RELEASE, "true"), (BLOCK_RELEASES, "false")])
}

fn defaulted(review: &Review<Object>, defaults: &[(LabelKey, &str)]) -> Verdict {
    let (Operation::Create, Some(object)) = (&review.operation, &review.object) else {
        return Verdict::Allow;
    };
    let mut changes = Changes::of(object);
    for (label, value) in defaults {
        if label.of(&object.metadata.labels).is_none() {
            changes.label(label.as_str(), Some(value));
        }
    }
    changes.into_verdict()
}

/// An expression that decides when a plan releases by itself cannot be the value of a label: it is in the annotation of that name,
/// which integration-service reads.
pub(super) fn plan_checked(review: &Review<Object>) -> Verdict {
    match odd(review, &[AUTO_RELEASE]) {
        None => Verdict::Allow,
        Some(label) => Verdict::deny(format!(
            "{}; an expression goes into the annotation of that name",
            only_true_or_false(label)
        )),
    }
}

pub(super) fn admission_checked(review: &Review<Object>) -> Verdict {
    if let Some(label) = odd(review, &[AUTO_RELEASE, BLOCK_RELEASES]) {
        return Verdict::deny(only_true_or_false(label));
    }
    too_long(review).map_or(Verdict::Allow, Verdict::deny)
}

fn only_true_or_false(label: LabelKey) -> String {
    format!("'{}' label can only be set to true or false", label.as_str())
}

/// The first label that is set now to something else than `true` or `false`.
fn odd(review: &Review<Object>, labels: &[LabelKey]) -> Option<LabelKey> {
    let object = review.object.as_ref()?;
    let old = review.old_object.as_ref();
    let is_odd = |label: &&LabelKey| {
        let value = label.of(&object.metadata.labels);
        let is_new = old.is_none_or(|old| label.of(&old.metadata.labels) != value);
        is_new && !matches!(value, None | Some("true" | "false"))
    };
    labels.iter().find(is_odd).copied()
}

/// The first new name of an Application that could not be the value of a label.
fn too_long(review: &Review<Object>) -> Option<String> {
    let names = |object: &Object| object.spec["applications"].as_array().cloned().unwrap_or_default();
    let old = review.old_object.as_ref().map(names).unwrap_or_default();
    let new = names(review.object.as_ref()?);
    let mut added = new.iter().enumerate().filter(|(_, name)| !old.contains(name));
    added.find_map(|(index, name)| {
        let name = name.as_str().filter(|name| name.len() > LABEL_VALUE)?;
        Some(format!(
            "spec.applications[{index}]: {name} has {} characters: names of Applications have {LABEL_VALUE} at most",
            name.len()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::testing::{allowed, refusal, review};
    use rstest::rstest;
    use serde_json::{Value, json};

    const AUTO: &str = "release.appstudio.openshift.io/auto-release";
    const BLOCK: &str = "release.appstudio.openshift.io/block-releases";

    fn object(labels: &Value) -> Value {
        json!({"metadata": {"name": "o", "labels": labels}, "spec": {"applications": ["a"]}})
    }

    #[rstest]
    #[case::without_labels(Value::Null, json!({AUTO: "true"}))]
    #[case::with_others(json!({"a": "b"}), json!({"a": "b", AUTO: "true"}))]
    #[case::says_no(json!({AUTO: "false"}), json!({AUTO: "false"}))]
    fn a_new_plan_releases_by_itself(#[case] labels: Value, #[case] expected: Value) {
        let object = object(&labels);
        let made = allowed(plan_defaulted(&review("ReleasePlan", None, &object)), &object);
        assert_eq!(made["metadata"]["labels"], expected);
    }

    #[rstest]
    #[case::without_labels(Value::Null, json!({AUTO: "true", BLOCK: "false"}))]
    #[case::blocked(json!({BLOCK: "true"}), json!({AUTO: "true", BLOCK: "true"}))]
    #[case::switched_off(json!({AUTO: "false"}), json!({AUTO: "false", BLOCK: "false"}))]
    fn a_new_admission_is_open(#[case] labels: Value, #[case] expected: Value) {
        let object = object(&labels);
        let made = allowed(admission_defaulted(&review("ReleasePlanAdmission", None, &object)), &object);
        assert_eq!(made["metadata"]["labels"], expected);
    }

    #[test]
    fn a_label_that_is_removed_later_stays_away() {
        let object = object(&Value::Null);
        assert_eq!(plan_defaulted(&review("ReleasePlan", Some(&object), &object)), Verdict::Allow);
        let asked = review("ReleasePlanAdmission", Some(&object), &object);
        assert_eq!(admission_defaulted(&asked), Verdict::Allow);
    }

    #[rstest]
    #[case::absent(json!({}), true)]
    #[case::yes(json!({AUTO: "true"}), true)]
    #[case::no(json!({AUTO: "false"}), true)]
    #[case::other(json!({AUTO: "yes"}), false)]
    #[case::empty(json!({AUTO: ""}), false)]
    #[case::upper_case(json!({AUTO: "True"}), false)]
    fn is_true_or_false(#[case] labels: Value, #[case] is_allowed: bool) {
        let object = object(&labels);
        let verdicts = [
            plan_checked(&review("ReleasePlan", None, &object)),
            admission_checked(&review("ReleasePlanAdmission", None, &object)),
        ];
        for verdict in verdicts {
            if is_allowed {
                assert_eq!(verdict, Verdict::Allow);
            } else {
                let message = refusal(verdict);
                let expected = format!("'{AUTO}' label can only be set to true or false");
                assert!(message.starts_with(&expected), "{message}");
            }
        }
    }

    #[test]
    fn a_plan_may_have_an_expression() {
        let mut plan = object(&json!({AUTO: "true"}));
        plan["metadata"]["annotations"] = json!({AUTO: "updatedComponentIs('web') && shouldRelease()"});
        assert_eq!(plan_checked(&review("ReleasePlan", None, &plan)), Verdict::Allow);
    }

    #[test]
    fn only_an_admission_is_blocked() {
        let object = object(&json!({BLOCK: "perhaps"}));
        assert_eq!(plan_checked(&review("ReleasePlan", None, &object)), Verdict::Allow);
        let message = refusal(admission_checked(&review("ReleasePlanAdmission", None, &object)));
        assert_eq!(message, format!("'{BLOCK}' label can only be set to true or false"));
    }

    #[test]
    fn what_was_wrong_before_may_stay() {
        let (old, other) = (object(&json!({AUTO: "yes"})), object(&json!({AUTO: "no"})));
        assert_eq!(plan_checked(&review("ReleasePlan", Some(&old), &old)), Verdict::Allow);
        assert!(refusal(plan_checked(&review("ReleasePlan", Some(&old), &other))).contains(AUTO));
    }

    #[test]
    fn names_of_applications_fit_a_label() {
        let long = "a".repeat(64);
        let (fine, mut wrong) = (object(&Value::Null), object(&Value::Null));
        wrong["spec"]["applications"] = json!(["a".repeat(63), long]);
        assert_eq!(admission_checked(&review("ReleasePlanAdmission", None, &fine)), Verdict::Allow);
        let message = refusal(admission_checked(&review("ReleasePlanAdmission", Some(&fine), &wrong)));
        assert!(message.starts_with("spec.applications[1]: aaaa"), "{message}");
        let there = review("ReleasePlanAdmission", Some(&wrong), &wrong);
        assert_eq!(admission_checked(&there), Verdict::Allow);
    }
}
