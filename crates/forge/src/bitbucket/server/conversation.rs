//! Pull requests, people, comments and build statuses at Bitbucket Server.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;
use serde_json::json;

use super::Server;
use super::shape::{Activity, BuildStatus, DefaultBranch, Difference, Made, Permitted, Pull, is_own, sorted};
use crate::contents::{Commit, Repository};
use crate::conversation::{
    Change, ChangedFiles, Comment, CommentId, CommitText, File, FileLimits, Forge, PullRequest, Report,
    Reported, User, Verdict,
};
use crate::error::Error;
use crate::files::{Entry, EntryKind, Reader, read_all};
use crate::http_api::{below, commit_named, first_characters};

/// Files of a pull request that are read of, and files of a directory.
const MAX_ENTRIES: usize = 3000;

/// Open pull requests of a commit, and people with rights.
const MAX_FOUND: usize = 1000;

/// What happened on a pull request: the newest are read.
const MAX_ACTIVITIES: usize = 1000;

/// Characters of a comment.
const MAX_COMMENT: usize = 32_768;

/// Characters of a status' key and of what people see of it.
const MAX_KEY: usize = 255;

impl Server {
    async fn pull(&self, repository: &Repository, number: u64) -> Result<PullRequest, Error> {
        let what = format!("pull request {number} of {repository}");
        let text = number.to_string();
        let found: Pull = self.api.read(&what, &Self::of(repository, &["pull-requests", &text]), &[]).await?;
        let what_branch = format!("default branch of {repository}");
        let segments = Self::of(repository, &["default-branch"]);
        let default: DefaultBranch = self.api.read(&what_branch, &segments, &[]).await?;
        Ok(PullRequest {
            number: found.id,
            is_open: found.state == "OPEN",
            head_commit: commit_named(&what, &found.from_ref.latest_commit)?,
            head: found.from_ref.branch(),
            base: found.to_ref.branch(),
            title: found.title,
            url: found.links.own.into_iter().next().map(|link| link.href).unwrap_or_default(),
            author: found.author.user.into(),
            pushed_at: None,
            default_branch: default.display_id,
            labels: Vec::new(),
        })
    }

    async fn changed_by(&self, repository: &Repository, change: &Change) -> Result<ChangedFiles, Error> {
        let found = match change {
            Change::PullRequest(number) => {
                let what = format!("files of pull request {number} of {repository}");
                let segments = ["pull-requests", &number.to_string(), "changes"];
                self.list(&what, &Self::of(repository, &segments), &[], MAX_ENTRIES).await?
            }
            Change::Push { before: Some(before), after } => {
                let what = format!("files changed between {before} and {after} of {repository}");
                let query = [("from", after.as_str()), ("to", before.as_str())];
                let segments = Self::of(repository, &["compare", "changes"]);
                match self.list(&what, &segments, &query, MAX_ENTRIES).await {
                    // What was there before a push by force may be gone.
                    Err(Error::NotFound { .. }) => self.differences_of(repository, after).await?,
                    found => found?,
                }
            }
            Change::Push { before: None, after } => self.differences_of(repository, after).await?,
        };
        Ok(sorted(found))
    }

    /// What a commit changed against its first parent.
    async fn differences_of(
        &self,
        repository: &Repository,
        commit: &Commit,
    ) -> Result<Vec<Difference>, Error> {
        let what = format!("files changed by {commit} of {repository}");
        let segments = Self::of(repository, &["commits", commit.as_str(), "changes"]);
        self.list(&what, &segments, &[], MAX_ENTRIES).await
    }

    /// Whoever has a right to the repository, or to the project that it is in.
    async fn contributes(&self, repository: &Repository, user: &User) -> Result<bool, Error> {
        if is_own(repository, user) {
            return Ok(true);
        }
        let of_project = ["projects", repository.owner(), "permissions", "users"];
        Ok(self.is_permitted(repository, &of_project, user).await?
            || self.is_permitted(repository, &Self::of(repository, &["permissions", "users"]), user).await?)
    }

