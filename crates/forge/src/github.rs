//! GitHub's REST API.

mod app;
mod changes;
mod checks;
mod conversation;
mod statuses;

use fleet::Secret;
use fleet::outbound::{self, Credential, Url};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::contents::{Commit, Contents, Repository};
use crate::error::Error;
use crate::http_api::{Api, below, without_api};

pub use app::{App, AppInfo, Installation, InstallationToken, InvalidApp, Scope};

const PUBLIC: &str = "https://github.com/";
const PUBLIC_API: &str = "https://api.github.com/";

/// Where enterprises have their API.
const API: &str = "/api/v3";

pub(crate) struct GitHub {
    server: Url,
    api: Api,
    /// Reports are check runs, which nobody but Apps can make.
    is_app: bool,
}

impl GitHub {
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    pub(crate) fn new(
        server: &Url,
        token: Option<&Secret<String>>,
        is_app: bool,
        outbound: &outbound::Client,
    ) -> Result<Self, Error> {
        let bearer = |base: &Url| token.map(|token| Credential::bearer(base, token));
        Ok(Self { server: web(server), api: api_of(server, outbound, bearer)?, is_app })
    }
}

/// The server that people see, also where its API was named.
fn web(server: &Url) -> Url {
    match (Url::parse(PUBLIC), Url::parse(PUBLIC_API)) {
        (Ok(public), Ok(api)) if server.host_str() == api.host_str() => public,
        _ => without_api(server, API),
    }
}

/// The API of a server: GitHub's own has a host for it, that of enterprises a path.
fn api_of(
    server: &Url,
    outbound: &outbound::Client,
    credential: impl FnOnce(&Url) -> Option<Result<Credential, outbound::Error>>,
) -> Result<Api, Error> {
    let server = web(server);
    let base = match (Url::parse(PUBLIC), Url::parse(PUBLIC_API)) {
        (Ok(public), Ok(api)) if server.host_str() == public.host_str() => api,
        _ => below(&server, API.trim_start_matches('/')),
    };
    Api::new(outbound, base, "application/vnd.github+json", credential)
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
