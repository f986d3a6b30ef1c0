use pipelines_engine_api::TaskRun;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const NOW: &str = "2024-04-01T10:00:00Z";

fn at(seconds: i64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// A run that has ended, with a finalizer, but for what `changes` says.
fn run(changes: &Value) -> TaskRun {
    let mut object = json!({
        "metadata": {"name": "t", "namespace": "n", "uid": "u", "resourceVersion": "1", "finalizers": ["chains.tekton.dev"]},
        "spec": {},
        "status": {"conditions": [{"type": "Succeeded", "status": "True"}]},
    });
    json_patch::merge(&mut object, changes);
    serde_json::from_value(object).unwrap()
}

fn under_way() -> Value {
    json!({"status": {"conditions": [{"type": "Succeeded", "status": "Unknown"}]}})
}

fn deleted(seconds_ago: i64) -> Value {
    json!({"metadata": {"deletionTimestamp": at(-seconds_ago)}})
}

fn signed(value: &str) -> Value {
    json!({"metadata": {"annotations": {"chains.tekton.dev/signed": value}}})
}

fn merged(values: &[Value]) -> Value {
    let mut all = json!({});
    for value in values {
        json_patch::merge(&mut all, value);
    }
    all
}

fn next(run: &TaskRun) -> Next {
    decide(&Observed { now: at(0), run, children: Children::Settled, is_configured: true, not_before: None })
}

/// Why nothing happens, and the metadata that is written.
fn rest(next: Next) -> (Hold, Value) {
    let Next::Rest(decision) = next else { panic!("{next:?}") };
    let patch = decision.writes.iter().find_map(|write| match write {
        fleet::Write::Patch(patch) => Some(patch.body["metadata"].clone()),
        _ => None,
    });
    (decision.hold.unwrap(), patch.unwrap_or_default())
}

#[rstest]
#[case::under_way(under_way(), Hold::NotEnded)]
#[case::without_conditions(json!({"status": {"conditions": []}}), Hold::NotEnded)]
#[case::signed(signed("true"), Hold::Settled)]
#[case::failed(signed("failed"), Hold::Settled)]
#[case::of_another_cluster(json!({"spec": {"managedBy": "kueue.x-k8s.io/multikueue"}}), Hold::Elsewhere)]
#[case::signed_and_deleted_without_finalizer(merged(&[signed("true"), deleted(1), json!({"metadata": {"finalizers": []}})]), Hold::Settled)]
fn does_nothing(#[case] changes: Value, #[case] expected: Hold) {
    assert_eq!(rest(next(&run(&changes))), (expected, Value::Null));
}

#[rstest]
#[case::succeeded(json!({}))]
#[case::failed(json!({"status": {"conditions": [{"type": "Succeeded", "status": "False"}]}}))]
#[case::deleted_a_moment_ago(deleted(299))]
#[case::mark_removed(signed(""))]
#[case::of_this_cluster_by_name(json!({"spec": {"managedBy": "tekton.dev/pipeline"}}))]
#[case::without_finalizer(json!({"metadata": {"finalizers": []}}))]
fn signs(#[case] changes: Value) {
    assert_eq!(next(&run(&changes)), Next::Sign);
}

#[test]
fn a_run_under_way_is_held() {
    let (hold, patch) = rest(next(&run(&merged(&[under_way(), json!({"metadata": {"finalizers": []}})]))));
    assert_eq!((hold, &patch["finalizers"]), (Hold::NotEnded, &json!(["chains.tekton.dev"])));
}

#[rstest]
#[case::before_it_has_ended(merged(&[under_way(), deleted(1)]))]
#[case::when_it_is_signed(merged(&[signed("true"), deleted(1)]))]
#[case::when_it_has_failed(merged(&[signed("failed"), deleted(1)]))]
fn a_deleted_run_is_let_go(#[case] changes: Value) {
    let (_, patch) = rest(next(&run(&changes)));
    assert_eq!((&patch["finalizers"], &patch["annotations"]), (&json!([]), &Value::Null));
}

#[test]
fn a_deletion_waits_five_minutes() {
    let (hold, patch) = rest(next(&run(&deleted(300))));
    assert_eq!(hold, Hold::GivenUp);
    assert_eq!(
        (&patch["finalizers"], &patch["annotations"]["chains.tekton.dev/signed"]),
        (&json!([]), &json!("failed"))
    );
}

#[test]
fn a_pause_ends_with_the_deletion_limit() {
    let run = run(&deleted(200));
    let not_before = Some(at(3600));
    let seen =
        Observed { now: at(0), run: &run, children: Children::Settled, is_configured: true, not_before };
    let Next::Rest(decision) = decide(&seen) else { panic!() };
    assert_eq!((decision.hold, decision.wake), (Some(Hold::PausesAfterFailure), Wake::At(at(100))));
    assert_eq!(
        decide(&Observed { now: at(3600), run: &super::tests::run(&json!({})), not_before, ..seen }),
        Next::Sign
    );
}

#[rstest]
#[case::of_task_runs(Children::Unsettled("build".to_owned()), true, Hold::TaskRunsFirst)]
#[case::of_settings(Children::Settled, false, Hold::NoSettings)]
fn waits(#[case] children: Children, #[case] is_configured: bool, #[case] expected: Hold) {
    let run = run(&json!({}));
    let next = decide(&Observed { now: at(0), run: &run, children, is_configured, not_before: None });
    assert_eq!(rest(next), (expected, Value::Null));
}

#[test]
fn scenario_9_a_child_that_is_gone_stops_nothing() {
    let run = run(&json!({}));
    let children = Children::Gone("build".to_owned());
    let seen = Observed { now: at(0), run: &run, children, is_configured: true, not_before: None };
    let Next::Rest(decision) = decide(&seen) else { panic!() };
    let [fleet::Write::Patch(patch), fleet::Write::Event(event)] = &decision.writes[..] else {
        panic!("{decision:?}")
    };
    assert_eq!(patch.body["metadata"]["annotations"]["chains.tekton.dev/signed"], "failed");
    assert!(
        event.note.contains("TaskRun build") && event.note.contains("chains.tekton.dev/signed"),
        "{}",
        event.note
    );
}
