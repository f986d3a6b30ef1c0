//! Pull requests, people and comments at GitHub.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::GitHub;
use crate::contents::{Commit, Repository};
use crate::conversation::{
    Before, Change, ChangedFiles, Comment, CommentId, CommitText, File, FileLimits, Forge, PullRequest,
    Report, Reported, User,
};
use crate::error::Error;
use crate::files::{Entry, Reader, read_all};
use crate::http_api::{first_characters, yes_or_no};
use crate::hub::{ChangedFile, FoundComment, Listing, Made, Pull, sorted};

/// Files of a pull request that GitHub tells of.
const MAX_CHANGED: usize = 3000;

/// Comments on a pull request that are read.
const MAX_COMMENTS: usize = 1000;

/// Characters of a comment that GitHub takes.
const MAX_COMMENT: usize = 65_536;

#[derive(Deserialize)]
struct FoundCommit {
    sha: String,
    html_url: String,
    commit: Message,
}

#[derive(Deserialize)]
struct FoundFiles {
    #[serde(default)]
    files: Vec<ChangedFile>,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

#[derive(Deserialize)]
struct FoundTeam {
    slug: String,
}

#[derive(Deserialize)]
struct Membership {
    state: String,
}

impl GitHub {
    async fn found_commit(&self, repository: &Repository, revision: &str) -> Result<FoundCommit, Error> {
        let what = format!("revision {revision:?} of {repository}");
        let segments = ["repos", repository.owner(), repository.name(), "commits", revision];
        // Of the files that it changed, which come with it, one: there may be thousands.
        self.api.read(&what, &segments, &[("per_page", "1")]).await
    }

    /// What a commit changed against its first parent.
    async fn files_of(&self, repository: &Repository, commit: &Commit) -> Result<Vec<ChangedFile>, Error> {
        let what = format!("files changed by {commit} of {repository}");
        let segments = ["repos", repository.owner(), repository.name(), "commits", commit.as_str()];
        self.api.list_within(&what, &segments, &[], MAX_CHANGED, |found: FoundFiles| found.files).await
    }

    async fn changed_by(&self, repository: &Repository, change: &Change) -> Result<ChangedFiles, Error> {
        let (owner, name) = (repository.owner(), repository.name());
        let files = match change {
            Change::PullRequest(number) => {
                let what = format!("files of pull request {number} of {repository}");
                let number = number.to_string();
                let segments = ["repos", owner, name, "pulls", &number, "files"];
                self.api.list(&what, &segments, &[], MAX_CHANGED).await?
            }
            Change::Push { before: Some(before), after } => {
                let what = format!("files changed between {before} and {after} of {repository}");
                let range = format!("{before}...{after}");
                let segments = ["repos", owner, name, "compare", &range];
                // All files come with the first of the commits.
                match self.api.read::<FoundFiles>(&what, &segments, &[("per_page", "1")]).await {
                    // What was there before a push by force may be gone.
                    Err(Error::NotFound { .. }) => self.files_of(repository, after).await?,
                    found => found?.files,
                }
            }
            Change::Push { before: None, after } => self.files_of(repository, after).await?,
        };
        Ok(sorted(files))
    }

