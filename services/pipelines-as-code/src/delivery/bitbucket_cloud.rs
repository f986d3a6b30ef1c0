//! Bitbucket Cloud's webhooks.

use forge::{Branch, User};
use pipelines_as_code_api::pipeline_run::{EventType, GitProvider};
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Parsed, shape, skipped};
use crate::event::{Event, PullRequest, PullRequestChange, Trigger};

pub(super) fn parse(kind: &str, body: &Value) -> Answer {
    match kind {
        "repo:push" => shape::read::<PushEvent>(body)?.parse(),
        "pullrequest:created" | "pullrequest:updated" | "pullrequest:comment_created" => {
            shape::read::<PullRequestEvent>(body)?.parse(PullRequestChange::Commits)
        }
        "pullrequest:fulfilled" | "pullrequest:rejected" => {
            shape::read::<PullRequestEvent>(body)?.parse(PullRequestChange::Closed)
        }
        other => skipped(format!("event {other:?}: nothing is run for that")),
    }
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
struct Links {
    html: Link,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    links: Links,
    /// Of repositories themselves, not of those within pull requests.
    #[serde(default)]
    mainbranch: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Repository {
    fn branch(&self, name: &str) -> Branch {
        let url = self.links.html.href.clone();
        Branch {
            name: name.to_owned(),
            clone_url: format!("{url}.git"),
            repository_url: url,
            repository_id: None,
        }
    }

    fn event(&self, event_type: EventType, trigger: Trigger, actor: Actor) -> Result<Event, String> {
        let default_branch = self.mainbranch.as_ref().map(|branch| branch.name.clone());
        Ok(Event {
            provider: GitProvider::BitbucketCloud,
            server: shape::server(&self.links.html.href, &self.full_name),
            event_type,
            trigger,
            repository: shape::repository("repository.full_name", &self.full_name)?,
            repository_id: None,
            url: self.links.html.href.clone(),
            default_branch: default_branch.unwrap_or_default(),
            head: Branch::default(),
            base: Branch::default(),
            commit: None,
            before: None,
            commit_message: None,
            commit_url: None,
            sender: User { login: actor.nickname.unwrap_or(actor.display_name), id: actor.account_id },
            pull_request: None,
            comment: None,
            incoming: None,
            installation: None,
            rerun_of: None,
        })
    }
}

/// Who did it. A program has no account.
#[derive(Deserialize)]
struct Actor {
    #[serde(default)]
    nickname: Option<String>,
    #[serde(default, deserialize_with = "shape::or_default")]
    display_name: String,
    #[serde(default)]
    account_id: Option<String>,
}

#[derive(Deserialize)]
struct PushEvent {
    actor: Actor,
    repository: Repository,
    push: Push,
}

#[derive(Deserialize)]
struct Push {
    #[serde(default, deserialize_with = "shape::or_default")]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    /// `null` when the branch was deleted.
    #[serde(default)]
    new: Option<Reference>,
    /// `null` when it is new.
    #[serde(default)]
    old: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    hash: String,
    #[serde(default, deserialize_with = "shape::or_default")]
    message: String,
    #[serde(default)]
    links: Option<Links>,
}

impl PushEvent {
    fn parse(self) -> Answer {
        let Some(change) = self.push.changes.into_iter().find(|change| change.new.is_some()) else {
            return skipped("the push has no changes but deletions: there is nothing to run");
        };
        let Some(new) = change.new else {
            return skipped("the branch was deleted: there is nothing to run");
        };
        let mut event = self.repository.event(EventType::Push, Trigger::Push, self.actor)?;
        let kind = if new.kind == "tag" { "tags" } else { "heads" };
        event.head = self.repository.branch(&format!("refs/{kind}/{}", new.name));
        event.base = event.head.clone();
        event.commit = Some(shape::needed_commit("push.changes[].new.target.hash", &new.target.hash)?);
        event.before = change.old.and_then(|old| shape::commit(&old.target.hash));
        event.commit_message = Some(new.target.message);
        event.commit_url = new.target.links.map(|links| links.html.href);
        Ok(Parsed::Event(Box::new(event)))
    }
}

#[derive(Deserialize)]
struct PullRequestEvent {
    actor: Actor,
    repository: Repository,
    pullrequest: Pull,
    #[serde(default)]
    comment: Option<CommentText>,
}

#[derive(Deserialize)]
struct Pull {
    id: u64,
    #[serde(default, deserialize_with = "shape::or_default")]
    title: String,
    #[serde(default, deserialize_with = "shape::or_default")]
    state: String,
    source: Side,
    destination: Side,
}

#[derive(Deserialize)]
struct Side {
    branch: Named,
    /// `null` when the fork is gone.
    #[serde(default)]
    commit: Option<Hash>,
    #[serde(default)]
    repository: Option<Repository>,
}

/// Here commits have short names of 12 digits.
#[derive(Deserialize)]
struct Hash {
    hash: String,
}

#[derive(Deserialize)]
struct CommentText {
    content: Raw,
}

#[derive(Deserialize)]
struct Raw {
    raw: String,
}

impl Side {
    fn branch(&self) -> Branch {
        match &self.repository {
            Some(repository) => repository.branch(&self.branch.name),
            None => Branch { name: self.branch.name.clone(), ..Branch::default() },
        }
    }
}

impl PullRequestEvent {
    /// The commit is asked of the forge, where the event has its short name only.
    fn parse(self, change: PullRequestChange) -> Answer {
        let comment = self.comment.map(|comment| super::comment(&comment.content.raw));
        if let Some(comment) = &comment {
            if comment.command.is_none() {
                return skipped("a comment without a command");
            }
            if self.pullrequest.state != "OPEN" {
                return skipped(format!("a comment on a pull request that is {}", self.pullrequest.state));
            }
        }
        let event_type = comment.as_ref().map_or(EventType::PullRequest, super::event_type);
        let mut event = self.repository.event(event_type, Trigger::PullRequest, self.actor)?;
        let pull = self.pullrequest;
        (event.head, event.base) = (pull.source.branch(), pull.destination.branch());
        event.commit = pull.source.commit.as_ref().and_then(|commit| shape::commit(&commit.hash));
        event.pull_request =
            Some(PullRequest { number: pull.id, title: pull.title, change, ..PullRequest::default() });
        event.comment = comment;
        Ok(Parsed::Event(Box::new(event)))
    }
}
