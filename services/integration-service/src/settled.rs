//! What the store keeps of a Snapshot about which nothing is left to do: nearly all Snapshots have settled, and most of their bytes
//! are images, results of builds and reports.
//!
//! Who does need all of such a Snapshot asks for it by [`Context::whole`](crate::service::Context::whole). One whose scenario is to
//! be run again has not settled, so it is whole from that moment on.

use application_service_api::Snapshot;
use fleet_api::keys::RECORDED_UID;
use integration_service_api::annotations::{
    BUILD_START, CREATE_GROUP_SNAPSHOT_STATUS, GIT_REPORTING_FAILURE, GROUP_TEST_INFO, IGNORE_SUPERSESSION,
    PIPELINES_AS_CODE_PREFIX, PR_GROUP,
};
use integration_service_api::conditions::AutoReleased;
use integration_service_api::labels;
use integration_service_api::status::{ScenarioStatus, TestStatus};
use kube::ResourceExt as _;

use crate::conditions::Says as _;
use crate::record::Record;
use crate::{promotion, report};

/// Marks what was trimmed, in the store alone.
const TRIMMED: &str = "fleet.konflux-ci.dev/trimmed";

/// Annotations that stay.
const KEPT: [&str; 7] = [
    BUILD_START.as_str(),
    CREATE_GROUP_SNAPSHOT_STATUS.as_str(),
    GIT_REPORTING_FAILURE.as_str(),
    GROUP_TEST_INFO.as_str(),
    IGNORE_SUPERSESSION.as_str(),
    PR_GROUP.as_str(),
    RECORDED_UID.as_str(),
];

/// What [`Origin`](crate::origin::Origin) reads stays, too: without it a pull request could be taken for a push.
pub(crate) const KEPT_OF_ORIGIN: [&str; 12] = [
    "branch",
    "event-type",
    "git-provider",
    "installation-id",
    "pull-request",
    "repo-url",
    "sha",
    "source-branch",
    "source-project-id",
    "target-project-id",
    "url-org",
    "url-repository",
];

/// Of a Snapshot that has settled only metadata and conditions are left.
pub(crate) fn trim(snapshot: &mut Snapshot) {
    if !is_settled(snapshot) {
        return;
    }
    let spec = &mut snapshot.spec;
    spec.components = Vec::new();
    (spec.artifacts, spec.display_name, spec.display_description) = (None, None, None);
    let annotations = snapshot.annotations_mut();
    annotations.retain(|key, _| is_kept(key));
    annotations.insert(TRIMMED.to_owned(), String::new());
    // What was read from JSON has lists with room for more. A copy has none.
    *snapshot = snapshot.clone();
}

fn is_kept(key: &str) -> bool {
    let of_origin = key.strip_prefix(PIPELINES_AS_CODE_PREFIX).and_then(|key| key.strip_prefix('/'));
    KEPT.contains(&key) || of_origin.is_some_and(|key| KEPT_OF_ORIGIN.contains(&key))
}

/// Whether this is not all of the Snapshot.
pub(crate) fn is_trimmed(snapshot: &Snapshot) -> bool {
    snapshot.annotations().contains_key(TRIMMED)
}

/// Nothing is left to do about it, unless somebody asks for it.
fn is_settled(snapshot: &Snapshot) -> bool {
    if snapshot.metadata.deletion_timestamp.is_some() || snapshot.labels().contains_key(labels::RUN.as_str())
    {
        return false;
    }
    if snapshot.is_out() {
        return none_runs(snapshot);
    }
    let Some(passed) = snapshot.passed() else { return false };
    snapshot.is_finished()
        && none_runs(snapshot)
        && report::is_settled(snapshot)
        && promotion::is_settled(snapshot)
        && (!passed || !is_delivered_if_passed(snapshot) || snapshot.has::<AutoReleased>())
}

/// Optional scenarios go on after the verdict, and others after it was superseded.
fn none_runs(snapshot: &Snapshot) -> bool {
    let is_over = |entry: &ScenarioStatus| entry.state() != TestStatus::InProgress;
    Record::read(snapshot).is_ok_and(|record| record.entries().iter().all(is_over))
}

