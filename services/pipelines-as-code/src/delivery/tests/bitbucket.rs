use super::payloads::{BEFORE, HEAD, of};
use super::*;
use crate::event::Trigger;

const CLOUD: Sender = Sender::BitbucketCloud;
const SERVER: Sender = Sender::BitbucketServer;

#[test]
fn a_push_to_cloud() {
    let event = event_of(CLOUD, "repo:push", &of(CLOUD, "repo:push"));
    assert_eq!(
        (event.provider, event.event_type, event.trigger),
        (GitProvider::BitbucketCloud, EventType::Push, Trigger::Push)
    );
    assert_eq!(
        (event.url.as_str(), event.server.as_str()),
        ("https://bitbucket.org/acme/app", "https://bitbucket.org")
    );
    assert_eq!(
        (event.base.name.as_str(), event.base.clone_url.as_str()),
        ("refs/heads/main", "https://bitbucket.org/acme/app.git")
    );
    assert_eq!(
        (event.commit.as_ref().unwrap().as_str(), event.before.as_ref().unwrap().as_str()),
        (HEAD, BEFORE)
    );
    assert_eq!((event.sender.login.as_str(), event.sender.id.as_deref()), ("jane", Some("557058:11")));
}

#[test]
fn a_tag_of_cloud() {
    let body = with(&of(CLOUD, "repo:push"), "/push/changes/0/new/type", json!("tag"));
    let event = event_of(CLOUD, "repo:push", &with(&body, "/push/changes/0/new/name", json!("v1")));
    assert_eq!(event.base.name, "refs/tags/v1");
}

#[test]
fn a_pull_request_of_cloud_has_a_short_commit() {
    let event = event_of(CLOUD, "pullrequest:created", &of(CLOUD, "pullrequest:created"));
    assert_eq!((event.event_type, event.commit.is_none()), (EventType::PullRequest, true));
    assert_eq!((event.head.name.as_str(), event.base.name.as_str()), ("fix", "main"));
    assert!(event.is_of_fork());
    for (name, change) in [
        ("pullrequest:updated", PullRequestChange::Commits),
        ("pullrequest:fulfilled", PullRequestChange::Closed),
        ("pullrequest:rejected", PullRequestChange::Closed),
    ] {
        assert_eq!(event_of(CLOUD, name, &of(CLOUD, "x")).pull_request.unwrap().change, change);
    }
}

#[test]
fn a_comment_of_cloud() {
    const NAME: &str = "pullrequest:comment_created";
    let body = of(CLOUD, NAME);
    assert_eq!(event_of(CLOUD, NAME, &body).event_type, EventType::TestAllComment);
    assert!(
        skipped_for(CLOUD, NAME, &with(&body, "/comment/content/raw", json!("nice")))
            .contains("without a command")
    );
    assert!(skipped_for(CLOUD, NAME, &with(&body, "/pullrequest/state", json!("MERGED"))).contains("MERGED"));
}

#[test]
fn a_program_without_a_nickname() {
    let mut body = of(CLOUD, "repo:push");
    body["actor"] = json!({ "type": "AppUser", "display_name": "Bot" });
    assert_eq!(event_of(CLOUD, "repo:push", &body).sender.login, "Bot");
}

#[test]
fn a_push_to_server() {
    let event = event_of(SERVER, "repo:refs_changed", &of(SERVER, "repo:refs_changed"));
    assert_eq!((event.provider, event.trigger), (GitProvider::BitbucketServer, Trigger::Push));
    assert_eq!(event.url, "https://bitbucket.test/projects/ACME/repos/app", "without the page of its files");
    assert_eq!(
        (event.server.as_str(), event.repository.to_string().as_str()),
        ("https://bitbucket.test", "ACME/app")
    );
    assert_eq!(event.base.clone_url, "https://bitbucket.test/scm/ACME/app.git");
    assert_eq!((event.base.name.as_str(), event.commit.unwrap().as_str()), ("refs/heads/main", HEAD));
    assert_eq!((event.sender.login.as_str(), event.sender.id.as_deref()), ("jane", Some("11")));
}

#[rstest]
#[case::opened("pr:opened", PullRequestChange::Commits)]
#[case::pushed("pr:from_ref_updated", PullRequestChange::Commits)]
#[case::merged("pr:merged", PullRequestChange::Closed)]
#[case::declined("pr:declined", PullRequestChange::Closed)]
fn pull_requests_of_server(#[case] name: &str, #[case] change: PullRequestChange) {
    let event = event_of(SERVER, name, &of(SERVER, "pr:opened"));
    assert_eq!((event.event_type, event.commit.unwrap().as_str()), (EventType::PullRequest, HEAD));
    assert_eq!((event.repository.to_string().as_str(), event.base.name.as_str()), ("ACME/app", "main"));
    assert_eq!(event.head.repository_url, "https://bitbucket.test/users/mallory/repos/app");
    assert_eq!(event.pull_request.unwrap().change, change);
}

#[test]
fn a_comment_of_server() {
    const NAME: &str = "pr:comment:added";
    let body = of(SERVER, NAME);
    let event = event_of(SERVER, NAME, &body);
    assert_eq!(event.command(), Some(&Command::Cancel(Some("build".to_owned()))));
    skipped_for(SERVER, NAME, &with(&body, "/comment/text", json!("nice")));
    skipped_for(SERVER, NAME, &with(&body, "/pullRequest/state", json!("DECLINED")));
}
