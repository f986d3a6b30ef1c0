//! Pull requests, and what is said about them.

use serde_json::{Value, json};

use super::{api, user};
use crate::forge::exchange::time;
use crate::forge::model::Model;
use crate::forge::repository::{Comment, CommentOn, PullRequest, PullState, Repository, Review};

pub(in crate::forge::github) fn pull(model: &Model, base: &Repository, pull: &PullRequest) -> Value {
    let number = pull.number;
    let html = format!("{}/{}/pull/{number}", model.url, base.full_name());
    let url = format!("{}/repos/{}/pulls/{number}", api(model), base.full_name());
    let issue = format!("{}/repos/{}/issues/{number}", api(model), base.full_name());
    let head = model.repo_by_id(pull.head_repository);
    let base_sha = base.head(&pull.base_branch).unwrap_or_default();
    let labels: Vec<Value> = pull.labels.iter().map(|name| label(model, base, name)).collect();
    json!({
        "id": pull.id,
        "node_id": format!("PR_{}", pull.id),
        "number": number,
        "url": url,
        "html_url": html,
        "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"),
        "issue_url": issue,
        "commits_url": format!("{url}/commits"),
        "comments_url": format!("{issue}/comments"),
        "statuses_url": format!("{}/repos/{}/statuses/{}", api(model), base.full_name(), pull.head_sha),
        "state": if pull.is_open() { "open" } else { "closed" },
        "merged": pull.state == PullState::Merged,
        "merge_commit_sha": pull.merge_commit,
        "mergeable": pull.is_open().then_some(true),
        "draft": pull.draft,
        "locked": false,
        "title": pull.title,
        "body": pull.body,
        "user": user(model, &pull.author),
        "author_association": association(model, base, &pull.author),
        "labels": labels,
        "created_at": time(pull.created_at),
        "updated_at": time(pull.updated_at),
        "closed_at": (!pull.is_open()).then(|| time(pull.updated_at)),
        "merged_at": (pull.state == PullState::Merged).then(|| time(pull.updated_at)),
        "head": end(model, head, &pull.head_branch, &pull.head_sha),
        "base": end(model, Some(base), &pull.base_branch, base_sha),
    })
}

/// One side of a pull request. The repository is gone when a fork was deleted.
fn end(model: &Model, repository: Option<&Repository>, branch: &str, sha: &str) -> Value {
    let owner = repository.map_or("unknown", |repository| repository.owner.as_str());
    json!({
        "label": format!("{owner}:{branch}"),
        "ref": branch,
        "sha": sha,
        "user": user(model, owner),
        "repo": repository.map(|repository| super::repository(model, repository, None)),
    })
}

pub(in crate::forge::github) fn label(model: &Model, repository: &Repository, name: &str) -> Value {
    let url = format!("{}/repos/{}/labels/{name}", api(model), repository.full_name());
    json!({"name": name, "url": url, "color": "ededed", "default": false, "description": null})
}

pub(in crate::forge::github) fn association(
    model: &Model,
    repository: &Repository,
    login: &str,
) -> &'static str {
    if repository.owner.eq_ignore_ascii_case(login) {
        "OWNER"
    } else if model.members_above(&repository.owner).any(|member| member.login.eq_ignore_ascii_case(login)) {
        "MEMBER"
    } else if model.access(repository, login).is_some() {
        "COLLABORATOR"
    } else {
        "NONE"
    }
}

/// A pull request as the issues API and comment events show it.
pub(in crate::forge::github) fn issue(model: &Model, repository: &Repository, pull: &PullRequest) -> Value {
    let mut shown = self::pull(model, repository, pull);
    let url = shown["url"].take();
    if let Some(fields) = shown.as_object_mut() {
        fields.retain(|field, _| {
            !matches!(field.as_str(), "head" | "base" | "merged" | "mergeable" | "issue_url")
        });
    }
    shown["url"] = json!(format!("{}/repos/{}/issues/{}", api(model), repository.full_name(), pull.number));
    shown["repository_url"] = json!(format!("{}/repos/{}", api(model), repository.full_name()));
    shown["pull_request"] =
        json!({"url": url, "html_url": shown["html_url"], "merged_at": shown["merged_at"]});
    shown
}

pub(in crate::forge::github) fn review(
    model: &Model,
    repository: &Repository,
    pull: &PullRequest,
    review: &Review,
) -> Value {
    json!({
        "id": review.id,
        "user": user(model, &review.author),
        "body": review.body,
        "state": review.state,
        "commit_id": review.commit,
        "author_association": association(model, repository, &review.author),
        "submitted_at": time(review.at),
        "html_url": format!("{}/{}/pull/{}#pullrequestreview-{}", model.url, repository.full_name(), pull.number, review.id),
    })
}

pub(in crate::forge::github) fn comment(model: &Model, repository: &Repository, comment: &Comment) -> Value {
    let full_name = repository.full_name();
    let base = format!("{}/repos/{full_name}", api(model));
    let mut shown = json!({
        "id": comment.id,
        "node_id": format!("IC_{}", comment.id),
        "user": user(model, &comment.author),
        "body": comment.body,
        "author_association": association(model, repository, &comment.author),
        "created_at": time(comment.created_at),
        "updated_at": time(comment.updated_at),
    });
    match &comment.on {
        CommentOn::Pull(number) => {
            shown["url"] = json!(format!("{base}/issues/comments/{}", comment.id));
            shown["issue_url"] = json!(format!("{base}/issues/{number}"));
            let html = format!("{}/{full_name}/pull/{number}#issuecomment-{}", model.url, comment.id);
            shown["html_url"] = json!(html);
        }
        CommentOn::Commit(sha) => {
            shown["url"] = json!(format!("{base}/comments/{}", comment.id));
            shown["commit_id"] = json!(sha);
            let html = format!("{}/{full_name}/commit/{sha}#commitcomment-{}", model.url, comment.id);
            shown["html_url"] = json!(html);
            (shown["path"], shown["position"], shown["line"]) = (Value::Null, Value::Null, Value::Null);
        }
    }
    shown
}
