//! GitLab's JSON of what the model holds.

use serde_json::{Value, json};

use crate::forge::exchange::time;
use crate::forge::git::{ChangeKind, Commit, FileChange};
use crate::forge::model::{Access, Account, AccountKind, Model};
use crate::forge::repository::{
    Comment, CommentOn, CommitStatus, Hook, Pipeline, PullRequest, PullState, Repository, Visibility,
};

/// The events that a hook can want, each a boolean field.
pub(super) const HOOK_EVENTS: [&str; 11] = [
    "push_events",
    "tag_push_events",
    "merge_requests_events",
    "note_events",
    "issues_events",
    "confidential_issues_events",
    "confidential_note_events",
    "job_events",
    "pipeline_events",
    "wiki_page_events",
    "releases_events",
];

pub(super) fn visibility(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Public => "public",
        Visibility::Internal => "internal",
        Visibility::Private => "private",
    }
}

/// Unknown logins are shown as the user that stands for deleted ones.
pub(super) fn user(model: &Model, login: &str) -> Value {
    let account = model.find_account(login);
    json!({
        "id": account.map_or(0, |account| account.id),
        "username": login,
        "name": login,
        "state": "active",
        "locked": false,
        "avatar_url": null,
        "web_url": format!("{}/{login}", model.url),
    })
}

/// What `GET /user` adds.
pub(super) fn full_user(model: &Model, account: &Account) -> Value {
    let mut shown = user(model, &account.login);
    shown["email"] = json!(account.email());
    shown["bot"] = json!(account.kind == AccountKind::Bot);
    shown["is_admin"] = json!(false);
    shown
}

pub(super) fn member(model: &Model, login: &str, access: Access) -> Value {
    let mut shown = user(model, login);
    shown["state"] = json!("active");
    shown["membership_state"] = json!("active");
    shown["access_level"] = json!(access.level());
    shown["expires_at"] = Value::Null;
    shown
}

pub(super) fn group(model: &Model, group: &Account) -> Value {
    let (above, name) = group.login.rsplit_once('/').unwrap_or(("", &group.login));
    json!({
        "id": group.id,
        "name": name,
        "path": name,
        "full_name": group.login.replace('/', " / "),
        "full_path": group.login,
        "description": "",
        "visibility": "public",
        "web_url": format!("{}/groups/{}", model.url, group.login),
        "parent_id": model.find_account(above).map(|above| above.id),
    })
}

/// `viewer` is the role of who asks.
pub(super) fn project(model: &Model, project: &Repository, viewer: Option<Access>) -> Value {
    let path = project.full_name();
    let owner = model.find_account(&project.owner);
    let kind = if owner.is_some_and(Account::is_organization) { "group" } else { "user" };
    let web = format!("{}/{path}", model.url);
    let last = project.owner.rsplit('/').next();
    let mut shown = json!({
        "id": project.id,
        "name": project.name,
        "path": project.name,
        "path_with_namespace": path,
        "name_with_namespace": path.replace('/', " / "),
        "namespace": {
            "id": owner.map(|owner| owner.id),
            "name": last,
            "path": last,
            "kind": kind,
            "full_path": project.owner,
            "web_url": format!("{}/{}", model.url, project.owner),
        },
        "description": project.description,
        "visibility": visibility(project.visibility),
        "default_branch": (!project.refs.is_empty()).then_some(&project.default_branch),
        "empty_repo": project.refs.is_empty(),
        "archived": project.is_archived,
        "web_url": web,
        "http_url_to_repo": format!("{web}.git"),
        "ssh_url_to_repo": format!("git@{}:{path}.git", host(model)),
        "created_at": time(project.created_at),
        "last_activity_at": time(project.created_at),
        "merge_requests_enabled": true,
        "permissions": {
            "project_access": viewer.map(|access| json!({"access_level": access.level(), "notification_level": 3})),
            "group_access": null,
        },
    });
    if let Some(parent) = project.fork_of.and_then(|id| model.repo_by_id(id)) {
        shown["forked_from_project"] = self::project(model, parent, None);
    }
    shown
}

fn host(model: &Model) -> &str {
    model.url.split_once("://").map_or(model.url.as_str(), |(_, host)| host)
}

pub(super) fn commit(model: &Model, project: &Repository, commit: &Commit) -> Value {
    json!({
        "id": commit.sha,
        "short_id": commit.sha.get(..8),
        "title": commit.title(),
        "message": commit.message,
        "parent_ids": commit.parents,
        "author_name": commit.author.name,
        "author_email": commit.author.email,
        "authored_date": time(commit.author.date),
        "committer_name": commit.committer.name,
        "committer_email": commit.committer.email,
        "committed_date": time(commit.committer.date),
        "created_at": time(commit.committer.date),
        "web_url": format!("{}/{}/-/commit/{}", model.url, project.full_name(), commit.sha),
    })
}

