//! One payload of each kind. What we do not look at is left out, except where it is easily confused with what we do.

use forge::signature::Sender;
use serde_json::{Value, json};

pub(crate) const HEAD: &str = "8cc5aef17d528ca5ab893dd430004fec8bf9beaa";
pub(crate) const BEFORE: &str = "1111111111111111111111111111111111111111";

/// All of them, with the names of their events.
pub(crate) fn all() -> Vec<(Sender, &'static str, Value)> {
    let names = [
        (
            Sender::GitHub,
            &["push", "pull_request", "issue_comment", "commit_comment", "check_run", "check_suite"][..],
        ),
        (Sender::GitLab, &["Push Hook", "Tag Push Hook", "Merge Request Hook", "Note Hook"]),
        (Sender::Gitea, &["push", "pull_request", "issue_comment"]),
        (Sender::BitbucketCloud, &["repo:push", "pullrequest:created", "pullrequest:comment_created"]),
        (Sender::BitbucketServer, &["repo:refs_changed", "pr:opened", "pr:comment:added"]),
    ];
    let with_body = |sender, name| (sender, name, of(sender, name));
    names
        .into_iter()
        .flat_map(|(sender, names)| names.iter().map(move |name| with_body(sender, *name)))
        .collect()
}

pub(crate) fn of(sender: Sender, name: &str) -> Value {
    match sender {
        Sender::GitHub => github(name),
        Sender::GitLab => gitlab(name),
        Sender::Gitea => gitea(name),
        Sender::BitbucketCloud => cloud(name),
        Sender::BitbucketServer => server(name),
    }
}

/// Each place in a payload (RFC 6901).
pub(crate) fn pointers(body: &Value) -> Vec<String> {
    let within = |name: String, value: &Value| {
        let own = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        let deeper: Vec<String> =
            pointers(value).into_iter().map(|pointer| format!("{own}{pointer}")).collect();
        std::iter::once(own).chain(deeper)
    };
    match body {
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(index, item)| within(index.to_string(), item)).collect()
        }
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, value)| within(name.clone(), value)).collect()
        }
        _ => Vec::new(),
    }
}

fn hub_repository(host: &str, owner: &str, id: u64) -> Value {
    json!({
        "id": id,
        "name": "app",
        "full_name": format!("{owner}/app"),
        "private": false,
        "owner": { "login": owner, "id": 3 },
        "html_url": format!("https://{host}/{owner}/app"),
        "clone_url": format!("https://{host}/{owner}/app.git"),
        "default_branch": "main",
        "description": null,
    })
}

fn hub_push(host: &str) -> Value {
    json!({
        "ref": "refs/heads/main",
        "before": BEFORE,
        "after": HEAD,
        "deleted": false,
        "created": false,
        "head_commit": {
            "id": HEAD,
            "message": "Fix the door\n\nIt creaked.",
            "url": format!("https://{host}/acme/app/commit/{HEAD}"),
            "author": { "name": "Jane", "email": "jane@acme.test" },
            "added": ["docs/a.md"], "removed": [], "modified": [],
        },
        "commits": [],
        "repository": hub_repository(host, "acme", 10),
        "pusher": { "name": "jane", "email": "jane@acme.test" },
        "sender": { "login": "jane", "id": 11, "type": "User" },
    })
}

fn hub_pull(host: &str) -> Value {
    json!({
        "id": 555,
        "number": 7,
        "state": "open",
        "title": "Fix the window",
        "body": null,
        "user": { "login": "mallory", "id": 66 },
        "labels": [{ "id": 1, "name": "bug", "color": "ff0000" }],
        "head": { "label": "mallory:fix", "ref": "fix", "sha": HEAD, "repo": hub_repository(host, "mallory", 20) },
        "base": { "label": "acme:main", "ref": "main", "sha": BEFORE, "repo": hub_repository(host, "acme", 10) },
        "merged": false,
    })
}

fn hub_comment(host: &str) -> Value {
    json!({
        "action": "created",
        "issue": {
            "id": 9, "number": 7, "title": "Fix the window", "state": "open",
            "pull_request": { "url": format!("https://api.{host}/repos/acme/app/pulls/7"), "merged_at": null },
        },
        "comment": { "id": 99, "body": "Fine\r\n/test build now", "created_at": "2026-01-02T03:04:05Z", "user": { "login": "jane", "id": 11 } },
        "repository": hub_repository(host, "acme", 10),
        "sender": { "login": "jane", "id": 11 },
    })
}

