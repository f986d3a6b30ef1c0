use fleet::Write;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::report::telling::{Done, Retry};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A build of `web` for pull request 7, which goes on.
fn build(name: &str, created: &str) -> PipelineRun {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "n", "uid": name, "creationTimestamp": created,
            "labels": {"appstudio.openshift.io/component": "web", "appstudio.openshift.io/application": "shop"},
            "annotations": {
                "pipelinesascode.tekton.dev/event-type": "pull_request",
                "pipelinesascode.tekton.dev/git-provider": "gitea",
                "pipelinesascode.tekton.dev/repo-url": "https://git.test/acme/web",
                "pipelinesascode.tekton.dev/sha": "8cc5aef17d528ca5ab893dd430004fec8bf9beaa",
                "pipelinesascode.tekton.dev/pull-request": "7",
            },
        },
        "spec": {},
    }))
    .unwrap()
}

const CREATED: &str = "2024-01-01T00:00:00Z";
const LATER: &str = "2024-01-01T00:00:30Z";

fn run() -> PipelineRun {
    build("run", CREATED)
}

fn annotated(mut run: PipelineRun, key: &str, value: &str) -> PipelineRun {
    run.annotations_mut().insert(key.to_owned(), value.to_owned());
    run
}

fn ended(mut run: PipelineRun, status: &str) -> PipelineRun {
    run.status = serde_json::from_value(json!({
        "completionTime": CREATED,
        "conditions": [{"type": "Succeeded", "status": status, "message": "no disk left"}],
    }))
    .unwrap();
    run
}

fn scenario(name: &str, contexts: &[&str]) -> Arc<IntegrationTestScenario> {
    let contexts: Vec<Value> = contexts.iter().map(|name| json!({"name": name})).collect();
    let scenario = json!({
        "metadata": {"name": name, "namespace": "n"},
        "spec": {"application": "shop", "contexts": contexts, "resolverRef": {"resolver": "git", "params": []}},
    });
    Arc::new(serde_json::from_value(scenario).unwrap())
}

fn seen(run: PipelineRun) -> Observed {
    let run = Arc::new(run);
    Observed {
        now: at("2024-01-01T00:01:00Z"),
        builds: vec![Arc::clone(&run)],
        run,
        scenarios: vec![
            scenario("lint", &[]),
            scenario("release", &["push"]),
            scenario("pr", &["pull_request"]),
        ],
        has_snapshot: false,
        telling: Telling::default(),
        retry_for: SignedDuration::from_hours(3),
    }
}

fn told(decided: &Decided) -> Vec<(&str, &'static str)> {
    let messages = decided.tell.iter().flat_map(|round| &round.messages);
    messages.map(|message| (message.scenario.as_str(), message.status.into())).collect()
}

const FAILED: &str = r#"{"status": "failed", "message": "result IMAGE_URL is missing"}"#;

#[rstest]
#[case::runs(run(), "BuildPLRInProgress", "")]
#[case::waits_for_its_signature(ended(run(), "True"), "BuildPLRInProgress", "")]
#[case::failed(ended(run(), "False"), "BuildPLRFailed", "no disk left")]
#[case::without_a_snapshot(
    annotated(ended(run(), "True"), CREATE_SNAPSHOT_STATUS.as_str(), FAILED),
    "SnapshotCreationFailed", "result IMAGE_URL is missing"
)]
#[case::says_otherwise_than_before(
    annotated(ended(run(), "False"), SNAPSHOT_CREATION_REPORT.as_str(), "BuildPLRInProgress"),
    "BuildPLRFailed", "no disk left"
)]
fn announces(#[case] run: PipelineRun, #[case] status: &str, #[case] details: &str) {
    let decided = decide(&seen(run));
    let told: Vec<(&str, &str)> = told(&decided);
    assert_eq!(told, [("lint", status), ("pr", status)]);
    assert_eq!(decided.tell[0].messages[0].details, details);
    assert_eq!(decided.tell[0].component.as_deref(), Some("web"));
    assert_eq!(decided.decision.writes, [], "it is recorded when it was said");
}

#[test]
fn a_build_that_is_deleted_has_failed() {
    let mut run = run();
    run.metadata.deletion_timestamp = serde_json::from_value(json!(CREATED)).unwrap();
    assert_eq!(told(&decide(&seen(run)))[0].1, "BuildPLRFailed");
}

fn with_label(mut run: PipelineRun, key: &str, value: &str) -> PipelineRun {
    run.labels_mut().insert(key.to_owned(), value.to_owned());
    run
}

