//! What has happened at a forge, in the same words for all of them (spec section 4.1).

#[cfg(test)]
pub(crate) mod testing;

use forge::{Branch, Commit, Repository, User};
use jiff::Timestamp;
use pipelines_as_code_api::pipeline_run::{EventType, GitProvider};

use crate::comment::Command;

/// Something that may start runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub provider: GitProvider,
    /// The forge's address (`https://github.com`), as the event tells it.
    pub server: String,
    pub event_type: EventType,
    pub trigger: Trigger,
    /// The repository that the event belongs to: of a pull request, the one that the changes shall go to.
    pub repository: Repository,
    /// Its number at the forge, by which a GitHub App's token is narrowed to it.
    pub repository_id: Option<u64>,
    /// Where a person sees it: what a Repository has in `spec.url`.
    pub url: String,
    pub default_branch: String,
    /// Where the changes are. The name of a push's branch is its whole ref (`refs/heads/main`, `refs/tags/v1`), that of others' is
    /// without `refs/heads/`.
    pub head: Branch,
    /// Where they shall go to. Of a push, the same as `head`.
    pub base: Branch,
    /// The commit to run. `None` until the forge is asked: comments and incoming events do not tell of it.
    pub commit: Option<Commit>,
    /// Where the branch was before the push. `None` for new branches, and for what is no push.
    pub before: Option<Commit>,
    /// The commit's whole message, where the event tells of it.
    pub commit_message: Option<String>,
    /// Where a person sees the commit, where the event tells of it.
    pub commit_url: Option<String>,
    /// Whose doing it is. Of a comment, who commented.
    pub sender: User,
    pub pull_request: Option<PullRequest>,
    pub comment: Option<Comment>,
    /// Asked for by name, without an event.
    pub incoming: Option<Incoming>,
    /// GitHub: installation of the App that the event was sent to.
    pub installation: Option<u64>,
    /// GitHub: the check run that a person wants to have again, by the name of its PipelineRun. Empty where all of a commit
    /// are wanted. That the commit is the head of the branch, GitHub does not say: the branch may be that of a fork.
    pub rerun_of: Option<String>,
}

impl Event {
    /// Whether the changes are in another repository than where they shall go to.
    pub fn is_of_fork(&self) -> bool {
        self.head.repository_url != self.base.repository_url
    }

    /// What its runs are named after where several deliveries are of the same commits: these are run once. Otherwise they are named
    /// after the delivery.
    pub fn cause(&self) -> Option<String> {
        let pull = self.pull_request.as_ref().filter(|pull| pull.is_told_twice)?;
        Some(format!("pull request {} at {}", pull.number, self.commit.as_ref()?))
    }

    /// First line of the commit's message.
    pub fn commit_title(&self) -> Option<&str> {
        self.commit_message.as_deref().and_then(|message| message.lines().next())
    }

    /// The comment's command, if there is one.
    pub fn command(&self) -> Option<&Command> {
        self.comment.as_ref().and_then(|comment| comment.command.as_ref())
    }
}

/// Whether a commit's message asks for no runs.
pub fn asks_for_no_runs(message: &str) -> bool {
    const MARKS: [&str; 4] = ["[skip ci]", "[ci skip]", "[skip tkn]", "[tkn skip]"];
    let message = message.to_lowercase();
    MARKS.iter().any(|mark| message.contains(mark))
}

/// What `on-event` is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Trigger {
    PullRequest,
    Push,
}

/// The pull request (merge request) of an [`Event`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    /// Empty until the forge is asked.
    pub title: String,
    pub labels: Vec<String>,
    /// Why there is an event, where it is not about commits.
    pub change: PullRequestChange,
    /// The forge may tell of the same commits once more. Gitea does of those that a pull request is opened with.
    pub is_told_twice: bool,
}

/// What happened to a pull request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullRequestChange {
    /// It is there, or has new commits, or somebody said something.
    #[default]
    Commits,
    /// Its labels were changed: only runs with `on-label` are meant.
    Labels,
    /// It is closed: what goes on for it shall end, where that is wanted.
    Closed,
}

/// What somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    pub text: String,
    /// By the forge's clock, where the event tells it.
    pub created_at: Option<Timestamp>,
    pub command: Option<Command>,
}

/// A run that was asked for without an event (spec section 4.7; contracts.md, decision 19).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Name of the run in `.tekton/`, without the `-` that a `generateName` ends in.
    pub pipeline_run: String,
    /// Variables that the caller sets.
    pub params: Vec<(String, String)>,
}

/// What of a delivery is looked at again after it was parsed: CEL expressions and templates reach into it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payload {
    /// The body, decoded.
    pub body: serde_json::Value,
    /// Names in lower case. Those with secrets in them are left out.
    pub headers: Vec<(String, String)>,
}
