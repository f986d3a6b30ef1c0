use super::*;
use rstest::rstest;
use serde_json::{Value, json};

struct Made(Value);

/// Of a build of Component `web` that was pushed.
fn built() -> Made {
    Made(json!({
        "metadata": {
            "name": "s", "namespace": "n", "uid": "u",
            "labels": {
                "appstudio.openshift.io/component": "web",
                "appstudio.openshift.io/build-pipelinerun": "run",
                "test.appstudio.openshift.io/type": "component",
                "pac.test.appstudio.openshift.io/event-type": "push",
            },
        },
        "spec": {"application": "app"},
        "status": {"conditions": []},
    }))
}

/// By a user, with no word about what it is.
fn by_hand() -> Made {
    let mut made = built();
    made.0["metadata"]["labels"] = json!({});
    made
}

impl Made {
    fn label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = json!(value);
        self
    }

    fn of_type(self, type_: &str) -> Self {
        self.label("test.appstudio.openshift.io/type", type_)
    }

    fn says(mut self, type_: &str, status: &str, reason: &str) -> Self {
        self.0["status"]["conditions"].as_array_mut().unwrap().push(json!({
            "type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2024-03-01T12:00:00Z",
        }));
        self
    }

    fn finished(self) -> Self {
        self.says("AppStudioIntegrationStatus", "True", "Finished")
    }

    fn passed(self) -> Self {
        self.finished().says("AppStudioTestSucceeded", "True", "Passed")
    }

    fn failed(self) -> Self {
        self.finished().says("AppStudioTestSucceeded", "False", "Failed")
    }

    fn added(self) -> Self {
        self.says("AddedToGlobalCandidateList", "True", "Added")
    }

    fn build(&self) -> Snapshot {
        serde_json::from_value(self.0.clone()).unwrap()
    }
}

const PULL_REQUEST: (&str, &str) = ("pac.test.appstudio.openshift.io/event-type", "pull_request");
const HELD_BACK: (&str, &str) = ("release.appstudio.openshift.io/auto-release", "false");

#[rstest]
#[case::untested(built(), None)]
#[case::tested(built().finished(), Some(Task::Judge))]
#[case::composite(built().of_type("composite").finished(), Some(Task::Judge))]
#[case::passed(built().passed(), Some(Task::List))]
#[case::failed(built().failed(), None)]
#[case::listed(built().passed().added(), None)]
#[case::tested_again(built().added().finished().says("AppStudioTestSucceeded", "Unknown", "InProgress"), Some(Task::Judge))]
#[case::pull_request(built().label(PULL_REQUEST.0, PULL_REQUEST.1).finished(), None)]
#[case::pull_request_that_passed(built().label(PULL_REQUEST.0, PULL_REQUEST.1).passed(), None)]
#[case::group(built().of_type("group").passed(), None)]
#[case::superseded(built().says("AppStudioIntegrationStatus", "False", "Invalid"), None)]
#[case::held_back_is_judged(built().label(HELD_BACK.0, HELD_BACK.1).finished(), Some(Task::Judge))]
#[case::held_back_is_not_listed(built().label(HELD_BACK.0, HELD_BACK.1).passed(), None)]
#[case::restored(built().label("velero.io/restore-name", "r").finished(), None)]
#[case::by_hand(by_hand().passed(), None)]
#[case::by_hand_of_a_component(by_hand().label("appstudio.openshift.io/component", "web").passed(), Some(Task::List))]
#[case::by_hand_is_judged_elsewhere(by_hand().label("appstudio.openshift.io/component", "web").finished(), None)]
#[case::over(by_hand().of_type("override"), Some(Task::List))]
#[case::over_that_failed(by_hand().of_type("override").failed(), Some(Task::List))]
#[case::over_that_is_listed(by_hand().of_type("override").added(), None)]
#[case::over_with_faults(by_hand().of_type("override").says("AppStudioIntegrationStatus", "False", "Invalid"), None)]
fn after_tests(#[case] made: Made, #[case] expected: Option<Task>) {
    let snapshot = made.build();
    assert_eq!(task(&snapshot, Promotion::Tests), expected);
    assert!(expected.is_none() || !turn_of(&snapshot).is_empty(), "the index has all that there is to do");
}

#[rstest]
#[case::new(built(), Some(Task::List))]
#[case::listed(built().added(), None)]
#[case::of_a_build_that_failed_its_tests(built().failed(), None)]
#[case::tests_are_judged_elsewhere(built().added().finished(), None)]
#[case::pull_request(built().label(PULL_REQUEST.0, PULL_REQUEST.1), None)]
#[case::held_back(built().label(HELD_BACK.0, HELD_BACK.1), None)]
#[case::by_hand(by_hand().label("appstudio.openshift.io/component", "web").of_type("component"), None)]
#[case::by_hand_that_passed(by_hand().label("appstudio.openshift.io/component", "web").passed(), Some(Task::List))]
fn at_the_build(#[case] made: Made, #[case] expected: Option<Task>) {
    assert_eq!(task(&made.build(), Promotion::Build), expected);
}

#[rstest]
#[case::component(built(), Promotion::Tests, true)]
#[case::composite(built().of_type("composite"), Promotion::Tests, true)]
#[case::at_the_build(built(), Promotion::Build, false)]
#[case::pull_request(built().label(PULL_REQUEST.0, PULL_REQUEST.1), Promotion::Tests, false)]
#[case::over(by_hand().of_type("override"), Promotion::Tests, false)]
#[case::by_hand(by_hand(), Promotion::Tests, false)]
fn verdicts(#[case] made: Made, #[case] promotion: Promotion, #[case] expected: bool) {
    assert_eq!(passes_verdict(&made.build(), promotion), expected);
}
