//! The REST API of Gitea, and of Forgejo.

mod changes;
mod conversation;
mod statuses;

use fleet::Secret;
use fleet::outbound::{self, Credential, Url};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header;
use serde::Deserialize;

use crate::contents::{Commit, Contents, Repository};
use crate::error::Error;
use crate::http_api::{Api, below, decode, without_api};

pub(crate) struct Gitea {
    server: Url,
    api: Api,
}

#[derive(Deserialize)]
struct Found {
    sha: String,
}

impl Gitea {
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    pub(crate) fn new(
        server: &Url,
        token: Option<&Secret<String>>,
        outbound: &outbound::Client,
    ) -> Result<Self, Error> {
        let header = |base: &Url| {
            token.map(|token| {
                let value = Secret::new(format!("token {}", token.expose()));
                Credential::header(base, header::AUTHORIZATION, &value)
            })
        };
        let server = without_api(server, "/api/v1");
        let api = Api::new(outbound, below(&server, "api/v1/"), "application/json", header)?;
        Ok(Self { server, api })
    }
}

impl Contents for Gitea {
    fn commit<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<Commit, Error>> {
        let what = format!("revision {revision:?} of {repository}");
        async move {
            let segments = ["repos", repository.owner(), repository.name(), "git", "commits", revision];
            self.api.commit(&what, &segments, None, |answer| Ok(decode::<Found>(&what, answer)?.sha)).await
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
            let mut segments = vec!["repos", repository.owner(), repository.name(), "raw"];
            segments.extend(path.split('/').filter(|part| !part.is_empty()));
            let query = [("ref", commit.as_str())];
            let answer = self.api.get(&what, &segments, &query, Some("*/*"), limit).await?;
            Ok(answer.body().to_vec())
        }
        .boxed()
    }

    fn clone_url(&self, repository: &Repository) -> String {
        below(&self.server, &format!("{repository}.git")).to_string()
    }
}