    async fn is_permitted(
        &self,
        repository: &Repository,
        segments: &[&str],
        user: &User,
    ) -> Result<bool, Error> {
        let what = format!("rights of {:?} to {repository}", user.login);
        // Finds those whose name has it somewhere, too.
        let query = [("filter", user.login.as_str())];
        match self.list::<Permitted>(&what, segments, &query, MAX_FOUND).await {
            // A person has no project of which rights could be had.
            Err(Error::NotFound { .. }) => Ok(false),
            found => Ok(found?.iter().any(|one| one.user.is(user))),
        }
    }

    async fn report_by_status(
        &self,
        repository: &Repository,
        commit: &Commit,
        report: &Report,
    ) -> Result<Reported, Error> {
        self.set_status(repository, commit, report).await?;
        if let Some(replaced) = report.replaces.as_deref().filter(|replaced| *replaced != report.context) {
            let what = format!("status {replaced:?} of {commit} of {repository}");
            let segments = Self::of(repository, &["commits", commit.as_str(), "builds"]);
            let query = [("key", first_characters(replaced, MAX_KEY))];
            let found = self.api.read::<BuildStatus>(&what, &segments, &query).await;
            if found.is_ok_and(|found| found.state == "INPROGRESS") {
                self.set_status(repository, commit, &report.settling(replaced)).await?;
            }
        }
        Ok(Reported::default())
    }

    async fn set_status(
        &self,
        repository: &Repository,
        commit: &Commit,
        report: &Report,
    ) -> Result<(), Error> {
        let what = format!("status {:?} of {commit} of {repository}", report.context);
        let state = match report.verdict {
            Verdict::Queued | Verdict::InProgress => "INPROGRESS",
            Verdict::Success => "SUCCESSFUL",
            Verdict::Failure | Verdict::Neutral | Verdict::Cancelled | Verdict::Error | Verdict::Deleted => {
                "FAILED"
            }
        };
        let body = json!({
            "key": first_characters(&report.context, MAX_KEY),
            "name": first_characters(&report.context, MAX_KEY),
            "state": state,
            "description": first_characters(&report.title, MAX_KEY),
            // There has to be one.
            "url": report.details_url.clone().unwrap_or_else(|| self.page(repository, commit)),
        });
        let segments = Self::of(repository, &["commits", commit.as_str(), "builds"]);
        self.api.tell(Method::POST, &what, &segments, &body).await
    }

    /// Where a person sees a commit.
    fn page(&self, repository: &Repository, commit: &Commit) -> String {
        let (owner, name) = (repository.owner(), repository.name());
        let of = match owner.strip_prefix('~') {
            Some(person) => format!("users/{person}"),
            None => format!("projects/{owner}"),
        };
        below(&self.server, &format!("{of}/repos/{name}/commits/{commit}")).to_string()
    }

    async fn edit_comment(
        &self,
        what: &str,
        repository: &Repository,
        number: &str,
        id: u64,
        text: &str,
    ) -> Result<CommentId, Error> {
        let id = id.to_string();
        let segments = Self::of(repository, &["pull-requests", number, "comments", &id]);
        // The version that is replaced has to be named.
        let known: Made = self.api.read(what, &segments, &[]).await?;
        let body = json!({ "text": text, "version": known.version });
        let made: Made = self.api.write(Method::PUT, what, &segments, &body).await?;
        Ok(CommentId(made.id))
    }
}

impl Reader for Server {
    fn entries<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        directory: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Error>> {
        async move {
            let what = format!("directory {directory:?} of {repository} at {commit}");
            let mut segments = Self::of(repository, &["files"]);
            segments.extend(directory.split('/').filter(|part| !part.is_empty()));
            let query = [("at", commit.as_str())];
            // Paths below the directory, at any depth. Links cannot be told from files.
            let found: Vec<String> = self.list(&what, &segments, &query, MAX_ENTRIES).await?;
            let directory = directory.trim_matches('/');
            let path = |below: String| match directory {
                "" => below,
                directory => format!("{directory}/{below}"),
            };
            let entry = |below| Entry { kind: EntryKind::File, path: path(below), size: None };
            Ok(found.into_iter().map(entry).collect())
        }
        .boxed()
    }
}