fn is_delivered_if_passed(snapshot: &Snapshot) -> bool {
    promotion::is_push(snapshot) && !promotion::is_held_back(snapshot)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::origin::Origin;

    fn condition(type_: &str, status: &str, reason: &str) -> Value {
        json!({
            "type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2024-03-01T12:00:00Z",
        })
    }

    fn finished(verdict: (&str, &str)) -> Vec<Value> {
        vec![
            condition("AppStudioIntegrationStatus", "True", "Finished"),
            condition("AppStudioTestSucceeded", verdict.0, verdict.1),
        ]
    }

    fn delivered() -> Vec<Value> {
        let mut conditions = finished(("True", "Passed"));
        conditions.push(condition("AddedToGlobalCandidateList", "True", "Added"));
        conditions.push(condition("AutoReleased", "True", "AutoReleased"));
        conditions
    }

    /// Of a push, with one scenario in this state.
    #[expect(clippy::needless_pass_by_value, reason = "reads better in a table")]
    fn snapshot(state: &str, conditions: Vec<Value>) -> Snapshot {
        let record = json!([{"scenario": "s", "status": state, "lastUpdateTime": "2024-03-01T12:00:00Z", "details": "d"}]);
        serde_json::from_value(json!({
            "metadata": {
                "name": "s", "namespace": "n",
                "labels": {
                    "appstudio.openshift.io/component": "a", "pac.test.appstudio.openshift.io/event-type": "push",
                },
                "annotations": {
                    "test.appstudio.openshift.io/status": record.to_string(),
                    "test.appstudio.openshift.io/result-image-url": "i",
                    "pac.test.appstudio.openshift.io/sha-title": "Mend it",
                    "pac.test.appstudio.openshift.io/repo-url": "https://git.example/acme/app",
                },
            },
            "spec": {"application": "shop", "components": [{"name": "a", "containerImage": "i"}]},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[rstest]
    #[case::new("Pending", vec![], false)]
    #[case::passed("TestPassed", finished(("True", "Passed")), false)]
    #[case::promoted("TestPassed", delivered()[..3].to_vec(), false)]
    #[case::delivered("TestPassed", delivered(), true)]
    #[case::an_optional_test_goes_on("InProgress", delivered(), false)]
    #[case::failed("TestFail", finished(("False", "Failed")), true)]
    #[case::asked_for_again("TestFail", finished(("Unknown", "InProgress")), false)]
    #[case::superseded("TestPassed", vec![condition("AppStudioIntegrationStatus", "False", "Invalid")], true)]
    fn is_trimmed_when_nothing_is_left_to_do(
        #[case] state: &str,
        #[case] conditions: Vec<Value>,
        #[case] expected: bool,
    ) {
        let mut object = snapshot(state, conditions);
        trim(&mut object);
        assert_eq!(is_trimmed(&object), expected);
        assert_eq!(object.spec.components.is_empty(), expected);
    }

    #[test]
    fn one_that_is_only_tested_settles_with_its_verdict() {
        let mut object = snapshot("TestPassed", finished(("True", "Passed")));
        object
            .labels_mut()
            .insert("release.appstudio.openshift.io/auto-release".to_owned(), "false".to_owned());
        trim(&mut object);
        assert!(is_trimmed(&object));
    }

    #[rstest]
    #[case::not_told(json!({}), false)]
    #[case::told(json!({"git-reporter-status": {"scenarios": {"s": {"lastUpdateTime": "2024-03-01T12:00:00Z"}}}}), true)]
    fn a_pull_request_settles_when_it_was_told(#[case] reported: Value, #[case] expected: bool) {
        let mut object = snapshot("TestPassed", finished(("True", "Passed")));
        let event = format!("{PIPELINES_AS_CODE_PREFIX}/event-type");
        object.labels_mut().insert(event, "pull_request".to_owned());
        object.labels_mut().insert(format!("{PIPELINES_AS_CODE_PREFIX}/git-provider"), "github".to_owned());
        for (key, value) in reported.as_object().unwrap() {
            object.annotations_mut().insert(format!("test.appstudio.openshift.io/{key}"), value.to_string());
        }
        trim(&mut object);
        assert_eq!(is_trimmed(&object), expected);
    }

    #[test]
    fn is_whole_while_a_scenario_is_asked_for_again() {
        let mut object = snapshot("TestPassed", delivered());
        object.labels_mut().insert(labels::RUN.to_string(), "s".to_owned());
        trim(&mut object);
        assert!(!is_trimmed(&object));
    }

    #[test]
    fn stays_what_it_was_made_for() {
        let mut object = snapshot("TestPassed", delivered());
        for key in KEPT_OF_ORIGIN {
            let value = if key == "event-type" { "push" } else { "value" };
            let key = format!("{PIPELINES_AS_CODE_PREFIX}/{key}");
            object.annotations_mut().insert(key, value.to_owned());
        }
        let before = object.clone();
        trim(&mut object);
        assert!(is_trimmed(&object));
        assert_eq!(Origin::of(&object), Origin::of(&before));
        let origin = format!("{:?}", Origin::of(&object));
        assert!(!origin.contains("None"), "a key is forgotten here: {origin}");
        assert!(!object.annotations().contains_key("pac.test.appstudio.openshift.io/sha-title"));
        assert_eq!(object.status, before.status);
    }
}