fn github(name: &str) -> Value {
    const HOST: &str = "github.com";
    let suite = json!({
        "id": 5, "head_branch": "main", "head_sha": HEAD, "before": BEFORE, "pull_requests": [], "status": "queued",
    });
    let mut body = match name {
        "push" => hub_push(HOST),
        "pull_request" => json!({
            "action": "synchronize",
            "number": 7,
            "pull_request": hub_pull(HOST),
            "repository": hub_repository(HOST, "acme", 10),
            "sender": { "login": "mallory", "id": 66 },
        }),
        "issue_comment" => hub_comment(HOST),
        "commit_comment" => json!({
            "action": "created",
            "comment": { "id": 98, "body": "/retest unit branch:stable", "commit_id": HEAD, "path": null },
            "repository": hub_repository(HOST, "acme", 10),
            "sender": { "login": "jane", "id": 11 },
        }),
        "check_suite" => json!({
            "action": "rerequested",
            "check_suite": suite,
            "repository": hub_repository(HOST, "acme", 10),
            "sender": { "login": "jane", "id": 11 },
        }),
        _ => json!({
            "action": "rerequested",
            "check_run": { "id": 4, "external_id": "build-x7k2p", "head_sha": HEAD, "check_suite": suite },
            "repository": hub_repository(HOST, "acme", 10),
            "sender": { "login": "jane", "id": 11 },
        }),
    };
    body["installation"] = json!({ "id": 77, "node_id": "x" });
    body
}

fn gitea(name: &str) -> Value {
    const HOST: &str = "gitea.test";
    match name {
        "push" => hub_push(HOST),
        "pull_request" => json!({
            "action": "opened",
            "number": 7,
            "pull_request": hub_pull(HOST),
            "requested_reviewer": null,
            "repository": hub_repository(HOST, "acme", 10),
            "sender": { "login": "mallory", "id": 66 },
            "commit_id": "",
        }),
        _ => {
            let mut body = hub_comment(HOST);
            body["issue"]["pull_request"] = json!({ "merged": false, "merged_at": null });
            body["pull_request"] = hub_pull(HOST);
            body["is_pull"] = json!(true);
            body
        }
    }
}

fn project(path: &str, id: u64) -> Value {
    json!({
        "id": id,
        "name": "app",
        "web_url": format!("https://gitlab.test/{path}"),
        "git_http_url": format!("https://gitlab.test/{path}.git"),
        "git_ssh_url": format!("git@gitlab.test:{path}.git"),
        "namespace": "acme",
        "path_with_namespace": path,
        "default_branch": "main",
    })
}

fn gitlab(name: &str) -> Value {
    let commit = json!({
        "id": HEAD,
        "message": "Fix the door\n\nIt creaked.",
        "title": "Fix the door",
        "url": format!("https://gitlab.test/group/acme/app/-/commit/{HEAD}"),
    });
    let user = json!({ "id": 66, "name": "Mallory", "username": "mallory", "email": "[REDACTED]" });
    let merge_request = json!({
        "id": 555,
        "iid": 7,
        "title": "Fix the window",
        "state": "opened",
        "action": "open",
        "source_branch": "fix",
        "target_branch": "main",
        "source_project_id": 20,
        "target_project_id": 10,
        "source": project("mallory/app", 20),
        "target": project("group/acme/app", 10),
        "last_commit": commit,
        "labels": [{ "id": 1, "title": "bug" }],
        "description": null,
    });
    match name {
        "Push Hook" | "Tag Push Hook" => {
            let is_tag = name == "Tag Push Hook";
            json!({
                "object_kind": if is_tag { "tag_push" } else { "push" },
                "event_name": if is_tag { "tag_push" } else { "push" },
                "before": if is_tag { "0".repeat(40) } else { BEFORE.to_owned() },
                "after": HEAD,
                "ref": if is_tag { "refs/tags/v1" } else { "refs/heads/main" },
                "checkout_sha": HEAD,
                "user_id": 11,
                "user_name": "Jane",
                "user_username": "jane",
                "project_id": 10,
                "project": project("group/acme/app", 10),
                "commits": if is_tag { json!([]) } else { json!([commit]) },
                "total_commits_count": 1,
            })
        }
        "Merge Request Hook" => json!({
            "object_kind": "merge_request",
            "event_type": "merge_request",
            "user": user,
            "project": project("group/acme/app", 10),
            "object_attributes": merge_request,
            "labels": [],
            "changes": { "labels": null },
        }),
        _ => json!({
            "object_kind": "note",
            "user": { "id": 11, "name": "Jane", "username": "jane" },
            "project_id": 10,
            "project": project("group/acme/app", 10),
            "object_attributes": { "id": 99, "note": "/ok-to-test", "noteable_type": "MergeRequest", "action": "create", "system": false },
            "merge_request": merge_request,
        }),
    }
}

