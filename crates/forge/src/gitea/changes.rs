//! Commits, pull requests and webhooks that are made at Gitea and Forgejo.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::Gitea;
use crate::changes::{
    Changes, FileChange, Hook, NewCommit, NewRequest, OpenRequest, Opened, RepositoryInfo, base64,
};
use crate::contents::{Commit, Repository};
use crate::error::Error;
use crate::http_api::commit_named;
use crate::hub::{FoundHook, MAX_HOOKS, Made, Pull, Seen};

/// Events that a webhook of ours is for: `pull_request` stands for all that happens to one.
const EVENTS: [&str; 3] = ["push", "pull_request", "issue_comment"];

/// Of a branch or file that changed, or came to be, since we looked.
const RACES: [&str; 3] = ["already exists", "does not match", "is behind"];

/// Open pull requests that are looked through for those of a branch.
const MAX_REQUESTS: usize = 1000;

/// Labels that are looked through.
const MAX_LABELS: usize = 1000;

/// How long Gitea may take to close what is open from a branch that is gone. It does not look whether the branch came back:
/// what was opened from a new branch of that name by then would be closed as well. Nothing tells that it is done.
const SETTLING: Duration = Duration::from_secs(2);

/// Of labels that we make.
const COLOR: &str = "#0e8a16";

