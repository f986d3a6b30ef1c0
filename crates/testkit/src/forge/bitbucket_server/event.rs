//! Webhook payloads of Bitbucket Server, built from the model, and the deliveries that carry them.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::render;
use crate::forge::delivery::{Delivery, sha256_signature, uuid};
use crate::forge::git::NO_COMMIT;
use crate::forge::model::Model;
use crate::forge::repository::{CommentOn, PullRequest, Repository};

/// What happened. Its payload may be changed before it is signed.
#[derive(Clone, Debug)]
pub struct Event {
    /// `X-Event-Key`: `repo:refs_changed`
    pub key: String,
    pub payload: Value,
    /// `X-Request-Id`
    pub id: String,
}

impl Event {
    fn new(model: &Model, key: &str, actor: &str, mut payload: Value) -> Self {
        payload["eventKey"] = json!(key);
        payload["date"] = json!(model.now().strftime("%Y-%m-%dT%H:%M:%S+0000").to_string());
        payload["actor"] = render::user(model, actor);
        Self { key: key.to_owned(), payload, id: uuid() }
    }

    /// The same in another delivery, as when it is replayed by somebody else.
    #[must_use]
    pub fn replayed(&self) -> Self {
        Self { id: uuid(), ..self.clone() }
    }

    /// Of a hook without a secret.
    pub fn unsigned(&self) -> Delivery {
        Delivery::new("Atlassian HttpClient / Bitbucket (fake)", self.payload.to_string())
            .with("content-type", "application/json; charset=utf-8")
            .with("x-event-key", &self.key)
            .with("x-request-id", &self.id)
    }

    pub fn signed(&self, secret: &str) -> Delivery {
        let delivery = self.unsigned();
        let signature = sha256_signature(secret, &delivery.body);
        delivery.with("x-hub-signature", &signature)
    }
}

/// A push of `after` to a ref (`refs/heads/main`) that was at `before`; [`NO_COMMIT`] for a ref that is new or deleted.
pub fn push(
    model: &Model,
    full_name: &str,
    reference: &str,
    before: &str,
    after: &str,
    actor: &str,
) -> anyhow::Result<Event> {
    let repository = model.repo(full_name)?;
    let (kind, name) = match reference.strip_prefix("refs/tags/") {
        Some(name) => ("TAG", name),
        None => ("BRANCH", reference.trim_start_matches("refs/heads/")),
    };
    let change = match (before, after) {
        (NO_COMMIT, _) => "ADD",
        (_, NO_COMMIT) => "DELETE",
        _ => "UPDATE",
    };
    let payload = json!({
        "repository": render::repository(model, repository),
        "changes": [{
            "ref": {"id": reference, "displayId": name, "type": kind},
            "refId": reference,
            "fromHash": before,
            "toHash": after,
            "type": change,
        }],
    });
    Ok(Event::new(model, "repo:refs_changed", actor, payload))
}

fn find_pull(repository: &Repository, number: u64) -> anyhow::Result<&PullRequest> {
    let missing = || format!("{} has no pull request {number}", repository.full_name());
    repository.pull(number).with_context(missing)
}

/// `action`: opened, from_ref_updated, merged, declined, deleted.
pub fn pull_request(
    model: &Model,
    full_name: &str,
    number: u64,
    action: &str,
    actor: &str,
) -> anyhow::Result<Event> {
    let repository = model.repo(full_name)?;
    let payload = json!({"pullRequest": render::pull(model, repository, find_pull(repository, number)?)});
    Ok(Event::new(model, &format!("pr:{action}"), actor, payload))
}

/// A comment on a pull request that was just written.
pub fn comment(model: &Model, full_name: &str, id: u64) -> anyhow::Result<Event> {
    let repository = model.repo(full_name)?;
    let comment = repository.comments.iter().find(|comment| comment.id == id);
    let comment = comment.with_context(|| format!("{full_name} has no comment {id}"))?;
    let CommentOn::Pull(number) = comment.on else {
        anyhow::bail!("comment {id} is on no pull request");
    };
    let payload = json!({
        "pullRequest": render::pull(model, repository, find_pull(repository, number)?),
        "comment": render::comment(model, comment, 0),
    });
    Ok(Event::new(model, "pr:comment:added", &comment.author, payload))
}
