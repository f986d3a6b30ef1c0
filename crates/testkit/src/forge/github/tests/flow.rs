//! The work of pipelines-as-code, build-service and integration-service.

use serde_json::{Value, json};

use super::{APP, fixture};
use crate::forge::exchange::{base64, from_base64};
use crate::forge::{CommentOn, PullState};

#[tokio::test]
async fn an_app_reads_the_definitions_of_a_commit() {
    let seen = fixture();
    let sha = seen.github.edit(|model| {
        let files: &[(&str, Option<&[u8]>)] = &[
            (".tekton/push.yaml", Some(b"kind: PipelineRun\n")),
            (".tekton/tasks/a.yaml", Some(b"kind: Task\n")),
        ];
        model.commit("acme/secret", "main", "Add pipelines", files).unwrap()
    });
    let found = seen.app().get("/repos/acme/secret/installation").await.is(200);
    assert_eq!(found.body["id"], seen.installation);
    assert_eq!(found.body["account"]["login"], "acme");
    assert_eq!(found.body["target_type"], "Organization");
    let app = seen.app().get("/app").await.is(200);
    assert_eq!((&app.body["slug"], &app.body["id"]), (&json!("konflux"), &json!(APP)));

    let client = seen.installed(json!({"repositories": ["secret"]})).await;
    let covered = client.get("/installation/repositories").await.is(200);
    assert_eq!(covered.body["total_count"], 1);
    assert_eq!(covered.body["repositories"][0]["full_name"], "acme/secret");
    assert_eq!(covered.body["repositories"][0]["private"], true);

    let entries = client.get(&format!("/repos/acme/secret/contents/.tekton?ref={sha}")).await.is(200);
    let entries: Vec<_> = entries.body.as_array().unwrap().iter().map(|e| (&e["name"], &e["type"])).collect();
    assert_eq!(entries, [(&json!("push.yaml"), &json!("file")), (&json!("tasks"), &json!("dir"))]);
    let file = client.get("/repos/acme/secret/contents/.tekton/push.yaml").await.is(200);
    assert_eq!(from_base64(file.body["content"].as_str().unwrap()).unwrap(), b"kind: PipelineRun\n");

    let tree = client.get(&format!("/repos/acme/secret/git/trees/{sha}?recursive=1")).await.is(200);
    assert_eq!(tree.body["truncated"], false);
    let blob =
        tree.body["tree"].as_array().unwrap().iter().find(|e| e["path"] == ".tekton/tasks/a.yaml").unwrap();
    let blob =
        client.get(&format!("/repos/acme/secret/git/blobs/{}", blob["sha"].as_str().unwrap())).await.is(200);
    assert_eq!(blob.body["content"], "a2luZDogVGFzawo=\n");

    let raw = client.with("accept", "application/vnd.github.raw");
    assert_eq!(
        raw.get("/repos/acme/secret/contents/.tekton/tasks/a.yaml").await.is(200).text,
        "kind: Task\n"
    );
    client.get("/repos/acme/secret/contents/nothing.yaml").await.is(404);
    let covered = seen.github.traffic().count("GET /repos/{owner}/{repo}/contents/{*path}");
    assert_eq!(covered, 4, "{}", seen.github.traffic());
}

