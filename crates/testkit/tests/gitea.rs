//! What the client of Gitea does, on a real one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use http::HeaderMap;
use serde_json::Value;
use testkit::DEADLINE;
use testkit::gitea::{Client, Credential, EVENTS, Gitea, Hook, NewPull, NewUser, Push, Pushed, Role};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

async fn user(forge: &Client, name: &str) -> Client {
    forge.ensure_user(&NewUser { name, password: "a password", is_administrator: false }).await.unwrap();
    forge.with_password(name, "a password")
}

async fn push(forge: &Client, repository: &str, branch: &str, files: &[(&str, &str)]) -> Pushed {
    let folder = folder(files);
    let push = Push { repository, branch, folder: folder.path(), message: "Change" };
    forge.push(&push).await.unwrap()
}

#[tokio::test]
async fn serves_its_version_to_those_who_trust_its_authority() {
    let gitea = Gitea::shared().await;
    assert_eq!(gitea.client().unwrap().version().await.unwrap(), "1.26.0");
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    let error = stranger.get(gitea.url()).send().await.unwrap_err();
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
}

#[tokio::test]
async fn users_are_made_once_and_changed_after_that() {
    let forge = Gitea::shared().await.client().unwrap();
    let alice = |password| NewUser { name: "alice", password, is_administrator: false };
    forge.ensure_user(&alice("the first")).await.unwrap();
    forge.ensure_user(&alice("the second")).await.unwrap();
    assert_eq!(forge.with_password("alice", "the first").whoami().await.unwrap(), None);
    let alice = forge.with_password("alice", "the second");
    assert_eq!(alice.whoami().await.unwrap().as_deref(), Some("alice"));
    let refusal = alice.ensure_repository("konflux-admin/hers", false).await.unwrap_err().to_string();
    assert!(refusal.contains("make repository konflux-admin/hers") && refusal.contains("403"), "{refusal}");
}

#[tokio::test]
async fn tokens_have_their_scopes_and_replace_each_other() {
    let forge = Gitea::shared().await.client().unwrap();
    user(&forge, "toby").await;
    let read = forge.new_token("toby", "ci", &["read:user", "read:repository"]).await.unwrap();
    assert_eq!(forge.with_token(&read).whoami().await.unwrap().as_deref(), Some("toby"));
    let refusal = forge.with_token(&read).ensure_organization("tobys").await.unwrap_err().to_string();
    assert!(refusal.contains("token"), "{refusal}");
    assert!(forge.token("toby", "none").await.unwrap().is_none());

    let write = forge.new_token("toby", "ci", &["read:user"]).await.unwrap();
    let known = forge.token("toby", "ci").await.unwrap().unwrap();
    assert_eq!(known.scopes, ["read:user"]);
    assert_eq!((known.is(&read), known.is(&write)), (false, true));
    assert_eq!(forge.with_token(&read).whoami().await.unwrap(), None);
    assert_eq!(forge.with_token(&write).whoami().await.unwrap().as_deref(), Some("toby"));
}

#[tokio::test]
async fn a_folder_becomes_a_branch_commit_by_commit() {
    let forge = Gitea::shared().await.client().unwrap();
    forge.ensure_organization("acme").await.unwrap();
    forge.ensure_organization("acme").await.unwrap();
    forge.ensure_repository("acme/app", true).await.unwrap();
    forge.ensure_repository("acme/app", true).await.unwrap();

    let first = push(&forge, "acme/app", "main", &[("README.md", "one"), ("src/main.rs", "fn")]).await;
    assert!(matches!(first, Pushed::New(_)));
    let again = push(&forge, "acme/app", "main", &[("README.md", "one"), ("src/main.rs", "fn")]).await;
    assert_eq!(again, Pushed::Unchanged(first.commit().to_owned()));
    assert_eq!(forge.file("acme/app", "main", "src/main.rs").await.unwrap(), b"fn");

    let second = push(&forge, "acme/app", "main", &[("README.md", "two")]).await;
    assert_eq!(forge.commit("acme/app", "main").await.unwrap().as_deref(), Some(second.commit()));
    assert_eq!(forge.file("acme/app", first.commit(), "README.md").await.unwrap(), b"one");
    let gone = forge.file("acme/app", "main", "src/main.rs").await.unwrap_err().to_string();
    assert!(gone.contains("read src/main.rs of acme/app at main") && gone.contains("404"), "{gone}");

    let nobody = forge.with(Credential::Nobody);
    assert_eq!(nobody.commit("acme/app", "main").await.unwrap(), None, "it is private");
    forge.ensure_repository("acme/app", false).await.unwrap();
    assert!(nobody.commit("acme/app", "main").await.unwrap().is_some(), "it is public");

    let empty = tempfile::tempdir().unwrap();
    let nothing = Push { repository: "acme/app", branch: "main", folder: empty.path(), message: "x" };
    let refusal = format!("{:#}", forge.push(&nothing).await.unwrap_err());
    assert!(refusal.contains("nothing in the folder"), "{refusal}");
}

