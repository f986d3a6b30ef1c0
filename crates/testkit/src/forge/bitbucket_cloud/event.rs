//! Webhook payloads of Bitbucket Cloud, built from the model, and the deliveries that carry them.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::render;
use crate::forge::delivery::{Delivery, sha256_signature, uuid};
use crate::forge::git::NO_COMMIT;
use crate::forge::model::Model;
use crate::forge::repository::{CommentOn, PullRequest, Repository};

/// What happened. Its payload may be changed before it is sent.
#[derive(Clone, Debug)]
pub struct Event {
    /// `X-Event-Key`: `repo:push`
    pub key: String,
    pub payload: Value,
    /// `X-Request-UUID`, which stays the same when Bitbucket tries again.
    pub uuid: String,
}

impl Event {
    fn new(key: &str, payload: Value) -> Self {
        Self { key: key.to_owned(), payload, uuid: uuid() }
    }

    /// The same in another delivery, as when it is replayed by somebody else.
    #[must_use]
    pub fn replayed(&self) -> Self {
        Self { uuid: uuid(), ..self.clone() }
    }

    /// Of a hook without a secret.
    pub fn unsigned(&self) -> Delivery {
        Delivery::new("Bitbucket-Webhooks/2.0", self.payload.to_string())
            .with("x-event-key", &self.key)
            .with("x-request-uuid", &self.uuid)
            .with("x-hook-uuid", &uuid())
            .with("x-attempt-number", "1")
    }

    /// Of a hook with a secret.
    pub fn signed(&self, secret: &str) -> Delivery {
        let delivery = self.unsigned();
        let signature = sha256_signature(secret, &delivery.body);
        delivery.with("x-hub-signature", &signature)
    }

    /// Through a proxy that says where it came from.
    pub fn forwarded_for(&self, address: &str) -> Delivery {
        self.unsigned().with("x-forwarded-for", address)
    }
}

fn of_repository(model: &Model, repository: &Repository, actor: &str, mut payload: Value) -> Value {
    payload["repository"] = render::repository(model, repository);
    payload["actor"] = render::user(model, actor);
    payload
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
        Some(name) => ("tag", name),
        None => ("branch", reference.trim_start_matches("refs/heads/")),
    };
    let objects = model.objects(repository);
    let side = |sha: &str| {
        objects.commit(sha).map(|commit| render::reference(model, repository, kind, name, commit))
    };
    let is_forced = before != NO_COMMIT && after != NO_COMMIT && !objects.is_ancestor(before, after);
    let payload = json!({"push": {"changes": [{
        "old": side(before),
        "new": side(after),
        "created": before == NO_COMMIT,
        "closed": after == NO_COMMIT,
        "forced": is_forced,
        "truncated": false,
    }]}});
    Ok(Event::new("repo:push", of_repository(model, repository, actor, payload)))
}

fn find_pull(repository: &Repository, number: u64) -> anyhow::Result<&PullRequest> {
    let missing = || format!("{} has no pull request {number}", repository.full_name());
    repository.pull(number).with_context(missing)
}

/// `action`: created, updated, fulfilled, rejected.
pub fn pull_request(
    model: &Model,
    full_name: &str,
    number: u64,
    action: &str,
    actor: &str,
) -> anyhow::Result<Event> {
    let repository = model.repo(full_name)?;
    let payload = json!({"pullrequest": render::pull(model, repository, find_pull(repository, number)?)});
    let payload = of_repository(model, repository, actor, payload);
    Ok(Event::new(&format!("pullrequest:{action}"), payload))
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
        "pullrequest": render::pull(model, repository, find_pull(repository, number)?),
        "comment": render::comment(model, repository, number, comment),
    });
    let payload = of_repository(model, repository, &comment.author, payload);
    Ok(Event::new("pullrequest:comment_created", payload))
}
