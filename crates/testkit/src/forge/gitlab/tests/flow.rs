//! The work of pipelines-as-code, build-service and integration-service.

use serde_json::{Value, json};

use super::{APP, fixture};
use crate::forge::exchange::from_base64;
use crate::forge::gitlab::event;
use crate::forge::{Access, CommentOn, NO_COMMIT, NewPull, PullState};

#[tokio::test]
async fn a_token_reads_the_definitions_of_a_commit() {
    let seen = fixture();
    let sha = seen.gitlab.edit(|model| {
        let files: &[(&str, Option<&[u8]>)] = &[
            (".tekton/push.yaml", Some(b"kind: PipelineRun\n")),
            (".tekton/tasks/a.yaml", Some(b"kind: Task\n")),
        ];
        model.commit("acme/platform/app", "main", "Add pipelines", files).unwrap()
    });
    let project = seen.alice.get(APP).await.is(200);
    assert_eq!(project.body["path_with_namespace"], "acme/platform/app");
    assert_eq!(project.body["namespace"]["full_path"], "acme/platform");
    let by_id = seen.alice.get(&format!("/projects/{}", project.body["id"])).await.is(200);
    assert_eq!(by_id.body, project.body);

    let tree =
        seen.alice.get(&format!("{APP}/repository/tree?path=.tekton&ref={sha}&recursive=true")).await.is(200);
    let paths: Vec<_> = tree.body.as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
    assert_eq!(paths, [".tekton/tasks", ".tekton/push.yaml", ".tekton/tasks/a.yaml"]);
    seen.alice.get(&format!("{APP}/repository/tree?path=nothing")).await.is(404);

    let path = format!("{APP}/repository/files/.tekton%2Ftasks%2Fa.yaml");
    let file = seen.alice.get(&format!("{path}?ref=main")).await.is(200);
    assert_eq!(from_base64(file.body["content"].as_str().unwrap()).unwrap(), b"kind: Task\n");
    assert_eq!(file.header("x-gitlab-commit-id"), sha);
    assert_eq!(seen.alice.get(&format!("{path}/raw?ref=main")).await.is(200).text, "kind: Task\n");
    let missing = seen.alice.get(&path).await.is(400);
    assert_eq!(missing.body["error"], "ref is missing");
    let missing = seen.alice.get(&format!("{APP}/repository/files/nothing?ref=main")).await.is(404);
    assert_eq!(missing.body["message"], "404 File Not Found");
    let route = "GET /projects/{id}/repository/files/{file_path}";
    assert_eq!(seen.gitlab.traffic().count(route), 3, "{}", seen.gitlab.traffic());
}