fn without_annotation(mut run: PipelineRun, key: &str) -> PipelineRun {
    run.annotations_mut().remove(key);
    run
}

fn without_labels(mut run: PipelineRun) -> PipelineRun {
    run.labels_mut().clear();
    run
}

#[rstest]
#[case::push(annotated(run(), "pipelinesascode.tekton.dev/event-type", "push"), Hold::Push)]
#[case::of_no_component(without_labels(run()), Hold::NotOurs)]
#[case::restored(with_label(run(), "velero.io/restore-name", "r"), Hold::NotOurs)]
#[case::has_a_snapshot(annotated(run(), SNAPSHOT.as_str(), "s"), Hold::HasSnapshot)]
#[case::said(annotated(run(), SNAPSHOT_CREATION_REPORT.as_str(), "BuildPLRInProgress"), Hold::Reported)]
#[case::nowhere(without_annotation(run(), "pipelinesascode.tekton.dev/sha"), Hold::NoDestination)]
fn holds(#[case] run: PipelineRun, #[case] expected: Hold) {
    let decided = decide(&seen(run));
    assert_eq!((decided.decision.hold, decided.tell.len()), (Some(expected), 0));
}

#[test]
fn a_snapshot_that_is_not_noted_yet_counts_too() {
    let seen = Observed { has_snapshot: true, ..seen(run()) };
    assert_eq!(decide(&seen).decision.hold, Some(Hold::HasSnapshot));
}

#[rstest]
#[case::newer(build("other", LATER), Some(Hold::Superseded))]
#[case::same_moment(build("zzz", CREATED), Some(Hold::Superseded))]
#[case::older(build("other", "2023-01-01T00:00:00Z"), None)]
#[case::of_another_pull_request(
    annotated(build("other", LATER), "pipelinesascode.tekton.dev/pull-request", "8"),
    None
)]
#[case::of_another_repository(
    annotated(build("other", LATER), "pipelinesascode.tekton.dev/repo-url", "https://git.test/acme/x"),
    None
)]
#[case::of_a_push(annotated(build("other", LATER), "pipelinesascode.tekton.dev/event-type", "push"), None)]
fn the_newest_build_speaks(#[case] other: PipelineRun, #[case] expected: Option<Hold>) {
    let mut seen = seen(run());
    seen.builds.push(Arc::new(other));
    assert_eq!(decide(&seen).decision.hold, expected);
}

#[test]
fn without_scenarios_nothing_is_said() {
    let seen = Observed { scenarios: vec![scenario("release", &["push"])], ..seen(run()) };
    assert_eq!(decide(&seen).decision.hold, Some(Hold::NoScenario));
}

fn done(scenario: &str, updated: &str, failure: Option<&str>) -> Done {
    let keys = Keys::of_snapshot(scenario, "run");
    Done { keys, updated: updated.to_owned(), failure: failure.map(str::to_owned) }
}

#[rstest]
#[case::said(None, 1)]
#[case::given_up(Some("401"), 2)]
fn records_when_all_was_said(#[case] failure: Option<&str>, #[case] writes: usize) {
    let mut seen = seen(run());
    seen.telling.done = vec![done("lint", "BuildPLRInProgress", failure)];
    assert_eq!(decide(&seen).decision.writes, [], "one is still to be said");
    seen.telling.done.push(done("pr", "BuildPLRInProgress", None));
    let decided = decide(&seen);
    assert_eq!((decided.decision.writes.len(), decided.tell.len()), (writes, 0));
    let Some(Write::Patch(patch)) = decided.decision.writes.last() else { panic!("{decided:?}") };
    assert_eq!(
        patch.body["metadata"]["annotations"][SNAPSHOT_CREATION_REPORT.as_str()],
        "BuildPLRInProgress"
    );
}

#[test]
fn what_was_said_before_the_build_failed_does_not_count() {
    let mut seen = seen(ended(run(), "False"));
    seen.telling.done =
        vec![done("lint", "BuildPLRInProgress", None), done("pr", "BuildPLRInProgress", None)];
    assert_eq!(told(&decide(&seen)).len(), 2);
}

#[test]
fn waits_before_it_tries_again_and_gives_up_after_three_hours() {
    let mut seen = seen(run());
    let at_ = at("2024-01-01T00:01:05Z");
    seen.telling.retry = Some(Retry { at: at_, why: "away".to_owned(), failures: 1 });
    assert_eq!(decide(&seen).decision.wake, Wake::At(at_));
    seen.now = at("2024-01-01T03:00:00Z");
    assert_eq!(decide(&seen).decision.hold, Some(Hold::TooLate));
}
