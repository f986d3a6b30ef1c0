//! Webhooks: registered, signed, sent.

use axum::Router;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use hyper::body::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::fixture;
use crate::forge::github::event;
use crate::forge::{CommentOn, NO_COMMIT};

/// HMAC as RFC 2104 writes it, with none of the code that signs.
fn hmac(secret: &[u8], body: &[u8]) -> String {
    let mut key = [0; 64];
    key[..secret.len()].copy_from_slice(secret);
    let pad = |with: u8| key.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(body).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    outer.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

type Received = mpsc::UnboundedReceiver<(HeaderMap, Bytes)>;

/// A listener that takes every delivery.
async fn listener() -> (String, Received) {
    let (sender, received) = mpsc::unbounded_channel();
    let take = async |State(sender): State<mpsc::UnboundedSender<_>>, headers: HeaderMap, body: Bytes| {
        sender.send((headers, body)).unwrap();
        StatusCode::ACCEPTED
    };
    let router = Router::new().route("/hook", axum::routing::post(take)).with_state(sender);
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, router).await });
    (url, received)
}

#[tokio::test]
async fn hooks_get_what_they_asked_for() {
    let seen = fixture();
    let (url, mut received) = listener().await;
    let client = seen.user("alice", &["repo"]);
    let config = json!({"url": url, "content_type": "json", "secret": "s3cret", "insecure_ssl": "0"});
    let hook = json!({"name": "web", "active": true, "events": ["push"], "config": config});
    let hook = client.post("/repos/acme/app/hooks", hook.clone()).await.is(201);
    assert_eq!(hook.body["config"]["secret"], "********");
    let path = format!("/repos/acme/app/hooks/{}", hook.body["id"]);
    let more = client.patch(&path, json!({"add_events": ["pull_request"]})).await.is(200);
    assert_eq!(more.body["events"], json!(["push", "pull_request"]));
    assert_eq!(client.get("/repos/acme/app/hooks").await.is(200).len(), 1);

    let (push, created) = seen.github.edit(|model| {
        let before = model.repo("acme/app").unwrap().head("main").unwrap().to_owned();
        let after = model.commit("acme/app", "main", "Add b", &[("dir/b", Some(b"b"))]).unwrap();
        let push = event::push(model, "acme/app", "refs/heads/main", &before, &after, "alice").unwrap();
        (push, event::repository(model, "acme/app", "created", "alice").unwrap())
    });
    let answers = seen.github.deliver(&client.http, "acme/app", &push).await.unwrap();
    assert_eq!(answers, [(hook.body["id"].as_u64().unwrap(), StatusCode::ACCEPTED)]);
    assert_eq!(seen.github.deliver(&client.http, "acme/app", &created).await.unwrap(), []);
    let (headers, body) = received.recv().await.unwrap();
    assert_eq!(headers["x-github-event"], "push");
    assert_eq!(headers["x-github-delivery"], push.delivery.as_str());
    assert_eq!(
        headers["x-hub-signature-256"].to_str().unwrap(),
        format!("sha256={}", hmac(b"s3cret", &body))
    );
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["ref"], "refs/heads/main");
    assert_eq!(body["head_commit"]["added"], json!(["dir/b"]));
    assert_eq!(body["commits"].as_array().unwrap().len(), 1);
    assert_eq!(body["repository"]["full_name"], "acme/app");
    assert_eq!(body["installation"]["id"], seen.installation);
    client.delete(&path).await.is(204);
    client.get(&path).await.is(404);
}

#[tokio::test]
async fn deliveries_can_be_wrong_in_every_way() {
    let seen = fixture();
    let (url, mut received) = listener().await;
    let event = seen.github.edit(|model| {
        let head = model.repo("acme/app").unwrap().head("main").unwrap().to_owned();
        event::push(model, "acme/app", "refs/heads/new", NO_COMMIT, &head, "alice").unwrap()
    });
    assert_eq!((&event.payload["created"], &event.payload["commits"]), (&json!(true), &json!([])));
    let good = event.signed("s3cret");
    // In any order, twice, replayed under another id, and by those who do not know the secret.
    let sent = [
        event.replayed().signed("s3cret"),
        good.clone(),
        good.clone(),
        event.unsigned(),
        event.signed("wrong"),
        good.tampered(),
        event.signed_by_sha1("s3cret"),
        event.signed_form("s3cret"),
    ];
    for delivery in &sent {
        assert_eq!(delivery.send(&seen.anonymous.http, &url).await.unwrap().status(), 202);
    }
    let mut genuine = Vec::new();
    let mut ids = Vec::new();
    for _ in &sent {
        let (headers, body) = received.recv().await.unwrap();
        let expected = format!("sha256={}", hmac(b"s3cret", &body));
        genuine.push(headers.get("x-hub-signature-256").is_some_and(|given| *given == *expected));
        ids.push(headers["x-github-delivery"].to_str().unwrap().to_owned());
    }
    assert_eq!(genuine, [true, true, true, false, false, false, false, true]);
    assert_ne!(ids[0], ids[1]);
    assert!(ids[1..].iter().all(|id| *id == event.delivery));
}

