//! GitHub's error bodies.

use http::StatusCode;
use serde_json::{Value, json};

use crate::forge::exchange::Reply;

const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// Only a message.
pub(super) fn message(status: StatusCode, message: &str) -> Reply {
    let status_text = status.as_str();
    Reply::json(
        status,
        &json!({"message": message, "documentation_url": DOCUMENTATION, "status": status_text}),
    )
}

/// Also what may not be seen.
pub(super) fn not_found() -> Reply {
    message(StatusCode::NOT_FOUND, "Not Found")
}

pub(super) fn forbidden(why: &str) -> Reply {
    message(StatusCode::FORBIDDEN, why)
}

/// A field that cannot be so. `code`: `missing_field`, `invalid`, `already_exists`, `custom`.
pub(super) fn invalid(resource: &str, field: &str, code: &str) -> Reply {
    unprocessable("Validation Failed", &json!([{"resource": resource, "field": field, "code": code}]))
}

/// What a field's code does not tell.
pub(super) fn invalid_because(resource: &str, why: &str) -> Reply {
    unprocessable("Validation Failed", &json!([{"resource": resource, "code": "custom", "message": why}]))
}

fn unprocessable(message: &str, errors: &Value) -> Reply {
    let body =
        json!({"message": message, "errors": errors, "documentation_url": DOCUMENTATION, "status": "422"});
    Reply::json(StatusCode::UNPROCESSABLE_ENTITY, &body)
}

/// What GitHub says with a status for which a test gave no reason.
pub(super) fn of_status(status: StatusCode) -> Reply {
    match status {
        StatusCode::UNAUTHORIZED => message(status, "Bad credentials"),
        StatusCode::FORBIDDEN => forbidden("Resource not accessible by integration"),
        StatusCode::NOT_FOUND => not_found(),
        StatusCode::CONFLICT => message(status, "Conflict"),
        StatusCode::UNPROCESSABLE_ENTITY => invalid("Resource", "field", "invalid"),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Reply::bad_gateway(status)
        }
        _ if status.is_server_error() => message(status, "Server Error"),
        _ => message(status, status.canonical_reason().unwrap_or("Error")),
    }
}
