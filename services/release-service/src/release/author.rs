//! On whose behalf a Release is made (spec, section 4.2). Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use release_service_api::conditions::causes;
use release_service_api::release::Attribution;
use release_service_api::{Release, ReleasePlan, labels};

/// How long who makes an automated Release may take to say so in its status, which it can only do once the Release is there.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// What there is to say about the author.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Author(Attribution),
    /// It may yet turn out that a program made it.
    Wait(Duration),
    /// Nobody answers for it.
    Nobody(&'static str),
}

/// Who answers for a Release. An answer that was given once stays.
pub(super) fn author(release: &Release, plan: &ReleasePlan, now: Timestamp) -> Answer {
    let status = release.status.as_ref();
    let attribution = status.and_then(|status| status.attribution.clone());
    if let Some(attribution) = attribution.filter(|attribution| attribution.author.is_some()) {
        return Answer::Author(attribution);
    }
    if labels::AUTOMATED.of(&release.metadata.labels) != Some("true") {
        return match present(labels::AUTHOR.of(&release.metadata.labels)) {
            Some(author) => {
                Answer::Author(Attribution { author: Some(author), standing_authorization: None })
            }
            None => Answer::Nobody(causes::NO_AUTHOR),
        };
    }
    // Anybody may write the label; the status only who may make Releases for others.
    if status.and_then(|status| status.automated) != Some(true) {
        return wait(release, now);
    }
    let is_standing = labels::STANDING_ATTRIBUTION.of(&plan.metadata.labels) == Some("true");
    match present(labels::AUTHOR.of(&plan.metadata.labels)).filter(|_| is_standing) {
        Some(author) => {
            Answer::Author(Attribution { author: Some(author), standing_authorization: Some(true) })
        }
        None => Answer::Nobody(causes::NO_AUTHOR_IN_PLAN),
    }
}

fn wait(release: &Release, now: Timestamp) -> Answer {
    let until = release
        .metadata
        .creation_timestamp
        .as_ref()
        .and_then(|created| created.0.checked_add(PATIENCE).ok())
        .unwrap_or(now);
    match Duration::try_from(until.duration_since(now)) {
        Ok(left) if !left.is_zero() => Answer::Wait(left),
        _ => Answer::Nobody(causes::NOT_AUTOMATED),
    }
}

fn present(value: Option<&str>) -> Option<String> {
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn plan(labels: &Value) -> ReleasePlan {
        serde_json::from_value(json!({"metadata": {"name": "p", "labels": labels}, "spec": {}})).unwrap()
    }

    fn release(labels: &Value, status: &Value) -> Release {
        serde_json::from_value(json!({
            "metadata": {"name": "r", "labels": labels, "creationTimestamp": "2024-03-01T12:00:00Z"},
            "spec": {"snapshot": "s", "releasePlan": "p"},
            "status": status,
        }))
        .unwrap()
    }

    fn by(author: &str, standing: Option<bool>) -> Answer {
        Answer::Author(Attribution { author: Some(author.to_owned()), standing_authorization: standing })
    }

    const AUTHOR: &str = "release.appstudio.openshift.io/author";
    const AUTOMATED: &str = "release.appstudio.openshift.io/automated";
    const STANDING: &str = "release.appstudio.openshift.io/standing-attribution";

    #[rstest]
    #[case::by_hand(json!({AUTHOR: "ann"}), json!({}), json!({}), 0, by("ann", None))]
    #[case::by_hand_without_author(json!({}), json!({}), json!({AUTHOR: "bob", STANDING: "true"}), 0, Answer::Nobody(causes::NO_AUTHOR))]
    #[case::empty_author(json!({AUTHOR: ""}), json!({}), json!({}), 0, Answer::Nobody(causes::NO_AUTHOR))]
    #[case::automated(
        json!({AUTOMATED: "true"}), json!({"automated": true}), json!({AUTHOR: "bob", STANDING: "true"}), 0, by("bob", Some(true))
    )]
    #[case::the_author_of_an_automated_one_does_not_count(
        json!({AUTOMATED: "true", AUTHOR: "eve"}), json!({"automated": true}), json!({AUTHOR: "bob", STANDING: "true"}), 0,
        by("bob", Some(true))
    )]
    #[case::plan_without_author(
        json!({AUTOMATED: "true"}), json!({"automated": true}), json!({STANDING: "true"}), 0, Answer::Nobody(causes::NO_AUTHOR_IN_PLAN)
    )]
    #[case::plan_whose_author_does_not_answer(
        json!({AUTOMATED: "true"}), json!({"automated": true}), json!({AUTHOR: "bob"}), 0, Answer::Nobody(causes::NO_AUTHOR_IN_PLAN)
    )]
    #[case::label_alone(
        json!({AUTOMATED: "true"}), json!({}), json!({AUTHOR: "bob", STANDING: "true"}), 60, Answer::Wait(Duration::from_mins(4))
    )]
    #[case::label_alone_for_five_minutes(
        json!({AUTOMATED: "true"}), json!({}), json!({AUTHOR: "bob", STANDING: "true"}), 300, Answer::Nobody(causes::NOT_AUTOMATED)
    )]
    #[case::said_not_to_be_automated(
        json!({AUTOMATED: "true"}), json!({"automated": false}), json!({AUTHOR: "bob", STANDING: "true"}), 299,
        Answer::Wait(Duration::from_secs(1))
    )]
    #[case::status_alone_is_by_hand(json!({AUTHOR: "ann"}), json!({"automated": true}), json!({}), 0, by("ann", None))]
    #[case::other_value_is_by_hand(json!({AUTOMATED: "yes", AUTHOR: "ann"}), json!({}), json!({}), 0, by("ann", None))]
    #[case::attributed_stays(
        json!({}), json!({"attribution": {"author": "cid", "standingAuthorization": true}}), json!({}), 0, by("cid", Some(true))
    )]
    fn answers(
        #[case] labels: Value,
        #[case] status: Value,
        #[case] plan_labels: Value,
        #[case] age: i64,
        #[case] expected: Answer,
    ) {
        let now = "2024-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(age);
        assert_eq!(author(&release(&labels, &status), &plan(&plan_labels), now), expected);
    }
}
