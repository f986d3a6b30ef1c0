//! Commits, pull requests and webhooks that are made at GitHub.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::GitHub;
use crate::changes::{Changes, Hook, NewCommit, NewRequest, OpenRequest, Opened, RepositoryInfo, base64};
use crate::contents::{Commit, Repository};
use crate::error::Error;
use crate::http_api::commit_named;
use crate::hub::{FoundHook, MAX_HOOKS, Made, Pull, Seen};

/// Events that a webhook of ours is for.
const EVENTS: [&str; 4] = ["pull_request", "push", "issue_comment", "commit_comment"];

/// Of a branch that moved, or came to be, since we looked.
const RACES: [&str; 2] = ["not a fast forward", "Reference already exists"];

/// Open pull requests of one pair of branches: there is one at most.
const MAX_REQUESTS: usize = 100;

/// Of a file, and of a program.
const MODES: [&str; 2] = ["100644", "100755"];

#[derive(Deserialize)]
struct Reference {
    object: Named,
}

#[derive(Deserialize)]
struct Named {
    sha: String,
}

impl GitHub {
    async fn head(&self, repository: &Repository, branch: &str) -> Result<Option<Commit>, Error> {
        let what = format!("branch {branch:?} of {repository}");
        let mut segments = vec!["repos", repository.owner(), repository.name(), "git", "ref", "heads"];
        segments.extend(branch.split('/'));
        match self.api.read::<Reference>(&what, &segments, &[]).await {
            Ok(found) => commit_named(&what, &found.object.sha).map(Some),
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
        let (owner, name) = (repository.owner(), repository.name());
        let what = format!("commit to branch {:?} of {repository}", new.branch);
        let parent = head.as_ref().unwrap_or(&new.base);
        let tree = self.tree(&what, repository, parent, new).await?;
        let mut body = json!({ "message": new.message, "tree": tree, "parents": [parent.as_str()] });
        if let Some(author) = &new.author {
            body["author"] = json!({ "name": author.name, "email": author.email });
        }
        // Nobody sees it as long as no branch leads there.
        let segments = ["repos", owner, name, "git", "commits"];
        let named: Named = self.api.write(Method::POST, &what, &segments, &body).await?;
        let commit = commit_named(&what, &named.sha)?;
        let reference = format!("heads/{}", new.branch);
        let moved = if head.is_some() {
            let mut segments = vec!["repos", owner, name, "git", "refs"];
            segments.extend(reference.split('/'));
            let body = json!({ "sha": commit.as_str(), "force": false });
            self.api.tell(Method::PATCH, &what, &segments, &body).await
        } else {
            let body = json!({ "ref": format!("refs/{reference}"), "sha": commit.as_str() });
            let segments = ["repos", owner, name, "git", "refs"];
            self.api.create::<IgnoredAny>(&what, &segments, &body).await.map(drop)
        };
        moved.map_err(|error| error.or_conflict(&RACES))?;
        Ok(commit)
    }

    /// The tree of a commit after changes.
    async fn tree(
        &self,
        what: &str,
        repository: &Repository,
        parent: &Commit,
        new: &NewCommit,
    ) -> Result<String, Error> {
        let (owner, name) = (repository.owner(), repository.name());
        let mut entries = Vec::new();
        for change in &new.changes {
            let mode = MODES[usize::from(change.executable)];
            let mut entry = json!({ "path": change.path, "mode": mode, "type": "blob" });
            match change.content.as_deref().map(|content| (content, std::str::from_utf8(content))) {
                Some((_, Ok(text))) => entry["content"] = json!(text),
                Some((content, Err(_))) => {
                    let body = json!({ "content": base64(content), "encoding": "base64" });
                    let segments = ["repos", owner, name, "git", "blobs"];
                    let blob: Named = self.api.write(Method::POST, what, &segments, &body).await?;
                    entry["sha"] = json!(blob.sha);
                }
                // GitHub deletes nothing that is not there, and nothing else with it.
                None if !self.has_file(repository, parent, &change.path).await? => continue,
                None => entry["sha"] = Value::Null,
            }
            entries.push(entry);
        }
        let body = json!({ "base_tree": parent.as_str(), "tree": entries });
        let made: Named =
            self.api.write(Method::POST, what, &["repos", owner, name, "git", "trees"], &body).await?;
        Ok(made.sha)
    }

    async fn has_file(&self, repository: &Repository, commit: &Commit, path: &str) -> Result<bool, Error> {
        let what = format!("file {path:?} of {repository} at {commit}");
        let mut segments = vec!["repos", repository.owner(), repository.name(), "contents"];
        segments.extend(path.split('/'));
        self.api.has(&what, &segments, &[("ref", commit.as_str())]).await
    }

    async fn open(&self, repository: &Repository, new: &NewRequest) -> Result<Opened, Error> {
        let what = format!("new pull request from {:?} to {:?} of {repository}", new.head, new.base);
        let body = json!({ "title": new.title, "body": new.body, "head": new.head, "base": new.base });
        let segments = ["repos", repository.owner(), repository.name(), "pulls"];
        let made: Seen = match self.api.create(&what, &segments, &body).await {
            Err(Error::Invalid { reason, .. }) if reason.contains("No commits between") => {
                return Ok(Opened::NoDifference);
            }
            made => made.map_err(|error| error.or_conflict(&["already exists"]))?,
        };
        self.label(repository, made.number, &new.labels).await?;
        Ok(Opened::Request(made.into()))
    }

    /// Adds labels to a pull request. Unknown ones are made by GitHub.
    async fn label(&self, repository: &Repository, number: u64, labels: &[String]) -> Result<(), Error> {
        if labels.is_empty() {
            return Ok(());
        }
        let what = format!("labels of pull request {number} of {repository}");
        let number = number.to_string();
        let segments = ["repos", repository.owner(), repository.name(), "issues", &number, "labels"];
        self.api.tell(Method::POST, &what, &segments, &json!({ "labels": labels })).await
    }

    /// Webhooks with this address.
    async fn hooks(&self, repository: &Repository, url: &str) -> Result<Vec<FoundHook>, Error> {
        let what = format!("webhooks of {repository}");
        let segments = ["repos", repository.owner(), repository.name(), "hooks"];
        let found: Vec<FoundHook> = self.api.list(&what, &segments, &[], MAX_HOOKS).await?;
        Ok(found.into_iter().filter(|hook| hook.leads_to(url)).collect())
    }

    async fn set_hook(&self, repository: &Repository, hook: &Hook) -> Result<bool, Error> {
        let what = format!("webhook {} of {repository}", hook.url);
        let config = json!({
            "url": hook.url,
            "content_type": "json",
            "secret": hook.secret.expose(),
            "insecure_ssl": if hook.verify_tls { "0" } else { "1" },
        });
        let segments = ["repos", repository.owner(), repository.name(), "hooks"];
        let known = self.hooks(repository, &hook.url).await?;
        for hook in &known {
            let id = hook.id.to_string();
            let body = json!({ "active": true, "add_events": EVENTS, "config": config });
            self.api.tell(Method::PATCH, &what, &[&segments[..], &[&id]].concat(), &body).await?;
        }
        if known.is_empty() {
            let body = json!({ "name": "web", "active": true, "events": EVENTS, "config": config });
            self.api.create::<Made>(&what, &segments, &body).await?;
        }
        Ok(known.is_empty())
    }
}

impl Changes for GitHub {
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
            let what = format!("pull requests from {head:?} to {base:?} of {repository}");
            let segments = ["repos", repository.owner(), repository.name(), "pulls"];
            let branch = format!("{}:{head}", repository.owner());
            let query = [("state", "open"), ("head", branch.as_str()), ("base", base)];
            let found: Vec<Pull> = self.api.list(&what, &segments, &query, MAX_REQUESTS).await?;
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
            let segments = ["repos", repository.owner(), repository.name(), "pulls", &number.to_string()];
            let body = json!({ "title": request.title, "body": request.body });
            self.api.tell(Method::PATCH, &what, &segments, &body).await?;
            self.label(repository, number, &request.labels).await
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
            let mut segments = vec!["repos", repository.owner(), repository.name(), "git", "refs", "heads"];
            segments.extend(branch.split('/'));
            match self.api.delete(&what, &segments).await {
                Err(Error::Invalid { reason, .. }) if reason.contains("Reference does not exist") => {
                    Ok(false)
                }
                deleted => deleted,
            }
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
            let known = self.hooks(repository, url).await?;
            for hook in &known {
                let id = hook.id.to_string();
                let segments = ["repos", repository.owner(), repository.name(), "hooks", &id];
                self.api.delete(&what, &segments).await?;
            }
            Ok(!known.is_empty())
        }
        .boxed()
    }
}