pub(super) fn branch(model: &Model, project: &Repository, name: &str, head: &Commit) -> Value {
    json!({
        "name": name,
        "commit": commit(model, project, head),
        "default": name == project.default_branch,
        "protected": name == project.default_branch,
        "merged": false,
        "can_push": true,
        "web_url": format!("{}/{}/-/tree/{name}", model.url, project.full_name()),
    })
}

pub(super) fn diff(change: &FileChange) -> Value {
    let old_path = match &change.kind {
        ChangeKind::Renamed { from } => from,
        _ => &change.path,
    };
    json!({
        "old_path": old_path,
        "new_path": change.path,
        "a_mode": if change.kind == ChangeKind::Added { "0" } else { "100644" },
        "b_mode": if change.kind == ChangeKind::Removed { "0" } else { "100644" },
        "new_file": change.kind == ChangeKind::Added,
        "renamed_file": matches!(change.kind, ChangeKind::Renamed { .. }),
        "deleted_file": change.kind == ChangeKind::Removed,
        "diff": change.patch,
    })
}

pub(super) fn state(pull: &PullRequest) -> &'static str {
    match pull.state {
        PullState::Open => "opened",
        PullState::Closed => "closed",
        PullState::Merged => "merged",
    }
}

pub(super) fn merge_request(model: &Model, project: &Repository, pull: &PullRequest) -> Value {
    let path = project.full_name();
    let base = project.head(&pull.base_branch).unwrap_or_default();
    let fork_point = model.objects(project).merge_base(base, &pull.head_sha);
    let notes = project.comments_on(&CommentOn::Pull(pull.number)).count();
    json!({
        "id": pull.id,
        "iid": pull.number,
        "project_id": project.id,
        "title": pull.title,
        "description": pull.body,
        "state": state(pull),
        "source_branch": pull.head_branch,
        "target_branch": pull.base_branch,
        "source_project_id": pull.head_repository,
        "target_project_id": project.id,
        "author": user(model, &pull.author),
        "sha": pull.head_sha,
        "merge_commit_sha": pull.merge_commit,
        "diff_refs": {"base_sha": fork_point, "start_sha": base, "head_sha": pull.head_sha},
        "draft": pull.draft,
        "work_in_progress": pull.draft,
        "labels": pull.labels,
        "merge_status": "can_be_merged",
        "detailed_merge_status": "mergeable",
        "has_conflicts": false,
        "user_notes_count": notes,
        "references": {"short": format!("!{}", pull.number), "full": format!("{path}!{}", pull.number)},
        "web_url": format!("{}/{path}/-/merge_requests/{}", model.url, pull.number),
        "created_at": time(pull.created_at),
        "updated_at": time(pull.updated_at),
        "merged_at": (pull.state == PullState::Merged).then(|| time(pull.updated_at)),
        "closed_at": (pull.state == PullState::Closed).then(|| time(pull.updated_at)),
    })
}

pub(super) fn note(model: &Model, project: &Repository, comment: &Comment) -> Value {
    let mut shown = json!({
        "id": comment.id,
        "type": null,
        "body": comment.body,
        "author": user(model, &comment.author),
        "system": false,
        "resolvable": false,
        "confidential": false,
        "internal": false,
        "created_at": time(comment.created_at),
        "updated_at": time(comment.updated_at),
    });
    if let CommentOn::Pull(number) = comment.on {
        shown["noteable_type"] = json!("MergeRequest");
        shown["noteable_iid"] = json!(number);
        shown["noteable_id"] = json!(project.pull(number).map(|pull| pull.id));
    }
    shown
}

pub(super) fn status(model: &Model, status: &CommitStatus) -> Value {
    let is_finished = !matches!(status.state.as_str(), "pending" | "running");
    let is_started = status.state != "pending";
    json!({
        "id": status.id,
        "sha": status.sha,
        "ref": status.reference,
        "status": status.state,
        "name": status.context,
        "target_url": status.target_url,
        "description": status.description,
        "allow_failure": false,
        "coverage": null,
        "created_at": time(status.created_at),
        "started_at": is_started.then(|| time(status.created_at)),
        "finished_at": is_finished.then(|| time(status.updated_at)),
        "author": user(model, &status.creator),
    })
}

pub(super) fn pipeline(project: &Repository, pipeline: &Pipeline) -> Value {
    json!({
        "id": pipeline.id,
        "iid": pipeline.id,
        "project_id": project.id,
        "sha": pipeline.sha,
        "ref": pipeline.reference(),
        "status": "running",
        "source": "merge_request_event",
    })
}

/// The token of a hook is never given back.
pub(super) fn hook(project: &Repository, hook: &Hook) -> Value {
    let mut shown = json!({
        "id": hook.id,
        "url": hook.url,
        "project_id": project.id,
        "push_events_branch_filter": "",
        "enable_ssl_verification": hook.verifies_tls,
        "alert_status": "executable",
        "created_at": time(hook.created_at),
    });
    for event in HOOK_EVENTS {
        shown[event] = json!(hook.events.iter().any(|wanted| wanted == event));
    }
    shown
}
