//! From the bytes of a webhook to an [`Event`]: one module for each forge's payloads (spec section 4.1).

mod bitbucket_cloud;
mod bitbucket_server;
mod gitea;
mod github;
mod gitlab;
mod hub;
mod shape;
#[cfg(test)]
pub(crate) mod tests;

use forge::signature::{self, Sender};
use http::HeaderMap;
use pipelines_as_code_api::pipeline_run::EventType;
use serde_json::{Map, Value};

use crate::comment::Command;
use crate::event::{Comment, Event, Payload};

/// What a delivery is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    Event(Box<Event>),
    /// Nothing for us, with the reason for whoever looks at the forge's list of deliveries.
    Skipped(String),
}

/// Why a delivery cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the body is not JSON: {0}")]
    Json(String),
    #[error("the form has no field payload")]
    NoPayload,
    #[error("the payload of {sender}'s event {kind:?} lacks what such events have: {reason}")]
    Payload { sender: Sender, kind: String, reason: String },
}

/// Decodes the body: JSON, or GitHub's form with JSON in the field `payload`. An empty body is an empty object.
pub fn decode(headers: &HeaderMap, body: &[u8]) -> Result<Value, Malformed> {
    let decoded = match signature::Payload::of(headers) {
        Some(signature::Payload::Form) => {
            let mut fields = url::form_urlencoded::parse(body);
            let field = fields.find(|(name, _)| name == "payload").ok_or(Malformed::NoPayload)?;
            serde_json::from_str(&field.1)
        }
        // What it is called does not matter: it is JSON, or it is refused.
        Some(signature::Payload::Json) | None if body.is_empty() => return Ok(Value::Object(Map::new())),
        Some(signature::Payload::Json) | None => serde_json::from_slice(body),
    };
    decoded.map_err(|error| Malformed::Json(error.to_string()))
}

/// Reads what a forge tells. Nothing of it is believed yet: the signature is checked before anything is done.
pub fn parse(sender: Sender, headers: &HeaderMap, body: &Value) -> Result<Parsed, Malformed> {
    let kind = match sender {
        Sender::GitHub => text(headers, "x-github-event"),
        Sender::GitLab => text(headers, "x-gitlab-event"),
        // The type is finer than the event, which old servers send alone.
        Sender::Gitea => ["x-gitea-event-type", "x-gitea-event", "x-forgejo-event"]
            .into_iter()
            .map(|name| text(headers, name))
            .find(|kind| !kind.is_empty())
            .unwrap_or_default(),
        Sender::BitbucketCloud | Sender::BitbucketServer => text(headers, "x-event-key"),
    };
    let parsed = match sender {
        Sender::GitHub => github::parse(kind, body),
        Sender::GitLab => gitlab::parse(kind, body),
        Sender::Gitea => gitea::parse(kind, body),
        Sender::BitbucketCloud => bitbucket_cloud::parse(kind, body),
        Sender::BitbucketServer => bitbucket_server::parse(kind, body),
    };
    parsed.map_err(|reason| Malformed::Payload { sender, kind: kind.to_owned(), reason })
}

/// What is kept of a delivery for expressions and templates. Headers with secrets are left out.
pub fn payload(headers: &HeaderMap, body: Value) -> Payload {
    let is_secret =
        |name: &str| ["signature", "token", "authorization", "cookie"].iter().any(|word| name.contains(word));
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| !is_secret(name))
        .filter_map(|(name, value)| Some((name.to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    Payload { body, headers }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What a forge's module answers: a reason instead of an event where the payload is not as it should be.
type Answer = Result<Parsed, String>;

#[expect(clippy::unnecessary_wraps, reason = "it ends a function that answers")]
fn skipped(reason: impl Into<String>) -> Answer {
    Ok(Parsed::Skipped(reason.into()))
}

/// What somebody wrote, read for commands.
fn comment(text: &str) -> Comment {
    Comment { text: text.to_owned(), created_at: None, command: Command::of(text) }
}

/// The event that a comment is.
fn event_type(comment: &Comment) -> EventType {
    comment.command.as_ref().map_or(EventType::NoOpsComment, Command::event_type)
}
