//! One request: sent again where that may help, its error put in words.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::super::error::Error;
use super::S3Store;

/// How long a signature holds. Servers compare it with their own clock when the request arrives.
pub(super) const SIGNED_FOR: Duration = Duration::from_mins(15);
/// For faults that pass: a lost connection, a server that is busy.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Of the text of an answer that is no log.
const ANSWER: usize = 8 << 20;
/// Of an error's text, in characters.
const MESSAGE: usize = 300;

/// What is sent, but for its address, which each attempt signs anew.
pub(super) struct Call<'a> {
    /// Completes with the key: "store log team-a/…".
    pub(super) action: &'static str,
    pub(super) key: &'a str,
    pub(super) method: Method,
    pub(super) body: Bytes,
}

impl Call<'_> {
    pub(super) fn not_understood(&self, reason: &impl Display) -> Error {
        Error::Answer { action: self.action, key: self.key.to_owned(), reason: reason.to_string() }
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        // The address holds a signature.
        Error::Unreachable { action: self.action, key: self.key.to_owned(), source: error.without_url() }
    }
}

impl S3Store {
    /// The answer, which is a success. Everything sent here may be sent twice.
    pub(super) async fn send(&self, call: &Call<'_>, sign: impl Fn() -> Url) -> Result<Response, Error> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let error = match self.attempt(call, sign()).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if attempt == ATTEMPTS || !passes(&error) {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "The object store failed; the request is sent again");
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    async fn attempt(&self, call: &Call<'_>, url: Url) -> Result<Response, Error> {
        let request = self.0.http.request(call.method.clone(), url).body(call.body.clone());
        let response = request.send().await.map_err(|error| call.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = text(response, call).await.unwrap_or_default();
        Err(refusal(call, status, &text))
    }
}

/// The error that an answer's document speaks of, also one that came with 200.
pub(super) fn refusal(call: &Call<'_>, status: StatusCode, document: &str) -> Error {
    Error::Refused {
        action: call.action,
        key: call.key.to_owned(),
        status: status.as_u16(),
        code: element(document, "Code"),
        message: element(document, "Message"),
    }
}

/// A whole answer, as text.
pub(super) async fn text(mut response: Response, call: &Call<'_>) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| call.unreachable(error))? {
        if bytes.len() + chunk.len() > ANSWER {
            return Err(call.not_understood(&format_args!("it is longer than {ANSWER} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|error| call.not_understood(&error))
}

/// Text of the first element of this name: enough to say what went wrong.
fn element(document: &str, name: &str) -> String {
    let inner = document
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")))
        .map_or("", |(inner, _)| inner);
    inner.chars().filter(|character| !character.is_control()).take(MESSAGE).collect()
}

/// Whether the same request may do better a moment later.
pub(super) fn passes(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } => true,
        Error::Refused { status, code, .. } => {
            matches!(status, 408 | 429 | 500 | 502..=504)
                || matches!(code.as_str(), "SlowDown" | "InternalError" | "RequestTimeout")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const CALL: Call<'static> =
        Call { action: "store log", key: "a/b/c", method: Method::PUT, body: Bytes::new() };

    #[rstest]
    #[case::busy(503, "<Error><Code>SlowDown</Code><Message>later</Message></Error>", true)]
    #[case::failed_after_its_header(200, "<Error><Code>InternalError</Code></Error>", true)]
    #[case::no_body(502, "", true)]
    #[case::forbidden(403, "<Error><Code>AccessDenied</Code></Error>", false)]
    #[case::no_bucket(404, "<Error><Code>NoSuchBucket</Code></Error>", false)]
    fn sends_again_what_may_pass(#[case] status: u16, #[case] document: &str, #[case] is_sent_again: bool) {
        let error = refusal(&CALL, StatusCode::from_u16(status).unwrap(), document);
        assert_eq!(passes(&error), is_sent_again);
    }

    #[test]
    fn says_what_the_server_says() {
        let document =
            "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>not\nyours</Message></Error>";
        let error = refusal(&CALL, StatusCode::FORBIDDEN, document);
        assert_eq!(error.to_string(), "store log a/b/c: the object store answers 403 AccessDenied notyours");
    }
}
