use super::payloads::{BEFORE, HEAD, of};
use super::*;
use crate::event::Trigger;

const SENDER: Sender = Sender::GitHub;

#[test]
fn a_push() {
    let event = event_of(SENDER, "push", &of(SENDER, "push"));
    assert_eq!(
        (event.provider, event.event_type, event.trigger),
        (GitProvider::GitHub, EventType::Push, Trigger::Push)
    );
    assert_eq!(
        (event.server.as_str(), event.url.as_str()),
        ("https://github.com", "https://github.com/acme/app")
    );
    assert_eq!((event.repository.to_string().as_str(), event.repository_id), ("acme/app", Some(10)));
    assert_eq!(event.commit.as_ref().map(ToString::to_string).as_deref(), Some(HEAD));
    assert_eq!(event.before.as_ref().map(ToString::to_string).as_deref(), Some(BEFORE));
    assert_eq!(event.commit_title(), Some("Fix the door"));
    assert_eq!(event.commit_url.as_deref(), Some(&*format!("https://github.com/acme/app/commit/{HEAD}")));
    assert_eq!((event.base.name.as_str(), event.base == event.head), ("refs/heads/main", true));
    assert_eq!(event.base.clone_url, "https://github.com/acme/app.git");
    assert_eq!(
        (event.sender.login.as_str(), event.installation, event.default_branch.as_str()),
        ("jane", Some(77), "main")
    );
    assert_eq!((event.pull_request, event.comment), (None, None));
}

#[test]
fn a_push_of_a_tag_and_of_a_new_branch() {
    let body = with(&of(SENDER, "push"), "/ref", json!("refs/tags/v1"));
    let event = event_of(SENDER, "push", &with(&body, "/before", json!("0".repeat(40))));
    assert_eq!((event.head.name.as_str(), event.before), ("refs/tags/v1", None));
    // An annotated tag is an object of its own.
    let annotated = with(&body, "/after", json!("2".repeat(40)));
    assert_eq!(event_of(SENDER, "push", &annotated).commit.unwrap().as_str(), HEAD);
}

#[test]
fn a_pull_request_from_a_fork() {
    let event = event_of(SENDER, "pull_request", &of(SENDER, "pull_request"));
    assert_eq!((event.event_type, event.trigger), (EventType::PullRequest, Trigger::PullRequest));
    assert_eq!((event.head.name.as_str(), event.base.name.as_str()), ("fix", "main"));
    assert_eq!(event.head.repository_url, "https://github.com/mallory/app");
    assert!(event.is_of_fork());
    assert_eq!(event.repository.to_string(), "acme/app", "it belongs to where it shall go to");
    assert_eq!(event.commit.unwrap().as_str(), HEAD);
    let pull_request = event.pull_request.unwrap();
    assert_eq!((pull_request.number, pull_request.title.as_str()), (7, "Fix the window"));
    assert_eq!(
        (pull_request.labels.as_slice(), pull_request.change),
        (&["bug".to_owned()][..], PullRequestChange::Commits)
    );
}

#[rstest]
#[case::opened("opened", Some(PullRequestChange::Commits))]
#[case::reopened("reopened", Some(PullRequestChange::Commits))]
#[case::labeled("labeled", Some(PullRequestChange::Labels))]
#[case::closed("closed", Some(PullRequestChange::Closed))]
#[case::edited("edited", None)]
#[case::assigned("assigned", None)]
fn actions_of_pull_requests(#[case] action: &str, #[case] expected: Option<PullRequestChange>) {
    let body = with(&of(SENDER, "pull_request"), "/action", json!(action));
    match expected {
        None => assert!(skipped_for(SENDER, "pull_request", &body).contains(action)),
        Some(change) => {
            assert_eq!(event_of(SENDER, "pull_request", &body).pull_request.unwrap().change, change);
        }
    }
}

