use super::payloads::{BEFORE, HEAD, of};
use super::*;
use crate::event::Trigger;

const SENDER: Sender = Sender::GitLab;

#[test]
fn a_push() {
    let event = event_of(SENDER, "Push Hook", &of(SENDER, "Push Hook"));
    assert_eq!(
        (event.provider, event.event_type, event.trigger),
        (GitProvider::GitLab, EventType::GitLabPush, Trigger::Push)
    );
    assert_eq!((event.repository.owner(), event.repository.name()), ("group/acme", "app"));
    assert_eq!(
        (event.server.as_str(), event.url.as_str()),
        ("https://gitlab.test", "https://gitlab.test/group/acme/app")
    );
    assert_eq!(
        (event.commit.as_ref().unwrap().as_str(), event.before.as_ref().unwrap().as_str()),
        (HEAD, BEFORE)
    );
    assert_eq!((event.base.name.as_str(), event.commit_title()), ("refs/heads/main", Some("Fix the door")));
    assert_eq!((event.sender.login.as_str(), event.sender.id.as_deref()), ("jane", Some("11")));
}

#[test]
fn a_tag() {
    let body = of(SENDER, "Tag Push Hook");
    let event = event_of(SENDER, "Tag Push Hook", &body);
    assert_eq!((event.event_type, event.base.name.as_str()), (EventType::GitLabTagPush, "refs/tags/v1"));
    // An annotated tag's own name is not the commit's.
    let annotated = with(&body, "/after", json!("2".repeat(40)));
    assert_eq!(event_of(SENDER, "Tag Push Hook", &annotated).commit.unwrap().as_str(), HEAD);
}

#[test]
fn a_merge_request_from_a_fork() {
    let event = event_of(SENDER, "Merge Request Hook", &of(SENDER, "Merge Request Hook"));
    assert_eq!((event.event_type, event.trigger), (EventType::GitLabMergeRequest, Trigger::PullRequest));
    assert_eq!((event.head.name.as_str(), event.head.repository_id), ("fix", Some(20)));
    assert_eq!((event.base.name.as_str(), event.base.repository_id), ("main", Some(10)));
    assert!(event.is_of_fork());
    assert_eq!((event.commit.unwrap().as_str(), event.sender.login.as_str()), (HEAD, "mallory"));
    let pull_request = event.pull_request.unwrap();
    assert_eq!((pull_request.number, pull_request.labels.as_slice()), (7, &["bug".to_owned()][..]));
}

#[rstest]
#[case::open("open", None, json!(null), Some(PullRequestChange::Commits))]
#[case::reopen("reopen", None, json!(null), Some(PullRequestChange::Commits))]
#[case::push("update", Some(BEFORE), json!(null), Some(PullRequestChange::Commits))]
#[case::labels("update", None, json!({ "previous": [], "current": [] }), Some(PullRequestChange::Labels))]
#[case::text("update", None, json!(null), None)]
#[case::close("close", None, json!(null), Some(PullRequestChange::Closed))]
#[case::merge("merge", None, json!(null), Some(PullRequestChange::Closed))]
#[case::approved("approved", None, json!(null), None)]
fn actions_of_merge_requests(
    #[case] action: &str,
    #[case] oldrev: Option<&str>,
    #[case] labels: Value,
    #[case] expected: Option<PullRequestChange>,
) {
    let mut body = of(SENDER, "Merge Request Hook");
    body["object_attributes"]["action"] = json!(action);
    body["object_attributes"]["oldrev"] = json!(oldrev);
    body["changes"]["labels"] = labels;
    match expected {
        None => assert!(skipped_for(SENDER, "Merge Request Hook", &body).contains(action)),
        Some(change) => {
            let event = event_of(SENDER, "Merge Request Hook", &body);
            assert_eq!(event.pull_request.unwrap().change, change);
        }
    }
}

#[test]
fn a_note_tells_what_was_seen() {
    let event = event_of(SENDER, "Note Hook", &of(SENDER, "Note Hook"));
    assert_eq!(
        (event.event_type, event.command()),
        (EventType::OkToTestComment, Some(&Command::OkToTest(None)))
    );
    assert_eq!((event.commit.unwrap().as_str(), event.sender.login.as_str()), (HEAD, "jane"));
    assert_eq!(event.head.repository_url, "https://gitlab.test/mallory/app");
}

#[rstest]
#[case::on_an_issue("/merge_request", json!(null))]
#[case::changed("/object_attributes/action", json!("update"))]
#[case::merged("/merge_request/state", json!("merged"))]
fn notes_that_do_not_count(#[case] pointer: &str, #[case] value: Value) {
    skipped_for(SENDER, "Note Hook", &with(&of(SENDER, "Note Hook"), pointer, value));
}

/// A hook of the whole instance says in the body only what it is about.
#[rstest]
#[case::push("Push Hook", EventType::GitLabPush)]
#[case::tag("Tag Push Hook", EventType::GitLabTagPush)]
#[case::merge_request("Merge Request Hook", EventType::GitLabMergeRequest)]
#[case::note("Note Hook", EventType::OkToTestComment)]
fn system_hooks(#[case] name: &str, #[case] expected: EventType) {
    let mut body = of(SENDER, name);
    assert_eq!(event_of(SENDER, "System Hook", &body).event_type, expected);
    if body["event_name"].is_string() {
        body["object_kind"] = Value::Null;
        assert_eq!(event_of(SENDER, "System Hook", &body).event_type, expected);
    }
    skipped_for(SENDER, "System Hook", &json!({ "event_name": "project_create" }));
}
