use fleet::Write;
use forge::Provider;
use integration_service_api::annotations::{GROUP_TEST_INFO, STATUS};
use rstest::rstest;
use serde_json::{Value, json};

use super::super::message::Way;
use super::super::telling::{Done, Retry};
use super::*;

const SHA: &str = "8cc5aef17d528ca5ab893dd430004fec8bf9beaa";
const CREATED: &str = "2024-01-01T00:00:00Z";
const T1: &str = "2024-01-01T00:00:10Z";
const T2: &str = "2024-01-01T00:00:20Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Of the pull request 7 at Gitea, for a build of `web`, with scenarios in these states.
fn snapshot(entries: &[(&str, &str, &str)]) -> Snapshot {
    let status: Vec<Value> = entries
        .iter()
        .map(|(scenario, status, updated)| {
            json!({
                "scenario": scenario, "status": status, "lastUpdateTime": updated, "details": "",
                "testPipelineRunName": format!("{scenario}-run"),
            })
        })
        .collect();
    serde_json::from_value(json!({
        "metadata": {
            "name": "s", "namespace": "n", "uid": "u", "creationTimestamp": CREATED,
            "labels": {"appstudio.openshift.io/component": "web"},
            "annotations": {
                (STATUS.as_str()): json!(status).to_string(),
                "pac.test.appstudio.openshift.io/event-type": "pull_request",
                "pac.test.appstudio.openshift.io/git-provider": "gitea",
                "pac.test.appstudio.openshift.io/repo-url": "https://git.test/acme/web",
                "pac.test.appstudio.openshift.io/sha": SHA,
                "pac.test.appstudio.openshift.io/pull-request": "7",
            },
        },
        "spec": {"application": "shop"},
    }))
    .unwrap()
}

fn annotated(mut snapshot: Snapshot, key: &str, value: &Value) -> Snapshot {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    snapshot.annotations_mut().insert(key.to_owned(), text);
    snapshot
}

fn recorded(snapshot: Snapshot, entries: &[(&str, &str)]) -> Snapshot {
    let entries: serde_json::Map<_, _> = entries
        .iter()
        .map(|(key, updated)| ((*key).to_owned(), json!({"lastUpdateTime": updated})))
        .collect();
    annotated(snapshot, GIT_REPORTER_STATUS.as_str(), &json!({"scenarios": entries}))
}

fn run(scenario: &str) -> Arc<PipelineRun> {
    let run = json!({
        "metadata": {
            "name": format!("{scenario}-run"), "namespace": "n", "uid": "r", "resourceVersion": "1",
            "finalizers": [finalizers::PIPELINE_RUN.as_str()],
        },
        "spec": {},
    });
    Arc::new(serde_json::from_value(run).unwrap())
}

fn seen(snapshot: Snapshot) -> Observed {
    Observed {
        now: at("2024-01-01T00:01:00Z"),
        record: Record::read(&snapshot),
        snapshot: Arc::new(snapshot),
        members: Vec::new(),
        optional: BTreeSet::new(),
        of_failed_group: Vec::new(),
        runs: vec![run("lint")],
        telling: Telling::default(),
        retry_for: SignedDuration::from_hours(3),
    }
}

fn done(scenario: &str, updated: &str, failure: Option<&str>) -> Done {
    let keys = Keys::of_snapshot(scenario, "s");
    Done { keys, updated: updated.to_owned(), failure: failure.map(str::to_owned) }
}

fn retry(at_: &str) -> Retry {
    Retry { at: at(at_), why: "away".to_owned(), failures: 1 }
}

/// Scenarios and states that are to be said.
fn told(decided: &Decided) -> Vec<(String, &'static str)> {
    let messages = decided.tell.iter().flat_map(|round| &round.messages);
    messages.map(|message| (message.scenario.clone(), message.status.into())).collect()
}

/// What is written into annotations of the Snapshot, and whose finalizers are taken off.
fn written(decided: &Decided) -> (Value, Vec<String>) {
    let (mut annotations, mut freed) = (json!({}), Vec::new());
    for write in &decided.decision.writes {
        let Write::Patch(patch) = write else { continue };
        if patch.body["metadata"].get("finalizers").is_some() {
            freed.push(patch.target.key.name.clone());
        } else {
            annotations = patch.body["metadata"]["annotations"].clone();
        }
    }
    (annotations, freed)
}

fn record(entries: &[(&str, &str)]) -> String {
    let snapshot = recorded(snapshot(&[]), entries);
    snapshot.annotations()[GIT_REPORTER_STATUS.as_str()].clone()
}

