//! Merge requests, people, notes and statuses at GitLab.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;
use serde_json::json;

use super::GitLab;
use super::shape::{
    Account, Compared, Diff, FoundCommit, LINK, Made, Member, MergeRequest, Note, Project, TreeEntry, branch,
    sorted,
};
use crate::contents::{Commit, Repository};
use crate::conversation::{
    Before, Change, ChangedFiles, Comment, CommentId, CommitText, File, FileLimits, Forge, PullRequest,
    Report, Reported, User,
};
use crate::error::Error;
use crate::files::{Entry, EntryKind, Reader, read_all};

/// Files of a merge request that are read of, and entries of a directory.
const MAX_ENTRIES: usize = 3000;

/// Notes on a merge request that are read.
const MAX_NOTES: usize = 1000;

impl GitLab {
    pub(super) async fn project(&self, id: u64) -> Result<Project, Error> {
        self.api.read(&format!("project {id}"), &["projects", &id.to_string()], &[]).await
    }

    async fn merge_request(&self, repository: &Repository, number: u64) -> Result<PullRequest, Error> {
        let what = format!("merge request {number} of {repository}");
        let (project, number) = (repository.to_string(), number.to_string());
        let segments = ["projects", &project, "merge_requests", &number];
        let found: MergeRequest = self.api.read(&what, &segments, &[]).await?;
        let target = self.project(found.target_project_id).await?;
        let (default_branch, head_commit) = (target.default_branch.clone(), found.sha.unwrap_or_default());
        let base = branch(found.target_branch, Some(found.target_project_id), Some(&target));
        let head = match found.source_project_id {
            Some(source) if source == found.target_project_id => {
                branch(found.source_branch, Some(source), Some(&target))
            }
            Some(source) => {
                let project = self.project(source).await?;
                branch(found.source_branch, Some(source), Some(&project))
            }
            None => branch(found.source_branch, None, None),
        };
        Ok(PullRequest {
            number: found.iid,
            title: found.title,
            url: found.web_url,
            is_open: found.state == "opened",
            author: found.author.into(),
            head,
            head_commit: head_commit.parse().map_err(|error| Error::invalid(&what, error))?,
            base,
            pushed_at: None,
            default_branch: default_branch.unwrap_or_default(),
            labels: found.labels,
        })
    }

    /// What a commit changed against its first parent.
    async fn diffs_of(&self, repository: &Repository, commit: &Commit) -> Result<Vec<Diff>, Error> {
        let what = format!("files changed by {commit} of {repository}");
        let project = repository.to_string();
        let segments = ["projects", &project, "repository", "commits", commit.as_str(), "diff"];
        self.api.list(&what, &segments, &[], MAX_ENTRIES).await
    }

    async fn changed_by(&self, repository: &Repository, change: &Change) -> Result<ChangedFiles, Error> {
        let project = repository.to_string();
        let diffs = match change {
            Change::PullRequest(number) => {
                let what = format!("files of merge request {number} of {repository}");
                let number = number.to_string();
                let segments = ["projects", &project, "merge_requests", &number, "diffs"];
                self.api.list(&what, &segments, &[], MAX_ENTRIES).await?
            }
            Change::Push { before: Some(before), after } => {
                let what = format!("files changed between {before} and {after} of {repository}");
                let segments = ["projects", &project, "repository", "compare"];
                let query = [("from", before.as_str()), ("to", after.as_str())];
                match self.api.read::<Compared>(&what, &segments, &query).await {
                    // What was there before a push by force may be gone.
                    Err(Error::NotFound { .. }) => self.diffs_of(repository, after).await?,
                    compared => compared?.diffs,
                }
            }
            Change::Push { before: None, after } => self.diffs_of(repository, after).await?,
        };
        Ok(sorted(diffs))
    }

    async fn contributes(&self, repository: &Repository, user: &User) -> Result<bool, Error> {
        let what = format!("member {:?} of {repository}", user.login);
        let id = if let Some(id) = &user.id {
            id.clone()
        } else {
            let query = [("username", user.login.as_str())];
            let found: Vec<Account> = self.api.read(&what, &["users"], &query).await?;
            let is_same = |account: &&Account| account.username.eq_ignore_ascii_case(&user.login);
            let Some(account) = found.iter().find(is_same) else { return Ok(false) };
            account.id.to_string()
        };
        let project = repository.to_string();
        let segments = ["projects", &project, "members", "all", &id];
        let member: Option<Member> = self.api.find(&what, &segments).await?;
        Ok(member.is_some_and(|member| member.id.to_string() == id && member.state == "active"))
    }
}

