//! Webhook payloads of GitHub, built from the model, and the deliveries that carry them.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::render;
use crate::forge::app::Installation;
use crate::forge::delivery::{Delivery, sha1_signature, sha256_signature, uuid};
use crate::forge::exchange::time;
use crate::forge::git::{ChangeKind, NO_COMMIT};
use crate::forge::model::Model;
use crate::forge::repository::{CommentOn, PullRequest, Repository};

/// What happened. Its payload may be changed before it is signed.
#[derive(Clone, Debug)]
pub struct Event {
    /// `X-GitHub-Event`
    pub kind: &'static str,
    pub payload: Value,
    /// `X-GitHub-Delivery`: a redelivery has the same.
    pub delivery: String,
    /// `X-GitHub-Hook-ID`
    pub hook: u64,
    /// `X-GitHub-Enterprise-Host`, which deliveries of github.com do not have.
    pub enterprise_host: Option<String>,
}

impl Event {
    fn new(kind: &'static str, payload: Value) -> Self {
        Self { kind, payload, delivery: uuid(), hook: 1, enterprise_host: None }
    }

    /// The same in another delivery, as when it is replayed by somebody else.
    #[must_use]
    pub fn replayed(&self) -> Self {
        Self { delivery: uuid(), ..self.clone() }
    }

    pub fn unsigned(&self) -> Delivery {
        let delivery = Delivery::new("GitHub-Hookshot/fake", self.payload.to_string())
            .with("accept", "*/*")
            .with("x-github-event", self.kind)
            .with("x-github-delivery", &self.delivery)
            .with("x-github-hook-id", &self.hook.to_string())
            .with("x-github-hook-installation-target-type", self.target());
        match &self.enterprise_host {
            Some(host) => delivery.with("x-github-enterprise-host", host),
            None => delivery,
        }
    }

    /// Signed as GitHub does: by SHA-256, and by SHA-1 for those who came before.
    pub fn signed(&self, secret: &str) -> Delivery {
        sign(self.unsigned(), secret)
    }

    /// Signed by SHA-1 alone.
    pub fn signed_by_sha1(&self, secret: &str) -> Delivery {
        self.signed(secret).without("x-hub-signature-256")
    }

    /// As a form with the JSON in `payload`. The signature covers the form.
    pub fn signed_form(&self, secret: &str) -> Delivery {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("payload", &self.payload.to_string());
        let mut delivery = self.unsigned().with("content-type", "application/x-www-form-urlencoded");
        delivery.body = form.finish().into();
        sign(delivery, secret)
    }

    fn target(&self) -> &'static str {
        if self.payload["installation"].is_null() { "repository" } else { "integration" }
    }
}

fn sign(delivery: Delivery, secret: &str) -> Delivery {
    let (sha256, sha1) = (sha256_signature(secret, &delivery.body), sha1_signature(secret, &delivery.body));
    delivery.with("x-hub-signature-256", &sha256).with("x-hub-signature", &sha1)
}

/// A payload with what all have: repository, organization, sender, and the installation that the repository is in.
fn of_repository(model: &Model, repository: &Repository, sender: &str, mut payload: Value) -> Value {
    payload["repository"] = render::repository(model, repository, None);
    payload["sender"] = render::user(model, sender);
    if let Some(owner) = model.find_account(&repository.owner).filter(|owner| owner.is_organization()) {
        payload["organization"] = render::organization(model, owner);
    }
    if let Some(installation) = model.installation_of(repository) {
        payload["installation"] = json!({"id": installation.id, "node_id": format!("I_{}", installation.id)});
    }
    payload
}

/// A push of `after` to a ref (`refs/heads/main`) that was at `before`; [`NO_COMMIT`] for a ref that is new or deleted.
pub fn push(
    model: &Model,
    full_name: &str,
    reference: &str,
    before: &str,
    after: &str,
    pusher: &str,
) -> anyhow::Result<Event> {
    let repository = model.repo(full_name)?;
    let objects = model.objects(repository);
    let mut commits: Vec<Value> = match before {
        NO_COMMIT => Vec::new(),
        _ => objects
            .commits_between(before, after)
            .iter()
            .map(|one| pushed(model, repository, &one.sha))
            .collect(),
    };
    commits.reverse();
    let head = objects.commit(after).map(|commit| pushed(model, repository, &commit.sha));
    let html = format!("{}/{full_name}", model.url);
    let mut payload = json!({
        "ref": reference,
        "before": before,
        "after": after,
        "base_ref": null,
        "created": before == NO_COMMIT,
        "deleted": after == NO_COMMIT,
        "forced": before != NO_COMMIT && after != NO_COMMIT && !objects.is_ancestor(before, after),
        "compare": format!("{html}/compare/{}...{}", short(before), short(after)),
        "commits": commits,
        "head_commit": head,
        "pusher": {"name": pusher, "email": format!("{pusher}@users.noreply.example")},
    });
    payload = of_repository(model, repository, pusher, payload);
    // Only here the repository has these, and times as numbers.
    payload["repository"]["owner"]["name"] = json!(repository.owner);
    payload["repository"]["master_branch"] = json!(repository.default_branch);
    payload["repository"]["organization"] = json!(repository.owner);
    payload["repository"]["created_at"] = json!(repository.created_at.as_second());
    payload["repository"]["pushed_at"] = json!(model.now().as_second());
    Ok(Event::new("push", payload))
}

