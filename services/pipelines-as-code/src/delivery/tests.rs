//! Payloads of the five forges, in the shapes that their documentation and their servers have them.

mod bitbucket;
mod gitea;
mod github;
mod gitlab;
pub(crate) mod payloads;

use http::{HeaderName, HeaderValue};
use pipelines_as_code_api::pipeline_run::GitProvider;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::event::PullRequestChange;

pub(crate) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

/// The header that names the event.
fn kind(sender: Sender, kind: &str) -> HeaderMap {
    let name = match sender {
        Sender::GitHub => "x-github-event",
        Sender::GitLab => "x-gitlab-event",
        Sender::Gitea => "x-gitea-event-type",
        Sender::BitbucketCloud | Sender::BitbucketServer => "x-event-key",
    };
    headers(&[(name, kind)])
}

fn event_of(sender: Sender, name: &str, body: &Value) -> Event {
    match parse(sender, &kind(sender, name), body) {
        Ok(Parsed::Event(event)) => *event,
        other => panic!("{name} is no event: {other:?}"),
    }
}

fn skipped_for(sender: Sender, name: &str, body: &Value) -> String {
    match parse(sender, &kind(sender, name), body) {
        Ok(Parsed::Skipped(reason)) => reason,
        other => panic!("{name} is not skipped: {other:?}"),
    }
}

fn malformed(sender: Sender, name: &str, body: &Value) -> String {
    parse(sender, &kind(sender, name), body).expect_err("it is malformed").to_string()
}

/// A payload with something else at a place (RFC 6901).
fn with(body: &Value, pointer: &str, value: Value) -> Value {
    let mut body = body.clone();
    *body.pointer_mut(pointer).unwrap_or_else(|| panic!("there is no {pointer}")) = value;
    body
}

#[rstest]
#[case::json(&[("content-type", "application/json")], r#"{"a":1}"#, json!({"a": 1}))]
#[case::json_with_parameters(&[("content-type", "Application/JSON; charset=utf-8")], r#"{"a":1}"#, json!({"a": 1}))]
#[case::nothing_said(&[], r#"{"a":1}"#, json!({"a": 1}))]
#[case::other_name(&[("content-type", "text/plain")], "[1]", json!([1]))]
#[case::form(&[("content-type", "application/x-www-form-urlencoded")], "x=1&payload=%7B%22a%22%3A%22b+c%22%7D", json!({"a": "b c"}))]
#[case::empty(&[("content-type", "application/json")], "", json!({}))]
fn decodes(#[case] pairs: &[(&str, &str)], #[case] body: &str, #[case] expected: Value) {
    assert_eq!(decode(&headers(pairs), body.as_bytes()), Ok(expected));
}

#[test]
fn refuses_what_is_no_json() {
    let form = headers(&[("content-type", "application/x-www-form-urlencoded")]);
    assert_eq!(decode(&form, b"x=1"), Err(Malformed::NoPayload));
    assert!(matches!(decode(&form, b"payload=%7B"), Err(Malformed::Json(_))));
    assert!(matches!(decode(&HeaderMap::new(), b"payload=%7B%7D"), Err(Malformed::Json(_))));
    assert!(matches!(decode(&HeaderMap::new(), b"\xff"), Err(Malformed::Json(_))));
    let deep = "[".repeat(100_000);
    assert!(matches!(decode(&HeaderMap::new(), deep.as_bytes()), Err(Malformed::Json(_))));
}

#[test]
fn keeps_no_secret_of_the_headers() {
    let all = headers(&[
        ("X-GitHub-Event", "push"),
        ("X-Hub-Signature-256", "sha256=00"),
        ("X-Hub-Signature", "sha1=00"),
        ("X-Gitea-Signature", "00"),
        ("X-Gitlab-Token", "hunter2"),
        ("Authorization", "Bearer hunter2"),
        ("Cookie", "hunter2"),
    ]);
    let payload = payload(&all, json!({}));
    assert_eq!(payload.headers, [("x-github-event".to_owned(), "push".to_owned())]);
}

/// Whatever is sent under whatever name, there is an event, a reason or an error.
#[rstest]
fn odd_bodies_are_answered(
    #[values(Sender::GitHub, Sender::GitLab, Sender::Gitea, Sender::BitbucketCloud, Sender::BitbucketServer)]
    sender: Sender,
    #[values(json!(null), json!([]), json!({}), json!("x"), json!({"repository": null, "project": [], "changes": 3}))]
    body: Value,
) {
    for name in
        ["push", "Push Hook", "repo:push", "repo:refs_changed", "issue_comment", "ping", "", "pr:opened"]
    {
        let _ = parse(sender, &kind(sender, name), &body);
        let _ = parse(sender, &HeaderMap::new(), &body);
    }
}

/// No single field, whatever it is instead, makes more than an error.
#[test]
fn any_field_may_be_null_or_something_else() {
    for (sender, name, body) in payloads::all() {
        for pointer in payloads::pointers(&body) {
            for value in [json!(null), json!({}), json!([]), json!(-1), json!(""), json!(true)] {
                let changed = with(&body, &pointer, value);
                let _ = parse(sender, &kind(sender, name), &changed);
            }
        }
    }
}

