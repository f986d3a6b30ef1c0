//! Webhook payloads of GitLab, built from the model, and the deliveries that carry them.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::render;
use super::state::visibility_level;
use crate::forge::delivery::{Delivery, uuid};
use crate::forge::exchange::time;
use crate::forge::git::{ChangeKind, Commit, NO_COMMIT};
use crate::forge::model::Model;
use crate::forge::repository::{CommentOn, PullRequest, Repository};

/// What happened. Its payload may be changed before it is sent.
#[derive(Clone, Debug)]
pub struct Event {
    /// `X-Gitlab-Event`: `Push Hook`
    pub kind: &'static str,
    /// The field of a hook that asks for it: `push_events`.
    pub wanted_by: &'static str,
    pub payload: Value,
    /// `X-Gitlab-Event-UUID`, and `Idempotency-Key`, which stays the same when GitLab tries again.
    pub uuid: String,
    /// `X-Gitlab-Instance`
    pub instance: String,
}

impl Event {
    fn new(model: &Model, kind: &'static str, wanted_by: &'static str, payload: Value) -> Self {
        Self { kind, wanted_by, payload, uuid: uuid(), instance: model.url.clone() }
    }

    /// The same in another delivery, as when it is replayed by somebody else.
    #[must_use]
    pub fn replayed(&self) -> Self {
        Self { uuid: uuid(), ..self.clone() }
    }

    /// As a hook of the whole instance sends it.
    #[must_use]
    pub fn of_system(&self) -> Self {
        Self { kind: "System Hook", ..self.clone() }
    }

    /// Of a hook without a token.
    pub fn without_token(&self) -> Delivery {
        Delivery::new("GitLab/17.0.0", self.payload.to_string())
            .with("x-gitlab-event", self.kind)
            .with("x-gitlab-event-uuid", &self.uuid)
            .with("x-gitlab-webhook-uuid", &uuid())
            .with("x-gitlab-instance", &self.instance)
            .with("idempotency-key", &self.uuid)
    }

    /// GitLab does not sign: it says the token that the hook was given.
    pub fn with_token(&self, token: &str) -> Delivery {
        self.without_token().with("x-gitlab-token", token)
    }
}

/// A push of `after` to a branch or tag (`refs/heads/main`) that was at `before`; [`NO_COMMIT`] for one that is new or
/// deleted.
pub fn push(
    model: &Model,
    path: &str,
    reference: &str,
    before: &str,
    after: &str,
    pusher: &str,
) -> anyhow::Result<Event> {
    let project = model.repo(path)?;
    let objects = model.objects(project);
    let mut commits: Vec<Value> = match before {
        // A new branch shows its newest commit.
        NO_COMMIT => objects.commit(after).into_iter().map(|commit| pushed(model, project, commit)).collect(),
        _ => objects
            .commits_between(before, after)
            .into_iter()
            .map(|one| pushed(model, project, one))
            .collect(),
    };
    commits.reverse();
    let is_tag = reference.starts_with("refs/tags/");
    let (kind, wanted_by, object_kind) = if is_tag {
        ("Tag Push Hook", "tag_push_events", "tag_push")
    } else {
        ("Push Hook", "push_events", "push")
    };
    let user = render::user(model, pusher);
    let payload = json!({
        "object_kind": object_kind,
        "event_name": object_kind,
        "before": before,
        "after": after,
        "ref": reference,
        "ref_protected": reference.ends_with(&project.default_branch),
        "checkout_sha": (after != NO_COMMIT).then_some(after),
        "message": null,
        "user_id": user["id"],
        "user_name": user["name"],
        "user_username": user["username"],
        "user_email": format!("{pusher}@users.noreply.example"),
        "user_avatar": null,
        "project_id": project.id,
        "project": render_project(model, project),
        "total_commits_count": commits.len(),
        "commits": commits,
        "push_options": {},
        "repository": render_repository(model, project),
    });
    Ok(Event::new(model, kind, wanted_by, payload))
}

