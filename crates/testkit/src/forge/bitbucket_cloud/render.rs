//! What Bitbucket Cloud shows of things.

use serde_json::{Value, json};

use crate::forge::exchange::time;
use crate::forge::git::{ChangeKind, Commit, FileChange};
use crate::forge::model::{AccountKind, Model};
use crate::forge::repository::{Comment, CommitStatus, PullRequest, PullState, Repository, Visibility};

/// Digits of commits within pull requests.
const SHORT: usize = 12;

/// What an account is called for ever. Empty for somebody unknown.
pub fn account_id(model: &Model, login: &str) -> String {
    model.find_account(login).map(|account| format!("557058:{:012x}", account.id)).unwrap_or_default()
}

pub(super) fn api(model: &Model) -> String {
    format!("{}/2.0", model.url)
}

pub(super) fn user(model: &Model, login: &str) -> Value {
    let kind = model.find_account(login).map(|account| account.kind);
    let mut shown = json!({
        "type": if kind == Some(AccountKind::User) { "user" } else { "app_user" },
        "display_name": login,
        "nickname": login,
        "uuid": format!("{{{}}}", account_id(model, login)),
        "links": {"html": {"href": format!("{}/%7B{login}%7D/", model.url)}},
    });
    if kind == Some(AccountKind::User) {
        shown["account_id"] = json!(account_id(model, login));
    }
    shown
}

fn html(model: &Model, repository: &Repository) -> String {
    format!("{}/{}", model.url, repository.full_name())
}

/// As it stands within other things.
pub(super) fn short_repository(model: &Model, repository: &Repository) -> Value {
    let full_name = repository.full_name();
    json!({
        "type": "repository",
        "full_name": full_name,
        "name": repository.name,
        "uuid": format!("{{repository-{}}}", repository.id),
        "links": {
            "self": {"href": format!("{}/repositories/{full_name}", api(model))},
            "html": {"href": html(model, repository)},
        },
    })
}

pub(super) fn repository(model: &Model, repository: &Repository) -> Value {
    let mut shown = short_repository(model, repository);
    shown["slug"] = json!(repository.name);
    shown["scm"] = json!("git");
    shown["is_private"] = json!(repository.visibility == Visibility::Private);
    shown["description"] = json!(repository.description);
    shown["created_on"] = json!(time(repository.created_at));
    shown["mainbranch"] = match repository.head(&repository.default_branch) {
        Some(_) => json!({"type": "branch", "name": repository.default_branch}),
        None => Value::Null,
    };
    shown["owner"] = user(model, &repository.owner);
    shown["workspace"] = json!({"type": "workspace", "slug": repository.owner, "name": repository.owner});
    shown
}

pub(super) fn commit(model: &Model, repository: &Repository, commit: &Commit) -> Value {
    let of = |sha: &str| format!("{}/repositories/{}/commit/{sha}", api(model), repository.full_name());
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|sha| json!({"type": "commit", "hash": sha, "links": {"self": {"href": of(sha)}}}))
        .collect();
    json!({
        "type": "commit",
        "hash": commit.sha,
        "date": time(commit.committer.date),
        "message": commit.message,
        "author": {"type": "author", "raw": format!("{} <{}>", commit.author.name, commit.author.email)},
        "parents": parents,
        "repository": short_repository(model, repository),
        "links": {
            "self": {"href": of(&commit.sha)},
            "html": {"href": format!("{}/commits/{}", html(model, repository), commit.sha)},
        },
    })
}

/// `kind`: branch or tag.
pub(super) fn reference(
    model: &Model,
    repository: &Repository,
    kind: &str,
    name: &str,
    at: &Commit,
) -> Value {
    json!({
        "type": kind,
        "name": name,
        "target": commit(model, repository, at),
        "links": {"html": {"href": format!("{}/{kind}/{name}", html(model, repository))}},
    })
}

pub(super) fn pull(model: &Model, repository: &Repository, pull: &PullRequest) -> Value {
    let side = |of: Option<&Repository>, branch: &str, sha: Option<&str>| {
        json!({
            "branch": {"name": branch},
            "commit": sha.map(|sha| json!({"type": "commit", "hash": sha.get(..SHORT)})),
            "repository": of.map(|of| short_repository(model, of)),
        })
    };
    let from = model.repo_by_id(pull.head_repository);
    let base = repository.head(&pull.base_branch);
    let url = format!("{}/pull-requests/{}", html(model, repository), pull.number);
    let api = format!("{}/repositories/{}/pullrequests/{}", api(model), repository.full_name(), pull.number);
    json!({
        "type": "pullrequest",
        "id": pull.number,
        "title": pull.title,
        "description": pull.body,
        "state": match pull.state {
            PullState::Open => "OPEN",
            PullState::Closed => "DECLINED",
            PullState::Merged => "MERGED",
        },
        "draft": pull.draft,
        "author": user(model, &pull.author),
        "source": side(from, &pull.head_branch, from.map(|_| pull.head_sha.as_str())),
        "destination": side(Some(repository), &pull.base_branch, base),
        "created_on": time(pull.created_at),
        "updated_on": time(pull.updated_at),
        "links": {"self": {"href": api}, "html": {"href": url}},
    })
}

pub(super) fn difference(change: &FileChange) -> Value {
    let place = |path: &str| json!({"type": "commit_file", "path": path});
    let (status, old, new) = match &change.kind {
        ChangeKind::Added => ("added", Value::Null, place(&change.path)),
        ChangeKind::Modified => ("modified", place(&change.path), place(&change.path)),
        ChangeKind::Removed => ("removed", place(&change.path), Value::Null),
        ChangeKind::Renamed { from } => ("renamed", place(from), place(&change.path)),
    };
    json!({
        "type": "diffstat",
        "status": status,
        "lines_added": change.additions,
        "lines_removed": change.deletions,
        "old": old,
        "new": new,
    })
}

pub(super) fn comment(model: &Model, repository: &Repository, number: u64, comment: &Comment) -> Value {
    let page = format!("{}/pull-requests/{number}/_/diff#comment-{}", html(model, repository), comment.id);
    json!({
        "type": "pullrequest_comment",
        "id": comment.id,
        "content": {"type": "rendered", "raw": comment.body, "markup": "markdown", "html": ""},
        "user": user(model, &comment.author),
        "created_on": time(comment.created_at),
        "updated_on": time(comment.updated_at),
        "deleted": false,
        "links": {"html": {"href": page}},
    })
}

pub(super) fn status(status: &CommitStatus) -> Value {
    json!({
        "type": "build",
        "key": status.context,
        "state": status.state,
        "description": status.description,
        "url": status.target_url,
        "created_on": time(status.created_at),
        "updated_on": time(status.updated_at),
    })
}