#[tokio::test]
async fn a_token_proposes_files() {
    let seen = fixture();
    let client = &seen.alice;
    let commits = format!("{APP}/repository/commits");
    let action = |kind: &str, path: &str| json!({"action": kind, "file_path": path, "content": "x\n"});
    let mut commit = json!({
        "branch": "konflux-app",
        "commit_message": "Konflux update app",
        "actions": [action("create", ".tekton/app-push.yaml"), action("create", ".tekton/app-pull-request.yaml")],
    });
    client.post(&commits, commit.clone()).await.is(400);
    commit["start_branch"] = json!("main");
    let made = client.post(&commits, commit).await.is(201);
    assert_eq!(made.body["title"], "Konflux update app");
    let wrong = json!({
        "branch": "konflux-app", "commit_message": "m",
        "actions": [action("update", ".tekton/app-push.yaml"), action("create", ".tekton/app-push.yaml")],
    });
    let refused = client.post(&commits, wrong).await.is(400);
    assert_eq!(refused.body["message"], "A file with this name already exists");
    let branch = client.get(&format!("{APP}/repository/branches/konflux-app")).await.is(200);
    assert_eq!(branch.body["commit"]["id"], made.body["id"], "all or none of a commit");

    let compared = client.get(&format!("{APP}/repository/compare?from=main&to=konflux-app")).await.is(200);
    assert_eq!(compared.body["diffs"].as_array().unwrap().len(), 2);
    assert_eq!(compared.body["diffs"][0]["new_file"], true);

    let requests = format!("{APP}/merge_requests");
    let request =
        json!({"source_branch": "konflux-app", "target_branch": "main", "title": "Konflux update app"});
    let opened = client.post(&requests, request.clone()).await.is(201);
    assert_eq!((&opened.body["iid"], &opened.body["state"]), (&json!(1), &json!("opened")));
    let twice = client.post(&requests, request).await.is(409);
    let why = "Another open merge request already exists for this source branch: !1";
    assert_eq!(twice.body["message"], json!([why]));
    let query = format!("{requests}?state=opened&source_branch=konflux-app&target_branch=main");
    assert_eq!(client.get(&query).await.is(200).len(), 1);
    let changes = client.get(&format!("{requests}/1/changes")).await.is(200);
    assert_eq!(changes.body["changes"][1]["new_path"], ".tekton/app-push.yaml");
    client.put(&format!("{requests}/1/merge"), Value::Null).await.is(200);
    assert_eq!(client.get(&format!("{requests}/1")).await.is(200).body["state"], "merged");
    let file = format!("{APP}/repository/files/.tekton%2Fapp-push.yaml");
    assert_eq!(client.get(&format!("{file}/raw?ref=main")).await.is(200).text, "x\n");
    client.delete(&format!("{APP}/repository/branches/konflux-app")).await.is(204);
    client.delete(&format!("{APP}/repository/branches/konflux-app")).await.is(404);
    seen.gitlab.edit(|model| {
        assert_eq!(model.repo("acme/platform/app").unwrap().pull(1).unwrap().state, PullState::Merged);
    });
}

#[tokio::test]
async fn statuses_only_move_on() {
    let seen = fixture();
    let sha =
        seen.gitlab.edit(|model| model.repo("acme/platform/app").unwrap().head("main").unwrap().to_owned());
    let path = format!("{APP}/statuses/{sha}");
    let status = |state: &str| json!({"state": state, "name": "Konflux / a", "description": state});
    for (state, expected) in [
        ("pending", 201),
        ("pending", 400),
        ("running", 201),
        ("running", 400),
        ("success", 201),
        // Another begins.
        ("running", 201),
        ("failed", 201),
        ("done", 400),
    ] {
        let answer = seen.alice.post(&path, status(state)).await;
        assert_eq!(answer.status, expected, "{state}: {}", answer.text);
        if (state, expected) == ("running", 400) {
            let why = answer.body["message"].as_str().unwrap();
            assert!(why.starts_with("Cannot transition status via :run from :running"), "{why}");
        }
    }
    let commits = format!("{APP}/repository/commits/{sha}/statuses");
    let newest = seen.alice.get(&commits).await.is(200);
    assert_eq!((newest.len(), &newest.body[0]["status"]), (1, &json!("failed")));
    assert_eq!(seen.alice.get(&format!("{commits}?all=true")).await.is(200).len(), 2);
}

#[tokio::test]
async fn notes_are_written_and_changed() {
    let seen = fixture();
    seen.gitlab.edit(|model| {
        model.commit("acme/platform/app", "topic", "Topic", &[("a", Some(b"a"))]).unwrap();
        let (title, from, head, base) = ("Topic", "acme/platform/app", "topic", "main");
        let new = NewPull { title, body: "", author: "alice", from, head, base, draft: false };
        model.open_pull("acme/platform/app", new).unwrap();
    });
    let notes = format!("{APP}/merge_requests/1/notes");
    let note = seen.alice.post(&notes, json!({"body": "one"})).await.is(201);
    let path = format!("{notes}/{}", note.body["id"]);
    seen.alice.put(&path, json!({"body": "two"})).await.is(200);
    let listed = seen.alice.get(&notes).await.is(200);
    assert_eq!((listed.len(), &listed.body[0]["body"]), (1, &json!("two")));
    seen.alice.delete(&path).await.is(204);
    seen.alice.get(&path).await.is(404);
    seen.alice.post(&format!("{APP}/merge_requests/1/approve"), Value::Null).await.is(201);
    let approvals = seen.alice.get(&format!("{APP}/merge_requests/1/approvals")).await.is(200);
    assert_eq!(approvals.body["approved_by"][0]["user"]["username"], "alice");
}

