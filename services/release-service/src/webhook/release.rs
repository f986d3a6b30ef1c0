//! New Releases, and changes of those that are there.

use fleet::names::LABEL_VALUE;
use fleet::webhook::{Operation, Review, Verdict};
use fleet::{ObjectKey, Store};
use fleet_api::LabelKey;
use release_service_api::labels::{RELEASE_PLAN, SNAPSHOT};
use release_service_api::{ReleasePlan, ReleasePlanSpec};
use serde_json::Value;

use super::Object;
use super::changes::Changes;

/// Labels and the fields of the spec that they repeat, for selectors.
const REPEATED: [(LabelKey, &str); 2] = [(SNAPSHOT, "snapshot"), (RELEASE_PLAN, "releasePlan")];

/// Grace period of the plan, unless the Release has its own; labels with what it names. A plan that is not there, or not yet in
/// the store, is left to the controller.
pub(super) fn defaulted(review: &Review<Object>, plans: &Store<ReleasePlan>) -> Verdict {
    let (Operation::Create, Some(release)) = (&review.operation, &review.object) else {
        return Verdict::Allow;
    };
    let mut changes = Changes::of(release);
    if release.spec["gracePeriodDays"].as_i64().unwrap_or(0) == 0
        && let Some(days) = days_of_plan(review, release, plans)
    {
        changes.spec("gracePeriodDays", days);
    }
    for (label, field) in REPEATED {
        let value = release.spec[field].as_str().unwrap_or_default();
        // Others are refused for the field itself.
        if (1..=LABEL_VALUE).contains(&value.len()) {
            changes.label(label.as_str(), Some(value));
        }
    }
    changes.into_verdict()
}

fn days_of_plan(review: &Review<Object>, release: &Object, plans: &Store<ReleasePlan>) -> Option<i64> {
    let name = release.spec["releasePlan"].as_str()?;
    let plan = plans.get(&ObjectKey::new(review.namespace.clone()?, name.to_owned()))?;
    let days = plan.spec.release_grace_period_days.unwrap_or(ReleasePlanSpec::GRACE_PERIOD_DAYS);
    // As it is when nobody sets it.
    (days != 0).then_some(days)
}

/// Names that fit into labels, when it is made; later, no other spec, and no other labels that repeat it.
pub(super) fn checked(review: &Review<Object>) -> Verdict {
    let Some(release) = &review.object else { return Verdict::Allow };
    match (&review.operation, &review.old_object) {
        (Operation::Create, _) => named(release),
        (Operation::Update, Some(old)) => unchanged(release, old),
        _ => Verdict::Allow,
    }
}

fn named(release: &Object) -> Verdict {
    let name = release.metadata.name.as_deref().unwrap_or_default();
    let text = |field: &str| release.spec[field].as_str().unwrap_or_default();
    let names = [
        ("metadata.name", name),
        ("spec.snapshot", text("snapshot")),
        ("spec.releasePlan", text("releasePlan")),
    ];
    match names.into_iter().find(|(_, value)| value.len() > LABEL_VALUE) {
        None => Verdict::Allow,
        Some((field, value)) => Verdict::deny(format!(
            "{field}: {value} has {} characters: it becomes the value of a label, which has {LABEL_VALUE} at most",
            value.len()
        )),
    }
}

fn unchanged(release: &Object, old: &Object) -> Verdict {
    if is_other(&release.spec, &old.spec) {
        return Verdict::deny("release resources spec cannot be updated");
    }
    for (label, field) in REPEATED {
        let (new, old) = (label.of(&release.metadata.labels), label.of(&old.metadata.labels));
        // One that was never labelled may be.
        if new != old && new != release.spec[field].as_str() {
            return Verdict::deny(format!("release label '{}' cannot be updated", label.as_str()));
        }
    }
    Verdict::Allow
}

