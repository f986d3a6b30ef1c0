//! Who answers for a Release, or for the automated ones of a plan: whoever asked for it, and nobody else.

use fleet::webhook::{Operation, Review, Verdict};
use release_service_api::annotations::AUTHOR_USERNAME;
use release_service_api::labels::{AUTHOR, AUTOMATED, STANDING_ATTRIBUTION};

use super::Object;
use super::changes::Changes;
use super::username::sanitised;

pub(super) fn attributed(review: &Review<Object>) -> Verdict {
    let Some(object) = &review.object else { return Verdict::Allow };
    match (review.kind.kind.as_str(), &review.operation) {
        ("Release", Operation::Create) => release_made(review, object),
        ("Release", _) => release_changed(review, object),
        ("ReleasePlan", _) => plan(review, object),
        (kind, _) => Verdict::deny(format!("kind {kind} has no author: only Release and ReleasePlan have")),
    }
}

/// One made by a program has no author, whatever it says: that is the plan's, and nobody is to be found on it if it should pass for
/// one made by hand later.
fn release_made(review: &Review<Object>, release: &Object) -> Verdict {
    let is_automated = AUTOMATED.of(&release.metadata.labels) == Some("true");
    let author = (!is_automated).then(|| requester(review));
    attribute(release, author.as_ref())
}

/// What is said of a Release when it is made stays as it is.
fn release_changed(review: &Review<Object>, release: &Object) -> Verdict {
    let Some(old) = &review.old_object else { return Verdict::Allow };
    let (new, old) = (&release.metadata, &old.metadata);
    if AUTHOR.of(&new.labels) != AUTHOR.of(&old.labels) {
        return Verdict::refuse("release author label cannot be updated");
    }
    if AUTHOR_USERNAME.of(&new.annotations) != AUTHOR_USERNAME.of(&old.annotations) {
        return Verdict::refuse("release author-username annotation cannot be updated");
    }
    // It says whose author counts.
    if AUTOMATED.of(&new.labels) != AUTOMATED.of(&old.labels) {
        return Verdict::refuse("release automated label cannot be updated");
    }
    Verdict::Allow
}

/// Without standing attribution, no author. With it, whoever turns it on, or takes it over under his own name; else the one who was
/// there stays.
fn plan(review: &Review<Object>, plan: &Object) -> Verdict {
    if !is_attributed(plan) {
        return attribute(plan, None);
    }
    let requester = requester(review);
    let said = AUTHOR.of(&plan.metadata.labels);
    match review.old_object.as_ref().filter(|old| is_attributed(old)) {
        Some(old) if said != Some(requester.0.as_str()) => {
            let mut changes = Changes::of(plan);
            changes.label(AUTHOR.as_str(), AUTHOR.of(&old.metadata.labels));
            changes.annotation(AUTHOR_USERNAME.as_str(), AUTHOR_USERNAME.of(&old.metadata.annotations));
            changes.into_verdict()
        }
        _ => attribute(plan, Some(&requester)),
    }
}

fn is_attributed(plan: &Object) -> bool {
    STANDING_ATTRIBUTION.of(&plan.metadata.labels) == Some("true")
}

/// The user who asks: as the value of a label, and as he is.
fn requester(review: &Review<Object>) -> (String, String) {
    let username = review.user.username.clone().unwrap_or_default();
    (sanitised(&username), username)
}

