//! Pull requests, people, comments and build statuses at Bitbucket Cloud.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::shape::{
    BuildStatus, Difference, FoundComment, FoundCommit, FoundRepository, Listed, Made, Member, Pull,
};
use super::{Cloud, is_file};
use crate::contents::{Commit, Repository};
use crate::conversation::{
    Change, ChangedFiles, Comment, CommentId, CommitText, File, FileLimits, Forge, PullRequest, Report,
    Reported, User, Verdict,
};
use crate::error::Error;
use crate::files::{Entry, Reader, read_all};
use crate::http_api::{JSON_LIMIT, below, commit_named, decode, first_characters};

/// Files of a pull request that are read of, and entries of a directory.
const MAX_ENTRIES: usize = 3000;

/// Open pull requests that are looked through for a commit.
const MAX_PULLS: usize = 500;

/// Comments on a pull request that are read.
const MAX_COMMENTS: usize = 1000;

/// Characters of a comment.
const MAX_COMMENT: usize = 32_768;

/// Characters of a status' key.
const MAX_KEY: usize = 40;

/// Characters of a status that people see.
const MAX_DESCRIPTION: usize = 255;

/// The most on a page of most lists, and of pull requests.
const PAGE: (&str, &str) = ("pagelen", "100");
const PAGE_OF_PULLS: (&str, &str) = ("pagelen", "50");

/// How deep a directory is listed. What lies deeper is not seen.
const DEPTH: (&str, &str) = ("max_depth", "10");

/// What tells one status of a commit from another: the context, or what stands for it where it is too long.
fn key(context: &str) -> String {
    if context.chars().count() <= MAX_KEY {
        return context.to_owned();
    }
    HEXLOWER.encode(digest(&SHA256, context.as_bytes()).as_ref())[..MAX_KEY].to_owned()
}

fn sorted(differences: Vec<Difference>) -> ChangedFiles {
    let mut changed = ChangedFiles::default();
    for Difference { status, old, new } in differences {
        let kind = match status.as_str() {
            "added" => &mut changed.added,
            "removed" => &mut changed.deleted,
            "renamed" => &mut changed.renamed,
            _ => &mut changed.modified,
        };
        kind.extend(new.or(old).map(|place| place.path));
    }
    changed
}

impl Cloud {
    async fn pull(&self, repository: &Repository, number: u64) -> Result<PullRequest, Error> {
        let what = format!("pull request {number} of {repository}");
        let text = number.to_string();
        let found: Pull = self.api.read(&what, &Self::of(repository, &["pullrequests", &text]), &[]).await?;
        let of: FoundRepository =
            self.api.read(&repository.to_string(), &Self::of(repository, &[]), &[]).await?;
        Ok(PullRequest {
            number: found.id,
            head_commit: self.head(&what, &found).await?,
            is_open: found.state == "OPEN",
            author: found.author.map(User::from).unwrap_or_default(),
            head: found.source.branch(),
            base: found.destination.branch(),
            title: found.title,
            url: found.links.html.href,
            pushed_at: None,
            default_branch: of.mainbranch.map(|branch| branch.name).unwrap_or_default(),
            labels: Vec::new(),
        })
    }

    /// The whole name of a pull request's commit, of which the pull request tells twelve digits.
    async fn head(&self, what: &str, pull: &Pull) -> Result<Commit, Error> {
        let (Some(commit), Some(source)) = (&pull.source.commit, &pull.source.repository) else {
            return Err(Error::invalid(what, "its branch is gone, or the fork that it was in"));
        };
        let repository = source
            .full_name
            .split_once('/')
            .and_then(|(owner, name)| Repository::new(owner, name).ok())
            .ok_or_else(|| Error::invalid(what, "the name of the repository that it comes from is none"))?;
        let segments = Self::of(&repository, &["commit", &commit.hash]);
        let found: FoundCommit = self.api.read(what, &segments, &[]).await?;
        commit_named(what, &found.hash)
    }

    async fn changed_by(&self, repository: &Repository, change: &Change) -> Result<ChangedFiles, Error> {
        let (what, spec) = match change {
            Change::PullRequest(number) => {
                let what = format!("files of pull request {number} of {repository}");
                let segments = ["pullrequests", &number.to_string(), "diffstat"];
                return self.differences(&what, &Self::of(repository, &segments)).await;
            }
            Change::Push { before: Some(before), after } => {
                // Here the newer commit comes first.
                (
                    format!("files changed between {before} and {after} of {repository}"),
                    format!("{after}..{before}"),
                )
            }
            Change::Push { before: None, after } => {
                (format!("files changed by {after} of {repository}"), after.to_string())
            }
        };
        match (self.differences(&what, &Self::of(repository, &["diffstat", &spec])).await, change) {
            // What was there before a push by force may be gone.
            (Err(Error::NotFound { .. }), Change::Push { before: Some(_), after }) => {
                let segments = ["diffstat", after.as_str()];
                self.differences(&what, &Self::of(repository, &segments)).await
            }
            (found, _) => found,
        }
    }