fn pushed(model: &Model, project: &Repository, commit: &Commit) -> Value {
    let changes = model.objects(project).diff(commit.parents.first().map(String::as_str), Some(&commit.sha));
    let paths = |kind: &dyn Fn(&ChangeKind) -> bool| -> Vec<&str> {
        changes.iter().filter(|change| kind(&change.kind)).map(|change| change.path.as_str()).collect()
    };
    let mut removed = paths(&|kind| *kind == ChangeKind::Removed);
    removed.extend(changes.iter().filter_map(|change| match &change.kind {
        ChangeKind::Renamed { from } => Some(from.as_str()),
        _ => None,
    }));
    let mut shown = last_commit(model, project, commit);
    shown["added"] = json!(paths(&|kind| matches!(kind, ChangeKind::Added | ChangeKind::Renamed { .. })));
    shown["modified"] = json!(paths(&|kind| *kind == ChangeKind::Modified));
    shown["removed"] = json!(removed);
    shown
}

fn last_commit(model: &Model, project: &Repository, commit: &Commit) -> Value {
    json!({
        "id": commit.sha,
        "title": commit.title(),
        "message": commit.message,
        "timestamp": time(commit.committer.date),
        "url": format!("{}/{}/-/commit/{}", model.url, project.full_name(), commit.sha),
        "author": {"name": commit.author.name, "email": commit.author.email},
    })
}

/// A project as payloads have it, which is not as the API has it.
fn render_project(model: &Model, project: &Repository) -> Value {
    let shown = render::project(model, project, None);
    json!({
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "web_url": shown["web_url"],
        "avatar_url": null,
        "git_ssh_url": shown["ssh_url_to_repo"],
        "git_http_url": shown["http_url_to_repo"],
        "namespace": project.owner.rsplit('/').next(),
        "visibility_level": visibility_level(project.visibility),
        "path_with_namespace": project.full_name(),
        "default_branch": project.default_branch,
        "ci_config_path": null,
        "homepage": shown["web_url"],
        "url": shown["ssh_url_to_repo"],
        "ssh_url": shown["ssh_url_to_repo"],
        "http_url": shown["http_url_to_repo"],
    })
}

fn render_repository(model: &Model, project: &Repository) -> Value {
    let shown = render::project(model, project, None);
    json!({
        "name": project.name,
        "url": shown["ssh_url_to_repo"],
        "description": project.description,
        "homepage": shown["web_url"],
        "git_http_url": shown["http_url_to_repo"],
        "git_ssh_url": shown["ssh_url_to_repo"],
        "visibility_level": visibility_level(project.visibility),
    })
}

fn render_user(model: &Model, login: &str) -> Value {
    let shown = render::user(model, login);
    json!({
        "id": shown["id"],
        "name": shown["name"],
        "username": shown["username"],
        "avatar_url": null,
        "email": "[REDACTED]",
    })
}

fn labels(pull: &PullRequest) -> Value {
    pull.labels
        .iter()
        .map(|title| json!({"title": title, "color": "#ededed", "type": "ProjectLabel"}))
        .collect()
}

fn attributes(model: &Model, project: &Repository, pull: &PullRequest) -> Value {
    let source = model.repo_by_id(pull.head_repository);
    let head = model.objects(project).commit(&pull.head_sha);
    json!({
        "id": pull.id,
        "iid": pull.number,
        "title": pull.title,
        "description": pull.body,
        "state": render::state(pull),
        "draft": pull.draft,
        "work_in_progress": pull.draft,
        "source_branch": pull.head_branch,
        "target_branch": pull.base_branch,
        "source_project_id": pull.head_repository,
        "target_project_id": project.id,
        "source": source.map(|source| render_project(model, source)),
        "target": render_project(model, project),
        "last_commit": head.map(|head| last_commit(model, source.unwrap_or(project), head)),
        "author_id": render::user(model, &pull.author)["id"],
        "merge_status": "can_be_merged",
        "detailed_merge_status": "mergeable",
        "merge_commit_sha": pull.merge_commit,
        "labels": labels(pull),
        "url": format!("{}/{}/-/merge_requests/{}", model.url, project.full_name(), pull.number),
        "created_at": time(pull.created_at),
        "updated_at": time(pull.updated_at),
    })
}

