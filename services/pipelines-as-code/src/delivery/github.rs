//! GitHub's webhooks, those of its App and those of single repositories.

use pipelines_as_code_api::pipeline_run::{EventType, GitProvider};
use serde::Deserialize;
use serde_json::Value;

use super::hub::{Account, IssueComment, PullRequestEvent, Push, Repository};
use super::{Answer, Parsed, shape, skipped};
use crate::comment::CommitCommand;
use crate::event::{Comment, PullRequest, Trigger};

const PUBLIC: &str = "https://github.com";

/// What events of all kinds have, besides what they are about.
#[derive(Deserialize)]
struct Common {
    #[serde(default)]
    installation: Option<Installation>,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

pub(super) fn parse(kind: &str, body: &Value) -> Answer {
    let provider = GitProvider::GitHub;
    let mut parsed = match kind {
        "push" => shape::read::<Push>(body)?.parse(provider),
        "pull_request" => shape::read::<PullRequestEvent>(body)?.parse(provider),
        "issue_comment" => shape::read::<IssueComment>(body)?.parse(provider),
        "commit_comment" => shape::read::<CommitComment>(body)?.parse(),
        "check_run" | "check_suite" => shape::read::<Check>(body)?.parse(),
        "ping" => skipped("pong"),
        other => skipped(format!("event {other:?}: nothing is run for that")),
    }?;
    if let Parsed::Event(event) = &mut parsed {
        event.installation = shape::read::<Common>(body)?.installation.map(|installation| installation.id);
        if event.server != PUBLIC {
            event.provider = GitProvider::GitHubEnterprise;
        }
    }
    Ok(parsed)
}

#[derive(Deserialize)]
struct CommitComment {
    action: String,
    comment: CommentOnCommit,
    repository: Repository,
    sender: Account,
}

#[derive(Deserialize)]
struct CommentOnCommit {
    body: String,
    commit_id: String,
}

impl CommitComment {
    fn parse(self) -> Answer {
        if self.action != "created" {
            return skipped(format!("comment {}: only new comments are read", self.action));
        }
        let command = match CommitCommand::of(&self.comment.body) {
            None => return skipped("a comment on a commit without a command"),
            Some(Err(error)) => return skipped(format!("a comment on a commit: {error}")),
            Some(Ok(command)) => command,
        };
        let event_type = command.command.event_type();
        let branch = format!("refs/heads/{}", command.branch);
        let mut event =
            self.repository.event(GitProvider::GitHub, event_type, Trigger::Push, &self.sender, &branch)?;
        event.commit = Some(shape::needed_commit("comment.commit_id", &self.comment.commit_id)?);
        event.comment =
            Some(Comment { text: self.comment.body, created_at: None, command: Some(command.command) });
        Ok(Parsed::Event(Box::new(event)))
    }
}

/// A check run or a whole suite that a person wants to have again.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "they are GitHub's")]
struct Check {
    action: String,
    #[serde(default)]
    check_run: Option<CheckRun>,
    #[serde(default)]
    check_suite: Option<CheckSuite>,
    repository: Repository,
    sender: Account,
}

#[derive(Deserialize)]
struct CheckRun {
    #[serde(default)]
    external_id: Option<String>,
    check_suite: CheckSuite,
}

#[derive(Deserialize)]
struct CheckSuite {
    head_sha: String,
    /// `null` for commits of forks.
    #[serde(default)]
    head_branch: Option<String>,
    #[serde(default, deserialize_with = "shape::or_default")]
    pull_requests: Vec<Number>,
}

#[derive(Deserialize)]
struct Number {
    number: u64,
}

impl Check {
    fn parse(self) -> Answer {
        if self.action != "rerequested" {
            return skipped(format!("check {}: only checks that are asked for again are run", self.action));
        }
        let (rerun_of, suite) = match (self.check_run, self.check_suite) {
            (Some(run), _) => (run.external_id.unwrap_or_default(), run.check_suite),
            (None, Some(suite)) => (String::new(), suite),
            (None, None) => return Err("neither check_run nor check_suite".to_owned()),
        };
        let pull_request = suite.pull_requests.first();
        let (event_type, trigger, branch) = match (pull_request, suite.head_branch.as_deref()) {
            (Some(_), _) => (EventType::PullRequest, Trigger::PullRequest, String::new()),
            (None, Some(branch)) if !branch.is_empty() => {
                (EventType::Push, Trigger::Push, format!("refs/heads/{branch}"))
            }
            (None, _) => {
                return skipped("checks of a fork's commit: comment /retest on the pull request instead");
            }
        };
        let mut event =
            self.repository.event(GitProvider::GitHub, event_type, trigger, &self.sender, &branch)?;
        event.commit = Some(shape::needed_commit("check_suite.head_sha", &suite.head_sha)?);
        event.pull_request =
            pull_request.map(|pull| PullRequest { number: pull.number, ..PullRequest::default() });
        event.rerun_of = Some(rerun_of);
        Ok(Parsed::Event(Box::new(event)))
    }
}
