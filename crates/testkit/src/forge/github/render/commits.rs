//! Commits, what changed in them, refs, statuses.

use serde_json::{Value, json};

use super::{api, user};
use crate::forge::exchange::time;
use crate::forge::git::{ChangeKind, Commit, FileChange, Signature};
use crate::forge::model::Model;
use crate::forge::repository::{CommitStatus, Repository};

fn signature(by: &Signature) -> Value {
    json!({"name": by.name, "email": by.email, "date": time(by.date)})
}

/// As the Git data API shows a commit.
pub(in crate::forge::github) fn git_commit(model: &Model, repository: &Repository, commit: &Commit) -> Value {
    let base = format!("{}/repos/{}/git", api(model), repository.full_name());
    json!({
        "sha": commit.sha,
        "node_id": format!("C_{}", commit.sha),
        "url": format!("{base}/commits/{}", commit.sha),
        "html_url": format!("{}/{}/commit/{}", model.url, repository.full_name(), commit.sha),
        "author": signature(&commit.author),
        "committer": signature(&commit.committer),
        "message": commit.message,
        "tree": {"sha": commit.tree, "url": format!("{base}/trees/{}", commit.tree)},
        "parents": parents(&base, commit),
        "verification": {"verified": false, "reason": "unsigned", "signature": null, "payload": null},
    })
}

fn parents(base: &str, commit: &Commit) -> Vec<Value> {
    commit.parents.iter().map(|sha| json!({"sha": sha, "url": format!("{base}/commits/{sha}")})).collect()
}

/// As the commits API shows a commit.
pub(in crate::forge::github) fn commit(model: &Model, repository: &Repository, commit: &Commit) -> Value {
    let base = format!("{}/repos/{}", api(model), repository.full_name());
    let mut inner = git_commit(model, repository, commit);
    if let Some(inner) = inner.as_object_mut() {
        inner.retain(|field, _| {
            matches!(field.as_str(), "author" | "committer" | "message" | "tree" | "verification")
        });
        inner.insert("url".to_owned(), json!(format!("{base}/git/commits/{}", commit.sha)));
        inner.insert("comment_count".to_owned(), json!(0));
    }
    let author = model.accounts.iter().find(|account| account.email() == commit.author.email);
    let author = author.map_or(Value::Null, |account| user(model, &account.login));
    json!({
        "sha": commit.sha,
        "node_id": format!("C_{}", commit.sha),
        "commit": inner,
        "url": format!("{base}/commits/{}", commit.sha),
        "html_url": format!("{}/{}/commit/{}", model.url, repository.full_name(), commit.sha),
        "comments_url": format!("{base}/commits/{}/comments", commit.sha),
        "author": author,
        "committer": author,
        "parents": parents(&base, commit),
    })
}

/// A changed file of a commit, comparison or pull request.
pub(in crate::forge::github) fn changed_file(
    model: &Model,
    repository: &Repository,
    commit: &str,
    change: &FileChange,
) -> Value {
    let (html, full_name, path) = (&model.url, repository.full_name(), &change.path);
    let mut shown = json!({
        "sha": change.sha,
        "filename": path,
        "status": match change.kind {
            ChangeKind::Added => "added",
            ChangeKind::Modified => "modified",
            ChangeKind::Removed => "removed",
            ChangeKind::Renamed { .. } => "renamed",
        },
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": format!("{html}/{full_name}/blob/{commit}/{path}"),
        "raw_url": format!("{html}/{full_name}/raw/{commit}/{path}"),
        "contents_url": format!("{}/repos/{full_name}/contents/{path}?ref={commit}", api(model)),
        "patch": change.patch,
    });
    if let ChangeKind::Renamed { from } = &change.kind {
        shown["previous_filename"] = json!(from);
    }
    shown
}

pub(in crate::forge::github) fn reference(
    model: &Model,
    repository: &Repository,
    name: &str,
    sha: &str,
) -> Value {
    let base = format!("{}/repos/{}/git", api(model), repository.full_name());
    json!({
        "ref": name,
        "node_id": format!("REF_{name}"),
        "url": format!("{base}/{name}"),
        "object": {"type": "commit", "sha": sha, "url": format!("{base}/commits/{sha}")},
    })
}

pub(in crate::forge::github) fn status(
    model: &Model,
    repository: &Repository,
    status: &CommitStatus,
) -> Value {
    json!({
        "id": status.id,
        "node_id": format!("SC_{}", status.id),
        "url": format!("{}/repos/{}/statuses/{}", api(model), repository.full_name(), status.sha),
        "state": status.state,
        "description": status.description,
        "target_url": status.target_url,
        "context": status.context,
        "created_at": time(status.created_at),
        "updated_at": time(status.updated_at),
        "creator": user(model, &status.creator),
    })
}
