//! GitHub's REST API.

use fleet::Secret;
use fleet::outbound::{self, Credential, Url};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::contents::{Commit, Contents, Repository};
use crate::error::Error;
use crate::http_api::{Api, below};

const PUBLIC: &str = "github.com";
const PUBLIC_API: &str = "https://api.github.com/";

pub(crate) struct GitHub {
    server: Url,
    api: Api,
}

impl GitHub {
    pub(crate) fn new(
        server: &Url,
        token: Option<&Secret<String>>,
        outbound: &outbound::Client,
    ) -> Result<Self, Error> {
        // GitHub's own has a host for its API; that of enterprises has a path.
        let base = match Url::parse(PUBLIC_API) {
            Ok(public) if server.host_str() == Some(PUBLIC) => public,
            _ => below(server, "api/v3/"),
        };
        let bearer = |base: &Url| token.map(|token| Credential::bearer(base, token));
        let api = Api::new(outbound, base, "application/vnd.github+json", bearer)?;
        Ok(Self { server: server.clone(), api })
    }
}

impl Contents for GitHub {
    fn commit<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<Commit, Error>> {
        let what = format!("revision {revision:?} of {repository}");
        async move {
            let segments = ["repos", repository.owner(), repository.name(), "commits", revision];
            let text = |answer: &outbound::Response| Ok(String::from_utf8_lossy(answer.body()).into_owned());
            self.api.commit(&what, &segments, Some("application/vnd.github.sha"), text).await
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
            let mut segments = vec!["repos", repository.owner(), repository.name(), "contents"];
            segments.extend(path.split('/').filter(|part| !part.is_empty()));
            let query = [("ref", commit.as_str())];
            let raw = Some("application/vnd.github.raw+json");
            let answer = self.api.get(&what, &segments, &query, raw, limit).await?;
            // A directory is answered as a list, whatever was asked for.
            let kind = answer.headers().get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            if kind.is_some_and(|kind| kind.starts_with("application/json")) {
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