impl Reader for GitLab {
    fn entries<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        directory: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Error>> {
        async move {
            let what = format!("directory {directory:?} of {repository} at {commit}");
            let project = repository.to_string();
            let segments = ["projects", &project, "repository", "tree"];
            let query = [("path", directory), ("ref", commit.as_str()), ("recursive", "true")];
            let found: Vec<TreeEntry> = self.api.list(&what, &segments, &query, MAX_ENTRIES).await?;
            let kind = |entry: &TreeEntry| match entry.kind.as_str() {
                "blob" if entry.mode != LINK => EntryKind::File,
                // Directories are looked into by the same call.
                _ => EntryKind::Other,
            };
            Ok(found
                .into_iter()
                .map(|entry| Entry { kind: kind(&entry), path: entry.path, size: None })
                .collect())
        }
        .boxed()
    }
}

impl Forge for GitLab {
    fn describe<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<CommitText, Error>> {
        async move {
            let what = format!("revision {revision:?} of {repository}");
            let project = repository.to_string();
            let segments = ["projects", &project, "repository", "commits", revision];
            let found: FoundCommit = self.api.read(&what, &segments, &[]).await?;
            let commit = found.id.parse().map_err(|error| Error::invalid(what, error))?;
            Ok(CommitText { commit, message: found.message, url: found.web_url })
        }
        .boxed()
    }

    fn pull_request<'a>(
        &'a self,
        repository: &'a Repository,
        number: u64,
    ) -> BoxFuture<'a, Result<PullRequest, Error>> {
        self.merge_request(repository, number).boxed()
    }

    fn pull_requests_of<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
    ) -> BoxFuture<'a, Result<Vec<u64>, Error>> {
        async move {
            let what = format!("merge requests of {commit} of {repository}");
            let project = repository.to_string();
            let segments = ["projects", &project, "repository", "commits", commit.as_str(), "merge_requests"];
            let found: Vec<MergeRequest> = self.api.list(&what, &segments, &[], MAX_ENTRIES).await?;
            let is_head = |merge_request: &MergeRequest| {
                merge_request.state == "opened" && merge_request.sha.as_deref() == Some(commit.as_str())
            };
            Ok(found.into_iter().filter(is_head).map(|merge_request| merge_request.iid).collect())
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

    /// GitLab has groups, and no teams in them.
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
            let what = format!("notes on merge request {number} of {repository}");
            let (project, number) = (repository.to_string(), number.to_string());
            let segments = ["projects", &project, "merge_requests", &number, "notes"];
            let query = [("sort", "asc"), ("order_by", "created_at")];
            let found: Vec<Note> = self.api.list(&what, &segments, &query, MAX_NOTES).await?;
            Ok(found
                .into_iter()
                .filter(|note| !note.system)
                .map(|note| Comment {
                    id: CommentId(note.id),
                    author: note.author.into(),
                    text: note.body,
                    created_at: note.created_at,
                })
                .collect())
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
            let what = format!("note on merge request {number} of {repository}");
            let (project, number) = (repository.to_string(), number.to_string());
            let notes = ["projects", &project, "merge_requests", &number, "notes"];
            let body = json!({ "body": text });
            if let Some(CommentId(id)) = instead_of {
                let id = id.to_string();
                let segments: Vec<&str> = notes.into_iter().chain([id.as_str()]).collect();
                match self.api.write::<Made>(Method::PUT, &what, &segments, &body).await {
                    // Somebody has deleted it.
                    Err(Error::NotFound { .. }) => {}
                    made => return Ok(CommentId(made?.id)),
                }
            }
            let made: Made = self.api.create(&what, &notes, &body).await?;
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

    fn announce<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        report: &'a Report,
        before: Before,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.announce_by_status(repository, commit, report, before.merge_request).boxed()
    }
}
