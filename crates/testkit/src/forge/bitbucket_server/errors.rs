//! Bitbucket Server's error bodies.

use http::StatusCode;
use serde_json::json;

use crate::forge::exchange::Reply;

fn exception(status: StatusCode, name: &str, message: &str) -> Reply {
    let name = format!("com.atlassian.bitbucket.{name}");
    let body = json!({"errors": [{"context": null, "message": message, "exceptionName": name}]});
    Reply::json(status, &body)
}

/// `what`: Repository, Commit, Path.
pub(super) fn not_found(what: &str) -> Reply {
    let message = format!("{what} does not exist.");
    exception(StatusCode::NOT_FOUND, &format!("NoSuch{what}Exception"), &message)
}

/// Also of who is known and lacks a right.
pub(super) fn unauthorized() -> Reply {
    let message = "You are not permitted to access this resource";
    exception(StatusCode::UNAUTHORIZED, "AuthorisationException", message)
}

pub(super) fn bad_token() -> Reply {
    let message = "Authentication failed. Please check your credentials and try again.";
    exception(StatusCode::UNAUTHORIZED, "auth.IncorrectPasswordAuthenticationException", message)
}

pub(super) fn bad_request(message: &str) -> Reply {
    exception(StatusCode::BAD_REQUEST, "validation.ArgumentValidationException", message)
}

pub(super) fn outdated() -> Reply {
    let message = "You are attempting to modify a comment based on out-of-date information.";
    exception(StatusCode::CONFLICT, "comment.CommentOutOfDateException", message)
}

/// What Bitbucket says with a status for which a test gave no reason.
pub(super) fn of_status(status: StatusCode) -> Reply {
    match status {
        StatusCode::UNAUTHORIZED => unauthorized(),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Reply::bad_gateway(status)
        }
        _ => exception(status, "ServiceException", status.canonical_reason().unwrap_or("Error")),
    }
}
