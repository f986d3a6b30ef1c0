//! What callers of the listener are told: `{"status": 202, "message": "accepted"}` (spec section 5).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// An answer, and the word that it is counted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) counted_as: &'static str,
}

#[derive(Serialize)]
struct Body<'a> {
    status: u16,
    message: &'a str,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, counted_as: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), counted_as }
    }

    pub(crate) fn accepted() -> Self {
        Self::new(StatusCode::ACCEPTED, "accepted", "accepted")
    }

    /// Nothing is done, and nothing is wrong.
    pub(crate) fn skipped(counted_as: &'static str, reason: impl Into<String>) -> Self {
        Self::new(StatusCode::OK, counted_as, reason)
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", reason)
    }

    /// Whoever sent it should keep it and send it again.
    pub(crate) fn not_stored(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_stored", reason)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let body = Json(Body { status: self.status.as_u16(), message: &self.message });
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
