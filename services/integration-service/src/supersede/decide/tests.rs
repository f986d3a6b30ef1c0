use fleet::write::{PatchKind, Target};
use rstest::rstest;
use serde_json::Value;

use super::*;

const FINALIZER: &str = "test.appstudio.openshift.io/pipelinerun";

fn now() -> Timestamp {
    "2024-03-10T00:00:00Z".parse().unwrap()
}

fn at(minute: u32) -> String {
    format!("2024-03-01T00:{minute:02}:00Z")
}

fn keys(pull_request: u32) -> Value {
    json!({
        "pac.test.appstudio.openshift.io/event-type": "pull_request",
        "pac.test.appstudio.openshift.io/pull-request": pull_request.to_string(),
        "pac.test.appstudio.openshift.io/url-repository": "web",
    })
}

/// Of a build of that Component that began at this minute, for a pull request.
fn snapshot(name: &str, component: &str, pull_request: u32, began: u32) -> Snapshot {
    let seconds = at(began).parse::<Timestamp>().unwrap().as_second();
    let mut annotations = keys(pull_request);
    annotations["test.appstudio.openshift.io/pipelinerunstarttime"] = json!(seconds.to_string());
    let labels = json!({
        "appstudio.openshift.io/component": component,
        "appstudio.openshift.io/build-pipelinerun": format!("build-{name}"),
        "test.appstudio.openshift.io/type": "component",
    });
    // When it was made says nothing: all of them at the same time.
    let metadata = json!({"name": name, "namespace": "n", "uid": name, "resourceVersion": "1", "labels": labels,
        "annotations": annotations, "creationTimestamp": at(59)});
    serde_json::from_value(json!({"metadata": metadata, "spec": {"application": "shop"}})).unwrap()
}

/// Of a group, made at this minute.
fn group(name: &str, made: u32) -> Snapshot {
    let labels = json!({"test.appstudio.openshift.io/type": "group"});
    let metadata = json!({"name": name, "namespace": "n", "uid": name, "resourceVersion": "1", "labels": labels,
        "creationTimestamp": at(made)});
    serde_json::from_value(json!({"metadata": metadata, "spec": {"application": "shop"}})).unwrap()
}

fn with(mut snapshot: Snapshot, [type_, status, reason]: [&str; 3]) -> Snapshot {
    let condition = json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": at(1)});
    snapshot.status = Some(serde_json::from_value(json!({"conditions": [condition]})).unwrap());
    snapshot
}

const PASSED: [&str; 3] = ["AppStudioTestSucceeded", "True", "Passed"];
const CANCELED: [&str; 3] = ["AppStudioIntegrationStatus", "False", "Canceled"];
const INVALID: [&str; 3] = ["AppStudioIntegrationStatus", "False", "Invalid"];

/// A build for a pull request that began at this minute.
fn build(name: &str, component: &str, pull_request: u32, began: u32) -> PipelineRun {
    let labels =
        json!({"appstudio.openshift.io/component": component, "appstudio.openshift.io/application": "shop"});
    let metadata = json!({"name": name, "namespace": "n", "uid": name, "labels": labels, "annotations": keys(pull_request),
        "creationTimestamp": at(0)});
    serde_json::from_value(json!({"metadata": metadata, "spec": {}, "status": {"startTime": at(began)}}))
        .unwrap()
}

/// A run of a test.
fn test(name: &str, succeeded: &str) -> PipelineRun {
    let metadata = json!({"name": name, "namespace": "n", "uid": name, "resourceVersion": "7", "finalizers": ["other", FINALIZER]});
    let condition = json!({"type": "Succeeded", "status": succeeded, "reason": "x"});
    serde_json::from_value(json!({"metadata": metadata, "spec": {}, "status": {"conditions": [condition]}}))
        .unwrap()
}

fn seen(snapshot: Snapshot) -> Observed {
    let snapshot = Arc::new(snapshot);
    Observed {
        now: now(),
        siblings: vec![Arc::clone(&snapshot)],
        snapshot,
        builds: Vec::new(),
        tests: Vec::new(),
    }
}

fn beside(snapshot: Snapshot, other: Snapshot) -> Observed {
    let mut seen = seen(snapshot);
    seen.siblings.push(Arc::new(other));
    seen
}

fn during(snapshot: Snapshot, build: PipelineRun) -> Observed {
    let mut seen = seen(snapshot);
    seen.builds.push(Arc::new(build));
    seen
}

fn old() -> Snapshot {
    snapshot("old", "web", 7, 10)
}

fn pushed(mut snapshot: Snapshot) -> Snapshot {
    let annotations = snapshot.metadata.annotations.as_mut().unwrap();
    annotations.insert("pac.test.appstudio.openshift.io/event-type".into(), "push".into());
    snapshot
}

fn going(mut snapshot: Snapshot) -> Snapshot {
    snapshot.metadata.deletion_timestamp = Some(serde_json::from_value(json!(at(2))).unwrap());
    snapshot
}

fn of_application(mut snapshot: Snapshot, application: &str) -> Snapshot {
    application.clone_into(&mut snapshot.spec.application);
    snapshot
}

fn of_repository(mut run: PipelineRun, repository: &str) -> PipelineRun {
    let annotations = run.metadata.annotations.as_mut().unwrap();
    annotations.insert("pac.test.appstudio.openshift.io/url-repository".into(), repository.to_owned());
    run
}

