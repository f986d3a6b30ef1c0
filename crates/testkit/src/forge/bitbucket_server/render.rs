//! What Bitbucket Server shows of things.

use serde_json::{Value, json};

use crate::forge::git::{ChangeKind, Commit, FileChange};
use crate::forge::model::{AccountKind, Model};
use crate::forge::repository::{Comment, PullRequest, PullState, Repository, Visibility};

pub(super) fn user(model: &Model, login: &str) -> Value {
    let account = model.find_account(login);
    let is_service = account.is_some_and(|account| account.kind == AccountKind::Bot);
    json!({
        "name": login,
        "slug": login,
        "emailAddress": account.map(crate::forge::Account::email),
        "id": account.map(|account| account.id),
        "displayName": login,
        "active": true,
        "type": if is_service { "SERVICE" } else { "NORMAL" },
    })
}

/// Where a person sees it: `/projects/ACME/repos/app`, of a person's own `/users/jane/repos/app`.
fn html(model: &Model, repository: &Repository) -> String {
    let of = match repository.owner.strip_prefix('~') {
        Some(person) => format!("users/{person}"),
        None => format!("projects/{}", repository.owner),
    };
    format!("{}/{of}/repos/{}", model.url, repository.name)
}

pub(super) fn repository(model: &Model, repository: &Repository) -> Value {
    let owner = repository.owner.to_lowercase();
    let clone = format!("{}/scm/{owner}/{}.git", model.url, repository.name);
    let project = model.find_account(&repository.owner).map(|account| account.id);
    json!({
        "id": repository.id,
        "slug": repository.name,
        "name": repository.name,
        "scmId": "git",
        "state": "AVAILABLE",
        "public": repository.visibility == Visibility::Public,
        "project": {
            "key": repository.owner,
            "id": project,
            "name": repository.owner,
            "type": if repository.owner.starts_with('~') { "PERSONAL" } else { "NORMAL" },
        },
        "links": {
            "clone": [{"href": "ssh://git@bitbucket.test/x.git", "name": "ssh"}, {"href": clone, "name": "http"}],
            "self": [{"href": format!("{}/browse", html(model, repository))}],
        },
    })
}

fn short(sha: &str) -> &str {
    sha.get(..11).unwrap_or(sha)
}

pub(super) fn commit(commit: &Commit) -> Value {
    let person = |by: &crate::forge::Signature| json!({"name": by.name, "emailAddress": by.email});
    let parents: Vec<Value> =
        commit.parents.iter().map(|sha| json!({"id": sha, "displayId": short(sha)})).collect();
    json!({
        "id": commit.sha,
        "displayId": short(&commit.sha),
        "author": person(&commit.author),
        "authorTimestamp": commit.author.date.as_millisecond(),
        "committer": person(&commit.committer),
        "committerTimestamp": commit.committer.date.as_millisecond(),
        "message": commit.message,
        "parents": parents,
    })
}

pub(super) fn pull(model: &Model, repository: &Repository, pull: &PullRequest) -> Value {
    let side = |of: &Repository, branch: &str, sha: Option<&str>| {
        json!({
            "id": format!("refs/heads/{branch}"),
            "displayId": branch,
            "latestCommit": sha,
            "type": "BRANCH",
            "repository": self::repository(model, of),
        })
    };
    let from = model.repo_by_id(pull.head_repository).unwrap_or(repository);
    let is_open = pull.state == PullState::Open;
    json!({
        "id": pull.number,
        "version": 0,
        "title": pull.title,
        "description": pull.body,
        "state": match pull.state {
            PullState::Open => "OPEN",
            PullState::Closed => "DECLINED",
            PullState::Merged => "MERGED",
        },
        "open": is_open,
        "closed": !is_open,
        "draft": pull.draft,
        "createdDate": pull.created_at.as_millisecond(),
        "updatedDate": pull.updated_at.as_millisecond(),
        "fromRef": side(from, &pull.head_branch, Some(&pull.head_sha)),
        "toRef": side(repository, &pull.base_branch, repository.head(&pull.base_branch)),
        "author": {"user": user(model, &pull.author), "role": "AUTHOR", "approved": false, "status": "UNAPPROVED"},
        "reviewers": [],
        "participants": [],
        "links": {"self": [{"href": format!("{}/pull-requests/{}", html(model, repository), pull.number)}]},
    })
}

pub(super) fn change(change: &FileChange) -> Value {
    let place = |path: &str| {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parts: Vec<&str> = path.split('/').collect();
        json!({"components": parts, "parent": parent, "name": name, "toString": path})
    };
    let kind = match &change.kind {
        ChangeKind::Added => "ADD",
        ChangeKind::Modified => "MODIFY",
        ChangeKind::Removed => "DELETE",
        ChangeKind::Renamed { .. } => "MOVE",
    };
    let mut shown =
        json!({"contentId": change.sha, "path": place(&change.path), "type": kind, "nodeType": "FILE"});
    if let ChangeKind::Renamed { from } = &change.kind {
        shown["srcPath"] = place(from);
    }
    shown
}

pub(super) fn comment(model: &Model, comment: &Comment, version: u64) -> Value {
    json!({
        "id": comment.id,
        "version": version,
        "text": comment.body,
        "author": user(model, &comment.author),
        "createdDate": comment.created_at.as_millisecond(),
        "updatedDate": comment.updated_at.as_millisecond(),
        "comments": [],
        "severity": "NORMAL",
        "state": "OPEN",
    })
}
