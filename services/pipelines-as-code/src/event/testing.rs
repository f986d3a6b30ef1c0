//! Events for tests.

use forge::{Branch, Commit, Repository, User};
use pipelines_as_code_api::pipeline_run::{EventType, GitProvider};

use super::{Comment, Event, PullRequest, Trigger};
use crate::comment::Command;

pub(crate) const COMMIT: &str = "8cc5aef17d528ca5ab893dd430004fec8bf9beaa";

pub(crate) fn commit(name: &str) -> Commit {
    name.parse().unwrap()
}

fn branch(repository: &str, name: &str) -> Branch {
    let url = format!("https://git.test/{repository}");
    Branch {
        name: name.to_owned(),
        clone_url: format!("{url}.git"),
        repository_url: url,
        repository_id: None,
    }
}

/// A push by jane to `acme/app`.
pub(crate) fn push(reference: &str) -> Event {
    Event {
        provider: GitProvider::GitHub,
        server: "https://git.test".to_owned(),
        event_type: EventType::Push,
        trigger: Trigger::Push,
        repository: Repository::new("acme", "app").unwrap(),
        repository_id: Some(1),
        url: "https://git.test/acme/app".to_owned(),
        default_branch: "main".to_owned(),
        head: branch("acme/app", reference),
        base: branch("acme/app", reference),
        commit: Some(commit(COMMIT)),
        before: None,
        commit_message: Some("Fix the door\n\nIt creaked.".to_owned()),
        commit_url: None,
        sender: User { login: "jane".to_owned(), id: Some("11".to_owned()) },
        pull_request: None,
        comment: None,
        incoming: None,
        installation: None,
        rerun_of: None,
    }
}

/// Pull request 7 by mallory, from a fork of `acme/app` to its `main`.
pub(crate) fn pull_request() -> Event {
    Event {
        event_type: EventType::PullRequest,
        trigger: Trigger::PullRequest,
        head: branch("mallory/app", "fix"),
        base: branch("acme/app", "main"),
        sender: User { login: "mallory".to_owned(), id: Some("66".to_owned()) },
        pull_request: Some(PullRequest {
            number: 7,
            title: "Fix the window".to_owned(),
            labels: vec!["bug".to_owned()],
            ..PullRequest::default()
        }),
        commit_message: None,
        ..push("main")
    }
}

/// A comment by jane on that pull request.
pub(crate) fn comment(text: &str) -> Event {
    let command = Command::of(text);
    Event {
        event_type: command.as_ref().map_or(EventType::NoOpsComment, Command::event_type),
        comment: Some(Comment { text: text.to_owned(), created_at: None, command }),
        sender: User { login: "jane".to_owned(), id: Some("11".to_owned()) },
        ..pull_request()
    }
}