    async fn differences(&self, what: &str, segments: &[&str]) -> Result<ChangedFiles, Error> {
        Ok(sorted(self.list(what, segments, &[PAGE], MAX_ENTRIES).await?))
    }

    /// By the account: names can be changed.
    async fn contributes(&self, repository: &Repository, user: &User) -> Result<bool, Error> {
        let Some(id) = &user.id else { return Ok(false) };
        let workspace = repository.owner();
        let what = format!("member {:?} of {workspace}", user.login);
        let found: Option<Member> = self.api.find(&what, &["workspaces", workspace, "members", id]).await?;
        Ok(found.is_some_and(|member| member.user.account_id.as_ref() == Some(id)))
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
            let key = key(replaced);
            let segments = Self::of(repository, &["commit", commit.as_str(), "statuses", "build", &key]);
            let found: Option<BuildStatus> = self.api.find(&what, &segments).await?;
            if found.is_some_and(|found| found.state == "INPROGRESS") {
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
            Verdict::Failure | Verdict::Error => "FAILED",
            Verdict::Neutral | Verdict::Cancelled | Verdict::Deleted => "STOPPED",
        };
        // There has to be one.
        let page = || below(&self.server, &format!("{repository}/commits/{commit}")).to_string();
        let body = json!({
            "key": key(&report.context),
            "name": first_characters(&report.context, MAX_DESCRIPTION),
            "state": state,
            "description": first_characters(&report.title, MAX_DESCRIPTION),
            "url": report.details_url.clone().unwrap_or_else(page),
        });
        let segments = Self::of(repository, &["commit", commit.as_str(), "statuses", "build"]);
        self.api.write::<IgnoredAny>(Method::POST, &what, &segments, &body).await?;
        Ok(())
    }
}

impl Reader for Cloud {
    fn entries<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        directory: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Error>> {
        async move {
            let what = format!("directory {directory:?} of {repository} at {commit}");
            let mut segments = Self::of(repository, &["src", commit.as_str()]);
            segments.extend(directory.split('/').filter(|part| !part.is_empty()));
            let first = self.api.get(&what, &segments, &[PAGE, DEPTH], None, JSON_LIMIT).await?;
            if is_file(&first) {
                return Ok(Vec::new());
            }
            let found: Vec<Listed> = self.list_from(&what, decode(&what, &first)?, MAX_ENTRIES).await?;
            Ok(found.into_iter().map(Entry::from).collect())
        }
        .boxed()
    }
}

impl Forge for Cloud {
    fn describe<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<CommitText, Error>> {
        async move {
            let found = self.found_commit(repository, revision).await?;
            let what = format!("revision {revision:?} of {repository}");
            let commit = commit_named(&what, &found.hash)?;
            Ok(CommitText { commit, message: found.message, url: found.links.html.href })
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
            let what = format!("open pull requests of {repository}");
            let query = [("state", "OPEN"), PAGE_OF_PULLS];
            let segments = Self::of(repository, &["pullrequests"]);
            let found: Vec<Pull> = self.list(&what, &segments, &query, MAX_PULLS).await?;
            let is_head = |pull: &Pull| {
                let head = pull.source.commit.as_ref().map_or("", |head| head.hash.as_str());
                head.len() >= 12 && commit.as_str().starts_with(head)
            };
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

    /// Bitbucket has groups, and no teams in a workspace that its API tells of.
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
            let segments = Self::of(repository, &["pullrequests", &number, "comments"]);
            let query = [("sort", "created_on"), PAGE];
            let found: Vec<FoundComment> = self.list(&what, &segments, &query, MAX_COMMENTS).await?;
            Ok(found.into_iter().filter(|comment| !comment.deleted).map(Comment::from).collect())
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
            let number = number.to_string();
            let body: Value = json!({ "content": { "raw": first_characters(text, MAX_COMMENT) } });
            if let Some(CommentId(id)) = instead_of {
                let id = id.to_string();
                let segments = Self::of(repository, &["pullrequests", &number, "comments", &id]);
                match self.api.write::<Made>(Method::PUT, &what, &segments, &body).await {
                    // Somebody has deleted it.
                    Err(Error::NotFound { .. }) => {}
                    made => return Ok(CommentId(made?.id)),
                }
            }
            let segments = Self::of(repository, &["pullrequests", &number, "comments"]);
            let made: Made = self.api.create(&what, &segments, &body).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fit_and_differ() {
        assert_eq!(key("Konflux / push"), "Konflux / push");
        let (one, other) = (key(&format!("{}a", "x".repeat(40))), key(&format!("{}b", "x".repeat(40))));
        assert_eq!((one.len(), other.len()), (MAX_KEY, MAX_KEY));
        assert_ne!(one, other);
    }
}