#[tokio::test]
async fn a_stranger_forks_and_asks_for_a_pull() {
    let forge = Gitea::shared().await.client().unwrap();
    let owner = user(&forge, "olga").await;
    let stranger = user(&forge, "sam").await;
    forge.ensure_repository("olga/lib", false).await.unwrap();
    push(&owner, "olga/lib", "main", &[("a", "1")]).await;

    let fork = stranger.ensure_fork("olga/lib").await.unwrap();
    assert_eq!(
        (fork.as_str(), stranger.ensure_fork("olga/lib").await.unwrap().as_str()),
        ("sam/lib", "sam/lib")
    );
    let change = push(&stranger, "sam/lib", "fix", &[("a", "2")]).await;
    let pull = NewPull { title: "Fix it", head: "sam:fix", base: "main" };
    let number = stranger.ensure_pull("olga/lib", &pull).await.unwrap();
    assert_eq!(stranger.ensure_pull("olga/lib", &pull).await.unwrap(), number);
    owner.comment("olga/lib", number, "/ok-to-test").await.unwrap();
    assert_eq!(owner.statuses("olga/lib", change.commit()).await.unwrap(), []);

    push(&owner, "olga/lib", "feature/own", &[("a", "3")]).await;
    let own = NewPull { title: "Own", head: "feature/own", base: "main" };
    let gone = NewPull { head: "gone", ..own };
    let refusal = owner.ensure_pull("olga/lib", &gone).await.unwrap_err().to_string();
    assert_eq!(refusal, "repository olga/lib has no branch gone");
    let own_number = owner.ensure_pull("olga/lib", &own).await.unwrap();
    assert_ne!(own_number, number);
    assert_eq!(owner.ensure_pull("olga/lib", &own).await.unwrap(), own_number);
}

#[tokio::test]
async fn members_of_a_team_may_what_its_role_says() {
    let forge = Gitea::shared().await.client().unwrap();
    let reader = user(&forge, "rita").await;
    let writer = user(&forge, "will").await;
    forge.ensure_organization("guild").await.unwrap();
    forge.ensure_repository("guild/app", true).await.unwrap();
    forge.ensure_member("guild", "readers", Role::Read, "rita").await.unwrap();
    for _ in 0..2 {
        forge.ensure_member("guild", "writers", Role::Write, "will").await.unwrap();
    }
    push(&writer, "guild/app", "main", &[("a", "1")]).await;
    assert_eq!(reader.file("guild/app", "main", "a").await.unwrap(), b"1");
    let folder = folder(&[("a", "2")]);
    let push = Push { repository: "guild/app", branch: "main", folder: folder.path(), message: "x" };
    assert!(reader.push(&push).await.is_err());
}

/// A server that hands on what it is sent: headers and body.
async fn receiver() -> (String, mpsc::UnboundedReceiver<(HeaderMap, Bytes)>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let take = move |headers: HeaderMap, body: Bytes| async move {
        sender.send((headers, body)).unwrap();
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(take))).await });
    (url, receiver)
}

#[tokio::test]
async fn webhooks_are_signed_with_the_latest_secret() {
    let forge = Gitea::shared().await.client().unwrap();
    let owner = user(&forge, "hanna").await;
    forge.ensure_repository("hanna/app", false).await.unwrap();
    let (url, mut deliveries) = receiver().await;
    let hook = |secret| Hook { url: &url, secret, events: &EVENTS };
    assert!(forge.ensure_hook_of("hanna/app", &hook("old")).await.unwrap());
    assert!(!forge.ensure_hook_of("hanna/app", &hook("old")).await.unwrap());
    assert!(forge.ensure_hook_of("hanna/app", &hook("new")).await.unwrap());
    assert_eq!(forge.hooks_of("hanna/app").await.unwrap(), [url.as_str()]);

    let commit = push(&owner, "hanna/app", "main", &[("a", "1")]).await;
    let (headers, body) = timeout(DEADLINE, deliveries.recv()).await.unwrap().unwrap();
    assert_eq!(headers["x-gitea-event"], "push");
    let payload: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(payload["after"], commit.commit());
    assert_eq!(payload["repository"]["clone_url"], forge.clone_url("hanna/app"));
    let signature = data_encoding::HEXLOWER.decode(headers["x-gitea-signature"].as_bytes()).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"new");
    aws_lc_rs::hmac::verify(&key, &body, &signature).unwrap();
}

#[tokio::test]
async fn a_system_webhook_sees_every_repository() {
    // Of its own: a system webhook sees what other tests do.
    let authority = testkit::pki::Authority::new("forge").unwrap();
    let gitea = Gitea::start(&authority).await.unwrap();
    let forge = gitea.client().unwrap();
    let owner = user(&forge, "ina").await;
    let (url, mut deliveries) = receiver().await;
    let hook = Hook { url: &url, secret: "s", events: &EVENTS };
    assert!(forge.ensure_system_hook(&hook).await.unwrap());
    assert!(!forge.ensure_system_hook(&hook).await.unwrap());
    let elsewhere = Hook { url: "https://elsewhere.test/", ..hook };
    assert!(forge.ensure_system_hook(&elsewhere).await.unwrap());
    assert!(forge.ensure_system_hook(&hook).await.unwrap());
    assert_eq!(forge.system_hooks().await.unwrap(), [url.as_str()]);

    forge.ensure_repository("ina/app", false).await.unwrap();
    push(&owner, "ina/app", "main", &[("a", "1")]).await;
    push(&owner, "ina/app", "fix", &[("a", "2")]).await;
    let pull = NewPull { title: "Fix", head: "fix", base: "main" };
    let number = owner.ensure_pull("ina/app", &pull).await.unwrap();
    owner.comment("ina/app", number, "/retest").await.unwrap();
    push(&owner, "ina/app", "fix", &[("a", "3")]).await;

    let mut seen = Vec::new();
    for _ in 0..5 {
        let (headers, _) = timeout(DEADLINE, deliveries.recv()).await.unwrap().unwrap();
        seen.push(headers["x-gitea-event-type"].to_str().unwrap().to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["pull_request", "pull_request_comment", "push", "push", "push"]);
}
