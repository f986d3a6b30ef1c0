//! Commits, merge requests and webhooks that are made at GitLab.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::GitLab;
use super::shape::{Made, MergeRequest};
use crate::changes::{
    Changes, FileChange, Hook, NewCommit, NewRequest, OpenRequest, Opened, RepositoryInfo, base64,
};
use crate::contents::{Commit, Repository};
use crate::error::Error;
use crate::http_api::commit_named;
use crate::hub::MAX_HOOKS;

/// Of a branch, file or merge request that came to be, or went, since we looked.
const RACES: [&str; 2] = ["already exists", "doesn't exist"];

/// Open merge requests of one pair of branches, those from forks too.
const MAX_REQUESTS: usize = 1000;

#[derive(Deserialize)]
struct About {
    #[serde(default)]
    default_branch: Option<String>,
    #[serde(default)]
    visibility: String,
    #[serde(default)]
    archived: bool,
    web_url: String,
}

#[derive(Deserialize)]
struct FoundBranch {
    commit: Named,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Compared {
    commits: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Seen {
    iid: u64,
    web_url: String,
}

#[derive(Deserialize)]
struct FoundHook {
    id: u64,
    url: String,
}

impl From<Seen> for OpenRequest {
    fn from(seen: Seen) -> Self {
        Self { number: seen.iid, url: seen.web_url }
    }
}

impl GitLab {
    async fn head(&self, repository: &Repository, branch: &str) -> Result<Option<Commit>, Error> {
        let what = format!("branch {branch:?} of {repository}");
        let segments = ["projects", &repository.to_string(), "repository", "branches", branch];
        match self.api.read::<FoundBranch>(&what, &segments, &[]).await {
            Ok(found) => commit_named(&what, &found.commit.id).map(Some),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `head`: where the branch is; absent if it is to be made.
    async fn commit_files(
        &self,
        repository: &Repository,
        new: &NewCommit,
        head: Option<Commit>,
    ) -> Result<Commit, Error> {
        let what = format!("commit to branch {:?} of {repository}", new.branch);
        let parent = head.as_ref().unwrap_or(&new.base);
        let mut actions = Vec::new();
        for change in &new.changes {
            actions.extend(self.actions(repository, parent, change).await?);
        }
        let mut body = json!({ "branch": new.branch, "commit_message": new.message, "actions": actions });
        if head.is_none() {
            body["start_sha"] = json!(new.base.as_str());
        } else if actions.is_empty() {
            return Ok(parent.clone());
        }
        if let Some(author) = &new.author {
            body["author_name"] = json!(author.name);
            body["author_email"] = json!(author.email);
        }
        let segments = ["projects", &repository.to_string(), "repository", "commits"];
        let made = self.api.create::<Named>(&what, &segments, &body).await;
        commit_named(&what, &made.map_err(|error| error.or_conflict(&RACES))?.id)
    }

    /// What to do with a file: GitLab wants to be told whether it is there.
    async fn actions(
        &self,
        repository: &Repository,
        parent: &Commit,
        change: &FileChange,
    ) -> Result<Vec<Value>, Error> {
        let (what, path) = (format!("file {:?} of {repository} at {parent}", change.path), &change.path);
        let segments = ["projects", &repository.to_string(), "repository", "files", path];
        let exists = self.api.has(&what, &segments, &[("ref", parent.as_str())]).await?;
        let Some(content) = &change.content else {
            let delete = json!({ "action": "delete", "file_path": path });
            return Ok(if exists { vec![delete] } else { Vec::new() });
        };
        let mut actions = vec![json!({
            "action": if exists { "update" } else { "create" },
            "file_path": path,
            "content": base64(content),
            "encoding": "base64",
        })];
        if change.executable {
            actions.push(json!({ "action": "chmod", "file_path": path, "execute_filemode": true }));
        }
        Ok(actions)
    }

    async fn open(&self, repository: &Repository, new: &NewRequest) -> Result<Opened, Error> {
        let project = repository.to_string();
        let what = format!("new merge request from {:?} to {:?} of {repository}", new.head, new.base);
        // GitLab opens empty ones.
        let segments = ["projects", &project, "repository", "compare"];
        let query = [("from", new.base.as_str()), ("to", new.head.as_str())];
        if self.api.read::<Compared>(&what, &segments, &query).await?.commits.is_empty() {
            return Ok(Opened::NoDifference);
        }
        let body = json!({
            "source_branch": new.head,
            "target_branch": new.base,
            "title": new.title,
            "description": new.body,
            "labels": new.labels.join(","),
        });
        let made = self.api.create::<Seen>(&what, &["projects", &project, "merge_requests"], &body).await;
        Ok(Opened::Request(made.map_err(|error| error.or_conflict(&RACES))?.into()))
    }

    /// Numbers of the webhooks with this address.
    async fn hooks(&self, repository: &Repository, url: &str) -> Result<Vec<u64>, Error> {
        let what = format!("webhooks of {repository}");
        let segments = ["projects", &repository.to_string(), "hooks"];
        let found: Vec<FoundHook> = self.api.list(&what, &segments, &[], MAX_HOOKS).await?;
        Ok(found.into_iter().filter(|hook| hook.url == url).map(|hook| hook.id).collect())
    }

    async fn set_hook(&self, repository: &Repository, hook: &Hook) -> Result<bool, Error> {
        let what = format!("webhook {} of {repository}", hook.url);
        let project = repository.to_string();
        // Events that are not named stay as they are.
        let body = json!({
            "url": hook.url,
            "token": hook.secret.expose(),
            "push_events": true,
            "merge_requests_events": true,
            "note_events": true,
            "enable_ssl_verification": hook.verify_tls,
        });
        let known = self.hooks(repository, &hook.url).await?;
        for id in &known {
            let segments = ["projects", &project, "hooks", &id.to_string()];
            self.api.tell(Method::PUT, &what, &segments, &body).await?;
        }
        if known.is_empty() {
            self.api.create::<Made>(&what, &["projects", &project, "hooks"], &body).await?;
        }
        Ok(known.is_empty())
    }
}

impl Changes for GitLab {
    fn about<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, Result<RepositoryInfo, Error>> {
        async move {
            let what = format!("repository {repository}");
            let found: About = self.api.read(&what, &["projects", &repository.to_string()], &[]).await?;
            Ok(RepositoryInfo {
                default_branch: found.default_branch.unwrap_or_default(),
                is_private: found.visibility != "public",
                is_archived: found.archived,
                url: found.web_url,
            })
        }
        .boxed()
    }

    fn branch_head<'a>(
        &'a self,
        repository: &'a Repository,
        branch: &'a str,
    ) -> BoxFuture<'a, Result<Option<Commit>, Error>> {
        self.head(repository, branch).boxed()
    }

    fn push<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a NewCommit,
    ) -> BoxFuture<'a, Result<Commit, Error>> {
        async move {
            let head = self.head(repository, &commit.branch).await?;
            self.commit_files(repository, commit, head).await
        }
        .boxed()
    }

