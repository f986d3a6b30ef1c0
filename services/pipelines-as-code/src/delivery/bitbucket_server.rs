//! Webhooks of Bitbucket Server (Data Center).

use forge::{Branch, User};
use pipelines_as_code_api::pipeline_run::{EventType, GitProvider};
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Parsed, shape, skipped};
use crate::event::{Event, PullRequest, PullRequestChange, Trigger};

pub(super) fn parse(kind: &str, body: &Value) -> Answer {
    match kind {
        "repo:refs_changed" => shape::read::<RefsChanged>(body)?.parse(),
        "pr:opened" | "pr:from_ref_updated" | "pr:comment:added" => {
            shape::read::<PullRequestEvent>(body)?.parse(PullRequestChange::Commits)
        }
        "pr:merged" | "pr:declined" | "pr:deleted" => {
            shape::read::<PullRequestEvent>(body)?.parse(PullRequestChange::Closed)
        }
        other => skipped(format!("event {other:?}: nothing is run for that")),
    }
}

#[derive(Deserialize)]
struct Link {
    href: String,
    /// `http` or `ssh`, of clone links.
    #[serde(default, deserialize_with = "shape::or_default")]
    name: String,
}

#[derive(Default, Deserialize)]
struct Links {
    #[serde(rename = "self", default, deserialize_with = "shape::or_default")]
    own: Vec<Link>,
    #[serde(default, deserialize_with = "shape::or_default")]
    clone: Vec<Link>,
}

#[derive(Deserialize)]
struct Project {
    /// `~jane` of a person's own.
    key: String,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
    slug: String,
    project: Project,
    #[serde(default, deserialize_with = "shape::or_default")]
    links: Links,
}

impl Repository {
    /// Where a person sees it: without the page of its files that the link leads to.
    fn url(&self) -> &str {
        let page = self.links.own.first().map_or("", |link| link.href.as_str());
        page.strip_suffix("/browse").unwrap_or(page)
    }

    fn branch(&self, name: &str) -> Branch {
        let is_http = |link: &&Link| link.name.starts_with("http");
        Branch {
            name: name.to_owned(),
            repository_url: self.url().to_owned(),
            clone_url: self
                .links
                .clone
                .iter()
                .find(is_http)
                .map(|link| link.href.clone())
                .unwrap_or_default(),
            repository_id: Some(self.id),
        }
    }

    fn event(&self, event_type: EventType, trigger: Trigger, actor: Actor) -> Result<Event, String> {
        let repository = shape::repository("repository", &format!("{}/{}", self.project.key, self.slug))?;
        let url = self.url();
        let server = url.find("/projects/").or_else(|| url.find("/users/")).map_or(url, |end| &url[..end]);
        Ok(Event {
            provider: GitProvider::BitbucketServer,
            server: server.to_owned(),
            event_type,
            trigger,
            repository,
            repository_id: Some(self.id),
            url: url.to_owned(),
            default_branch: String::new(),
            head: Branch::default(),
            base: Branch::default(),
            commit: None,
            before: None,
            commit_message: None,
            commit_url: None,
            sender: User { login: actor.name, id: Some(actor.id.to_string()) },
            pull_request: None,
            comment: None,
            incoming: None,
            installation: None,
            rerun_of: None,
        })
    }
}

#[derive(Deserialize)]
struct Actor {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
struct RefsChanged {
    actor: Actor,
    repository: Repository,
    #[serde(default, deserialize_with = "shape::or_default")]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    ref_id: String,
    from_hash: String,
    to_hash: String,
    /// `ADD`, `UPDATE`, `DELETE`.
    #[serde(rename = "type")]
    kind: String,
}

impl RefsChanged {
    fn parse(self) -> Answer {
        let Some(change) = self.changes.into_iter().find(|change| change.kind != "DELETE") else {
            return skipped("the push has no changes but deletions: there is nothing to run");
        };
        let mut event = self.repository.event(EventType::Push, Trigger::Push, self.actor)?;
        event.head = self.repository.branch(&change.ref_id);
        event.base = event.head.clone();
        event.commit = Some(shape::needed_commit("changes[].toHash", &change.to_hash)?);
        event.before = shape::commit(&change.from_hash);
        Ok(Parsed::Event(Box::new(event)))
    }
}

#[derive(Deserialize)]
struct PullRequestEvent {
    actor: Actor,
    #[serde(rename = "pullRequest")]
    pull_request: Pull,
    #[serde(default)]
    comment: Option<CommentText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pull {
    id: u64,
    #[serde(default, deserialize_with = "shape::or_default")]
    title: String,
    #[serde(default, deserialize_with = "shape::or_default")]
    state: String,
    from_ref: Side,
    to_ref: Side,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    display_id: String,
    latest_commit: String,
    repository: Repository,
}

#[derive(Deserialize)]
struct CommentText {
    text: String,
}

impl PullRequestEvent {
    fn parse(self, change: PullRequestChange) -> Answer {
        let comment = self.comment.map(|comment| super::comment(&comment.text));
        if let Some(comment) = &comment {
            if comment.command.is_none() {
                return skipped("a comment without a command");
            }
            if self.pull_request.state != "OPEN" {
                return skipped(format!("a comment on a pull request that is {}", self.pull_request.state));
            }
        }
        let event_type = comment.as_ref().map_or(EventType::PullRequest, super::event_type);
        let (head, base) = (self.pull_request.from_ref, self.pull_request.to_ref);
        let mut event = base.repository.event(event_type, Trigger::PullRequest, self.actor)?;
        event.head = head.repository.branch(&head.display_id);
        event.base = base.repository.branch(&base.display_id);
        event.commit = Some(shape::needed_commit("pullRequest.fromRef.latestCommit", &head.latest_commit)?);
        event.pull_request = Some(PullRequest {
            number: self.pull_request.id,
            title: self.pull_request.title,
            change,
            ..PullRequest::default()
        });
        event.comment = comment;
        Ok(Parsed::Event(Box::new(event)))
    }
}
