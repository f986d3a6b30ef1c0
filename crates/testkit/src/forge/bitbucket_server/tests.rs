//! What services do with Bitbucket Server, by an ordinary HTTP client.

use serde_json::json;

use super::{BitbucketServer, event};
use crate::forge::client::Client;
use crate::forge::{Access, CommentOn, NO_COMMIT, NewPull};
use crate::pki::Authority;

/// The private `ACME/app`, which alice administrates; bob may write to it.
struct Fixture {
    server: BitbucketServer,
    anonymous: Client,
    alice: Client,
    bob: Client,
}

const APP: &str = "/projects/ACME/repos/app";

fn fixture() -> Fixture {
    let authority = Authority::new("forge-ca").unwrap();
    let server = BitbucketServer::start(&authority).unwrap();
    server.edit(|model| {
        model.repository("ACME/app").unwrap().make_private().collaborator("bob", Access::Write);
        model.member("ACME", "alice", Access::Admin).unwrap();
    });
    let anonymous = Client::new(&authority, &server.api_url());
    let alice = anonymous.bearer(&server.token("alice", Access::Admin));
    let bob = anonymous.bearer(&server.token("bob", Access::Admin));
    Fixture { server, anonymous, alice, bob }
}

#[tokio::test]
async fn checks_tokens_and_rights() {
    let world = fixture();
    world.anonymous.get(APP).await.is(401);
    world.anonymous.bearer("wrong").get(APP).await.is(401);
    world.alice.get("/projects/ACME/repos/none").await.is(404);
    let rights = format!("{APP}/permissions/users?filter=o");
    world.bob.get(APP).await.is(200);
    world.bob.get(&rights).await.is(401);
    let found = world.alice.get(&rights).await.is(200);
    assert_eq!(found.body["values"][0]["permission"], "REPO_WRITE");
    let of_project = world.alice.get("/projects/ACME/permissions/users?filter=ali").await.is(200);
    assert_eq!(of_project.body["values"][0]["user"]["name"], "alice");
    // The token lets her do less than she may.
    let reader = world.anonymous.bearer(&world.server.token("alice", Access::Read));
    reader.get(&rights).await.is(401);
}

#[tokio::test]
async fn a_comment_is_changed_by_who_knows_its_version() {
    let world = fixture();
    let id = world.server.edit(|model| {
        model.commit("ACME/app", "fix", "Fix", &[("a", Some(b"a"))]).unwrap();
        let new = NewPull {
            title: "Fix",
            body: "",
            author: "bob",
            from: "ACME/app",
            head: "fix",
            base: "main",
            draft: false,
        };
        let number = model.open_pull("ACME/app", new).unwrap();
        model.comment("ACME/app", CommentOn::Pull(number), "bob", "one").unwrap()
    });
    let path = format!("{APP}/pull-requests/1/comments/{id}");
    world.bob.put(&path, json!({"text": "two", "version": 0})).await.is(200);
    world.bob.put(&path, json!({"text": "three", "version": 0})).await.is(409);
    world.alice.put(&path, json!({"text": "mine", "version": 1})).await.is(401);
    assert_eq!(world.bob.get(&path).await.is(200).body["text"], "two");
}

#[test]
fn deliveries_are_signed() {
    let mut model = crate::forge::Model::new("https://bitbucket.test", fleet::Clock::system());
    model.repository("ACME/app").unwrap();
    let head = model.repo("ACME/app").unwrap().head("main").unwrap().to_owned();
    let push = event::push(&model, "ACME/app", "refs/heads/main", NO_COMMIT, &head, "ACME").unwrap();
    assert_eq!(push.payload["changes"][0]["type"], "ADD");
    let signed = push.signed("s");
    assert_eq!(signed.headers["x-event-key"], "repo:refs_changed");
    assert!(signed.headers["x-hub-signature"].to_str().unwrap().starts_with("sha256="));
}
