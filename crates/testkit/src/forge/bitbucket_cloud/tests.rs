//! What services do with Bitbucket Cloud, by an ordinary HTTP client.

use http::StatusCode;
use rstest::rstest;
use serde_json::json;

use super::{BitbucketCloud, account_id, event};
use crate::forge::client::Client;
use crate::forge::exchange::base64;
use crate::forge::{Access, NO_COMMIT};
use crate::pki::Authority;

/// The private `acme/app`; alice may write to it, bob is in the workspace and nothing else.
struct Fixture {
    cloud: BitbucketCloud,
    anonymous: Client,
}

const APP: &str = "/repositories/acme/app";

fn fixture() -> Fixture {
    let authority = Authority::new("forge-ca").unwrap();
    let cloud = BitbucketCloud::start(&authority).unwrap();
    cloud.edit(|model| {
        model.repository("acme/app").unwrap().make_private().collaborator("alice", Access::Write);
        model.user("alice");
        model.member("acme", "bob", Access::Read).unwrap();
    });
    Fixture { anonymous: Client::new(&authority, &cloud.api_url()), cloud }
}

impl Fixture {
    fn basic(&self, login: &str, password: &str) -> Client {
        self.anonymous
            .with("authorization", &format!("Basic {}", base64(format!("{login}:{password}").as_bytes())))
    }
}

#[tokio::test]
async fn checks_passwords_tokens_and_scopes() {
    let world = fixture();
    let password = world.cloud.app_password("alice", &["repository"]);
    world.anonymous.get(APP).await.is(404);
    world.basic("alice", "wrong").get(APP).await.is(401);
    world.basic("bob", &password).get(APP).await.is(401);
    // Of another kind of authentication.
    world.anonymous.bearer(&password).get(APP).await.is(401);
    let alice = world.basic("alice", &password);
    assert_eq!(alice.get(APP).await.is(200).body["mainbranch"]["name"], "main");
    let refusal = alice.get(&format!("{APP}/pullrequests")).await.is(403);
    assert_eq!(refusal.body["error"]["detail"]["required"], json!(["pullrequest"]));
    let token = world.cloud.access_token("acme/app", &["pullrequest"]).unwrap();
    world.anonymous.bearer(&token).get(&format!("{APP}/pullrequests")).await.is(200);
}

#[tokio::test]
async fn members_are_found_by_their_account() {
    let world = fixture();
    let alice = world.basic("alice", &world.cloud.app_password("alice", &["account"]));
    let bob = world.cloud.edit(|model| account_id(model, "bob"));
    let found = alice.get(&format!("/workspaces/acme/members/{bob}")).await.is(200);
    assert_eq!(found.body["user"]["nickname"], "bob");
    let own = world.cloud.edit(|model| account_id(model, "alice"));
    alice.get(&format!("/workspaces/acme/members/{own}")).await.is(404);
    alice.get("/workspaces/acme/members/bob").await.is(404);
}

#[rstest]
#[case::state(json!({"key": "k", "state": "DONE", "url": "https://x.test"}), 400)]
#[case::url(json!({"key": "k", "state": "FAILED"}), 400)]
#[case::key(json!({"key": "k".repeat(41), "state": "FAILED", "url": "https://x.test"}), 400)]
#[case::fine(json!({"key": "k", "state": "FAILED", "url": "https://x.test"}), 201)]
#[tokio::test]
async fn checks_statuses(#[case] status: serde_json::Value, #[case] expected: u16) {
    let world = fixture();
    let alice = world.basic("alice", &world.cloud.app_password("alice", &["repository"]));
    let head = world.cloud.edit(|model| model.repo("acme/app").unwrap().head("main").unwrap().to_owned());
    alice.post(&format!("{APP}/commit/{head}/statuses/build"), status).await.is(expected);
}

#[tokio::test]
async fn limits_requests() {
    let world = fixture();
    world.cloud.limit_requests(1);
    world.anonymous.get(APP).await.is(404);
    world.anonymous.get(APP).await.is(StatusCode::TOO_MANY_REQUESTS.as_u16());
}

#[test]
fn deliveries_are_signed_where_there_is_a_secret() {
    let mut model = crate::forge::Model::new("https://bitbucket.test", fleet::Clock::system());
    model.repository("acme/app").unwrap();
    let head = model.repo("acme/app").unwrap().head("main").unwrap().to_owned();
    let push = event::push(&model, "acme/app", "refs/heads/main", NO_COMMIT, &head, "acme").unwrap();
    assert!(push.payload["push"]["changes"][0]["old"].is_null());
    let (signed, unsigned) = (push.signed("s"), push.unsigned());
    assert_eq!(signed.headers["x-event-key"], "repo:push");
    assert!(signed.headers["x-hub-signature"].to_str().unwrap().starts_with("sha256="));
    assert!(!unsigned.headers.contains_key("x-hub-signature"));
    assert_eq!(push.forwarded_for("104.192.136.1").headers["x-forwarded-for"], "104.192.136.1");
    assert_ne!(push.replayed().uuid, push.uuid);
}
