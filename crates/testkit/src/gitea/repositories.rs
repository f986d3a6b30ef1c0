//! Repositories, pull requests, and what is said of commits.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::Role;
use super::client::{Client, split};

/// The branch that a new repository begins with.
pub(super) const MAIN: &str = "main";

/// How long the forge may take to find out whether a pull request can be merged.
const MERGEABLE: Duration = Duration::from_secs(30);

/// A pull request to be.
#[derive(Clone, Copy, Debug)]
pub struct NewPull<'a> {
    pub title: &'a str,
    /// Branch with the change; of a fork, `owner:branch`.
    pub head: &'a str,
    /// Branch to merge into.
    pub base: &'a str,
}

/// What somebody reports about a commit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CommitStatus {
    pub context: String,
    /// `pending`, `success`, `failure`, `error`, `warning`.
    #[serde(rename = "status")]
    pub state: String,
    pub description: String,
    pub target_url: String,
}

/// An open pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPull {
    pub number: u64,
    pub title: String,
    pub body: String,
    /// Where a person sees it.
    pub url: String,
    /// Branch with the change, and the one to merge into.
    pub head: String,
    pub base: String,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    #[serde(default)]
    title: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    html_url: String,
    base: End,
    head: End,
}

#[derive(Deserialize)]
struct End {
    /// `branch`, or `owner:branch` of a fork.
    label: String,
    #[serde(rename = "ref")]
    branch: String,
    repo: Option<Owned>,
}

#[derive(Deserialize)]
struct Owned {
    full_name: String,
}

impl Client {
    /// Makes an empty repository of a user or organisation unless there is one; sets whether it is private.
    pub async fn ensure_repository(&self, repository: &str, is_private: bool) -> anyhow::Result<()> {
        let (owner, name) = split(repository)?;
        let what = format!("look for repository {repository}");
        let answer = self.call(&what, Method::GET, &["repos", owner, name], &[], None).await?;
        let Some(answer) = answer.found() else {
            let body = json!({ "name": name, "private": is_private, "default_branch": MAIN });
            let what = format!("make repository {repository}");
            let path = ["admin", "users", owner, "repos"];
            self.call(&what, Method::POST, &path, &[], Some(&body)).await?.success()?;
            return Ok(());
        };
        if answer.json::<Value>()?["private"] != is_private {
            let body = json!({ "private": is_private });
            let what = format!("change who may see {repository}");
            self.call(&what, Method::PATCH, &["repos", owner, name], &[], Some(&body)).await?.success()?;
        }
        Ok(())
    }

    /// Takes a repository away, if there is one.
    pub async fn delete_repository(&self, repository: &str) -> anyhow::Result<()> {
        let (owner, name) = split(repository)?;
        let what = format!("delete repository {repository}");
        let answer = self.call(&what, Method::DELETE, &["repos", owner, name], &[], None).await?;
        if let Some(answer) = answer.found() {
            answer.success()?;
        }
        Ok(())
    }

    /// Lets a user take part in a repository.
    pub async fn ensure_collaborator(&self, repository: &str, user: &str, role: Role) -> anyhow::Result<()> {
        let (owner, name) = split(repository)?;
        let what = format!("have {user} take part in {repository}");
        let path = ["repos", owner, name, "collaborators", user];
        let body = json!({ "permission": role.as_str() });
        self.call(&what, Method::PUT, &path, &[], Some(&body)).await?.success()?;
        Ok(())
    }

    /// Copies a repository to whose client this is, unless they have a copy; returns its `owner/name`.
    pub async fn ensure_fork(&self, repository: &str) -> anyhow::Result<String> {
        let (owner, name) = split(repository)?;
        let what = format!("fork {repository}");
        let path = ["repos", owner, name, "forks"];
        let answer = self.call(&what, Method::POST, &path, &[], Some(&json!({}))).await?;
        if answer.status == StatusCode::CONFLICT
            && let Some(user) = self.whoami().await?
        {
            return Ok(format!("{user}/{name}"));
        }
        Ok(answer.json::<Owned>()?.full_name)
    }

    /// The commit that a branch, a tag or a commit's own name is at; nothing if there is no such.
    pub async fn commit(&self, repository: &str, revision: &str) -> anyhow::Result<Option<String>> {
        let (owner, name) = split(repository)?;
        let what = format!("look for {revision} of {repository}");
        let path = ["repos", owner, name, "git", "commits", revision];
        let answer = self.call(&what, Method::GET, &path, &[], None).await?;
        let Some(answer) = answer.found() else { return Ok(None) };
        Ok(answer.json::<Value>()?["sha"].as_str().map(str::to_owned))
    }

    /// The commit that the API's other answers about a branch are of; nothing if it knows of no such branch yet.
    pub(super) async fn branch(&self, repository: &str, branch: &str) -> anyhow::Result<Option<String>> {
        let (owner, name) = split(repository)?;
        let what = format!("look for branch {branch} of {repository}");
        let answer = self.call(&what, Method::GET, &["repos", owner, name], &[], None).await?;
        // As long as it holds a repository for empty, it has no answer for its branches but an error.
        if answer.json::<Value>()?["empty"] == true {
            return Ok(None);
        }
        let mut path = vec!["repos", owner, name, "branches"];
        path.extend(branch.split('/'));
        let answer = self.call(&what, Method::GET, &path, &[], None).await?;
        let Some(answer) = answer.found() else { return Ok(None) };
        Ok(answer.json::<Value>()?["commit"]["id"].as_str().map(str::to_owned))
    }

