//! GitLab's error bodies.

use http::StatusCode;
use serde_json::{Value, json};

use crate::forge::exchange::Reply;

pub(super) fn message(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({ "message": message }))
}

/// `what`: Project, File, Branch; also when it may not be seen.
pub(super) fn not_found(what: &str) -> Reply {
    message(StatusCode::NOT_FOUND, &format!("404 {what} Not Found"))
}

pub(super) fn forbidden() -> Reply {
    message(StatusCode::FORBIDDEN, "403 Forbidden")
}

pub(super) fn unauthorized() -> Reply {
    message(StatusCode::UNAUTHORIZED, "401 Unauthorized")
}

pub(super) fn bad_request(why: &str) -> Reply {
    message(StatusCode::BAD_REQUEST, why)
}

/// A parameter that has to be given.
pub(super) fn missing(parameter: &str) -> Reply {
    Reply::json(StatusCode::BAD_REQUEST, &json!({"error": format!("{parameter} is missing")}))
}

/// What a field may not be: GitLab lists the reasons.
pub(super) fn refused(status: StatusCode, reasons: &[&str]) -> Reply {
    Reply::json(status, &json!({ "message": reasons }))
}

/// A token that was made for less.
pub(super) fn scope() -> Reply {
    let body = json!({
        "error": "insufficient_scope",
        "error_description": "The request requires higher privileges than provided by the access token.",
        "scope": "api",
    });
    Reply::json(StatusCode::FORBIDDEN, &body)
}

/// A token that has ended.
pub(super) fn expired() -> Reply {
    let body: Value = json!({
        "error": "invalid_token",
        "error_description": "Token is expired. You can either do re-authorization or token refresh.",
    });
    Reply::json(StatusCode::UNAUTHORIZED, &body)
}

/// What GitLab says with a status for which a test gave no reason.
pub(super) fn of_status(status: StatusCode) -> Reply {
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Reply::bad_gateway(status)
        }
        _ => message(status, &status.to_string()),
    }
}
