//! The archive, as its REST interface shows it (specification of results, section 2.2). Only read.

use std::fmt::Write as _;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use results_api::names::RecordName;
use results_api::v1alpha2::{ListRecordsResponse, Record};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::forward::Forward;
use crate::run::Run;

/// Records of one answer. Each has a whole run, some of which have a megabyte.
const PAGE: usize = 50;
/// The smallest page that the archive gives.
const MIN_PAGE: usize = 5;
/// Bytes of one answer, beyond which somebody else answers.
const MAX_ANSWER: usize = 512 << 20;
/// Characters of somebody else's answer that are shown.
const MAX_SHOWN: usize = 300;

/// Why the archive gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the archive at {address} cannot be reached")]
    Unreachable { address: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "the archive at {address} does not accept your token; log in to the cluster again, or give another token by --token-file: {said}"
    )]
    Unauthenticated { address: String, said: String },
    #[error(
        "you may not read this in the archive: {said}. Who administers the namespace can give you the role tekton-results-readonly there"
    )]
    Forbidden { said: String },
    #[error("not in the archive: {said}")]
    NotFound { said: String },
    #[error("the archive refuses what was asked for; see --filter, --selector: {said}")]
    Invalid { said: String },
    #[error("{address} is no archive: {status}, {said}. See --results-url")]
    NoArchive { address: String, status: StatusCode, said: String },
    #[error("the archive at {address} has a problem ({status}); try again later: {said}")]
    Failed { address: String, status: StatusCode, said: String },
    #[error("the archive at {address} ended its answer early")]
    Broken { address: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the archive at {address} gave an answer that cannot be read")]
    Unreadable { address: String, source: serde_json::Error },
    #[error("the archive's record {record} holds no run")]
    NoRun { record: String, source: Option<serde_json::Error> },
}

/// An error as the archive words it. Some versions wrap those of logs.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: Option<i64>,
    message: Option<String>,
    error: Option<Box<Refusal>>,
}

/// A client of the archive.
#[derive(Debug)]
pub(crate) struct Archive {
    client: ClientOf,
    address: String,
    /// Kept open.
    _way: Option<Forward>,
}

/// Has no words for itself.
struct ClientOf(Client);

impl std::fmt::Debug for ClientOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// Pages of a list, one after the other.
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    archive: &'a Archive,
    path: String,
    filter: String,
    order: &'static str,
    size: usize,
    /// Absent after the last page.
    token: Option<String>,
}

impl Archive {
    /// `address` is for messages: what the user has given.
    pub(crate) fn new(client: Client, address: String, way: Option<Forward>) -> Self {
        Self { client: ClientOf(client), address, _way: way }
    }