#[test]
fn payloads_need_no_server() {
    let mut model = crate::forge::Model::new("https://github.example", fleet::Clock::system());
    model.repository("acme/app").unwrap();
    model.fork("acme/app", "mallory").unwrap();
    let before = model.commit("mallory/app", "topic", "One", &[("a", Some(b"a"))]).unwrap();
    let (title, from, head, base) = ("Topic", "mallory/app", "topic", "main");
    let new = crate::forge::NewPull { title, body: "", author: "mallory", from, head, base, draft: false };
    let number = model.open_pull("acme/app", new).unwrap();
    let after = model.commit("mallory/app", "topic", "Two", &[("a", Some(b"b"))]).unwrap();
    let event = event::pull_request(&model, "acme/app", number, "synchronize", "mallory").unwrap();
    let at = |pointer: &str| event.payload.pointer(pointer).unwrap().clone();
    assert_eq!((at("/before"), at("/after")), (json!(before), json!(after)));
    assert_eq!(at("/pull_request/head/sha"), json!(after));
    assert_eq!(at("/pull_request/head/repo/owner/login"), "mallory");
    assert_eq!(at("/pull_request/base/repo/html_url"), "https://github.example/acme/app");
    assert_eq!(at("/pull_request/user/type"), "User");

    let comment = model.comment("acme/app", CommentOn::Pull(number), "alice", "/ok-to-test").unwrap();
    let event = event::comment(&model, "acme/app", comment, "created").unwrap();
    assert_eq!(event.kind, "issue_comment");
    let at = |pointer: &str| event.payload.pointer(pointer).unwrap().clone();
    let url = "https://github.example/api/v3/repos/acme/app/pulls/1";
    assert_eq!(at("/issue/pull_request/url"), url);
    assert_eq!((at("/issue/state"), at("/comment/body")), (json!("open"), json!("/ok-to-test")));
    let comment = model.comment("acme/app", CommentOn::Commit(after), "alice", "/test").unwrap();
    assert_eq!(event::comment(&model, "acme/app", comment, "created").unwrap().kind, "commit_comment");
    assert!(event::pull_request(&model, "acme/app", number, "labeled", "alice").is_err());
    model.repo_mut("acme/app").unwrap().pull_mut(number).unwrap().labels.push("bug".to_owned());
    let event = event::pull_request(&model, "acme/app", number, "labeled", "alice").unwrap();
    assert_eq!(event.payload["label"]["name"], "bug");
}

#[tokio::test]
async fn checks_are_asked_for_again() {
    let seen = fixture();
    let client = seen.installed(Value::Null).await;
    let sha = seen.github.edit(|model| model.repo("acme/app").unwrap().head("main").unwrap().to_owned());
    let check = json!({"name": "a", "head_sha": sha, "external_id": "a-1"});
    let check = client.post("/repos/acme/app/check-runs", check).await.is(201);
    let (run, suite) =
        (check.body["id"].as_u64().unwrap(), check.body["check_suite"]["id"].as_u64().unwrap());
    let (run, suite, installed) = seen.github.edit(|model| {
        (
            event::check_run(model, "acme/app", run, "rerequested", "alice").unwrap(),
            event::check_suite(model, "acme/app", suite, "rerequested", "alice").unwrap(),
            event::installation(model, seen.installation, "created", "alice").unwrap(),
        )
    });
    assert_eq!(run.payload["check_run"]["check_suite"]["head_branch"], "main");
    assert_eq!(run.payload["check_run"]["external_id"], "a-1");
    assert_eq!(suite.payload["check_suite"]["head_sha"], sha);
    assert_eq!(suite.payload["installation"]["id"], seen.installation);
    assert_eq!(installed.payload["repositories"].as_array().unwrap().len(), 2);
    let delivery = installed.signed("s");
    assert_eq!(delivery.headers["x-github-hook-installation-target-type"], "integration");
}