#[tokio::test]
async fn rights_come_from_groups_and_scopes() {
    let seen = fixture();
    let bob = seen.gitlab.edit(|model| {
        model.repo_mut("acme/platform/app").unwrap().collaborator("bob", Access::Triage);
        model.user("bob")
    });
    assert_eq!(seen.alice.get(&format!("{APP}/members")).await.is(200).len(), 1);
    assert_eq!(seen.alice.get(&format!("{APP}/members/all")).await.is(200).len(), 2);
    let member = seen.alice.get(&format!("{APP}/members/all/{bob}")).await.is(200);
    assert_eq!(member.body["access_level"], 20);
    seen.alice.get(&format!("{APP}/members/all/1")).await.is(404);
    let found = seen.alice.get("/users?username=bob").await.is(200);
    assert_eq!(found.body[0]["id"], bob);
    assert_eq!(seen.alice.get("/groups/acme%2Fplatform/members/all").await.is(200).len(), 1);

    // Nobody is told of what they may not see, nor may everybody who sees it change it.
    let hidden = seen.anonymous.get(APP).await.is(404);
    assert_eq!(hidden.body["message"], "404 Project Not Found");
    let mallory = seen.anonymous.bearer(&seen.gitlab.token("mallory", &["api"]));
    mallory.get(APP).await.is(404);
    let reporter = seen.anonymous.bearer(&seen.gitlab.token("bob", &["api"]));
    let branch = json!({"branch": "b", "ref": "main"});
    let refused = reporter.post(&format!("{APP}/repository/branches"), branch.clone()).await.is(403);
    assert_eq!(refused.body["message"], "403 Forbidden");
    let reader = seen.anonymous.bearer(&seen.gitlab.token("alice", &["read_api"]));
    reader.get(APP).await.is(200);
    let refused = reader.post(&format!("{APP}/repository/branches"), branch).await.is(403);
    assert_eq!(refused.body["error"], "insufficient_scope");
    seen.anonymous.bearer("glpat-unknown").get("/user").await.is(401);
    let now = seen.gitlab.edit(|model| model.now());
    let ended = seen.anonymous.bearer(&seen.gitlab.expiring_token("alice", &["api"], now));
    assert_eq!(ended.get("/user").await.is(401).body["error"], "invalid_token");
    let token = reader.get("/personal_access_tokens/self").await.is(200);
    assert_eq!(token.body["scopes"], json!(["read_api"]));
    let page = seen.anonymous.get(&format!("{}/acme/platform/app", seen.gitlab.url())).await.is(302);
    assert!(page.header("location").ends_with("/users/sign_in"));
    let raw = format!("{}/acme/platform/app/-/raw/main/README.md", seen.gitlab.url());
    assert_eq!(seen.alice.get(&raw).await.is(200).text, "# acme/platform/app\n");
}