/// Fields that a forge may leave out or send as `null`, as seen in the wild.
#[rstest]
#[case::github_default_branch(Sender::GitHub, "push", "/repository/default_branch")]
#[case::github_installation(Sender::GitHub, "push", "/installation")]
#[case::github_head_commit(Sender::GitHub, "push", "/head_commit")]
#[case::github_labels(Sender::GitHub, "pull_request", "/pull_request/labels")]
#[case::github_fork(Sender::GitHub, "pull_request", "/pull_request/head/repo")]
#[case::gitlab_default_branch(Sender::GitLab, "Merge Request Hook", "/project/default_branch")]
#[case::gitlab_labels(Sender::GitLab, "Merge Request Hook", "/object_attributes/labels")]
#[case::gitlab_fork(Sender::GitLab, "Merge Request Hook", "/object_attributes/source")]
#[case::gitlab_commit(Sender::GitLab, "Merge Request Hook", "/object_attributes/last_commit")]
#[case::gitlab_user(Sender::GitLab, "Merge Request Hook", "/user/id")]
#[case::gitlab_changes(Sender::GitLab, "Merge Request Hook", "/changes/labels")]
#[case::gitea_labels(Sender::Gitea, "pull_request", "/pull_request/labels")]
#[case::cloud_fork(Sender::BitbucketCloud, "pullrequest:created", "/pullrequest/source/repository")]
#[case::cloud_commit(Sender::BitbucketCloud, "pullrequest:created", "/pullrequest/source/commit")]
#[case::cloud_old(Sender::BitbucketCloud, "repo:push", "/push/changes/0/old")]
#[case::cloud_account(Sender::BitbucketCloud, "repo:push", "/actor/account_id")]
#[case::server_clone(Sender::BitbucketServer, "pr:opened", "/pullRequest/toRef/repository/links/clone")]
fn null_is_no_obstacle(#[case] sender: Sender, #[case] name: &str, #[case] pointer: &str) {
    let body = payloads::of(sender, name);
    event_of(sender, name, &with(&body, pointer, Value::Null));
}

/// A branch that is gone has nothing to run, and neither has a push of nothing.
#[rstest]
#[case::github(Sender::GitHub, "push", &[("/deleted", json!(true))])]
#[case::github_by_zeros(Sender::GitHub, "push", &[("/after", json!("0".repeat(40)))])]
#[case::github_by_nobody(Sender::GitHub, "push", &[("/pusher", json!(null))])]
#[case::gitlab(Sender::GitLab, "Push Hook", &[("/after", json!("0".repeat(40))), ("/checkout_sha", json!(null))])]
#[case::gitlab_tag(Sender::GitLab, "Tag Push Hook", &[("/after", json!("0".repeat(40)))])]
#[case::gitlab_no_commits(Sender::GitLab, "Push Hook", &[("/commits", json!([]))])]
#[case::gitlab_null_commits(Sender::GitLab, "Push Hook", &[("/commits", json!(null))])]
#[case::gitea(Sender::Gitea, "push", &[("/after", json!("0".repeat(40)))])]
#[case::cloud(Sender::BitbucketCloud, "repo:push", &[("/push/changes/0/new", json!(null))])]
#[case::cloud_no_changes(Sender::BitbucketCloud, "repo:push", &[("/push/changes", json!([]))])]
#[case::cloud_null_changes(Sender::BitbucketCloud, "repo:push", &[("/push/changes", json!(null))])]
#[case::server(Sender::BitbucketServer, "repo:refs_changed", &[("/changes/0/type", json!("DELETE"))])]
#[case::server_no_changes(Sender::BitbucketServer, "repo:refs_changed", &[("/changes", json!([]))])]
#[case::server_null_changes(Sender::BitbucketServer, "repo:refs_changed", &[("/changes", json!(null))])]
fn nothing_to_run(#[case] sender: Sender, #[case] name: &str, #[case] changes: &[(&str, Value)]) {
    let body = payloads::of(sender, name);
    event_of(sender, name, &body);
    let changed = changes.iter().fold(body, |body, (pointer, value)| with(&body, pointer, value.clone()));
    skipped_for(sender, name, &changed);
}

/// What cannot be run is told with the field that is wrong.
#[rstest]
#[case::github_commit(Sender::GitHub, "pull_request", "/pull_request/head/sha", json!("main"), "pull_request.head.sha")]
#[case::github_repository(Sender::GitHub, "push", "/repository/full_name", json!("acme/../x"), "repository.full_name")]
#[case::github_number(Sender::GitHub, "pull_request", "/pull_request/number", json!("7"), "pull_request.number")]
#[case::gitlab_project(Sender::GitLab, "Push Hook", "/project/path_with_namespace", json!("a b/c"), "project.path_with_namespace")]
#[case::gitea_commit(Sender::Gitea, "push", "/head_commit/id", json!("xyz"), "head_commit.id")]
#[case::cloud_commit(Sender::BitbucketCloud, "repo:push", "/push/changes/0/new/target/hash", json!("zz"), "push.changes")]
#[case::server_commit(Sender::BitbucketServer, "pr:opened", "/pullRequest/fromRef/latestCommit", json!(null), "latestCommit")]
fn names_the_field(
    #[case] sender: Sender,
    #[case] name: &str,
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] field: &str,
) {
    let error = malformed(sender, name, &with(&payloads::of(sender, name), pointer, value));
    assert!(error.contains(field), "{error}");
}

#[rstest]
#[case(Sender::GitHub, "star")]
#[case(Sender::GitHub, "ping")]
#[case(Sender::GitLab, "Pipeline Hook")]
#[case(Sender::Gitea, "create")]
#[case(Sender::BitbucketCloud, "repo:fork")]
#[case(Sender::BitbucketServer, "diagnostics:ping")]
fn other_events_are_skipped(#[case] sender: Sender, #[case] name: &str) {
    skipped_for(sender, name, &json!({}));
}
