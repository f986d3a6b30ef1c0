//! The REST API of Bitbucket Server (Data Center), version 1.0.

mod conversation;
mod shape;

use fleet::Secret;
use fleet::outbound::{self, Credential, Url};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;

use self::shape::{FoundCommit, Page};
use crate::contents::{Commit, Contents, Repository};
use crate::error::Error;
use crate::http_api::{Api, MAX_PAGES, below, commit_named, endless, without_api};

/// Where its API is.
const API: &str = "/rest/api/1.0";

/// Entries on a page. Servers may give fewer.
const PAGE: &str = "500";

/// A Bitbucket Server, as one credential sees it.
pub(crate) struct Server {
    server: Url,
    api: Api,
}

impl Server {
    pub(crate) fn new(
        server: &Url,
        token: Option<&Secret<String>>,
        outbound: &outbound::Client,
    ) -> Result<Self, Error> {
        let bearer = |base: &Url| token.map(|token| Credential::bearer(base, token));
        let server = without_api(server, API);
        let base = below(&server, API.trim_start_matches('/'));
        Ok(Self { server, api: Api::new(outbound, base, "application/json", bearer)? })
    }

    /// The path of something that belongs to a repository.
    fn of<'a>(repository: &'a Repository, rest: &[&'a str]) -> Vec<&'a str> {
        let mut segments = vec!["projects", repository.owner(), "repos", repository.name()];
        segments.extend(rest);
        segments
    }

    /// Gets a list, page by page, until it ends or has `most` entries.
    async fn list<T: DeserializeOwned>(
        &self,
        what: &str,
        segments: &[&str],
        query: &[(&str, &str)],
        most: usize,
    ) -> Result<Vec<T>, Error> {
        let (mut entries, mut start) = (Vec::new(), 0);
        for _ in 0..MAX_PAGES {
            let text = start.to_string();
            let mut query = query.to_vec();
            query.extend([("limit", PAGE), ("start", text.as_str())]);
            let mut found: Page<T> = self.api.read(what, segments, &query).await?;
            entries.append(&mut found.values);
            let next = found.next_page_start.filter(|next| !found.is_last && *next > start);
            let Some(next) = next.filter(|_| entries.len() < most) else {
                entries.truncate(most);
                return Ok(entries);
            };
            start = next;
        }
        Err(endless(what))
    }

    /// By the list of commits, as in the path of one a branch could have no slash.
    async fn found_commit(&self, repository: &Repository, revision: &str) -> Result<FoundCommit, Error> {
        let what = format!("revision {revision:?} of {repository}");
        let query = [("until", revision), ("limit", "1")];
        let found: Page<FoundCommit> =
            self.api.read(&what, &Self::of(repository, &["commits"]), &query).await?;
        found.values.into_iter().next().ok_or(Error::NotFound { what })
    }
}

impl Contents for Server {
    fn commit<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<Commit, Error>> {
        async move {
            let found = self.found_commit(repository, revision).await?;
            commit_named(&format!("revision {revision:?} of {repository}"), &found.id)
        }
        .boxed()
    }

    fn file<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        path: &'a str,
        limit: u64,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        async move {
            let what = format!("file {path:?} of {repository} at {commit}");
            let mut segments = Self::of(repository, &["raw"]);
            segments.extend(path.split('/').filter(|part| !part.is_empty()));
            let query = [("at", commit.as_str())];
            let answer = self.api.get(&what, &segments, &query, Some("*/*"), limit).await?;
            Ok(answer.body().to_vec())
        }
        .boxed()
    }

    fn clone_url(&self, repository: &Repository) -> String {
        let owner = repository.owner().to_ascii_lowercase();
        below(&self.server, &format!("scm/{owner}/{}.git", repository.name())).to_string()
    }
}
