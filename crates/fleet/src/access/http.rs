//! For axum: the caller as an extractor, and errors as JSON. gRPC services on the same listener use the functions.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{Access, Error, Identity};
use crate::Secret;

/// Headers by which proxies say whom they speak for. Nobody stands between us and the caller, so they are invented.
const CLAIMS: &[&str] = &["x-remote-", "x-forwarded-", "x-real-ip", "forwarded"];

/// `kubectl --as` and its like. Ignoring it would act with the caller's own, often wider, rights.
pub(super) const IMPERSONATION: &str = "impersonate-";

/// Whose request this is, authenticated. In a handler's arguments before anything that reads the request.
#[derive(Clone, Debug)]
pub struct Caller(pub Arc<Identity>);

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Access: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        drop_claims(&mut parts.headers)?;
        let token = bearer_token(&parts.headers)?;
        Ok(Self(Access::from_ref(state).authenticate(&token).await?))
    }
}

/// The token of an `Authorization: Bearer` header, the only place where one is looked for.
pub fn bearer_token(headers: &HeaderMap) -> Result<Secret<String>, Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    // With two, somebody else may have looked at the other one.
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Error::Unauthenticated) };
    let (scheme, token) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Error::Unauthenticated)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Error::Unauthenticated);
    }
    Ok(Secret::new(token.trim().to_owned()))
}

/// A layer (`axum::middleware::from_fn`) before all routes: takes off what a request claims about its sender
/// (`X-Forwarded-*`, `X-Remote-*`), and refuses `Impersonate-*`.
pub async fn without_claims(mut request: Request, next: Next) -> Response {
    match drop_claims(request.headers_mut()) {
        Ok(()) => next.run(request).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

fn drop_claims(headers: &mut HeaderMap) -> Result<(), Error> {
    let begins_with = |name: &HeaderName, prefix: &str| name.as_str().starts_with(prefix);
    if headers.keys().any(|name| begins_with(name, IMPERSONATION)) {
        return Err(Error::Impersonation);
    }
    let is_claim = |name: &&HeaderName| CLAIMS.iter().any(|prefix| begins_with(name, prefix));
    let claims: Vec<HeaderName> = headers.keys().filter(is_claim).cloned().collect();
    for claim in claims {
        headers.remove(claim);
    }
    Ok(())
}

/// An error as users see it: `{code, message, hint, requestId}`, no internals.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    /// A word from a closed set, for programs.
    code: &'static str,
    /// What happened.
    message: String,
    /// What to do now.
    hint: String,
    /// Also in our log, to find what stands behind.
    request_id: String,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    /// With a request id of its own.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            hint: hint.into(),
            request_id: format!("{:016x}", rand::random::<u64>()),
            retry_after: None,
        }
    }

    /// The answer to somebody who asks for what is not there, without a right by which they could know. The same as
    /// to somebody without the right to something that is there.
    pub fn missing() -> Self {
        Error::Forbidden.into()
    }

    #[must_use]
    pub fn retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn request_id(&self) -> &str {
        &self.request_id
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, code, hint) = match error {
            Error::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "Unauthenticated",
                "send `Authorization: Bearer` with a token for this service that has not expired",
            ),
            Error::Forbidden => (
                StatusCode::FORBIDDEN,
                "Forbidden",
                "check the names; else ask an administrator of the namespace for a role",
            ),
            Error::Impersonation => (
                StatusCode::FORBIDDEN,
                "Forbidden",
                "call without Impersonate-* headers, with a token of that user",
            ),
            Error::Claims => (
                StatusCode::UNAUTHORIZED,
                "Unauthenticated",
                "send Impersonate-User once, and the others only beside it",
            ),
            Error::NotAs => (
                StatusCode::FORBIDDEN,
                "Forbidden",
                "ask an administrator for the verb impersonate on what the Impersonate-* headers name",
            ),
            Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "try again"),
        };
        let problem = Self::new(status, code, error.to_string(), hint);
        match error {
            Error::Unavailable { retry_after } => problem.retry_after(retry_after),
            _ => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        tracing::debug!(
            request_id = self.request_id,
            code = self.code,
            reason = self.message,
            "Request refused"
        );
        let mut headers = HeaderMap::new();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(delay) = self.retry_after {
            headers.insert(header::RETRY_AFTER, delay.as_secs().max(1).into());
        }
        (self.status, headers, Json(self)).into_response()
    }
}