    /// Content of a file at a branch, tag or commit.
    pub async fn file(&self, repository: &str, revision: &str, path: &str) -> anyhow::Result<Vec<u8>> {
        let (owner, name) = split(repository)?;
        let what = format!("read {path} of {repository} at {revision}");
        let mut segments = vec!["repos", owner, name, "raw"];
        segments.extend(path.split('/'));
        self.call(&what, Method::GET, &segments, &[("ref", revision)], None).await?.bytes()
    }

    /// Opens a pull request, unless one of the same branches is open; returns its number.
    pub async fn ensure_pull(&self, repository: &str, pull: &NewPull<'_>) -> anyhow::Result<u64> {
        let (owner, name) = split(repository)?;
        let what = format!("list pull requests of {repository}");
        let path = ["repos", owner, name, "pulls"];
        let query = [("state", "open"), ("limit", "50")];
        let open: Vec<Pull> = self.call(&what, Method::GET, &path, &query, None).await?.json()?;
        if let Some(same) = open.into_iter().find(|open| open.is(repository, pull)) {
            return Ok(same.number);
        }
        // The forge would say that something was not found.
        for branch in [pull.base, pull.head].into_iter().filter(|branch| !branch.contains(':')) {
            let found = self.branch(repository, branch).await?;
            found.with_context(|| format!("repository {repository} has no branch {branch}"))?;
        }
        let body = json!({ "title": pull.title, "head": pull.head, "base": pull.base });
        let what = format!("open a pull request of {} in {repository}", pull.head);
        Ok(self.call(&what, Method::POST, &path, &[], Some(&body)).await?.json::<Pull>()?.number)
    }

    /// The open pull requests, newest first; the first fifty.
    pub async fn pulls(&self, repository: &str) -> anyhow::Result<Vec<OpenPull>> {
        let (owner, name) = split(repository)?;
        let what = format!("list pull requests of {repository}");
        let path = ["repos", owner, name, "pulls"];
        let query = [("state", "open"), ("limit", "50")];
        let open: Vec<Pull> = self.call(&what, Method::GET, &path, &query, None).await?.json()?;
        Ok(open.into_iter().map(OpenPull::from).collect())
    }

    /// Merges a pull request by a merge commit. The forge looks for conflicts first, and refuses until it knows.
    pub async fn merge(&self, repository: &str, pull: u64) -> anyhow::Result<()> {
        let (owner, name) = split(repository)?;
        let what = format!("merge pull request {pull} of {repository}");
        let path = ["repos", owner, name, "pulls", &pull.to_string(), "merge"];
        let until = Instant::now() + MERGEABLE;
        loop {
            let answer = self.call(&what, Method::POST, &path, &[], Some(&json!({ "Do": "merge" }))).await?;
            if answer.status != StatusCode::METHOD_NOT_ALLOWED || Instant::now() > until {
                answer.success()?;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Writes a comment on a pull request.
    pub async fn comment(&self, repository: &str, pull: u64, text: &str) -> anyhow::Result<()> {
        let (owner, name) = split(repository)?;
        let what = format!("comment on pull request {pull} of {repository}");
        let path = ["repos", owner, name, "issues", &pull.to_string(), "comments"];
        self.call(&what, Method::POST, &path, &[], Some(&json!({ "body": text }))).await?.success()?;
        Ok(())
    }

    /// Texts of the comments on a pull request, oldest first.
    pub async fn comments(&self, repository: &str, pull: u64) -> anyhow::Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Comment {
            body: String,
        }
        let (owner, name) = split(repository)?;
        let what = format!("read the comments on pull request {pull} of {repository}");
        let path = ["repos", owner, name, "issues", &pull.to_string(), "comments"];
        let comments: Vec<Comment> = self.call(&what, Method::GET, &path, &[], None).await?.json()?;
        Ok(comments.into_iter().map(|comment| comment.body).collect())
    }

    /// The newest status of each context of a commit.
    pub async fn statuses(&self, repository: &str, commit: &str) -> anyhow::Result<Vec<CommitStatus>> {
        #[derive(Deserialize)]
        struct Combined {
            statuses: Option<Vec<CommitStatus>>,
        }
        let (owner, name) = split(repository)?;
        let what = format!("read statuses of {commit} of {repository}");
        let path = ["repos", owner, name, "commits", commit, "status"];
        let answer = self.call(&what, Method::GET, &path, &[("limit", "50")], None).await?;
        Ok(answer.json::<Combined>()?.statuses.unwrap_or_default())
    }
}

impl From<Pull> for OpenPull {
    fn from(pull: Pull) -> Self {
        let Pull { number, title, body, html_url, base, head } = pull;
        Self { number, title, body, url: html_url, head: head.branch, base: base.branch }
    }
}

impl Pull {
    fn is(&self, repository: &str, pull: &NewPull<'_>) -> bool {
        let is_head = match pull.head.split_once(':') {
            Some((owner, branch)) => {
                let from = self.head.repo.as_ref().map_or("", |repo| repo.full_name.as_str());
                self.head.branch == branch && from.split('/').next() == Some(owner)
            }
            None => {
                self.head.label == pull.head
                    && self.head.repo.as_ref().is_some_and(|repo| repo.full_name == repository)
            }
        };
        is_head && self.base.branch == pull.base
    }
}