fn cloud_repository(owner: &str) -> Value {
    json!({
        "type": "repository",
        "full_name": format!("{owner}/app"),
        "name": "app",
        "uuid": "{f00}",
        "links": {
            "self": { "href": format!("https://api.bitbucket.org/2.0/repositories/{owner}/app") },
            "html": { "href": format!("https://bitbucket.org/{owner}/app") },
        },
    })
}

fn cloud(name: &str) -> Value {
    let actor = json!({
        "type": "user", "display_name": "Jane Doe", "nickname": "jane", "account_id": "557058:11", "uuid": "{a}",
    });
    if name == "repo:push" {
        let html = format!("https://bitbucket.org/acme/app/commits/{HEAD}");
        return json!({
            "actor": actor,
            "repository": cloud_repository("acme"),
            "push": { "changes": [{
                "new": { "type": "branch", "name": "main", "target": {
                    "type": "commit", "hash": HEAD, "message": "Fix the door\n", "links": { "html": { "href": html } },
                } },
                "old": { "type": "branch", "name": "main", "target": { "type": "commit", "hash": BEFORE } },
                "created": false, "closed": false, "forced": false, "truncated": false,
            }] },
        });
    }
    let mut body = json!({
        "actor": actor,
        "repository": cloud_repository("acme"),
        "pullrequest": {
            "id": 7,
            "title": "Fix the window",
            "state": "OPEN",
            "source": {
                "branch": { "name": "fix" }, "commit": { "type": "commit", "hash": &HEAD[..12] },
                "repository": cloud_repository("mallory"),
            },
            "destination": {
                "branch": { "name": "main" }, "commit": { "type": "commit", "hash": &BEFORE[..12] },
                "repository": cloud_repository("acme"),
            },
        },
    });
    if name == "pullrequest:comment_created" {
        body["comment"] =
            json!({ "id": 99, "content": { "raw": "/test", "markup": "markdown", "html": "<p>/test</p>" } });
    }
    body
}

fn server_repository(project: &str, kind: &str, id: u64) -> Value {
    json!({
        "slug": "app",
        "id": id,
        "name": "app",
        "project": { "key": project, "name": "Acme" },
        "links": {
            "clone": [
                { "href": format!("ssh://git@bitbucket.test:7999/{project}/app.git"), "name": "ssh" },
                { "href": format!("https://bitbucket.test/scm/{project}/app.git"), "name": "http" },
            ],
            "self": [{ "href": format!("https://bitbucket.test/{kind}/app/browse") }],
        },
    })
}

fn server(name: &str) -> Value {
    let actor = json!({ "name": "jane", "emailAddress": "jane@acme.test", "id": 11, "displayName": "Jane", "slug": "jane" });
    if name == "repo:refs_changed" {
        return json!({
            "eventKey": "repo:refs_changed",
            "actor": actor,
            "repository": server_repository("ACME", "projects/ACME/repos", 10),
            "changes": [{
                "ref": { "id": "refs/heads/main", "displayId": "main", "type": "BRANCH" },
                "refId": "refs/heads/main", "fromHash": BEFORE, "toHash": HEAD, "type": "UPDATE",
            }],
        });
    }
    let mut body = json!({
        "eventKey": name,
        "actor": actor,
        "pullRequest": {
            "id": 7,
            "title": "Fix the window",
            "state": "OPEN",
            "open": true,
            "fromRef": {
                "id": "refs/heads/fix", "displayId": "fix", "latestCommit": HEAD,
                "repository": server_repository("~mallory", "users/mallory/repos", 20),
            },
            "toRef": {
                "id": "refs/heads/main", "displayId": "main", "latestCommit": BEFORE,
                "repository": server_repository("ACME", "projects/ACME/repos", 10),
            },
        },
    });
    if name == "pr:comment:added" {
        body["comment"] = json!({ "id": 99, "version": 0, "text": "/cancel build", "author": { "name": "jane", "id": 11 } });
    }
    body
}
