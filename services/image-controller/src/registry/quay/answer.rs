//! What Quay answers, and what that means.

use std::time::Duration;

use fleet::outbound::{self, Response};
use http::StatusCode;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::Error;

/// Characters of what Quay says of an error that are shown.
const SHOWN: usize = 300;

/// An answer together with what was asked for.
pub(crate) struct Answer {
    step: String,
    response: Response,
    /// The content as JSON; Quay and what stands before it also send pages for people.
    content: Option<Value>,
}

impl Answer {
    pub(crate) fn new(step: &str, response: Response) -> Self {
        let content = response.json().ok();
        Self { step: step.to_owned(), response, content }
    }

    /// 404 by Quay itself. A page of something before it does not say that the thing is gone.
    pub(crate) fn is_absent(&self) -> bool {
        self.response.status() == StatusCode::NOT_FOUND
            && (self.content.is_some() || self.response.body().is_empty())
    }

    /// Whether this is an error of that status whose message has these words, lower case.
    pub(crate) fn says(&self, status: StatusCode, words: &str) -> bool {
        self.response.status() == status && self.message().to_lowercase().contains(words)
    }

    pub(crate) fn success(&self) -> Result<(), Error> {
        if !self.response.status().is_success() {
            return Err(self.error());
        }
        // Not by Quay: a login page of something before it, perhaps.
        if self.content.is_none() && !self.response.body().is_empty() {
            return Err(self.unexpected());
        }
        Ok(())
    }

    /// The content of a success.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.success()?;
        let content = self.content.clone().ok_or_else(|| self.unexpected())?;
        serde_json::from_value(content).map_err(|_| self.unexpected())
    }

    fn unexpected(&self) -> Error {
        Error::transient(&self.step, "the registry's answer is not what was expected")
    }

    fn error(&self) -> Error {
        let status = self.response.status();
        let detail = match self.message() {
            "" => format!("the registry answered {status}"),
            message => format!("the registry answered {status}: {}", shorten(&fleet::redact(message))),
        };
        match status {
            StatusCode::PAYMENT_REQUIRED => Error::PlanLimit,
            // The platform's own account: the operator mends it without any object changing.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::REQUEST_TIMEOUT => {
                Error::transient(&self.step, &detail)
            }
            // Not by Quay, which answers in JSON, but by something on the way.
            status if status.is_server_error() || self.content.is_none() => {
                Error::transient(&self.step, &detail)
            }
            _ => Error::refused(&self.step, &detail),
        }
    }

    /// Of an error. Quay has it in one of several fields.
    fn message(&self) -> &str {
        let field = |name: &str| self.content.as_ref()?.get(name)?.as_str().filter(|text| !text.is_empty());
        ["message", "error_message", "error", "detail"].into_iter().find_map(field).unwrap_or_default()
    }
}

fn shorten(text: &str) -> &str {
    text.char_indices().nth(SHOWN).map_or(text, |(end, _)| &text[..end])
}

/// There is no answer. `now` tells how long it is until the registry wants to be asked again.
pub(crate) fn unanswered(step: &str, error: &outbound::Error, now: Timestamp) -> Error {
    let retry_after =
        error.retry_at().map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    match error {
        outbound::Error::Request { .. } => Error::refused(step, error),
        _ => Error::Transient { step: step.to_owned(), detail: error.to_string(), retry_after },
    }
}