fn find(project: &Repository, number: u64) -> anyhow::Result<&PullRequest> {
    project.pull(number).with_context(|| format!("{} has no merge request {number}", project.full_name()))
}

/// `action`: open, reopen, close, merge, approved, and update: with new commits `oldrev` is the head that was, else
/// `None`.
pub fn merge_request(
    model: &Model,
    path: &str,
    number: u64,
    action: &str,
    oldrev: Option<&str>,
    user: &str,
) -> anyhow::Result<Event> {
    let project = model.repo(path)?;
    let pull = find(project, number)?;
    let mut attributes = attributes(model, project, pull);
    attributes["action"] = json!(action);
    if let Some(oldrev) = oldrev {
        attributes["oldrev"] = json!(oldrev);
    }
    let payload = json!({
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": render_user(model, user),
        "project": render_project(model, project),
        "object_attributes": attributes,
        "labels": labels(pull),
        "changes": {},
        "repository": render_repository(model, project),
    });
    Ok(Event::new(model, "Merge Request Hook", "merge_requests_events", payload))
}

/// A comment that was written on a merge request or a commit.
pub fn note(model: &Model, path: &str, id: u64) -> anyhow::Result<Event> {
    let project = model.repo(path)?;
    let comment = project.comments.iter().find(|comment| comment.id == id);
    let comment = comment.with_context(|| format!("{path} has no comment {id}"))?;
    let user = render_user(model, &comment.author);
    let web = format!("{}/{path}/-", model.url);
    let mut attributes = json!({
        "id": comment.id,
        "note": comment.body,
        "description": comment.body,
        "author_id": user["id"],
        "project_id": project.id,
        "system": false,
        "action": "create",
        "created_at": time(comment.created_at),
        "updated_at": time(comment.updated_at),
    });
    let mut payload = json!({
        "object_kind": "note",
        "event_type": "note",
        "user": user,
        "project_id": project.id,
        "project": render_project(model, project),
        "repository": render_repository(model, project),
    });
    match &comment.on {
        CommentOn::Pull(number) => {
            let pull = find(project, *number)?;
            attributes["noteable_type"] = json!("MergeRequest");
            attributes["noteable_id"] = json!(pull.id);
            attributes["url"] = json!(format!("{web}/merge_requests/{number}#note_{id}"));
            payload["merge_request"] = self::attributes(model, project, pull);
        }
        CommentOn::Commit(sha) => {
            let commit = model.objects(project).commit(sha);
            attributes["noteable_type"] = json!("Commit");
            attributes["noteable_id"] = Value::Null;
            attributes["commit_id"] = json!(sha);
            attributes["url"] = json!(format!("{web}/commit/{sha}#note_{id}"));
            payload["commit"] = json!(commit.map(|commit| last_commit(model, project, commit)));
        }
    }
    payload["object_attributes"] = attributes;
    Ok(Event::new(model, "Note Hook", "note_events", payload))
}

/// What only hooks of the whole instance get. `event`: `project_create`, `project_destroy`.
pub fn system(model: &Model, path: &str, event: &str) -> anyhow::Result<Event> {
    let project = model.repo(path)?;
    let owner = project.owner.rsplit('/').next();
    let payload = json!({
        "event_name": event,
        "created_at": time(project.created_at),
        "updated_at": time(project.created_at),
        "name": project.name,
        "path": project.name,
        "path_with_namespace": path,
        "project_id": project.id,
        "owner_name": owner,
        "owner_email": "",
        "owners": [],
        "project_visibility": render::visibility(project.visibility),
    });
    Ok(Event::new(model, "System Hook", "", payload))
}
