//! Webhooks of Gitea and Forgejo, whose payloads are in GitHub's shape.

use pipelines_as_code_api::pipeline_run::GitProvider;
use serde_json::Value;

use super::hub::{IssueComment, PullRequestEvent, Push};
use super::{Answer, shape, skipped};

/// `kind` is the event's type: finer than the event, which is `pull_request` for all of a pull request.
pub(super) fn parse(kind: &str, body: &Value) -> Answer {
    let provider = GitProvider::Gitea;
    match kind {
        "push" => shape::read::<Push>(body)?.parse(provider),
        "pull_request" | "pull_request_sync" | "pull_request_label" => {
            shape::read::<PullRequestEvent>(body)?.parse(provider)
        }
        "issue_comment" | "pull_request_comment" => shape::read::<IssueComment>(body)?.parse(provider),
        other => skipped(format!("event {other:?}: nothing is run for that")),
    }
}