fn short(sha: &str) -> &str {
    sha.get(..12).unwrap_or(sha)
}

fn pushed(model: &Model, repository: &Repository, sha: &str) -> Value {
    let objects = model.objects(repository);
    let Some(commit) = objects.commit(sha) else { return Value::Null };
    let changes = objects.diff(commit.parents.first().map(String::as_str), Some(sha));
    let paths = |kind: &dyn Fn(&ChangeKind) -> bool| -> Vec<&str> {
        changes.iter().filter(|change| kind(&change.kind)).map(|change| change.path.as_str()).collect()
    };
    let mut removed = paths(&|kind| *kind == ChangeKind::Removed);
    removed.extend(changes.iter().filter_map(|change| match &change.kind {
        ChangeKind::Renamed { from } => Some(from.as_str()),
        _ => None,
    }));
    let person = |name: &str, email: &str| json!({"name": name, "email": email, "username": name});
    json!({
        "id": sha,
        "tree_id": commit.tree,
        "distinct": true,
        "message": commit.message,
        "timestamp": time(commit.committer.date),
        "url": format!("{}/{}/commit/{sha}", model.url, repository.full_name()),
        "author": person(&commit.author.name, &commit.author.email),
        "committer": person(&commit.committer.name, &commit.committer.email),
        "added": paths(&|kind| matches!(kind, ChangeKind::Added | ChangeKind::Renamed { .. })),
        "modified": paths(&|kind| *kind == ChangeKind::Modified),
        "removed": removed,
    })
}

fn find_pull(repository: &Repository, number: u64) -> anyhow::Result<&PullRequest> {
    let missing = || format!("{} has no pull request {number}", repository.full_name());
    repository.pull(number).with_context(missing)
}

/// `action`: opened, reopened, synchronize (then set `before` to the head that was), closed, labeled (by its last label),
/// edited.
pub fn pull_request(
    model: &Model,
    full_name: &str,
    number: u64,
    action: &str,
    sender: &str,
) -> anyhow::Result<Event> {
    let repository = model.repo(full_name)?;
    let pull = find_pull(repository, number)?;
    let mut payload = json!({
        "action": action,
        "number": number,
        "pull_request": render::pull(model, repository, pull),
    });
    match action {
        "synchronize" => {
            let head = model.objects(repository).commit(&pull.head_sha);
            payload["before"] = json!(head.and_then(|commit| commit.parents.first()));
            payload["after"] = json!(pull.head_sha);
        }
        "labeled" => {
            let label = pull.labels.last().with_context(|| format!("{full_name}#{number} has no label"))?;
            payload["label"] = render::label(model, repository, label);
        }
        _ => {}
    }
    Ok(Event::new("pull_request", of_repository(model, repository, sender, payload)))
}

/// `action`: created, edited, deleted. Of a comment on a pull request this is `issue_comment`, else `commit_comment`.
pub fn comment(model: &Model, full_name: &str, id: u64, action: &str) -> anyhow::Result<Event> {
    let repository = model.repo(full_name)?;
    let comment = repository.comments.iter().find(|comment| comment.id == id);
    let comment = comment.with_context(|| format!("{full_name} has no comment {id}"))?;
    let mut payload = json!({"action": action, "comment": render::comment(model, repository, comment)});
    let kind = match comment.on {
        CommentOn::Pull(number) => {
            payload["issue"] = render::issue(model, repository, find_pull(repository, number)?);
            "issue_comment"
        }
        CommentOn::Commit(_) => "commit_comment",
    };
    Ok(Event::new(kind, of_repository(model, repository, &comment.author, payload)))
}