impl Forge for Server {
    fn describe<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<CommitText, Error>> {
        async move {
            let found = self.found_commit(repository, revision).await?;
            let commit = commit_named(&format!("revision {revision:?} of {repository}"), &found.id)?;
            let url = self.page(repository, &commit);
            Ok(CommitText { commit, message: found.message, url })
        }
        .boxed()
    }

    fn pull_request<'a>(
        &'a self,
        repository: &'a Repository,
        number: u64,
    ) -> BoxFuture<'a, Result<PullRequest, Error>> {
        self.pull(repository, number).boxed()
    }

    fn pull_requests_of<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
    ) -> BoxFuture<'a, Result<Vec<u64>, Error>> {
        async move {
            let what = format!("pull requests of {commit} of {repository}");
            let segments = Self::of(repository, &["commits", commit.as_str(), "pull-requests"]);
            let found: Vec<Pull> = self.list(&what, &segments, &[], MAX_FOUND).await?;
            let is_head =
                |pull: &Pull| pull.state == "OPEN" && pull.from_ref.latest_commit == commit.as_str();
            Ok(found.into_iter().filter(is_head).map(|pull| pull.id).collect())
        }
        .boxed()
    }

    fn files<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        directory: &'a str,
        limits: FileLimits,
        wanted: &'a (dyn Fn(&str) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Vec<File>, Error>> {
        read_all(self, repository, commit, directory, limits, wanted).boxed()
    }

    fn changed_files<'a>(
        &'a self,
        repository: &'a Repository,
        change: &'a Change,
    ) -> BoxFuture<'a, Result<ChangedFiles, Error>> {
        self.changed_by(repository, change).boxed()
    }

    fn is_contributor<'a>(
        &'a self,
        repository: &'a Repository,
        user: &'a User,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        self.contributes(repository, user).boxed()
    }

    /// Bitbucket has groups, and no teams in a project.
    fn is_in_team<'a>(
        &'a self,
        _: &'a Repository,
        _: &'a str,
        _: &'a User,
    ) -> BoxFuture<'a, Result<Option<bool>, Error>> {
        async { Ok(None) }.boxed()
    }

    fn comments<'a>(
        &'a self,
        repository: &'a Repository,
        number: u64,
    ) -> BoxFuture<'a, Result<Vec<Comment>, Error>> {
        async move {
            let what = format!("comments on pull request {number} of {repository}");
            let number = number.to_string();
            let segments = Self::of(repository, &["pull-requests", &number, "activities"]);
            // The newest come first.
            let found: Vec<Activity> = self.list(&what, &segments, &[], MAX_ACTIVITIES).await?;
            Ok(found.into_iter().rev().filter_map(Activity::comment).collect())
        }
        .boxed()
    }

    fn comment<'a>(
        &'a self,
        repository: &'a Repository,
        number: u64,
        text: &'a str,
        instead_of: Option<CommentId>,
    ) -> BoxFuture<'a, Result<CommentId, Error>> {
        async move {
            let what = format!("comment on pull request {number} of {repository}");
            let (number, text) = (number.to_string(), first_characters(text, MAX_COMMENT));
            if let Some(CommentId(id)) = instead_of {
                match self.edit_comment(&what, repository, &number, id, text).await {
                    // Somebody has deleted it.
                    Err(Error::NotFound { .. }) => {}
                    edited => return edited,
                }
            }
            let segments = Self::of(repository, &["pull-requests", &number, "comments"]);
            let made: Made = self.api.create(&what, &segments, &json!({ "text": text })).await?;
            Ok(CommentId(made.id))
        }
        .boxed()
    }

    fn report<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        report: &'a Report,
    ) -> BoxFuture<'a, Result<Reported, Error>> {
        self.report_by_status(repository, commit, report).boxed()
    }
}
