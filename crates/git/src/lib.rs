//! Fetches from Git repositories, through `fleet::outbound` alone.
//!
//! ```text
//! Git ─ file, tree, last_change ─▶ program git ─▶ Gateway on 127.0.0.1 ─ fleet::outbound ─▶ https://git.example/org/repo
//! ```
//! The program must be installed. It sees neither files nor environment of this machine, and whatever it asks goes through
//! our own client: addresses are checked, certificates verified, and sizes and times bounded there.

mod error;
mod gateway;
mod names;
mod program;
#[cfg(test)]
mod tests;

use std::time::Duration;

use fleet::outbound::{Client, Url};
use tokio::time::error::Elapsed;

pub use error::Error;
pub use names::{is_commit, is_path, is_revision};

use crate::gateway::Gateway;
use crate::program::{Depth, Repository};

/// What a fetch may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub timeout: Duration,
    /// Bytes that the server may send.
    pub transfer: u64,
    /// Bytes of what is asked for: of one file, or of all files together.
    pub content: u64,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The commit that it is of.
    pub commit: String,
    pub content: Vec<u8>,
}

/// The files of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The commit that they are of.
    pub commit: String,
    /// Paths, relative to the folder, and contents; by path. Links and submodules are left out.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Fetches as nobody in particular. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Git {
    outbound: Client,
}

impl Git {
    pub fn new(outbound: Client) -> Self {
        Self { outbound }
    }

    /// The file at `path`, at `revision`: a branch, a tag, or the full name of a commit.
    pub async fn file(&self, url: &Url, revision: &str, path: &str, limits: Limits) -> Result<File, Error> {
        check_revision(revision)?;
        check_path(path)?;
        let work = Work::begin(&self.outbound, url, limits).await?;
        let done = tokio::time::timeout(limits.timeout, async {
            let commit = work.repository.fetch(revision, Depth::Commit).await?;
            match work.repository.file(&commit, path, limits.content).await? {
                Some(content) => Ok(File { commit, content }),
                None => Err(gone("file", path, revision, &commit)),
            }
        });
        let done = done.await;
        work.end(done, limits)
    }

    /// The files of `folder`, and of those below it, whose path in it is wanted. An empty `folder` means all of the
    /// repository; no `revision` the branch that the server calls its own.
    pub async fn tree(
        &self,
        url: &Url,
        revision: Option<&str>,
        folder: &str,
        is_wanted: impl Fn(&str) -> bool,
        limits: Limits,
    ) -> Result<Tree, Error> {
        let revision = revision.unwrap_or("HEAD");
        check_revision(revision)?;
        if !folder.is_empty() {
            check_path(folder)?;
        }
        let work = Work::begin(&self.outbound, url, limits).await?;
        let done = tokio::time::timeout(limits.timeout, async {
            let repository = &work.repository;
            let commit = repository.fetch(revision, Depth::Commit).await?;
            let Some(mut entries) = repository.list(&commit, folder).await? else {
                return Err(gone("folder", folder, revision, &commit));
            };
            entries.retain(|entry| is_wanted(&entry.path));
            let contents = repository.contents(&commit, &entries, limits.content).await?;
            let files = entries.into_iter().map(|entry| entry.path).zip(contents).collect();
            Ok(Tree { commit, files })
        });
        let done = done.await;
        work.end(done, limits)
    }

    /// The newest commit, up to `revision`, that changed `path`; merges do not count.
    pub async fn last_change(
        &self,
        url: &Url,
        revision: Option<&str>,
        path: &str,
        limits: Limits,
    ) -> Result<String, Error> {
        let revision = revision.unwrap_or("HEAD");
        check_revision(revision)?;
        check_path(path)?;
        let work = Work::begin(&self.outbound, url, limits).await?;
        let done = tokio::time::timeout(limits.timeout, async {
            let commit = work.repository.fetch(revision, Depth::History).await?;
            let found = work.repository.last_change(&commit, path).await?;
            found.ok_or_else(|| gone("file or folder", path, revision, &commit))
        });
        let done = done.await;
        work.end(done, limits)
    }
}

/// A repository that is gone afterwards, and the way to its server.
struct Work {
    gateway: Gateway,
    repository: Repository,
}

impl Work {
    async fn begin(outbound: &Client, url: &Url, limits: Limits) -> Result<Self, Error> {
        let broken = |error: std::io::Error| Error::Broken(error.to_string());
        let gateway = Gateway::start(outbound, url.clone(), limits.transfer, limits.timeout).await;
        let gateway = gateway.map_err(broken)?;
        let repository = Repository::make(gateway.url()).map_err(broken)?;
        Ok(Self { gateway, repository })
    }

    /// Trouble on the way to the server comes before what Git makes of it.
    fn end<T>(self, done: Result<Result<T, Error>, Elapsed>, limits: Limits) -> Result<T, Error> {
        let Self { gateway, repository } = self;
        // Removing thousands of files takes a while.
        tokio::task::spawn_blocking(move || drop(repository));
        let late = |_| Err(Error::Broken(format!("not fetched within {:?}", limits.timeout)));
        done.unwrap_or_else(late).map_err(|error| gateway.trouble().unwrap_or(error))
    }
}

fn check_revision(revision: &str) -> Result<(), Error> {
    let wrong = || Error::Refused(format!("{revision:?} is no branch, tag or commit"));
    is_revision(revision).then_some(()).ok_or_else(wrong)
}

fn check_path(path: &str) -> Result<(), Error> {
    let wrong = || Error::Refused(format!("{path:?} is no path in a repository, as tasks/build.yaml"));
    is_path(path).then_some(()).ok_or_else(wrong)
}

fn gone(what: &str, path: &str, revision: &str, commit: &str) -> Error {
    Error::Refused(format!("there is no {what} {path:?} at revision {revision:?} ({commit})"))
}
