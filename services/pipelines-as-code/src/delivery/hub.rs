//! Payloads in GitHub's shape, which Gitea has taken over.

use forge::{Branch, User};
use jiff::Timestamp;
use pipelines_as_code_api::pipeline_run::{EventType, GitProvider};
use serde::Deserialize;

use super::shape::{self, Label};
use super::{Answer, Parsed, skipped};
use crate::event::{Comment, Event, PullRequest, PullRequestChange, Trigger};

#[derive(Deserialize)]
pub(super) struct Repository {
    pub(super) id: Option<u64>,
    pub(super) full_name: String,
    pub(super) html_url: String,
    #[serde(default)]
    pub(super) clone_url: Option<String>,
    #[serde(default)]
    pub(super) default_branch: Option<String>,
}

impl Repository {
    fn branch(&self, name: &str) -> Branch {
        Branch {
            name: name.to_owned(),
            repository_url: self.html_url.clone(),
            clone_url: self.clone_url.clone().unwrap_or_default(),
            repository_id: self.id,
        }
    }

    /// An event of this repository in which nothing has happened yet.
    pub(super) fn event(
        &self,
        provider: GitProvider,
        event_type: EventType,
        trigger: Trigger,
        sender: &Account,
        branch: &str,
    ) -> Result<Event, String> {
        let branch = self.branch(branch);
        Ok(Event {
            provider,
            server: shape::server(&self.html_url, &self.full_name),
            event_type,
            trigger,
            repository: shape::repository("repository.full_name", &self.full_name)?,
            repository_id: self.id,
            url: self.html_url.clone(),
            default_branch: self.default_branch.clone().unwrap_or_default(),
            head: branch.clone(),
            base: branch,
            commit: None,
            before: None,
            commit_message: None,
            commit_url: None,
            sender: User { login: sender.login.clone(), id: None },
            pull_request: None,
            comment: None,
            incoming: None,
            installation: None,
            rerun_of: None,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) login: String,
}

#[derive(Deserialize)]
pub(super) struct Push {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    #[serde(default, deserialize_with = "shape::or_default")]
    deleted: bool,
    #[serde(default)]
    head_commit: Option<HeadCommit>,
    repository: Repository,
    #[serde(default)]
    pusher: Option<serde_json::Value>,
    sender: Account,
}

#[derive(Deserialize)]
struct HeadCommit {
    id: String,
    #[serde(default, deserialize_with = "shape::or_default")]
    message: String,
    #[serde(default)]
    url: Option<String>,
}

impl Push {
    pub(super) fn parse(self, provider: GitProvider) -> Answer {
        if self.pusher.is_none() {
            return skipped("a push by nobody: skipped");
        }
        if self.deleted || shape::commit(&self.after).is_none() {
            return skipped(format!("{} was deleted: there is nothing to run", self.reference));
        }
        let mut event =
            self.repository.event(provider, EventType::Push, Trigger::Push, &self.sender, &self.reference)?;
        // An annotated tag is an object of its own: the head commit is what it points at.
        let commit = self.head_commit.as_ref().map_or(&self.after, |commit| &commit.id);
        event.commit = Some(shape::needed_commit("head_commit.id", commit)?);
        event.before = shape::commit(&self.before);
        if let Some(head) = self.head_commit {
            event.commit_message = Some(head.message);
            event.commit_url = head.url;
        }
        Ok(Parsed::Event(Box::new(event)))
    }
}

#[derive(Deserialize)]
pub(super) struct PullRequestEvent {
    action: String,
    pull_request: Pull,
    repository: Repository,
    sender: Account,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    #[serde(default, deserialize_with = "shape::or_default")]
    title: String,
    #[serde(default)]
    labels: Option<Vec<Label>>,
    head: PullBranch,
    base: PullBranch,
}

impl Pull {
    /// Tells an event what it is about.
    fn describe(self, event: &mut Event, change: PullRequestChange) -> Result<(), String> {
        (event.head, event.base) = (self.head.branch(), self.base.branch());
        event.commit = Some(shape::needed_commit("pull_request.head.sha", &self.head.sha)?);
        let labels = shape::names(self.labels);
        event.pull_request = Some(PullRequest {
            number: self.number,
            title: self.title,
            labels,
            change,
            ..PullRequest::default()
        });
        Ok(())
    }
}

#[derive(Deserialize)]
struct PullBranch {
    #[serde(rename = "ref")]
    name: String,
    sha: String,
    /// `null` when the fork is gone.
    repo: Option<Repository>,
}

impl PullBranch {
    fn branch(&self) -> Branch {
        match &self.repo {
            Some(repository) => repository.branch(&self.name),
            None => Branch { name: self.name.clone(), ..Branch::default() },
        }
    }
}

impl PullRequestEvent {
    pub(super) fn parse(self, provider: GitProvider) -> Answer {
        let change = match self.action.as_str() {
            "opened" | "synchronize" | "synchronized" | "reopened" => PullRequestChange::Commits,
            "labeled" | "label_updated" => PullRequestChange::Labels,
            "closed" => PullRequestChange::Closed,
            other => return skipped(format!("pull request {other}: nothing is run for that")),
        };
        let pull = self.pull_request;
        let mut event = self.repository.event(
            provider,
            EventType::PullRequest,
            Trigger::PullRequest,
            &self.sender,
            &pull.base.name,
        )?;
        pull.describe(&mut event, change)?;
        if let Some(pull) = &mut event.pull_request {
            pull.is_told_twice =
                provider == GitProvider::Gitea && matches!(&*self.action, "opened" | "synchronized");
        }
        Ok(Parsed::Event(Box::new(event)))
    }
}

#[derive(Deserialize)]
pub(super) struct IssueComment {
    action: String,
    issue: Issue,
    comment: CommentText,
    /// Gitea tells what is commented on. GitHub has to be asked.
    #[serde(default)]
    pull_request: Option<Pull>,
    repository: Repository,
    sender: Account,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    #[serde(default, deserialize_with = "shape::or_default")]
    title: String,
    #[serde(default, deserialize_with = "shape::or_default")]
    state: String,
    /// There is something, whatever it is, if the issue is a pull request.
    #[serde(default)]
    pull_request: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct CommentText {
    body: String,
    #[serde(default)]
    created_at: Option<Timestamp>,
}

impl IssueComment {
    pub(super) fn parse(self, provider: GitProvider) -> Answer {
        if self.action != "created" {
            return skipped(format!("comment {}: only new comments are read", self.action));
        }
        if self.issue.pull_request.is_none() {
            return skipped("a comment on an issue that is no pull request");
        }
        if self.issue.state != "open" {
            return skipped(format!("a comment on a pull request that is {}", self.issue.state));
        }
        let created_at = self.comment.created_at;
        let comment = Comment { created_at, ..super::comment(&self.comment.body) };
        let mut event = self.repository.event(
            provider,
            super::event_type(&comment),
            Trigger::PullRequest,
            &self.sender,
            "",
        )?;
        match self.pull_request {
            Some(pull) => pull.describe(&mut event, PullRequestChange::Commits)?,
            None => {
                event.pull_request = Some(PullRequest {
                    number: self.issue.number,
                    title: self.issue.title,
                    ..PullRequest::default()
                });
            }
        }
        event.comment = Some(comment);
        Ok(Parsed::Event(Box::new(event)))
    }
}