fn attribute(object: &Object, author: Option<&(String, String)>) -> Verdict {
    let mut changes = Changes::of(object);
    changes.label(AUTHOR.as_str(), author.map(|(value, _)| value.as_str()));
    changes.annotation(AUTHOR_USERNAME.as_str(), author.map(|(_, username)| username.as_str()));
    changes.into_verdict()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::testing::{allowed, refusal, review};
    use rstest::rstest;
    use serde_json::{Value, json};

    const LABEL: &str = "release.appstudio.openshift.io/author";
    const USERNAME: &str = "release.appstudio.openshift.io/author-username";
    const AUTOMATED: &str = "release.appstudio.openshift.io/automated";
    const STANDING: &str = "release.appstudio.openshift.io/standing-attribution";

    fn object(labels: &Value, annotations: &Value) -> Value {
        json!({"metadata": {"name": "o", "labels": labels, "annotations": annotations}, "spec": {"x": 1}})
    }

    /// Label and annotation of an object.
    fn said(object: &Value) -> (Option<&str>, Option<&str>) {
        let metadata = &object["metadata"];
        (metadata["labels"][LABEL].as_str(), metadata["annotations"][USERNAME].as_str())
    }

    fn by(username: &str, mut review: Review<Object>) -> Review<Object> {
        review.user.username = Some(username.to_owned());
        review
    }

    #[rstest]
    #[case::without_labels(Value::Null, Value::Null)]
    #[case::with_others(json!({"a": "b"}), json!({"c": "d"}))]
    #[case::forged(json!({LABEL: "mallory"}), json!({USERNAME: "mallory"}))]
    #[case::almost_automated(json!({AUTOMATED: "True", LABEL: "mallory"}), Value::Null)]
    fn a_release_is_of_whoever_makes_it(#[case] labels: Value, #[case] annotations: Value) {
        let object = object(&labels, &annotations);
        let asked = by("system:serviceaccount:a:b", review("Release", None, &object));
        let made = allowed(attributed(&asked), &object);
        assert_eq!(said(&made), (Some("system_serviceaccount_a_b"), Some("system:serviceaccount:a:b")));
        for (part, before) in [("labels", labels), ("annotations", annotations)] {
            for (key, value) in before.as_object().into_iter().flatten() {
                assert!(key.starts_with("release.") || made["metadata"][part][key] == *value);
            }
        }
        let again = by("system:serviceaccount:a:b", review("Release", None, &made));
        assert_eq!(attributed(&again), Verdict::Allow, "its own result is no news");
    }

    #[rstest]
    #[case::says_nothing(json!({AUTOMATED: "true"}), Value::Null)]
    #[case::forged(json!({AUTOMATED: "true", LABEL: "mallory"}), json!({USERNAME: "mallory"}))]
    fn an_automated_release_has_no_author(#[case] labels: Value, #[case] annotations: Value) {
        let object = object(&labels, &annotations);
        let made = allowed(attributed(&review("Release", None, &object)), &object);
        assert_eq!(said(&made), (None, None));
        assert_eq!(made["metadata"]["labels"][AUTOMATED], "true");
    }

    #[rstest]
    #[case::altered(&json!({LABEL: "bob"}), &json!({USERNAME: "a"}), "release author label cannot be updated")]
    #[case::removed(&json!({}), &json!({USERNAME: "a"}), "release author label cannot be updated")]
    #[case::all_labels_gone(&Value::Null, &json!({USERNAME: "a"}), "release author label cannot be updated")]
    #[case::username_altered(&json!({LABEL: "a"}), &json!({USERNAME: "b"}), "author-username annotation cannot")]
    #[case::username_removed(&json!({LABEL: "a"}), &Value::Null, "author-username annotation cannot")]
    #[case::made_automated(&json!({LABEL: "a", AUTOMATED: "true"}), &json!({USERNAME: "a"}), "automated label cannot")]
    fn the_author_of_a_release_stays(#[case] labels: &Value, #[case] annotations: &Value, #[case] why: &str) {
        let old = object(&json!({LABEL: "a"}), &json!({USERNAME: "a"}));
        let verdict = attributed(&review("Release", Some(&old), &object(labels, annotations)));
        assert!(matches!(verdict, Verdict::Refuse { .. }), "HTTP 400");
        assert!(refusal(verdict).contains(why));
    }

    #[test]
    fn an_author_cannot_be_added_later() {
        let old = object(&json!({AUTOMATED: "true"}), &Value::Null);
        let new = object(&json!({AUTOMATED: "true", LABEL: "alice"}), &Value::Null);
        assert!(refusal(attributed(&review("Release", Some(&old), &new))).contains("author label"));
        let unmarked = object(&json!({}), &Value::Null);
        assert!(refusal(attributed(&review("Release", Some(&old), &unmarked))).contains("automated"));
    }

    #[test]
    fn anything_else_of_a_release_may_change() {
        let old = object(&json!({LABEL: "a"}), &json!({USERNAME: "a"}));
        let new = object(&json!({LABEL: "a", "x": "y"}), &json!({USERNAME: "a", "x": "y"}));
        assert_eq!(attributed(&review("Release", Some(&old), &new)), Verdict::Allow);
    }

    /// `old` and `new`: standing attribution and author. `alice` asks.
    #[rstest]
    #[case::made_without(None, (None, Some("mallory")), None)]
    #[case::made_with(None, (Some("true"), None), Some("alice"))]
    #[case::made_for_another(None, (Some("true"), Some("mallory")), Some("alice"))]
    #[case::made_with_another_value(None, (Some("yes"), Some("mallory")), None)]
    #[case::turned_on(Some((Some("false"), None)), (Some("true"), None), Some("alice"))]
    #[case::turned_on_for_another(Some((None, None)), (Some("true"), Some("mallory")), Some("alice"))]
    #[case::turned_off(Some((Some("true"), Some("bob"))), (Some("false"), Some("bob")), None)]
    #[case::turned_off_by_removal(Some((Some("true"), Some("bob"))), (None, Some("bob")), None)]
    #[case::changed_otherwise(Some((Some("true"), Some("bob"))), (Some("true"), Some("bob")), Some("bob"))]
    #[case::taken_over(Some((Some("true"), Some("bob"))), (Some("true"), Some("alice")), Some("alice"))]
    #[case::given_to_another(Some((Some("true"), Some("bob"))), (Some("true"), Some("carol")), Some("bob"))]
    #[case::author_removed(Some((Some("true"), Some("bob"))), (Some("true"), None), Some("bob"))]
    #[case::had_no_author(Some((Some("true"), None)), (Some("true"), Some("carol")), None)]
    fn a_plan_is_of_whoever_says_so_of_himself(
        #[case] old: Option<(Option<&str>, Option<&str>)>,
        #[case] new: (Option<&str>, Option<&str>),
        #[case] expected: Option<&str>,
    ) {
        let plan = |(standing, author): (Option<&str>, Option<&str>)| {
            let (mut labels, mut annotations) = (json!({}), json!({}));
            if let Some(standing) = standing {
                labels[STANDING] = standing.into();
            }
            if let Some(author) = author {
                labels[LABEL] = author.into();
                annotations[USERNAME] = author.into();
            }
            object(&labels, &annotations)
        };
        let (old, new) = (old.map(plan), plan(new));
        let stored = allowed(attributed(&review("ReleasePlan", old.as_ref(), &new)), &new);
        assert_eq!(said(&stored), (expected, expected));
        let again = attributed(&review("ReleasePlan", old.as_ref(), &stored));
        assert_eq!(again, Verdict::Allow, "its own result is no news");
    }

    #[test]
    fn a_plan_without_labels_passes() {
        let plan = object(&Value::Null, &Value::Null);
        assert_eq!(attributed(&review("ReleasePlan", None, &plan)), Verdict::Allow);
        let bare: Review<Object> = review("ReleasePlan", None, &json!({"metadata": {"name": "o"}}));
        assert_eq!(attributed(&bare), Verdict::Allow);
    }

    #[test]
    fn another_kind_is_refused() {
        let object = object(&Value::Null, &Value::Null);
        assert!(refusal(attributed(&review("Thing", None, &object))).contains("Thing"));
    }
}
