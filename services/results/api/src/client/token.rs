//! The bearer token, from where it is kept.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::Status;

use super::Error;

/// A file is read again after this long. The kubelet renews a token when a fifth of its life is left.
const REREAD: Duration = Duration::from_secs(10);

/// Who asks.
#[derive(Clone, Default)]
pub enum Token {
    /// Nobody: a server that checks nothing.
    #[default]
    None,
    /// Whoever this token is of.
    Text(String),
    /// Whoever the token in this file is of; it may be replaced at any time.
    File(PathBuf),
}

impl Token {
    pub(super) fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Text(_) => f.write_str("Text(***)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Gives the header of each call.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Fixed(Option<HeaderValue>),
    File(Arc<File>),
}

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    last: Mutex<Option<Read>>,
}

#[derive(Debug)]
struct Read {
    bearer: HeaderValue,
    at: Instant,
}

impl Source {
    pub(super) fn new(token: Token) -> Result<Self, Error> {
        Ok(match token {
            Token::None => Self::Fixed(None),
            Token::Text(text) => Self::Fixed(Some(bearer(&text).ok_or(Error::Token)?)),
            Token::File(path) => Self::File(Arc::new(File { path, last: Mutex::default() })),
        })
    }

    pub(super) async fn bearer(&self) -> Result<Option<HeaderValue>, Status> {
        match self {
            Self::Fixed(bearer) => Ok(bearer.clone()),
            Self::File(file) => file.bearer().await.map(Some),
        }
    }
}

impl File {
    async fn bearer(&self) -> Result<HeaderValue, Status> {
        // Held while reading, so that many calls read it once.
        let mut last = self.last.lock().await;
        if let Some(read) = last.as_ref().filter(|read| read.at.elapsed() < REREAD) {
            return Ok(read.bearer.clone());
        }
        match (read(&self.path).await, last.as_mut()) {
            (Ok(bearer), _) => {
                *last = Some(Read { bearer: bearer.clone(), at: Instant::now() });
                Ok(bearer)
            }
            // Being replaced, perhaps. The server judges whether the old one still counts.
            (Err(_), Some(read)) => {
                read.at = Instant::now();
                Ok(read.bearer.clone())
            }
            (Err(reason), None) => Err(Status::unavailable(reason)),
        }
    }
}

async fn read(path: &Path) -> Result<HeaderValue, String> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| format!("read the token for the results API from {}: {error}", path.display()))?;
    bearer(&text).ok_or_else(|| format!("{} holds no token: expected one line of text", path.display()))
}

/// The header of a token; none if it is not fit to be one.
fn bearer(token: &str) -> Option<HeaderValue> {
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