/// As build-service does: Git data API, one commit with two files, a pull request.
#[tokio::test]
async fn an_app_proposes_files() {
    let seen = fixture();
    let client = seen.installed(Value::Null).await;
    let main = client.get("/repos/acme/app/git/ref/heads/main").await.is(200);
    let base = main.body["object"]["sha"].as_str().unwrap();
    let new_ref = json!({"ref": "refs/heads/konflux-app", "sha": base});
    client.post("/repos/acme/app/git/refs", new_ref.clone()).await.is(201);
    let again = client.post("/repos/acme/app/git/refs", new_ref).await.is(422);
    assert_eq!(again.body["message"], "Reference already exists");

    let pull = json!({"title": "Konflux update app", "head": "konflux-app", "base": "main"});
    let nothing = client.post("/repos/acme/app/pulls", pull.clone()).await.is(422);
    assert_eq!(nothing.body["errors"][0]["message"], "No commits between main and konflux-app");

    let entry = |path: &str| json!({"path": path, "mode": "100644", "type": "blob", "content": path});
    let tree = [entry(".tekton/app-push.yaml"), entry(".tekton/app-pull-request.yaml")];
    let tree =
        client.post("/repos/acme/app/git/trees", json!({"base_tree": base, "tree": tree})).await.is(201);
    let author = json!({"name": "konflux", "email": "konflux@example.com", "date": "2024-04-29T10:00:00Z"});
    let commit = json!({"message": "Add", "tree": tree.body["sha"], "parents": [base], "author": author});
    let commit = client.post("/repos/acme/app/git/commits", commit).await.is(201);
    assert_eq!(commit.body["author"]["date"], "2024-04-29T10:00:00Z");
    let update = json!({"sha": commit.body["sha"], "force": false});
    client.patch("/repos/acme/app/git/refs/heads/konflux-app", update).await.is(200);
    let back = json!({"sha": base, "force": false});
    let back = client.patch("/repos/acme/app/git/refs/heads/konflux-app", back).await.is(422);
    assert_eq!(back.body["message"], "Update is not a fast forward");

    let opened = client.post("/repos/acme/app/pulls", pull.clone()).await.is(201);
    assert_eq!(opened.body["user"]["login"], "konflux[bot]");
    assert_eq!(opened.body["head"]["label"], "acme:konflux-app");
    let twice = client.post("/repos/acme/app/pulls", pull).await.is(422);
    assert_eq!(twice.body["errors"][0]["message"], "A pull request already exists for acme:konflux-app.");
    let found = client.get("/repos/acme/app/pulls?head=acme:konflux-app&base=main").await.is(200);
    assert_eq!((found.len(), &found.body[0]["number"]), (1, &json!(1)));
    assert_eq!(client.get("/repos/acme/app/pulls?head=mallory:konflux-app").await.is(200).len(), 0);
    let files = client.get("/repos/acme/app/pulls/1/files").await.is(200);
    let files: Vec<_> =
        files.body.as_array().unwrap().iter().map(|f| (&f["filename"], &f["status"])).collect();
    let added = json!("added");
    let paths = [json!(".tekton/app-pull-request.yaml"), json!(".tekton/app-push.yaml")];
    assert_eq!(files, [(&paths[0], &added), (&paths[1], &added)]);

    let merged = client.put("/repos/acme/app/pulls/1/merge", json!({"merge_method": "merge"})).await.is(200);
    let file = client.get("/repos/acme/app/contents/.tekton/app-push.yaml").await.is(200);
    assert_eq!(merged.body["merged"], true);
    client.get("/repos/acme/app/pulls/1/merge").await.is(204);

    // A change names the content that it replaces.
    let content = base64(b"other");
    let change = json!({"message": "Change", "content": content, "branch": "main"});
    client.put("/repos/acme/app/contents/.tekton/app-push.yaml", change.clone()).await.is(422);
    let mut change = change;
    change["sha"] = json!("0123456789012345678901234567890123456789");
    client.put("/repos/acme/app/contents/.tekton/app-push.yaml", change.clone()).await.is(409);
    change["sha"] = file.body["sha"].clone();
    client.put("/repos/acme/app/contents/.tekton/app-push.yaml", change).await.is(200);
    seen.github.edit(|model| {
        let repository = model.repo("acme/app").unwrap();
        assert_eq!(repository.pull(1).unwrap().state, PullState::Merged);
        let head = model.resolve(repository, "main").unwrap();
        let file = model.objects(repository).file(&head.tree, ".tekton/app-push.yaml");
        assert_eq!(file, Some(b"other".as_slice()));
    });
}

#[tokio::test]
async fn deleting_the_branch_closes_its_pull_request() {
    let seen = fixture();
    let client = seen.installed(Value::Null).await;
    seen.github.edit(|model| model.commit("acme/app", "topic", "Topic", &[("a", Some(b"a"))]).unwrap());
    let pull = json!({"title": "Topic", "head": "topic", "base": "main"});
    client.post("/repos/acme/app/pulls", pull).await.is(201);
    client.delete("/repos/acme/app/git/refs/heads/topic").await.is(204);
    let missing = client.delete("/repos/acme/app/git/refs/heads/topic").await.is(422);
    assert_eq!(missing.body["message"], "Reference does not exist");
    assert_eq!(client.get("/repos/acme/app/pulls/1").await.is(200).body["state"], "closed");
    assert_eq!(client.get("/repos/acme/app/pulls").await.is(200).len(), 0);
}

