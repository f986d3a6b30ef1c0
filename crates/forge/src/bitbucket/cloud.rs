//! The REST API of Bitbucket Cloud, version 2.0.

mod conversation;
mod shape;

use fleet::Secret;
use fleet::outbound::{self, Credential, Url};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header;
use serde::de::DeserializeOwned;

use self::shape::{FoundCommit, FoundReference, Page};
use crate::contents::{Access, Commit, Contents, Repository};
use crate::error::Error;
use crate::http_api::{Api, MAX_PAGES, below, commit_named, endless, without_api};

const PUBLIC: &str = "https://bitbucket.org/";
const PUBLIC_API: &str = "https://api.bitbucket.org/2.0/";

/// Where other servers have their API.
const API: &str = "/2.0";

/// Bitbucket Cloud, as one credential sees it.
pub(crate) struct Cloud {
    server: Url,
    api: Api,
}

impl Cloud {
    /// With a user, the token is their app password; without, one of a repository or a workspace.
    pub(crate) fn new(server: &Url, access: Access<'_>, outbound: &outbound::Client) -> Result<Self, Error> {
        let credential = |base: &Url| {
            access.token.map(|token: &Secret<String>| match access.user {
                Some(user) => Credential::basic(base, user, token),
                None => Credential::bearer(base, token),
            })
        };
        let (server, base) = addresses(server);
        Ok(Self { server, api: Api::new(outbound, base, "application/json", credential)? })
    }

    /// The path of something that belongs to a repository.
    fn of<'a>(repository: &'a Repository, rest: &[&'a str]) -> Vec<&'a str> {
        let mut segments = vec!["repositories", repository.owner(), repository.name()];
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
        let page = self.api.read(what, segments, query).await?;
        self.list_from(what, page, most).await
    }

    /// The rest of a list whose first page is known.
    async fn list_from<T: DeserializeOwned>(
        &self,
        what: &str,
        mut page: Page<T>,
        most: usize,
    ) -> Result<Vec<T>, Error> {
        let mut entries = Vec::new();
        for _ in 0..MAX_PAGES {
            entries.append(&mut page.values);
            let Some(next) = page.next.filter(|_| entries.len() < most) else {
                entries.truncate(most);
                return Ok(entries);
            };
            page = self.api.read_next(what, &next).await?;
        }
        Err(endless(what))
    }

    /// By a commit's name, of which twelve digits are enough; by that of a branch or of a tag.
    async fn found_commit(&self, repository: &Repository, revision: &str) -> Result<FoundCommit, Error> {
        let what = format!("revision {revision:?} of {repository}");
        if revision.parse::<Commit>().is_ok() {
            return self.api.read(&what, &Self::of(repository, &["commit", revision]), &[]).await;
        }
        let branch = Self::of(repository, &["refs", "branches", revision]);
        match self.api.read::<FoundReference>(&what, &branch, &[]).await {
            Err(Error::NotFound { .. }) => {
                let tag = Self::of(repository, &["refs", "tags", revision]);
                Ok(self.api.read::<FoundReference>(&what, &tag, &[]).await?.target)
            }
            found => Ok(found?.target),
        }
    }
}

/// A directory is answered as a list; a file is sent as an attachment, whatever was asked for.
fn is_file(answer: &outbound::Response) -> bool {
    answer.headers().contains_key(header::CONTENT_DISPOSITION)
}

/// Where people see the server, and where its API is. Either may be given.
fn addresses(server: &Url) -> (Url, Url) {
    let is_public =
        |public: &Url, api: &Url| [public.host_str(), api.host_str()].contains(&server.host_str());
    match (Url::parse(PUBLIC), Url::parse(PUBLIC_API)) {
        (Ok(public), Ok(api)) if is_public(&public, &api) => (public, api),
        _ => {
            let web = without_api(server, API);
            let api = below(&web, API.trim_start_matches('/'));
            (web, api)
        }
    }
}

impl Contents for Cloud {
    fn commit<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<Commit, Error>> {
        async move {
            let found = self.found_commit(repository, revision).await?;
            commit_named(&format!("revision {revision:?} of {repository}"), &found.hash)
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
            let mut segments = Self::of(repository, &["src", commit.as_str()]);
            segments.extend(path.split('/').filter(|part| !part.is_empty()));
            let answer = self.api.get(&what, &segments, &[], Some("*/*"), limit).await?;
            if !is_file(&answer) {
                return Err(Error::NotFound { what });
            }
            Ok(answer.body().to_vec())
        }
        .boxed()
    }

    fn clone_url(&self, repository: &Repository) -> String {
        below(&self.server, &format!("{repository}.git")).to_string()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::web("https://bitbucket.org", "https://bitbucket.org/", "https://api.bitbucket.org/2.0/")]
    #[case::api("https://api.bitbucket.org/2.0", "https://bitbucket.org/", "https://api.bitbucket.org/2.0/")]
    #[case::other("https://git.test", "https://git.test/", "https://git.test/2.0")]
    #[case::api_of_other("https://git.test/2.0", "https://git.test/", "https://git.test/2.0")]
    fn knows_where_its_api_is(#[case] given: &str, #[case] web: &str, #[case] api: &str) {
        let (found_web, found_api) = addresses(&Url::parse(given).unwrap());
        assert_eq!((found_web.as_str(), found_api.as_str()), (web, api));
    }
}