#[test]
fn a_fork_that_is_gone() {
    let body = with(&of(SENDER, "pull_request"), "/pull_request/head/repo", Value::Null);
    let event = event_of(SENDER, "pull_request", &body);
    assert_eq!((event.head.name.as_str(), event.head.repository_url.as_str()), ("fix", ""));
    assert!(event.is_of_fork(), "it is not taken for a branch of the repository");
}

#[test]
fn a_comment_does_not_tell_of_the_commit() {
    let event = event_of(SENDER, "issue_comment", &of(SENDER, "issue_comment"));
    assert_eq!((event.event_type, event.trigger), (EventType::TestComment, Trigger::PullRequest));
    assert_eq!(event.command(), Some(&Command::Test(Some("build".to_owned()))));
    let written_at = event.comment.as_ref().and_then(|comment| comment.created_at);
    assert_eq!(written_at.map(|at| at.to_string()).as_deref(), Some("2026-01-02T03:04:05Z"));
    assert_eq!((event.commit, event.sender.login.as_str()), (None, "jane"));
    assert_eq!(event.pull_request.unwrap().number, 7);
}

#[rstest]
#[case::edited("/action", json!("edited"))]
#[case::deleted("/action", json!("deleted"))]
#[case::issue("/issue/pull_request", json!(null))]
#[case::closed("/issue/state", json!("closed"))]
fn comments_that_do_not_count(#[case] pointer: &str, #[case] value: Value) {
    skipped_for(SENDER, "issue_comment", &with(&of(SENDER, "issue_comment"), pointer, value));
}

#[test]
fn a_comment_on_a_commit() {
    let body = of(SENDER, "commit_comment");
    let event = event_of(SENDER, "commit_comment", &body);
    assert_eq!((event.event_type, event.trigger), (EventType::RetestComment, Trigger::Push));
    assert_eq!((event.base.name.as_str(), event.commit.unwrap().as_str()), ("refs/heads/stable", HEAD));
    let said = |text: &str| with(&body, "/comment/body", json!(text));
    assert_eq!(event_of(SENDER, "commit_comment", &said("/test")).base.name, "refs/heads/main");
    assert!(skipped_for(SENDER, "commit_comment", &said("nice")).contains("without a command"));
    assert!(skipped_for(SENDER, "commit_comment", &said("/test tag:v1")).contains("branch:<name>"));
}

#[test]
fn checks_that_are_wanted_again() {
    let body = of(SENDER, "check_run");
    let event = event_of(SENDER, "check_run", &body);
    assert_eq!((event.event_type, event.trigger), (EventType::Push, Trigger::Push));
    assert_eq!(
        (event.base.name.as_str(), event.rerun_of.as_deref()),
        ("refs/heads/main", Some("build-x7k2p"))
    );
    let of_pull = with(&body, "/check_run/check_suite/pull_requests", json!([{ "number": 7 }]));
    let event = event_of(SENDER, "check_run", &of_pull);
    assert_eq!((event.trigger, event.pull_request.unwrap().number), (Trigger::PullRequest, 7));
    let suite = event_of(SENDER, "check_suite", &of(SENDER, "check_suite"));
    assert_eq!((suite.rerun_of.as_deref(), suite.commit.unwrap().as_str()), (Some(""), HEAD));
    skipped_for(SENDER, "check_suite", &with(&of(SENDER, "check_suite"), "/action", json!("requested")));
    let of_fork = with(&body, "/check_run/check_suite/head_branch", Value::Null);
    assert!(skipped_for(SENDER, "check_run", &of_fork).contains("/retest"));
}

#[test]
fn another_server_is_an_enterprise_server() {
    let mut body = of(SENDER, "push");
    body["repository"]["html_url"] = json!("https://github.acme.test/acme/app");
    let event = event_of(SENDER, "push", &body);
    assert_eq!(
        (event.provider, event.server.as_str()),
        (GitProvider::GitHubEnterprise, "https://github.acme.test")
    );
}
