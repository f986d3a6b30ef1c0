//! Bitbucket Cloud's error bodies.

use http::StatusCode;
use serde_json::json;

use crate::forge::exchange::Reply;

pub(super) fn message(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({"type": "error", "error": {"message": message}}))
}

pub(super) fn not_found(what: &str) -> Reply {
    message(StatusCode::NOT_FOUND, &format!("{what} not found"))
}

pub(super) fn unauthorized() -> Reply {
    message(StatusCode::UNAUTHORIZED, "Token is invalid, expired, or not supported for this endpoint.")
}

pub(super) fn bad_request(why: &str) -> Reply {
    message(StatusCode::BAD_REQUEST, why)
}

pub(super) fn forbidden() -> Reply {
    message(StatusCode::FORBIDDEN, "Your credentials lack one or more required privileges.")
}

/// A token that was made for less.
pub(super) fn scope(required: &str, granted: &[String]) -> Reply {
    let body = json!({"type": "error", "error": {
        "message": "Your credentials lack one or more required privilege scopes.",
        "detail": {"required": [required], "granted": granted},
    }});
    Reply::json(StatusCode::FORBIDDEN, &body)
}

pub(super) fn too_many() -> Reply {
    message(StatusCode::TOO_MANY_REQUESTS, "Rate limit for this resource has been exceeded")
}

/// What Bitbucket says with a status for which a test gave no reason.
pub(super) fn of_status(status: StatusCode) -> Reply {
    match status {
        StatusCode::UNAUTHORIZED => unauthorized(),
        StatusCode::TOO_MANY_REQUESTS => too_many(),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Reply::bad_gateway(status)
        }
        _ => message(status, status.canonical_reason().unwrap_or("Error")),
    }
}