/// `action`: rerequested, created, completed.
pub fn check_run(
    model: &Model,
    full_name: &str,
    id: u64,
    action: &str,
    sender: &str,
) -> anyhow::Result<Event> {
    let repository = model.repo(full_name)?;
    let run = repository.check_runs.iter().find(|run| run.id == id);
    let run = run.with_context(|| format!("{full_name} has no check run {id}"))?;
    let mut shown = render::check_run(model, repository, run);
    if let Some(suite) = repository.check_suites.iter().find(|suite| suite.id == run.suite) {
        shown["check_suite"] = render::check_suite(model, repository, suite);
    }
    let payload = json!({"action": action, "check_run": shown});
    Ok(Event::new("check_run", of_repository(model, repository, sender, payload)))
}

/// `action`: rerequested, requested, completed.
pub fn check_suite(
    model: &Model,
    full_name: &str,
    id: u64,
    action: &str,
    sender: &str,
) -> anyhow::Result<Event> {
    let repository = model.repo(full_name)?;
    let suite = repository.check_suites.iter().find(|suite| suite.id == id);
    let suite = suite.with_context(|| format!("{full_name} has no check suite {id}"))?;
    let mut shown = render::check_suite(model, repository, suite);
    if let Some(commit) = model.objects(repository).commit(&suite.head_sha) {
        shown["head_commit"] = json!({
            "id": commit.sha,
            "tree_id": commit.tree,
            "message": commit.message,
            "timestamp": time(commit.committer.date),
        });
    }
    let payload = json!({"action": action, "check_suite": shown});
    Ok(Event::new("check_suite", of_repository(model, repository, sender, payload)))
}

/// `action`: created, deleted, suspend, unsuspend.
pub fn installation(model: &Model, id: u64, action: &str, sender: &str) -> anyhow::Result<Event> {
    let installation = find_installation(model, id)?;
    let payload = json!({
        "action": action,
        "installation": render::installation(model, installation),
        "repositories": short_repositories(model, model.installed_in(installation)),
        "requester": null,
        "sender": render::user(model, sender),
    });
    Ok(Event::new("installation", payload))
}

/// `action`: added or removed, of these repositories (`owner/name`).
pub fn installation_repositories(
    model: &Model,
    id: u64,
    action: &str,
    repositories: &[&str],
    sender: &str,
) -> anyhow::Result<Event> {
    let installation = find_installation(model, id)?;
    let changed: Vec<&Repository> =
        repositories.iter().map(|name| model.repo(name)).collect::<anyhow::Result<_>>()?;
    let selection = if installation.repositories.is_some() { "selected" } else { "all" };
    let (none, changed) = (json!([]), short_repositories(model, changed.into_iter()));
    let (added, removed) = if action == "added" { (changed, none) } else { (none, changed) };
    let payload = json!({
        "action": action,
        "installation": render::installation(model, installation),
        "repository_selection": selection,
        "repositories_added": added,
        "repositories_removed": removed,
        "sender": render::user(model, sender),
    });
    Ok(Event::new("installation_repositories", payload))
}

fn find_installation(model: &Model, id: u64) -> anyhow::Result<&Installation> {
    model.installation(id).with_context(|| format!("installation {id}: install an App on the forge first"))
}

fn short_repositories<'a>(model: &Model, repositories: impl Iterator<Item = &'a Repository>) -> Value {
    repositories
        .map(|repository| {
            let shown = render::repository(model, repository, None);
            ["id", "node_id", "name", "full_name", "private"]
                .into_iter()
                .map(|field| (field.to_owned(), shown[field].clone()))
                .collect::<Value>()
        })
        .collect()
}

/// `action`: created, deleted, renamed.
pub fn repository(model: &Model, full_name: &str, action: &str, sender: &str) -> anyhow::Result<Event> {
    let payload = of_repository(model, model.repo(full_name)?, sender, json!({"action": action}));
    Ok(Event::new("repository", payload))
}

/// What a hook is greeted with.
pub fn ping(model: &Model, full_name: &str, hook: u64) -> anyhow::Result<Event> {
    let repository = model.repo(full_name)?;
    let shown = repository.hooks.iter().find(|one| one.id == hook);
    let shown = shown.with_context(|| format!("{full_name} has no hook {hook}"))?;
    let payload = json!({
        "zen": "Simple is kind.",
        "hook_id": hook,
        "hook": render::hook(model, repository, shown),
    });
    let payload = of_repository(model, repository, &repository.owner, payload);
    Ok(Event { hook, ..Event::new("ping", payload) })
}
