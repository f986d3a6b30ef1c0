//! Pull requests, people, comments and statuses at Gitea and Forgejo.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::Gitea;
use crate::contents::{Commit, Repository};
use crate::conversation::{
    Before, Change, ChangedFiles, Comment, CommentId, CommitText, File, FileLimits, Forge, PullRequest,
    Report, Reported, User,
};
use crate::error::Error;
use crate::files::{Entry, Reader, read_all};
use crate::http_api::yes_or_no;
use crate::hub::{Account, ChangedFile, FoundComment, Listing, Made, Pull, sorted};

/// Files of a pull request that are read of.
const MAX_CHANGED: usize = 3000;

/// Open pull requests that are looked through for a commit.
const MAX_PULLS: usize = 500;

/// Comments on a pull request that are read.
const MAX_COMMENTS: usize = 1000;

/// Teams of an organisation that are looked through.
const MAX_TEAMS: usize = 1000;

#[derive(Deserialize)]
struct FoundCommit {
    sha: String,
    html_url: String,
    commit: Message,
    #[serde(default)]
    files: Option<Vec<ChangedFile>>,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

#[derive(Deserialize)]
struct Compared {
    #[serde(default)]
    commits: Option<Vec<ComparedCommit>>,
}

#[derive(Deserialize)]
struct ComparedCommit {
    #[serde(default)]
    files: Option<Vec<ChangedFile>>,
}

#[derive(Deserialize)]
struct Team {
    id: u64,
    name: String,
}

/// What became of files over several commits, of which the forge names the newest first.
fn of_commits(compared: Compared) -> ChangedFiles {
    let mut became: BTreeMap<String, String> = BTreeMap::new();
    let commits = compared.commits.into_iter().flatten().rev();
    for file in commits.flat_map(|commit| commit.files.unwrap_or_default()) {
        let before = became.get(&file.filename).map_or("", String::as_str);
        match (before, file.status.as_str()) {
            // It was not there at the beginning.
            ("added", "removed") => _ = became.remove(&file.filename),
            ("added", _) => {}
            ("removed", "added") => _ = became.insert(file.filename, "modified".to_owned()),
            _ => _ = became.insert(file.filename, file.status),
        }
    }
    sorted(became.into_iter().map(|(filename, status)| ChangedFile { filename, status }).collect())
}

impl Gitea {
    async fn found_commit(
        &self,
        repository: &Repository,
        revision: &str,
        with_files: bool,
    ) -> Result<FoundCommit, Error> {
        let what = format!("revision {revision:?} of {repository}");
        let segments = ["repos", repository.owner(), repository.name(), "git", "commits", revision];
        let files = if with_files { "true" } else { "false" };
        let query = [("stat", "false"), ("verification", "false"), ("files", files)];
        self.api.read(&what, &segments, &query).await
    }

    /// What a commit changed against its first parent.
    async fn files_of(&self, repository: &Repository, commit: &Commit) -> Result<Vec<ChangedFile>, Error> {
        let found = self.found_commit(repository, commit.as_str(), true).await?;
        Ok(found.files.unwrap_or_default())
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
                match self.api.read::<Compared>(&what, &segments, &[]).await {
                    Ok(compared) => return Ok(of_commits(compared)),
                    // What was there before a push by force may be gone.
                    Err(Error::NotFound { .. }) => self.files_of(repository, after).await?,
                    Err(error) => return Err(error),
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
        let answer = self.api.ask(&what, &["repos", owner, name, "collaborators", login]).await?;
        // Gitea's word for somebody whom it does not know at all.
        if answer.status() == StatusCode::UNPROCESSABLE_ENTITY {
            return Ok(false);
        }
        yes_or_no(&what, answer)
    }

    async fn team(&self, repository: &Repository, team: &str, login: &str) -> Result<Option<bool>, Error> {
        let owner = repository.owner();
        let what = format!("team {team:?} of {owner}");
        // Not by the search, which finds those teams only that the token's user is in.
        let found: Vec<Team> = match self.api.list(&what, &["orgs", owner, "teams"], &[], MAX_TEAMS).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let Some(team) = found.into_iter().find(|one| one.name.eq_ignore_ascii_case(team)) else {
            return Ok(None);
        };
        let what = format!("member {login:?} of team {:?} of {owner}", team.name);
        let segments = ["teams", &team.id.to_string(), "members", login];
        let member: Option<Account> = self.api.find(&what, &segments).await?;
        Ok(Some(member.is_some_and(|member| member.login.eq_ignore_ascii_case(login))))
    }
}

impl Reader for Gitea {
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

impl Forge for Gitea {
    fn describe<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<CommitText, Error>> {
        async move {
            let found = self.found_commit(repository, revision, false).await?;
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
            let number = number.to_string();
            let segments = ["repos", repository.owner(), repository.name(), "pulls", &number];
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
            let what = format!("open pull requests of {repository}");
            let segments = ["repos", repository.owner(), repository.name(), "pulls"];
            let found: Vec<Pull> = self.api.list(&what, &segments, &[("state", "open")], MAX_PULLS).await?;
            let is_head = |pull: &Pull| pull.head.sha == commit.as_str();
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
            let body = json!({ "body": text });
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
        self.report_by_status(repository, commit, report).boxed()
    }

    fn announce<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        report: &'a Report,
        _: Before,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.announce_by_status(repository, commit, report).boxed()
    }
}