#[rstest]
#[case::alone(seen(old()), Some(Hold::Newest))]
#[case::newer_snapshot(beside(old(), snapshot("new", "web", 7, 11)), None)]
#[case::newer_snapshot_that_has_passed(beside(old(), with(snapshot("new", "web", 7, 11), PASSED)), None)]
#[case::older_snapshot(beside(old(), snapshot("older", "web", 7, 9)), Some(Hold::Newest))]
#[case::built_at_the_same_time(beside(old(), snapshot("twin", "web", 7, 10)), Some(Hold::Newest))]
#[case::other_component(beside(old(), snapshot("new", "api", 7, 11)), Some(Hold::Newest))]
#[case::other_pull_request(beside(old(), snapshot("new", "web", 8, 11)), Some(Hold::Newest))]
#[case::other_application(
    beside(old(), of_application(snapshot("new", "web", 7, 11), "other")),
    Some(Hold::Newest)
)]
#[case::group_of_the_pull_request(beside(old(), group("new", 58)), Some(Hold::Newest))]
#[case::newer_build(during(old(), build("new", "web", 7, 11)), None)]
#[case::older_build(during(old(), build("older", "web", 7, 9)), Some(Hold::Newest))]
#[case::own_build(during(old(), build("build-old", "web", 7, 11)), Some(Hold::Newest))]
#[case::build_of_another_component(during(old(), build("new", "api", 7, 11)), Some(Hold::Newest))]
#[case::build_of_the_same_number_elsewhere(
    during(old(), of_repository(build("new", "web", 7, 11), "fork")),
    Some(Hold::Newest)
)]
#[case::push(beside(pushed(old()), snapshot("new", "web", 7, 11)), Some(Hold::Push))]
#[case::finished(beside(with(old(), PASSED), snapshot("new", "web", 7, 11)), Some(Hold::Finished))]
#[case::invalid(beside(with(old(), INVALID), snapshot("new", "web", 7, 11)), Some(Hold::Invalid))]
#[case::going(beside(going(old()), snapshot("new", "web", 7, 11)), Some(Hold::NotOurs))]
#[case::group_alone(seen(group("old", 10)), Some(Hold::Newest))]
#[case::newer_group(beside(group("old", 10), group("new", 11)), None)]
#[case::older_group(beside(group("old", 10), group("older", 9)), Some(Hold::Newest))]
#[case::group_of_another_application(
    beside(group("old", 10), of_application(group("new", 11), "other")),
    Some(Hold::Newest)
)]
#[case::member_beside_its_group(
    beside(group("old", 10), snapshot("member", "web", 7, 11)),
    Some(Hold::Newest)
)]
#[case::newer_build_of_a_member(during(group("old", 10), build("new", "api", 8, 11)), None)]
#[case::build_of_a_member_before(during(group("old", 10), build("member", "api", 8, 9)), Some(Hold::Newest))]
fn cancels_what_is_older(#[case] seen: Observed, #[case] hold: Option<Hold>) {
    let outcome = decide(&seen);
    assert_eq!(outcome.hold, hold);
    assert_eq!(outcome.canceled.is_some(), hold.is_none());
    assert_eq!(outcome.writes.len(), usize::from(hold.is_none()), "one write to the Snapshot");
}

#[test]
fn the_message_names_what_is_newer() {
    let outcome = decide(&beside(old(), snapshot("new", "web", 7, 11)));
    let cause = "Superseded by Snapshot new, of a newer build".to_owned();
    assert_eq!(outcome.canceled, Some(IntegrationStatus::Canceled { cause }));
    let Some(Write::Status(status)) = outcome.writes.first() else { panic!("{:?}", outcome.writes) };
    assert_eq!(status.version.as_deref(), Some("1"), "whoever wrote in between is looked at first");
}

#[test]
fn a_snapshot_that_passed_while_optional_tests_run_is_cancelled() {
    let mut seen = beside(with(old(), PASSED), snapshot("new", "web", 7, 11));
    seen.tests = vec![Arc::new(test("optional", "Unknown"))];
    let outcome = decide(&seen);
    assert_eq!((outcome.hold, outcome.writes.len()), (None, 2));
}

fn ending(run: &PipelineRun, body: Value) -> Write {
    let mut body = body;
    body["metadata"]["uid"] = json!(run.metadata.uid);
    body["metadata"]["resourceVersion"] = json!("7");
    Write::Patch(fleet::write::Patch { target: Target::of(run), kind: PatchKind::Merge, body })
}

#[test]
fn its_runs_are_ended_and_let_go() {
    let (running, ended) = (test("running", "Unknown"), test("ended", "False"));
    let mut told = test("told", "Unknown");
    told.metadata.annotations = Some([(CANCELLED.as_str().to_owned(), "true".to_owned())].into());
    told.metadata.finalizers = None;
    let mut seen = seen(with(old(), CANCELED));
    seen.tests = vec![Arc::new(running.clone()), Arc::new(ended.clone()), Arc::new(told)];
    let outcome = decide(&seen);
    let cancelled = json!({
        "metadata": {"annotations": {"pac.test.appstudio.openshift.io/cancelled": "true"}, "finalizers": ["other"]},
        "spec": {"status": "CancelledRunFinally"},
    });
    let let_go = json!({"metadata": {"finalizers": ["other"]}});
    assert_eq!(outcome.writes, [ending(&running, cancelled), ending(&ended, let_go)]);
    assert_eq!(outcome.canceled, None, "that was said before");
}

#[test]
fn a_cancelled_snapshot_comes_to_rest() {
    let mut seen = beside(with(old(), CANCELED), snapshot("new", "web", 7, 11));
    let mut ended = test("ended", "False");
    ended.metadata.finalizers = Some(vec!["other".to_owned()]);
    seen.tests = vec![Arc::new(ended)];
    assert_eq!(decide(&seen), Outcome::default());
}
