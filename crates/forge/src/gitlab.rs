//! GitLab's REST API.

mod changes;
mod conversation;
mod shape;
mod statuses;

use fleet::Secret;
use fleet::outbound::{self, Credential, Url};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::HeaderName;
use serde::Deserialize;

use crate::contents::{Commit, Contents, Repository};
use crate::error::Error;
use crate::http_api::{Api, below, decode, without_api};

const TOKEN: HeaderName = HeaderName::from_static("private-token");

pub(crate) struct GitLab {
    server: Url,
    api: Api,
}

#[derive(Deserialize)]
struct Found {
    id: String,
}

impl GitLab {
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    pub(crate) fn new(
        server: &Url,
        token: Option<&Secret<String>>,
        outbound: &outbound::Client,
    ) -> Result<Self, Error> {
        let header = |base: &Url| token.map(|token| Credential::header(base, TOKEN, token));
        let server = without_api(server, "/api/v4");
        let api = Api::new(outbound, below(&server, "api/v4/"), "application/json", header)?;
        Ok(Self { server, api })
    }
}

impl Contents for GitLab {
    fn commit<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<Commit, Error>> {
        let what = format!("revision {revision:?} of {repository}");
        async move {
            let project = repository.to_string();
            let segments = ["projects", &project, "repository", "commits", revision];
            self.api.commit(&what, &segments, None, |answer| Ok(decode::<Found>(&what, answer)?.id)).await
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
            let project = repository.to_string();
            let segments = ["projects", &project, "repository", "files", path, "raw"];
            let answer = self.api.get(&what, &segments, &[("ref", commit.as_str())], None, limit).await?;
            Ok(answer.body().to_vec())
        }
        .boxed()
    }

    fn clone_url(&self, repository: &Repository) -> String {
        below(&self.server, &format!("{repository}.git")).to_string()
    }
}