    async fn contributes(&self, repository: &Repository, user: &User) -> Result<bool, Error> {
        let (owner, name, login) = (repository.owner(), repository.name(), user.login.as_str());
        if owner.eq_ignore_ascii_case(login) {
            return Ok(true);
        }
        let what = format!("collaborator {login:?} of {repository}");
        match self.is_member(owner, login).await {
            Ok(true) => Ok(true),
            Ok(false) => self.api.is_so(&what, &["repos", owner, name, "collaborators", login]).await,
            // The token may not see members; that somebody is a collaborator is enough.
            Err(error @ Error::Forbidden { .. }) => {
                match self.api.is_so(&what, &["repos", owner, name, "collaborators", login]).await {
                    Ok(true) => Ok(true),
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether somebody is a member of an organisation. Nobody is one of a person.
    async fn is_member(&self, organization: &str, login: &str) -> Result<bool, Error> {
        let what = format!("member {login:?} of {organization}");
        let answer = self.api.ask(&what, &["orgs", organization, "members", login]).await?;
        // Who is no member is told of public memberships only, and elsewhere.
        if answer.status() == StatusCode::FOUND {
            return self.api.is_so(&what, &["orgs", organization, "public_members", login]).await;
        }
        yes_or_no(&what, answer)
    }

    async fn team(&self, repository: &Repository, team: &str, login: &str) -> Result<Option<bool>, Error> {
        let owner = repository.owner();
        let what = format!("member {login:?} of team {team:?} of {owner}");
        let segments = ["orgs", owner, "teams", team, "memberships", login];
        if let Some(membership) = self.api.find::<Membership>(&what, &segments).await? {
            return Ok(Some(membership.state == "active"));
        }
        // There may be no team as well as no member of it.
        let what = format!("team {team:?} of {owner}");
        let found: Option<FoundTeam> = self.api.find(&what, &["orgs", owner, "teams", team]).await?;
        Ok(found.filter(|found| found.slug.eq_ignore_ascii_case(team)).map(|_| false))
    }
}

impl Reader for GitHub {
    fn entries<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        directory: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Error>> {
        async move {
            let what = format!("directory {directory:?} of {repository} at {commit}");
            let mut segments = vec!["repos", repository.owner(), repository.name(), "contents"];
            segments.extend(directory.split('/').filter(|part| !part.is_empty()));
            let query = [("ref", commit.as_str())];
            Ok(self.api.read::<Listing>(&what, &segments, &query).await?.entries())
        }
        .boxed()
    }
}

impl Forge for GitHub {
    fn describe<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<CommitText, Error>> {
        async move {
            let found = self.found_commit(repository, revision).await?;
            let commit = found.sha.parse().map_err(|error| Error::invalid(repository, error))?;
            Ok(CommitText { commit, message: found.commit.message, url: found.html_url })
        }
        .boxed()
    }

    fn pull_request<'a>(
        &'a self,
        repository: &'a Repository,
        number: u64,
    ) -> BoxFuture<'a, Result<PullRequest, Error>> {
        async move {
            let what = format!("pull request {number} of {repository}");
            let text = number.to_string();
            let segments = ["repos", repository.owner(), repository.name(), "pulls", &text];
            let found: Pull = self.api.read(&what, &segments, &[]).await?;
            found.into_pull_request(repository)
        }
        .boxed()
    }

    fn pull_requests_of<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
    ) -> BoxFuture<'a, Result<Vec<u64>, Error>> {
        async move {
            let what = format!("pull requests of {commit} of {repository}");
            let segments =
                ["repos", repository.owner(), repository.name(), "commits", commit.as_str(), "pulls"];
            let found: Vec<Pull> = self.api.list(&what, &segments, &[], MAX_CHANGED).await?;
            let is_head = |pull: &Pull| pull.state == "open" && pull.head.sha == commit.as_str();
            Ok(found.into_iter().filter(is_head).map(|pull| pull.number).collect())
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

    fn is_in_team<'a>(
        &'a self,
        repository: &'a Repository,
        team: &'a str,
        user: &'a User,
    ) -> BoxFuture<'a, Result<Option<bool>, Error>> {
        self.team(repository, team, &user.login).boxed()
    }

    fn comments<'a>(
        &'a self,
        repository: &'a Repository,
        number: u64,
    ) -> BoxFuture<'a, Result<Vec<Comment>, Error>> {
        async move {
            let what = format!("comments on pull request {number} of {repository}");
            let number = number.to_string();
            let segments = ["repos", repository.owner(), repository.name(), "issues", &number, "comments"];
            let found: Vec<FoundComment> = self.api.list(&what, &segments, &[], MAX_COMMENTS).await?;
            Ok(found.into_iter().map(Comment::from).collect())
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
            let (owner, name) = (repository.owner(), repository.name());
            let body = json!({ "body": first_characters(text, MAX_COMMENT) });
            if let Some(CommentId(id)) = instead_of {
                let segments = ["repos", owner, name, "issues", "comments", &id.to_string()];
                match self.api.write::<Made>(Method::PATCH, &what, &segments, &body).await {
                    // Somebody has deleted it.
                    Err(Error::NotFound { .. }) => {}
                    made => return Ok(CommentId(made?.id)),
                }
            }
            let segments = ["repos", owner, name, "issues", &number.to_string(), "comments"];
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
        async move {
            if self.is_app {
                self.report_by_check_run(repository, commit, report).await
            } else {
                self.report_by_status(repository, commit, report).await
            }
        }
        .boxed()
    }

    fn announce<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        report: &'a Report,
        before: Before,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            if self.is_app {
                self.announce_by_check_run(repository, commit, report, before.app).await
            } else {
                self.announce_by_status(repository, commit, report).await
            }
        }
        .boxed()
    }
}