fn cancelled(mut snapshot: Snapshot) -> Snapshot {
    snapshot.status = serde_json::from_value(json!({"conditions": [{
        "type": "AppStudioIntegrationStatus", "status": "False", "reason": "Canceled", "message": "",
        "lastTransitionTime": CREATED,
    }]}))
    .unwrap();
    snapshot
}

fn push(mut snapshot: Snapshot) -> Snapshot {
    snapshot
        .annotations_mut()
        .insert("pac.test.appstudio.openshift.io/event-type".to_owned(), "push".to_owned());
    snapshot
}

fn restored(mut snapshot: Snapshot) -> Snapshot {
    snapshot.labels_mut().insert("velero.io/restore-name".to_owned(), "r".to_owned());
    snapshot
}

#[rstest]
#[case::push(push(snapshot(&[("lint", "TestPassed", T1)])), Hold::Push)]
#[case::restored(restored(snapshot(&[("lint", "TestPassed", T1)])), Hold::Restored)]
#[case::cancelled(cancelled(snapshot(&[("lint", "TestPassed", T1)])), Hold::Out)]
#[case::unreadable(annotated(snapshot(&[]), STATUS.as_str(), &json!("[{")), Hold::Unreadable)]
#[case::no_scenario(snapshot(&[]), Hold::Reported)]
#[case::known(recorded(snapshot(&[("lint", "TestPassed", T1)]), &[("lint", T1)]), Hold::Reported)]
#[case::known_to_later_programs(recorded(snapshot(&[("lint", "TestPassed", T1)]), &[("lint-s", T1)]), Hold::Reported)]
fn holds(#[case] snapshot: Snapshot, #[case] expected: Hold) {
    let decided = decide(&seen(snapshot));
    assert_eq!(decided.decision.hold, Some(expected));
    assert_eq!(told(&decided), []);
}

#[test]
fn says_what_is_newer_than_what_was_said() {
    let snapshot = recorded(
        snapshot(&[("e2e", "InProgress", T1), ("lint", "TestPassed", T2), ("scan", "Pending", T1)]),
        &[("lint", T1), ("scan", T1)],
    );
    let decided = decide(&seen(snapshot));
    assert_eq!(told(&decided), [("e2e".to_owned(), "InProgress"), ("lint".to_owned(), "TestPassed")]);
    assert_eq!(
        decided.decision,
        Decision::default(),
        "nothing is recorded and nothing let go before it is said"
    );
    let [round] = decided.tell.as_slice() else { panic!("{decided:?}") };
    let destination = round.destination.as_ref().unwrap();
    assert_eq!((destination.provider, round.component.as_deref()), (Provider::Gitea, Some("web")));
    assert_eq!(destination.way, Way::Token { pull_request: Some(7), source_project: None });
}

#[test]
fn records_what_was_said_and_then_lets_the_run_go() {
    let mut seen = seen(snapshot(&[("lint", "TestPassed", T1)]));
    seen.telling.done = vec![done("lint", T1, None)];
    let decided = decide(&seen);
    let (annotations, freed) = written(&decided);
    assert_eq!(annotations[GIT_REPORTER_STATUS.as_str()], record(&[("lint", T1)]));
    assert_eq!(freed, ["lint-run"]);
    assert!(
        matches!(decided.decision.writes.as_slice(), [Write::Patch(first), _] if first.target.key.name == "s")
    );
    assert_eq!(told(&decided), []);
}

#[test]
fn records_while_more_is_being_said() {
    let mut seen = seen(snapshot(&[("lint", "TestPassed", T1), ("scan", "TestPassed", T1)]));
    seen.telling = Telling { is_under_way: true, done: vec![done("lint", T1, None)], retry: None };
    let decided = decide(&seen);
    assert_eq!(written(&decided).1, ["lint-run"]);
    assert_eq!((decided.decision.hold, told(&decided)), (Some(Hold::UnderWay), vec![]));
}

#[rstest]
#[case::still_runs("InProgress", T1, &[])]
#[case::ended("TestFail", T1, &["lint-run"])]
#[case::said_before_it_ended("TestFail", T2, &[])]
fn a_run_goes_when_its_end_is_known(#[case] status: &str, #[case] updated: &str, #[case] expected: &[&str]) {
    let decided = decide(&seen(recorded(snapshot(&[("lint", status, updated)]), &[("lint", T1)])));
    assert_eq!(written(&decided).1, expected);
}

#[test]
fn a_run_of_a_cancelled_snapshot_goes_unreported() {
    let decided = decide(&seen(cancelled(snapshot(&[("lint", "InProgress", T1)]))));
    assert_eq!(written(&decided), (json!({}), vec!["lint-run".to_owned()]));
}

