use rstest::rstest;
use serde_json::{Value, json};

use super::*;

#[rstest]
#[case::never_looked_at(json!([]), json!({}), true)]
#[case::running(json!([["AppStudioIntegrationStatus", "Unknown", "InProgress"]]), json!({}), true)]
#[case::could_not_be_set_up(json!([["AppStudioIntegrationStatus", "False", "ErrorOccured"]]), json!({}), true)]
#[case::passed(json!([["AppStudioTestSucceeded", "True", "Passed"]]), json!({}), false)]
#[case::failed(json!([["AppStudioTestSucceeded", "False", "Failed"]]), json!({}), false)]
#[case::of_an_older_program(json!([["HACBSStudioTestSucceeded", "True", "Passed"]]), json!({}), false)]
#[case::asked_again(json!([["AppStudioTestSucceeded", "True", "Passed"]]), json!({"test.appstudio.openshift.io/run": "all"}), true)]
#[case::runs_again(json!([["AppStudioTestSucceeded", "Unknown", "InProgress"]]), json!({}), true)]
#[case::cancelled(json!([["AppStudioIntegrationStatus", "False", "Canceled"]]), json!({}), false)]
#[case::invalid(json!([["AppStudioIntegrationStatus", "False", "Invalid"]]), json!({"test.appstudio.openshift.io/run": "all"}), false)]
fn knows_what_is_still_tested(#[case] conditions: Value, #[case] labels: Value, #[case] expected: bool) {
    let conditions: Vec<Value> = conditions
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| {
            json!({"type": condition[0], "status": condition[1], "reason": condition[2], "message": "",
                "lastTransitionTime": "2024-03-01T00:00:00Z"})
        })
        .collect();
    let snapshot: Snapshot = serde_json::from_value(json!({
        "metadata": {"labels": labels}, "spec": {"application": "shop"}, "status": {"conditions": conditions},
    }))
    .unwrap();
    assert_eq!(is_still_tested(&snapshot), expected);
}