#[derive(Deserialize)]
struct FoundBranch {
    commit: Named,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Written {
    commit: Sha,
}

#[derive(Deserialize)]
struct Sha {
    sha: String,
}

#[derive(Deserialize)]
struct Compared {
    total_commits: u64,
}

#[derive(Deserialize)]
struct FoundLabel {
    id: u64,
    name: String,
}

impl Gitea {
    async fn head(&self, repository: &Repository, branch: &str) -> Result<Option<Commit>, Error> {
        let what = format!("branch {branch:?} of {repository}");
        let mut segments = vec!["repos", repository.owner(), repository.name(), "branches"];
        segments.extend(branch.split('/'));
        match self.api.read::<FoundBranch>(&what, &segments, &[]).await {
            Ok(found) => commit_named(&what, &found.commit.id).map(Some),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `head`: where the branch is; absent if it is to be made. It is made first then: Gitea begins one with a commit at branches only, not at commits.
    async fn commit_files(
        &self,
        repository: &Repository,
        new: &NewCommit,
        head: Option<Commit>,
    ) -> Result<Commit, Error> {
        let (owner, name) = (repository.owner(), repository.name());
        let what = format!("commit to branch {:?} of {repository}", new.branch);
        let parent = if let Some(head) = head {
            head
        } else {
            let body = json!({ "new_branch_name": new.branch, "old_ref_name": new.base.as_str() });
            let segments = ["repos", owner, name, "branches"];
            let made = self.api.create::<IgnoredAny>(&what, &segments, &body).await;
            made.map_err(|error| error.or_conflict(&RACES))?;
            new.base.clone()
        };
        let mut files = Vec::new();
        for change in &new.changes {
            files.extend(self.operation(repository, &parent, change).await?);
        }
        if files.is_empty() {
            return Ok(parent);
        }
        let mut body = json!({ "branch": new.branch, "message": new.message, "files": files });
        if let Some(author) = &new.author {
            body["author"] = json!({ "name": author.name, "email": author.email });
            body["committer"] = body["author"].clone();
        }
        let made = self.api.create::<Written>(&what, &["repos", owner, name, "contents"], &body).await;
        let made = made.map_err(|error| error.or_conflict(&RACES))?;
        commit_named(&what, &made.commit.sha)
    }

    /// What to do with a file. Nothing if it shall be deleted and is not there.
    async fn operation(
        &self,
        repository: &Repository,
        parent: &Commit,
        change: &FileChange,
    ) -> Result<Option<Value>, Error> {
        let what = format!("file {:?} of {repository} at {parent}", change.path);
        let mut segments = vec!["repos", repository.owner(), repository.name(), "contents"];
        segments.extend(change.path.split('/'));
        let known = match self.api.read::<Sha>(&what, &segments, &[("ref", parent.as_str())]).await {
            Ok(known) => Some(known.sha),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let (path, content) = (&change.path, change.content.as_deref().map(base64));
        // The file that it was decides whether somebody else was faster.
        Ok(match (content, known) {
            (Some(content), Some(sha)) => {
                Some(json!({ "operation": "update", "path": path, "content": content, "sha": sha }))
            }
            (Some(content), None) => Some(json!({ "operation": "create", "path": path, "content": content })),
            (None, Some(sha)) => Some(json!({ "operation": "delete", "path": path, "sha": sha })),
            (None, None) => None,
        })
    }

    async fn open(&self, repository: &Repository, new: &NewRequest) -> Result<Opened, Error> {
        let (owner, name) = (repository.owner(), repository.name());
        let what = format!("new pull request from {:?} to {:?} of {repository}", new.head, new.base);
        // Gitea opens empty ones.
        let range = format!("{}...{}", new.base, new.head);
        let mut segments = vec!["repos", owner, name, "compare"];
        segments.extend(range.split('/'));
        if self.api.read::<Compared>(&what, &segments, &[]).await?.total_commits == 0 {
            return Ok(Opened::NoDifference);
        }
        let labels = self.labels(repository, &new.labels).await?;
        let body = json!({
            "title": new.title,
            "body": new.body,
            "head": new.head,
            "base": new.base,
            "labels": labels,
        });
        let made = self.api.create::<Seen>(&what, &["repos", owner, name, "pulls"], &body).await;
        Ok(Opened::Request(made.map_err(|error| error.or_conflict(&RACES))?.into()))
    }

    async fn open_pulls(&self, repository: &Repository) -> Result<Vec<Pull>, Error> {
        let what = format!("open pull requests of {repository}");
        let segments = ["repos", repository.owner(), repository.name(), "pulls"];
        self.api.list(&what, &segments, &[("state", "open")], MAX_REQUESTS).await
    }

    /// Numbers of labels; those that are not there are made.
    async fn labels(&self, repository: &Repository, names: &[String]) -> Result<Vec<u64>, Error> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let what = format!("labels of {repository}");
        let segments = ["repos", repository.owner(), repository.name(), "labels"];
        let known: Vec<FoundLabel> = self.api.list(&what, &segments, &[], MAX_LABELS).await?;
        let mut ids = Vec::new();
        for name in names {
            if let Some(label) = known.iter().find(|label| label.name == *name) {
                ids.push(label.id);
                continue;
            }
            let body = json!({ "name": name, "color": COLOR });
            ids.push(self.api.create::<Made>(&what, &segments, &body).await?.id);
        }
        Ok(ids)
    }

    /// Webhooks with this address.
    async fn hooks(&self, repository: &Repository, url: &str) -> Result<Vec<FoundHook>, Error> {
        let what = format!("webhooks of {repository}");
        let segments = ["repos", repository.owner(), repository.name(), "hooks"];
        let found: Vec<FoundHook> = self.api.list(&what, &segments, &[], MAX_HOOKS).await?;
        Ok(found.into_iter().filter(|hook| hook.leads_to(url)).collect())
    }

    /// Gitea neither tells nor changes the secret of a webhook. So its name says which it is, and one with another is replaced.
    async fn set_hook(&self, repository: &Repository, hook: &Hook) -> Result<bool, Error> {
        let what = format!("webhook {} of {repository}", hook.url);
        let hash = digest(&SHA256, hook.secret.expose().as_bytes());
        let name = format!("konflux {}", data_encoding::HEXLOWER.encode(&hash.as_ref()[..6]));
        let mut known = self.hooks(repository, &hook.url).await?;
        let is_right = |known: &FoundHook| {
            known.active && known.name == name && EVENTS.iter().all(|event| known.has(event))
        };
        if let Some(at) = known.iter().position(is_right) {
            known.remove(at);
            self.delete_hooks(repository, &known).await?;
            return Ok(false);
        }
        let mut events: Vec<&str> = known.iter().flat_map(FoundHook::events).chain(EVENTS).collect();
        events.sort_unstable();
        events.dedup();
        let config = json!({ "url": hook.url, "content_type": "json", "secret": hook.secret.expose() });
        let body =
            json!({ "type": "gitea", "name": name, "active": true, "events": events, "config": config });
        let segments = ["repos", repository.owner(), repository.name(), "hooks"];
        self.api.create::<Made>(&what, &segments, &body).await?;
        self.delete_hooks(repository, &known).await?;
        Ok(true)
    }

    async fn delete_hooks(&self, repository: &Repository, hooks: &[FoundHook]) -> Result<(), Error> {
        for hook in hooks {
            let id = hook.id.to_string();
            let what = format!("webhook {id} of {repository}");
            let segments = ["repos", repository.owner(), repository.name(), "hooks", &id];
            self.api.delete(&what, &segments).await?;
        }
        Ok(())
    }
}

impl Changes for Gitea {
    fn about<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, Result<RepositoryInfo, Error>> {
        async move {
            let what = format!("repository {repository}");
            let segments = ["repos", repository.owner(), repository.name()];
            self.api.read::<crate::hub::About>(&what, &segments, &[]).await.map(Into::into)
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
            let found = self.open_pulls(repository).await?;
            let wanted = found.into_iter().filter(|pull| pull.is_from(head) && pull.base.name == base);
            Ok(wanted.map(Into::into).collect())
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
            let what = format!("pull request {number} of {repository}");
            let (owner, name, number) = (repository.owner(), repository.name(), number.to_string());
            let body = json!({ "title": request.title, "body": request.body });
            self.api.tell(Method::PATCH, &what, &["repos", owner, name, "pulls", &number], &body).await?;
            let labels = self.labels(repository, &request.labels).await?;
            if labels.is_empty() {
                return Ok(());
            }
            let segments = ["repos", owner, name, "issues", &number, "labels"];
            self.api.tell(Method::POST, &what, &segments, &json!({ "labels": labels })).await
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
            let (owner, name) = (repository.owner(), repository.name());
            // Gitea does so a moment later, if at all.
            for pull in self.open_pulls(repository).await?.iter().filter(|pull| pull.is_from(branch)) {
                let segments = ["repos", owner, name, "pulls", &pull.number.to_string()];
                self.api.tell(Method::PATCH, &what, &segments, &json!({ "state": "closed" })).await?;
            }
            let mut segments = vec!["repos", owner, name, "branches"];
            segments.extend(branch.split('/'));
            let was_there = self.api.delete(&what, &segments).await?;
            if was_there {
                tokio::time::sleep(SETTLING).await;
            }
            Ok(was_there)
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
            let known = self.hooks(repository, url).await?;
            self.delete_hooks(repository, &known).await?;
            Ok(!known.is_empty())
        }
        .boxed()
    }
}