#[tokio::test]
async fn an_app_reports_by_checks_and_comments() {
    let seen = fixture();
    let client = seen.installed(Value::Null).await;
    let sha = seen.github.edit(|model| {
        let sha = model.commit("acme/app", "topic", "Topic", &[("a", Some(b"a"))]).unwrap();
        let (title, body, author, from, head, base) = ("Topic", "", "alice", "acme/app", "topic", "main");
        let new = crate::forge::NewPull { title, body, author, from, head, base, draft: false };
        model.open_pull("acme/app", new).unwrap();
        sha
    });
    let check =
        json!({"name": "Konflux / a", "head_sha": sha, "status": "in_progress", "external_id": "a-1"});
    let check = client.post("/repos/acme/app/check-runs", check).await.is(201);
    assert_eq!(check.body["pull_requests"][0]["number"], 1);
    assert_eq!(check.body["app"]["id"], APP);
    let path = format!("/repos/acme/app/check-runs/{}", check.body["id"]);
    let unfinished = client.patch(&path, json!({"status": "completed"})).await.is(422);
    assert_eq!(unfinished.body["errors"][0]["field"], "conclusion");
    let annotation = json!({
        "path": "a", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "bad",
    });
    let output = json!({"title": "Failed", "summary": "**a**", "annotations": vec![annotation.clone(); 51]});
    client.patch(&path, json!({"conclusion": "failure", "output": output})).await.is(422);
    let output = json!({"title": "Failed", "summary": "**a**", "annotations": [annotation]});
    let done = client.patch(&path, json!({"conclusion": "failure", "output": output})).await.is(200);
    assert_eq!((&done.body["status"], &done.body["conclusion"]), (&json!("completed"), &json!("failure")));
    assert_eq!(done.body["output"]["annotations_count"], 1);

    let runs = client.get("/repos/acme/app/commits/topic/check-runs?app_id=7&status=completed").await.is(200);
    assert_eq!(runs.body["total_count"], 1);
    let suites = client.get(&format!("/repos/acme/app/commits/{sha}/check-suites")).await.is(200);
    assert_eq!(suites.body["check_suites"][0]["conclusion"], "failure");

    let comment = client.post("/repos/acme/app/issues/1/comments", json!({"body": "one"})).await.is(201);
    let path = format!("/repos/acme/app/issues/comments/{}", comment.body["id"]);
    client.patch(&path, json!({"body": "two"})).await.is(200);
    let comments = client.get("/repos/acme/app/issues/1/comments").await.is(200);
    assert_eq!((comments.len(), &comments.body[0]["body"]), (1, &json!("two")));
    client.post("/repos/acme/app/issues/2/comments", json!({"body": "one"})).await.is(404);
    seen.github.edit(|model| {
        let repository = model.repo("acme/app").unwrap();
        assert_eq!(repository.check_runs[0].external_id, "a-1");
        let comment = repository.comments_on(&CommentOn::Pull(1)).next().unwrap();
        assert_eq!((comment.author.as_str(), comment.body.as_str()), ("konflux[bot]", "two"));
    });
}

#[tokio::test]
async fn a_token_reports_by_statuses() {
    let seen = fixture();
    let client = seen.user("alice", &["repo"]);
    let sha = seen.github.edit(|model| model.repo("acme/app").unwrap().head("main").unwrap().to_owned());
    let path = format!("/repos/acme/app/statuses/{sha}");
    let status = |state: &str, context: &str| json!({"state": state, "context": context, "description": "d"});
    for (state, context) in [("pending", "a"), ("success", "a"), ("success", "b")] {
        client.post(&path, status(state, context)).await.is(201);
    }
    assert_eq!(client.get(&format!("/repos/acme/app/commits/{sha}/statuses")).await.is(200).len(), 3);
    let combined = client.get("/repos/acme/app/commits/main/status").await.is(200);
    assert_eq!((&combined.body["state"], &combined.body["total_count"]), (&json!("success"), &json!(2)));
    client.post(&path, status("running", "a")).await.is(422);
    let long = json!({"state": "success", "description": "d".repeat(141)});
    client.post(&path, long).await.is(422);
    let check = json!({"name": "a", "head_sha": sha});
    let refused = client.post("/repos/acme/app/check-runs", check).await.is(403);
    assert_eq!(refused.body["message"], "You must authenticate via a GitHub App.");
}

#[tokio::test]
async fn compares_a_fork_with_its_base() {
    let seen = fixture();
    seen.github.edit(|model| {
        model.fork("acme/app", "mallory").unwrap();
        model.commit("mallory/app", "main", "Theirs", &[("theirs", Some(b"1\n2\n"))]).unwrap();
        model.commit("acme/app", "main", "Ours", &[("ours", Some(b"1\n"))]).unwrap();
    });
    let compared = seen.anonymous.get("/repos/acme/app/compare/main...mallory:main").await.is(200);
    let counts = ["status", "ahead_by", "behind_by"].map(|field| compared.body[field].clone());
    assert_eq!(counts, [json!("diverged"), json!(1), json!(1)]);
    assert_eq!(compared.body["files"][0]["filename"], "theirs");
    let pull = json!({"title": "Theirs", "head": "mallory:main", "base": "main"});
    let opened = seen.user("mallory", &["public_repo"]).post("/repos/acme/app/pulls", pull).await.is(201);
    assert_eq!(opened.body["head"]["repo"]["full_name"], "mallory/app");
    assert_eq!(opened.body["author_association"], "NONE");
}
