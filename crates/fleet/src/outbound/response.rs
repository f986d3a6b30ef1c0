//! Answers, read within their limits.

use axum::body::Bytes;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::budget::Turn;
use super::error::Error;
use super::request::Request;
use super::send::unreadable;

/// Characters of an error's content that are shown.
const EXCERPT: usize = 200;
/// Bytes of an error's content that are looked at.
const EXCERPT_BYTES: u64 = 4 * 1024;

/// A complete answer, whatever its status.
#[derive(Clone)]
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    target: String,
    excerpt: String,
}

impl Response {
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The content, decompressed.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Itself if the status is 2xx, else [`Error::Status`].
    pub fn success(self) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        let (target, status, excerpt) = (self.target, self.status.as_u16(), self.excerpt);
        Err(Error::Status { target, status, excerpt, retry_at: None })
    }

    /// The content as JSON. Look at the status first.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Decode {
            target: self.target.clone(),
            line: error.line(),
            column: error.column(),
        })
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// An answer whose content is read piece by piece, for what is too large to hold. It keeps its place among the calls of
/// its host until it is dropped.
pub struct Streaming {
    inner: reqwest::Response,
    /// The request that was answered: the last one, after redirects.
    request: Request,
    read: u64,
    deadline: Instant,
    _turn: Turn,
}

impl Streaming {
    pub(super) fn new(inner: reqwest::Response, request: Request, deadline: Instant, turn: Turn) -> Self {
        Self { inner, request, read: 0, deadline, _turn: turn }
    }

    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The next piece of the content, decompressed; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = timeout_at(self.deadline, self.inner.chunk())
            .await
            .map_err(|_| Error::Timeout { target: self.request.target(), after: self.request.timeout })?;
        let piece = piece.map_err(|error| unreadable(&self.request, error))?;
        self.read = self.read.saturating_add(piece.as_ref().map_or(0, |piece| piece.len() as u64));
        if self.read > self.request.limit {
            return Err(self.too_large());
        }
        Ok(piece)
    }

    /// Everything that is left.
    pub(super) async fn collect(mut self, asked: Request) -> Result<Response, Error> {
        let declared = self.inner.content_length().filter(|_| self.request.method != http::Method::HEAD);
        if declared.is_some_and(|length| length > self.request.limit) {
            return Err(self.too_large());
        }
        let mut body = Vec::new();
        while let Some(piece) = self.chunk().await? {
            body.extend_from_slice(&piece);
        }
        let excerpt = if self.status().is_success() { String::new() } else { excerpt(&asked, &body) };
        Ok(Response {
            status: self.status(),
            headers: self.inner.headers().clone(),
            body: body.into(),
            target: self.request.target(),
            excerpt,
        })
    }

    /// The answer as an error, with what can be had of its content.
    pub(super) async fn into_error(mut self, asked: &Request, retry_at: Option<Timestamp>) -> Error {
        let mut body = Vec::new();
        self.request.limit = EXCERPT_BYTES;
        while let Ok(Some(piece)) = self.chunk().await {
            body.extend_from_slice(&piece);
        }
        let (target, status) = (self.request.target(), self.status().as_u16());
        Error::Status { target, status, excerpt: excerpt(asked, &body), retry_at }
    }

    fn too_large(&self) -> Error {
        Error::TooLarge { target: self.request.target(), limit: self.request.limit }
    }
}

impl std::fmt::Debug for Streaming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streaming")
            .field("status", &self.status())
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

/// The beginning of what a server says, on one line, without secrets. Begins with a colon if there is any.
fn excerpt(asked: &Request, body: &[u8]) -> String {
    let body = &body[..body.len().min(usize::try_from(EXCERPT_BYTES).unwrap_or(usize::MAX))];
    let text = String::from_utf8_lossy(body);
    // Before it is cut: half a secret would not be recognised.
    let text = asked.hide(&text);
    let visible = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = visible.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT) {
        _ if line.is_empty() => line,
        Some((end, _)) => format!(": {}…", &line[..end]),
        None => format!(": {line}"),
    }
}