#[test]
fn what_is_given_up_is_recorded_with_its_reason() {
    let mut seen = seen(snapshot(&[("lint", "TestFail", T1)]));
    seen.telling.done = vec![done("lint", T1, Some("401"))];
    let decided = decide(&seen);
    let (annotations, freed) = written(&decided);
    assert_eq!(annotations[GIT_REPORTING_FAILURE.as_str()], "401");
    assert_eq!(annotations[GIT_REPORTER_STATUS.as_str()], record(&[("lint", T1)]));
    assert_eq!(freed, ["lint-run"]);
    assert!(decided.decision.writes.iter().any(|write| matches!(write, Write::Event(_))));
}

#[test]
fn a_success_takes_the_reason_away() {
    let failed =
        annotated(snapshot(&[("lint", "TestFail", T1)]), GIT_REPORTING_FAILURE.as_str(), &json!("401"));
    let mut seen = seen(failed);
    seen.telling.done = vec![done("lint", T1, None)];
    assert_eq!(written(&decide(&seen)).0[GIT_REPORTING_FAILURE.as_str()], Value::Null);
}

#[test]
fn waits_before_it_tries_again() {
    let mut seen = seen(snapshot(&[("lint", "TestFail", T1)]));
    seen.telling.retry = Some(retry("2024-01-01T00:01:05Z"));
    let decided = decide(&seen);
    assert_eq!((decided.decision.wake, told(&decided).len()), (Wake::At(at("2024-01-01T00:01:05Z")), 0));
    seen.now = at("2024-01-01T00:01:05Z");
    assert_eq!(told(&decide(&seen)).len(), 1);
}

#[rstest]
#[case::young(T1, "2024-01-01T03:00:09Z", false)]
#[case::old(T1, "2024-01-01T03:00:10Z", true)]
#[case::never(T1, "2024-01-01T00:00:30Z", false)]
#[case::time_to_come("2034-01-01T00:00:00Z", "2024-01-01T03:00:00Z", true)]
#[case::no_time("yesterday", "2024-01-01T03:00:00Z", true)]
fn gives_up_after_three_hours(#[case] updated: &str, #[case] now: &str, #[case] expected: bool) {
    let mut seen = seen(snapshot(&[("lint", "TestFail", updated)]));
    seen.now = at(now);
    seen.telling.retry = Some(retry(now));
    let decided = decide(&seen);
    assert_eq!(told(&decided).is_empty(), expected);
    assert_eq!(written(&decided).1.is_empty(), !expected);
    assert_eq!(written(&decided).0.get(GIT_REPORTING_FAILURE.as_str()).is_some(), expected);
}

#[test]
fn an_old_result_is_tried_once_at_least() {
    let mut seen = seen(snapshot(&[("lint", "TestFail", T1)]));
    seen.now = at("2024-01-02T00:00:00Z");
    assert_eq!(told(&decide(&seen)).len(), 1);
}

#[test]
fn without_a_forge_it_is_said_why_and_nothing_is_held() {
    let mut nowhere = snapshot(&[("lint", "TestFail", T1)]);
    nowhere.annotations_mut().remove("pac.test.appstudio.openshift.io/git-provider");
    let decided = decide(&seen(nowhere.clone()));
    let (annotations, freed) = written(&decided);
    let why = annotations[GIT_REPORTING_FAILURE.as_str()].as_str().unwrap().to_owned();
    assert!(why.contains("git-provider"), "{why}");
    assert_eq!((freed, decided.decision.hold), (vec!["lint-run".to_owned()], Some(Hold::NoDestination)));
    let mut again = seen(annotated(nowhere, GIT_REPORTING_FAILURE.as_str(), &json!(why)));
    again.runs.clear();
    assert_eq!(decide(&again).decision.writes, [], "it is said once");
}

#[test]
fn the_older_record_is_replaced() {
    let older = annotated(
        snapshot(&[("lint", "TestPassed", T1), ("scan", "TestPassed", T2)]),
        PR_LAST_UPDATE.as_str(),
        &json!(T1),
    );
    let mut seen = seen(older);
    assert_eq!(told(&decide(&seen)), [("scan".to_owned(), "TestPassed")]);
    seen.telling.done = vec![done("scan", T2, None)];
    let (annotations, _) = written(&decide(&seen));
    assert_eq!(annotations[GIT_REPORTER_STATUS.as_str()], record(&[("lint", T1), ("scan", T2)]));
    assert_eq!(annotations[PR_LAST_UPDATE.as_str()], Value::Null);
}

