use super::payloads::{HEAD, of};
use super::*;
use crate::event::Trigger;

const SENDER: Sender = Sender::Gitea;

#[test]
fn a_push() {
    let event = event_of(SENDER, "push", &of(SENDER, "push"));
    assert_eq!((event.provider, event.trigger), (GitProvider::Gitea, Trigger::Push));
    assert_eq!((event.server.as_str(), event.installation), ("https://gitea.test", None));
    assert_eq!(event.commit.unwrap().as_str(), HEAD);
}

#[rstest]
#[case::opened("pull_request", "opened", PullRequestChange::Commits)]
#[case::pushed("pull_request_sync", "synchronized", PullRequestChange::Commits)]
#[case::labels("pull_request_label", "label_updated", PullRequestChange::Labels)]
#[case::closed("pull_request", "closed", PullRequestChange::Closed)]
fn pull_requests(#[case] name: &str, #[case] action: &str, #[case] change: PullRequestChange) {
    let event = event_of(SENDER, name, &with(&of(SENDER, "pull_request"), "/action", json!(action)));
    assert_eq!((event.event_type, event.pull_request.unwrap().change), (EventType::PullRequest, change));
}

/// Gitea tells of a branch that is pushed and proposed at once as opened, and as pushed to.
#[test]
fn the_same_commits_are_told_twice() {
    let cause = |name, action| {
        event_of(SENDER, name, &with(&of(SENDER, "pull_request"), "/action", json!(action))).cause()
    };
    let opened = cause("pull_request", "opened");
    assert!(opened.as_deref().is_some_and(|cause| cause.ends_with(HEAD)), "{opened:?}");
    assert_eq!(cause("pull_request_sync", "synchronized"), opened);
    // What was stopped when it was closed is run anew.
    assert_eq!(cause("pull_request", "reopened"), None);
    assert_eq!(event_of(SENDER, "issue_comment", &of(SENDER, "issue_comment")).cause(), None);
}

/// It is the commit that was there when somebody commented: nothing that is pushed meanwhile.
#[rstest]
#[case("issue_comment")]
#[case("pull_request_comment")]
fn a_comment_tells_what_was_seen(#[case] name: &str) {
    let event = event_of(SENDER, name, &of(SENDER, "issue_comment"));
    assert_eq!((event.commit.unwrap().as_str(), event.head.name.as_str()), (HEAD, "fix"));
    assert_eq!((event.base.name.as_str(), event.sender.login.as_str()), ("main", "jane"));
}

#[test]
fn servers_that_send_no_type() {
    let body = of(SENDER, "push");
    for name in ["x-gitea-event", "x-forgejo-event"] {
        let parsed = parse(SENDER, &headers(&[(name, "push")]), &body);
        assert!(matches!(parsed, Ok(Parsed::Event(_))), "{parsed:?}");
    }
}
