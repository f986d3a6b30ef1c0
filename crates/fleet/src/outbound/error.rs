//! What can go wrong outside.

use std::time::Duration;

use jiff::Timestamp;

use super::guard::Refusal;
use crate::class::{Class, Classed};

/// Why there is no answer, or not the wanted one. `target` is method, host and path: no query, no credentials.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Error {
    /// By us, before anything was sent there.
    #[error("{target}: not called: {refusal}")]
    Refused { target: String, refusal: Refusal },
    /// A fault of the caller's code, such as a credential of another server.
    #[error("{target}: not called: {reason}")]
    Request { target: String, reason: String },
    #[error("{target}: no connection: {reason}")]
    Connect { target: String, reason: String },
    #[error("{target}: not finished within {after:?}")]
    Timeout { target: String, after: Duration },
    /// Too many calls of that server are under way.
    #[error("{host}: busy with other calls of ours")]
    Busy { host: String },
    /// The server failed again and again, and is left alone for a moment.
    #[error(
        "{host}: not called: its last {failures} calls failed; tried again by itself within a minute; the last failure: {last}"
    )]
    Unavailable { host: String, failures: u32, last: String },
    /// The server wants to be left alone with this credential.
    #[error("{host}: allows no more calls until {until}")]
    RateLimited { host: String, until: Timestamp },
    #[error("{target}: the answer is larger than {limit} bytes")]
    TooLarge { target: String, limit: u64 },
    /// The answer broke off, or is no HTTP.
    #[error("{target}: the answer cannot be read: {reason}")]
    Broken { target: String, reason: String },
    /// From [`Response::success`](super::Response::success). `excerpt` is the beginning of the answer, on one line;
    /// `retry_at` is when a server that is away (502 to 504) says that it will be back.
    #[error("{target}: HTTP {status}{excerpt}")]
    Status { target: String, status: u16, excerpt: String, retry_at: Option<Timestamp> },
    /// Content of another shape. Not with its words: they may be secret.
    #[error("{target}: the answer is not what was expected, at line {line} column {column}")]
    Decode { target: String, line: usize, column: usize },
}

impl Error {
    /// When it makes sense to try again, if the server said so.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::RateLimited { until, .. } => Some(*until),
            Self::Status { retry_at, .. } => *retry_at,
            _ => None,
        }
    }

    /// The HTTP status, if that is what is wrong.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl Classed for Error {
    fn class(&self) -> Class {
        match self {
            Self::Refused { .. } | Self::Request { .. } | Self::TooLarge { .. } => Class::Wait,
            Self::Status { status, .. } if *status < 500 && !matches!(status, 408 | 425 | 429) => Class::Wait,
            _ => Class::Retry,
        }
    }

    fn label(&self) -> &'static str {
        self.into()
    }
}