    /// Runs of `namespace` (`-`: of all) that `filter` is true of, the newest first.
    pub(crate) fn runs(&self, namespace: &str, filter: String, limit: usize) -> Pages<'_> {
        self.pages(&format!("{namespace}/results/-"), filter, "create_time desc", limit)
    }

    /// Runs of one Result that `filter` is true of, the oldest first.
    pub(crate) fn runs_of(&self, result: &RecordName, filter: String) -> Pages<'_> {
        self.pages(&format!("{}/results/{}", result.parent, result.result), filter, "create_time asc", 0)
    }

    fn pages(&self, parent: &str, filter: String, order: &'static str, limit: usize) -> Pages<'_> {
        let size = if limit == 0 { PAGE } else { limit.clamp(MIN_PAGE, PAGE) };
        Pages {
            archive: self,
            path: format!("{parent}/records"),
            filter,
            order,
            size,
            token: Some(String::new()),
        }
    }

    pub(crate) async fn run(&self, name: &RecordName) -> Result<Run, Error> {
        let record: Record = self.get(&name.to_string()).await?;
        run(record)
    }

    /// The stored log of a run, in pieces.
    pub(crate) async fn log(&self, run: &RecordName) -> Result<Log<'_>, Error> {
        let path = format!("{}/results/{}/logs/{}", run.parent, run.result, run.record);
        let body = self.ask(&path).await?;
        Ok(Log { archive: self, body })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let body = self.ask(path).await?;
        let address = || self.address.clone();
        let broken = |source| Error::Broken { address: address(), source };
        let bytes = Limited::new(body, MAX_ANSWER).collect().await.map_err(broken)?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|source| Error::Unreadable { address: address(), source })
    }

    async fn ask(&self, path: &str) -> Result<Body, Error> {
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Unreachable {
            address: self.address.clone(),
            source,
        };
        let request = Request::builder()
            .method(Method::GET)
            .uri(format!("/apis/results.tekton.dev/v1alpha2/parents/{path}"))
            .body(Body::empty())
            .map_err(|error| unreachable(error.into()))?;
        let response = self.client.0.send(request).await.map_err(|error| unreachable(error.into()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        // What cannot be read is not shown.
        let body = Limited::new(response.into_body(), 1 << 20).collect().await;
        let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Err(self.refusal(status, &bytes))
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Error {
        let address = self.address.clone();
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        let refusal = refusal.error.map_or(Refusal { error: None, ..refusal }, |inner| *inner);
        // The API server, and proxies, also answer with a `code`: that of HTTP, which no gRPC code is like.
        let is_ours = refusal.code.is_some_and(|code| code < 100);
        let said = refusal.message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        let said = printable(&said);
        match status {
            StatusCode::UNAUTHORIZED => Error::Unauthenticated { address, said },
            StatusCode::FORBIDDEN => Error::Forbidden { said },
            StatusCode::NOT_FOUND if is_ours => Error::NotFound { said },
            StatusCode::BAD_REQUEST if is_ours => Error::Invalid { said },
            status if is_ours || status.is_server_error() => Error::Failed { address, status, said },
            status => Error::NoArchive { address, status, said },
        }
    }
}

impl Pages<'_> {
    /// Absent after the last page. A page may be empty although more follow.
    pub(crate) async fn next(&mut self) -> Option<Result<Vec<Run>, Error>> {
        let token = self.token.take()?;
        Some(self.page(&token).await)
    }

    async fn page(&mut self, token: &str) -> Result<Vec<Run>, Error> {
        let mut path = self.path.clone();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("filter", &self.filter);
        query.append_pair("order_by", self.order);
        query.append_pair("page_size", &self.size.to_string());
        if !token.is_empty() {
            query.append_pair("page_token", token);
        }
        let _ = write!(path, "?{}", query.finish());
        let page: ListRecordsResponse = self.archive.get(&path).await?;
        self.token = Some(page.next_page_token).filter(|token| !token.is_empty());
        page.records.into_iter().map(run).collect()
    }

    /// The first of all pages.
    pub(crate) async fn first(mut self) -> Result<Option<Run>, Error> {
        while let Some(page) = self.next().await {
            if let Some(run) = page?.into_iter().next() {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    pub(crate) async fn all(mut self) -> Result<Vec<Run>, Error> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await {
            all.extend(page?);
        }
        Ok(all)
    }
}

/// A stored log on its way.
pub(crate) struct Log<'a> {
    archive: &'a Archive,
    body: Body,
}

impl Log<'_> {
    /// Absent at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<impl AsRef<[u8]> + use<>, Error>> {
        loop {
            let frame = self.body.frame().await?;
            let broken = |source: kube::Error| Error::Broken {
                address: self.archive.address.clone(),
                source: source.into(),
            };
            match frame.map_err(broken) {
                // Trailers are no log.
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The object in a record.
fn run(record: Record) -> Result<Run, Error> {
    let name = record.name;
    let no_run = |source| Error::NoRun { record: name.clone(), source };
    let data = record.data.ok_or_else(|| no_run(None))?;
    let object = serde_json::from_slice(&data.value).map_err(|error| no_run(Some(error)))?;
    Ok(Run { record: Some(name), object })
}

/// What others said, without what could steer a terminal, and not too much of it.
fn printable(text: &str) -> String {
    let clean = |character: char| if character.is_control() { ' ' } else { character };
    let mut short: String = text.trim().chars().take(MAX_SHOWN).map(clean).collect();
    if short.is_empty() {
        short.push_str("without an explanation");
    }
    short
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