fn group(members: &[&str]) -> Snapshot {
    let mut group = snapshot(&[("lint", "TestPassed", T1)]);
    group.labels_mut().insert(labels::TYPE.as_str().to_owned(), "group".to_owned());
    let info: Vec<Value> = members.iter().map(|name| json!({"namespace": "n", "snapshot": name})).collect();
    annotated(group, GROUP_TEST_INFO.as_str(), &json!(info))
}

fn member(name: &str, number: &str) -> Arc<Snapshot> {
    let mut member = snapshot(&[]);
    member.metadata.name = Some(name.to_owned());
    Arc::new(annotated(member, "pac.test.appstudio.openshift.io/pull-request", &json!(number)))
}

#[test]
fn a_group_is_reported_at_each_pull_request_once() {
    let mut seen = seen(group(&["a", "b", "c"]));
    seen.members = vec![member("a", "7"), member("b", "8"), member("c", "8")];
    let decided = decide(&seen);
    let rounds: Vec<_> = decided.tell.iter().map(|round| round.component.as_deref()).collect();
    assert_eq!(rounds, [Some("pr group"), Some("pr group")]);
    assert_eq!(written(&decided).1, [""; 0], "the run is needed until all know");
    let key = |member: &str| Done { keys: Keys::of_member("lint", member), ..done("lint", T1, None) };
    seen.telling.done = vec![key("a")];
    let decided = decide(&seen);
    assert_eq!((told(&decided).len(), written(&decided).1.len()), (1, 0));
    seen.telling.done = vec![key("a"), key("b")];
    let (annotations, freed) = written(&decide(&seen));
    assert_eq!(annotations[GIT_REPORTER_STATUS.as_str()], record(&[("lint-a", T1), ("lint-b", T1)]));
    assert_eq!(freed, ["lint-run"]);
}

#[test]
fn a_group_that_has_no_snapshot_is_told_of() {
    let outcome = json!({"status": "failed", "message": "quota"});
    let member = annotated(
        recorded(snapshot(&[("lint", "TestPassed", T1)]), &[("lint", T1)]),
        "test.appstudio.openshift.io/create-groupsnapshot-status",
        &outcome,
    );
    let mut seen = seen(member);
    seen.of_failed_group = vec!["together".to_owned()];
    let decided = decide(&seen);
    assert_eq!(told(&decided), [("together".to_owned(), "GroupSnapshotCreationFailed")]);
    assert_eq!(decided.tell[0].component.as_deref(), Some("pr group"));
    assert_eq!(decided.tell[0].messages[0].details, "quota");
    assert_eq!(written(&decided).1, ["lint-run"], "it holds no run");
    let keys = Keys::of_failed_group("together");
    seen.telling.done = vec![Done { keys, ..done("", "GroupSnapshotCreationFailed", None) }];
    assert_eq!(told(&decide(&seen)), []);
}

#[test]
fn gitlab_hears_of_many_scenarios_at_once() {
    let names: Vec<String> = (0..51).map(|number| format!("s{number:02}")).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), "Pending", T1)).collect();
    let overview = |count: usize, provider: &str| {
        let snapshot = annotated(
            snapshot(&entries[..count]),
            "pac.test.appstudio.openshift.io/git-provider",
            &json!(provider),
        );
        decide(&seen(snapshot)).tell[0].overview.as_ref().map(Vec::len)
    };
    assert_eq!(
        (overview(51, "gitlab"), overview(50, "gitlab"), overview(51, "gitea")),
        (Some(51), None, None)
    );
}

#[rstest]
#[case::push(push(snapshot(&[("lint", "InProgress", T1)])), true)]
#[case::cancelled(cancelled(snapshot(&[("lint", "InProgress", T1)])), true)]
#[case::said(recorded(snapshot(&[("lint", "TestPassed", T1)]), &[("lint", T1)]), true)]
#[case::not_said(recorded(snapshot(&[("lint", "TestPassed", T2)]), &[("lint", T1)]), false)]
#[case::goes_on(recorded(snapshot(&[("lint", "InProgress", T1)]), &[("lint", T1)]), false)]
#[case::nobody_to_tell(
    annotated(snapshot(&[("lint", "TestPassed", T1)]), GIT_REPORTING_FAILURE.as_str(), &json!("x")), true
)]
#[case::group_said(recorded(group(&["a", "b"]), &[("lint-a", T1), ("lint-b", T1)]), true)]
#[case::group_said_to_one(recorded(group(&["a", "b"]), &[("lint-a", T1)]), false)]
fn settles(#[case] snapshot: Snapshot, #[case] expected: bool) {
    assert_eq!(is_settled(&snapshot), expected);
}