    fn begin<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a NewCommit,
    ) -> BoxFuture<'a, Result<Commit, Error>> {
        self.commit_files(repository, commit, None).boxed()
    }

    fn requests<'a>(
        &'a self,
        repository: &'a Repository,
        head: &'a str,
        base: &'a str,
    ) -> BoxFuture<'a, Result<Vec<OpenRequest>, Error>> {
        async move {
            let what = format!("merge requests from {head:?} to {base:?} of {repository}");
            let segments = ["projects", &repository.to_string(), "merge_requests"];
            let query = [("state", "opened"), ("source_branch", head), ("target_branch", base)];
            let found: Vec<MergeRequest> = self.api.list(&what, &segments, &query, MAX_REQUESTS).await?;
            let is_own = |found: &MergeRequest| {
                found.source_branch == head
                    && found.target_branch == base
                    && found.source_project_id == Some(found.target_project_id)
            };
            let own = found.into_iter().filter(is_own);
            Ok(own.map(|found| OpenRequest { number: found.iid, url: found.web_url }).collect())
        }
        .boxed()
    }

    fn open_request<'a>(
        &'a self,
        repository: &'a Repository,
        request: &'a NewRequest,
    ) -> BoxFuture<'a, Result<Opened, Error>> {
        self.open(repository, request).boxed()
    }

    fn update_request<'a>(
        &'a self,
        repository: &'a Repository,
        number: u64,
        request: &'a NewRequest,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let what = format!("merge request {number} of {repository}");
            let segments = ["projects", &repository.to_string(), "merge_requests", &number.to_string()];
            let mut body = json!({ "title": request.title, "description": request.body });
            if !request.labels.is_empty() {
                body["add_labels"] = json!(request.labels.join(","));
            }
            self.api.tell(Method::PUT, &what, &segments, &body).await
        }
        .boxed()
    }

    fn delete_branch<'a>(
        &'a self,
        repository: &'a Repository,
        branch: &'a str,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        async move {
            let what = format!("branch {branch:?} of {repository}");
            let segments = ["projects", &repository.to_string(), "repository", "branches", branch];
            self.api.delete(&what, &segments).await
        }
        .boxed()
    }

    fn ensure_hook<'a>(
        &'a self,
        repository: &'a Repository,
        hook: &'a Hook,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        self.set_hook(repository, hook).boxed()
    }

    fn delete_hook<'a>(
        &'a self,
        repository: &'a Repository,
        url: &'a str,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        async move {
            let what = format!("webhook {url} of {repository}");
            let project = repository.to_string();
            let known = self.hooks(repository, url).await?;
            for id in &known {
                let segments = ["projects", &project, "hooks", &id.to_string()];
                self.api.delete(&what, &segments).await?;
            }
            Ok(!known.is_empty())
        }
        .boxed()
    }
}