/// Whether two specs differ as JSON values: `1` and `1.0` are one number, and an absent spec is an empty one.
fn is_other(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Number(new), Value::Number(old)) => new != old && new.as_f64() != old.as_f64(),
        (Value::Array(new), Value::Array(old)) => {
            new.len() != old.len() || new.iter().zip(old).any(|(new, old)| is_other(new, old))
        }
        (Value::Object(new), Value::Object(old)) => {
            new.len() != old.len()
                || new.iter().any(|(key, new)| old.get(key).is_none_or(|old| is_other(new, old)))
        }
        _ => new != old,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::testing::{allowed, refusal, review};
    use rstest::rstest;
    use serde_json::json;

    const SNAPSHOT_LABEL: &str = "release.appstudio.openshift.io/snapshot";
    const PLAN_LABEL: &str = "release.appstudio.openshift.io/releasePlan";

    fn release(spec: &Value) -> Value {
        let mut release = json!({"metadata": {"name": "r"}, "spec": {"snapshot": "s", "releasePlan": "p"}});
        for (key, value) in spec.as_object().into_iter().flatten() {
            release["spec"][key] = value.clone();
        }
        release
    }

    fn plans(days: &Value) -> Store<ReleasePlan> {
        let plans = Store::new(|_| (), Vec::new());
        let plan = json!({
            "metadata": {"name": "p", "namespace": "dev", "uid": "p", "resourceVersion": "1"},
            "spec": {"application": "a", "releaseGracePeriodDays": days},
        });
        plans.apply(serde_json::from_value(plan).unwrap());
        plans
    }

    #[rstest]
    #[case::of_the_plan(json!({}), json!(3), json!(3))]
    #[case::zero_is_none(json!({"gracePeriodDays": 0}), json!(3), json!(3))]
    #[case::its_own(json!({"gracePeriodDays": 5}), json!(3), json!(5))]
    #[case::of_a_plan_that_says_none(json!({}), Value::Null, json!(7))]
    #[case::of_a_plan_without_any(json!({}), json!(0), Value::Null)]
    #[case::of_no_plan(json!({"releasePlan": "q"}), json!(3), Value::Null)]
    fn has_a_grace_period(#[case] spec: Value, #[case] days: Value, #[case] expected: Value) {
        let object = release(&spec);
        let made = allowed(defaulted(&review("Release", None, &object), &plans(&days)), &object);
        assert_eq!(made["spec"]["gracePeriodDays"], expected);
    }

    #[rstest]
    #[case::none(Value::Null)]
    #[case::wrong_ones(json!({SNAPSHOT_LABEL: "x", PLAN_LABEL: "y"}))]
    fn is_labelled_with_what_it_names(#[case] labels: Value) {
        let mut object = release(&json!({"gracePeriodDays": 1}));
        object["metadata"]["labels"] = labels;
        let made = allowed(defaulted(&review("Release", None, &object), &plans(&json!(3))), &object);
        assert_eq!(made["metadata"]["labels"], json!({SNAPSHOT_LABEL: "s", PLAN_LABEL: "p"}));
        let again = defaulted(&review("Release", None, &made), &plans(&json!(3)));
        assert_eq!(again, Verdict::Allow, "its own result is no news");
    }

    #[test]
    fn no_label_gets_what_does_not_fit() {
        let object = release(&json!({"gracePeriodDays": 1, "snapshot": "s".repeat(64), "releasePlan": 7}));
        assert_eq!(defaulted(&review("Release", None, &object), &plans(&json!(3))), Verdict::Allow);
    }

    #[test]
    fn only_a_new_one_gets_defaults() {
        let object = release(&json!({}));
        let verdict = defaulted(&review("Release", Some(&object), &object), &plans(&json!(3)));
        assert_eq!(verdict, Verdict::Allow);
    }

    #[rstest]
    #[case::name("metadata.name")]
    #[case::snapshot("spec.snapshot")]
    #[case::plan("spec.releasePlan")]
    fn a_new_one_has_names_that_fit(#[case] field: &str) {
        for (length, is_allowed) in [(63, true), (64, false)] {
            let mut object = release(&json!({}));
            *object.pointer_mut(&format!("/{}", field.replace('.', "/"))).unwrap() =
                "a".repeat(length).into();
            let verdict = checked(&review("Release", None, &object));
            if is_allowed {
                assert_eq!(verdict, Verdict::Allow);
            } else {
                let message = refusal(verdict);
                assert!(message.starts_with(field) && message.contains("64"), "{message}");
            }
            assert_eq!(checked(&review("Release", Some(&object), &object)), Verdict::Allow, "it is there");
        }
    }

    #[rstest]
    #[case::another_value(json!({"snapshot": "t"}))]
    #[case::another_field(json!({"gracePeriodDays": 1}))]
    #[case::other_data(json!({"data": {"a": [{"b": 1}, 3]}}))]
    fn its_spec_stays(#[case] change: Value) {
        let old = release(&json!({"data": {"a": [{"b": 1}, 2]}}));
        let mut new = release(&json!({"data": {"a": [{"b": 1}, 2]}}));
        for (key, value) in change.as_object().unwrap() {
            new["spec"][key] = value.clone();
        }
        let message = refusal(checked(&review("Release", Some(&old), &new)));
        assert_eq!(message, "release resources spec cannot be updated");
    }

    #[test]
    fn a_field_of_its_spec_stays() {
        let (old, mut new) = (release(&json!({"data": {}})), release(&json!({})));
        assert!(refusal(checked(&review("Release", Some(&old), &new))).contains("spec cannot be updated"));
        new["spec"]["data"] = Value::Null;
        assert!(refusal(checked(&review("Release", Some(&old), &new))).contains("spec cannot be updated"));
    }

    #[test]
    fn the_same_value_is_no_change() {
        let old = release(&json!({"data": {"a": 1, "b": 2}}));
        let mut new = release(&json!({"data": {"b": 2.0, "a": 1}}));
        new["metadata"]["annotations"] = json!({"x": "y"});
        assert_eq!(checked(&review("Release", Some(&old), &new)), Verdict::Allow);
    }

    #[rstest]
    #[case::other(json!({SNAPSHOT_LABEL: "s", PLAN_LABEL: "p"}), json!({SNAPSHOT_LABEL: "t", PLAN_LABEL: "p"}), Some(SNAPSHOT_LABEL))]
    #[case::gone(json!({SNAPSHOT_LABEL: "s", PLAN_LABEL: "p"}), json!({SNAPSHOT_LABEL: "s"}), Some(PLAN_LABEL))]
    #[case::added(Value::Null, json!({SNAPSHOT_LABEL: "s", PLAN_LABEL: "p"}), None)]
    #[case::added_wrongly(Value::Null, json!({SNAPSHOT_LABEL: "p"}), Some(SNAPSHOT_LABEL))]
    #[case::wrong_for_long(json!({SNAPSHOT_LABEL: "x"}), json!({SNAPSHOT_LABEL: "x"}), None)]
    #[case::put_right(json!({SNAPSHOT_LABEL: "x"}), json!({SNAPSHOT_LABEL: "s"}), None)]
    #[case::others(json!({"a": "b"}), json!({"a": "c"}), None)]
    fn its_labels_stay(#[case] old: Value, #[case] new: Value, #[case] refused: Option<&str>) {
        let labelled = |labels: Value| {
            let mut release = release(&json!({}));
            release["metadata"]["labels"] = labels;
            release
        };
        let verdict = checked(&review("Release", Some(&labelled(old)), &labelled(new)));
        match refused {
            None => assert_eq!(verdict, Verdict::Allow),
            Some(label) => assert!(refusal(verdict).contains(label)),
        }
    }
}