#[tokio::test]
async fn hooks_get_what_they_asked_for() {
    let seen = fixture();
    let hook = json!({
        "url": "http://127.0.0.1:1/hook", "token": "s3cret", "push_events": true, "merge_requests_events": true,
        "note_events": true, "enable_ssl_verification": false,
    });
    let hooks = format!("{APP}/hooks");
    let made = seen.alice.post(&hooks, hook).await.is(201);
    assert!(made.body.get("token").is_none());
    assert_eq!(made.body["enable_ssl_verification"], false);
    let path = format!("{hooks}/{}", made.body["id"]);
    let url = json!({"url": "http://127.0.0.1:1/hook", "push_events": false});
    let changed = seen.alice.put(&path, url).await.is(200);
    assert_eq!((&changed.body["push_events"], &changed.body["note_events"]), (&json!(false), &json!(true)));
    let push = seen.gitlab.edit(|model| {
        let head = model.repo("acme/platform/app").unwrap().head("main").unwrap().to_owned();
        event::push(model, "acme/platform/app", "refs/heads/main", NO_COMMIT, &head, "alice").unwrap()
    });
    // Nobody wants it; and nobody listens for what is wanted.
    let http = &seen.alice.http;
    assert_eq!(seen.gitlab.deliver(http, "acme/platform/app", &push).await.unwrap(), []);
    let wanted = event::Event { wanted_by: "note_events", ..push };
    assert!(seen.gitlab.deliver(http, "acme/platform/app", &wanted).await.is_err());
    seen.alice.delete(&path).await.is(204);
    seen.alice.delete(&path).await.is(404);
}

#[test]
fn payloads_need_no_server() {
    let mut model = crate::forge::Model::new("https://gitlab.example", fleet::Clock::system());
    model.repository("acme/platform/app").unwrap();
    model.fork("acme/platform/app", "mallory").unwrap();
    let old = model.commit("mallory/app", "topic", "One", &[("a", Some(b"a"))]).unwrap();
    let (title, from, head, base) = ("Topic", "mallory/app", "topic", "main");
    let new = NewPull { title, body: "", author: "mallory", from, head, base, draft: false };
    let number = model.open_pull("acme/platform/app", new).unwrap();
    let head = model.commit("mallory/app", "topic", "Two", &[("b", Some(b"b"))]).unwrap();

    let event =
        event::merge_request(&model, "acme/platform/app", number, "update", Some(&old), "mallory").unwrap();
    let at = |pointer: &str| event.payload.pointer(pointer).unwrap().clone();
    assert_eq!(
        (at("/object_attributes/oldrev"), at("/object_attributes/last_commit/id")),
        (json!(old), json!(head))
    );
    assert_eq!(at("/object_attributes/source/path_with_namespace"), "mallory/app");
    assert_eq!(at("/project/web_url"), "https://gitlab.example/acme/platform/app");
    assert_eq!(at("/user/username"), "mallory");
    let delivery = event.with_token("s3cret");
    assert_eq!(delivery.headers["x-gitlab-event"], "Merge Request Hook");
    assert_eq!(delivery.headers["x-gitlab-token"], "s3cret");
    assert_eq!(delivery.headers["idempotency-key"], delivery.headers["x-gitlab-event-uuid"]);
    assert!(!event.without_token().headers.contains_key("x-gitlab-token"));
    assert_ne!(event.replayed().uuid, event.uuid);
    assert_eq!(event.of_system().without_token().headers["x-gitlab-event"], "System Hook");

    let comment =
        model.comment("acme/platform/app", CommentOn::Pull(number), "alice", "/ok-to-test").unwrap();
    let event = event::note(&model, "acme/platform/app", comment).unwrap();
    let at = |pointer: &str| event.payload.pointer(pointer).unwrap().clone();
    assert_eq!(at("/object_attributes/noteable_type"), "MergeRequest");
    assert_eq!(at("/merge_request/state"), "opened");
    assert_eq!(at("/merge_request/last_commit/id"), json!(head));

    let main = model.repo("acme/platform/app").unwrap().head("main").unwrap().to_owned();
    let event = event::push(&model, "acme/platform/app", "refs/tags/v1", NO_COMMIT, &main, "alice").unwrap();
    assert_eq!((event.kind, &event.payload["object_kind"]), ("Tag Push Hook", &json!("tag_push")));
    let event = event::push(&model, "mallory/app", "refs/heads/topic", &old, &head, "mallory").unwrap();
    assert_eq!(event.payload["commits"][0]["added"], json!(["b"]));
    assert_eq!(event.payload["total_commits_count"], 1);
    let event = event::system(&model, "mallory/app", "project_create").unwrap();
    assert_eq!(event.kind, "System Hook");
}
