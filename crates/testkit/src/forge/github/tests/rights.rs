//! Who may do what, and what the others are told.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{APP, fixture};
use crate::forge::Access;

#[tokio::test]
async fn an_app_proves_itself_by_its_key() {
    let seen = fixture();
    seen.anonymous.get("/app").await.is(401);
    let now = seen.github.edit(|model| model.now().as_second());
    let claims = |exp: i64| json!({"iss": APP, "iat": now - 60, "exp": exp});
    let ask = async |key: &crate::forge::AppKey, claims: Value| {
        seen.anonymous.bearer(&key.sign(&claims).unwrap()).get("/app").await
    };
    ask(&seen.key, claims(now + 300)).await.is(200);
    let long = ask(&seen.key, claims(now + 3600)).await.is(401);
    assert_eq!(long.body["message"], "'Expiration time' claim ('exp') is too far in the future");
    ask(&seen.key, claims(now - 1)).await.is(401);
    ask(&seen.key, json!({"iss": 8, "iat": now, "exp": now + 300})).await.is(404);
    let other = crate::forge::AppKey::generate().unwrap();
    let forged = ask(&other, claims(now + 300)).await.is(401);
    assert_eq!(forged.body["message"], "A JSON web token could not be decoded");
    // It has to take an installation's token for the rest.
    seen.app().get("/repos/acme/app").await.is(403);
}

#[tokio::test]
async fn installation_tokens_end_after_an_hour() {
    let seen = fixture();
    let client = seen.installed(Value::Null).await;
    client.get("/repos/acme/secret").await.is(200);
    seen.github.edit(|model| model.advance(SignedDuration::from_hours(1)));
    let ended = client.get("/repos/acme/secret").await.is(401);
    assert_eq!(ended.body["message"], "Bad credentials");
    let revoked = seen.installed(Value::Null).await;
    revoked.delete("/installation/token").await.is(204);
    revoked.get("/repos/acme/secret").await.is(401);
}

#[tokio::test]
async fn installation_tokens_reach_what_they_were_made_for() {
    let seen = fixture();
    seen.github.edit(|model| _ = model.repository("other/private").unwrap().make_private());
    let client = seen.installed(json!({"repositories": ["app"], "permissions": {"contents": "read"}})).await;
    client.get("/repos/acme/app").await.is(200);
    client.get("/repos/acme/secret").await.is(404);
    client.get("/repos/other/private").await.is(404);
    let refused = client.post("/repos/acme/app/git/refs", json!({})).await.is(403);
    assert_eq!(refused.body["message"], "Resource not accessible by integration");
    assert_eq!(refused.header("x-accepted-github-permissions"), "contents=write");
    client.get("/orgs/acme/members").await.is(403);

    let tokens = format!("/app/installations/{}/access_tokens", seen.installation);
    seen.app().post(&tokens, json!({"repositories": ["private"]})).await.is(422);
    seen.app().post(&tokens, json!({"permissions": {"administration": "write"}})).await.is(422);
    // Nobody gave it hooks.
    seen.installed(Value::Null).await.get("/repos/acme/app/hooks").await.is(403);
    seen.app().get("/repos/other/private/installation").await.is(404);

    seen.github.edit(|model| {
        let now = model.now();
        model.installation_mut(seen.installation).unwrap().suspended_at = Some(now);
    });
    client.get("/repos/acme/app").await.is(403);
    let refused = seen.app().post(&tokens, Value::Null).await.is(403);
    assert_eq!(refused.body["message"], "This installation has been suspended");
}

#[tokio::test]
async fn strangers_see_what_is_public() {
    let seen = fixture();
    let mallory = seen.user("mallory", &["repo"]);
    for client in [&seen.anonymous, &mallory] {
        client.get("/repos/acme/app").await.is(200);
        let hidden = client.get("/repos/acme/secret").await.is(404);
        assert_eq!(hidden.body["message"], "Not Found");
        client.get("/repos/acme/app/hooks").await.is(404);
    }
    mallory.post("/repos/acme/app/git/refs", json!({})).await.is(404);
    seen.anonymous.post("/repos/acme/app/git/refs", json!({})).await.is(401);
    seen.anonymous.bearer("ghp_unknown").get("/repos/acme/app").await.is(401);
    // A token without the scope is as little as its user without the right.
    seen.user("alice", &["read:org"]).get("/repos/acme/secret").await.is(404);
    let scoped = seen.user("alice", &["repo", "read:org"]).get("/repos/acme/secret").await.is(200);
    assert_eq!(scoped.header("x-oauth-scopes"), "repo, read:org");
    assert_eq!(scoped.body["permissions"]["admin"], true);
    let page = |path: &str| format!("{}/{path}", seen.github.url());
    seen.anonymous.get(&page("acme/app")).await.is(200);
    seen.anonymous.get(&page("acme/secret")).await.is(404);
    assert_eq!(seen.anonymous.get(&page("acme/app/raw/main/README.md")).await.is(200).text, "# acme/app\n");
}

#[tokio::test]
async fn memberships_are_told_to_members() {
    let seen = fixture();
    seen.github.edit(|model| {
        model.member("acme", "bob", Access::Write).unwrap().is_public = true;
        model.team("acme", "reviewers", &["bob"]).unwrap();
        model.repo_mut("acme/app").unwrap().collaborator("carol", Access::Triage);
        model.user("carol");
    });
    let (app, alice, mallory) =
        (seen.installed(Value::Null).await, seen.user("alice", &["read:org"]), seen.user("mallory", &[]));
    assert_eq!(app.get("/orgs/acme/members").await.is(200).len(), 2);
    assert_eq!(mallory.get("/orgs/acme/members").await.is(200).len(), 1);
    alice.get("/orgs/acme/members/bob").await.is(204);
    alice.get("/orgs/acme/members/mallory").await.is(404);
    let sent_on = mallory.get("/orgs/acme/members/alice").await.is(302);
    mallory.get(sent_on.header("location")).await.is(404);
    app.get("/orgs/acme/teams/reviewers/memberships/bob").await.is(200);
    app.get("/orgs/acme/teams/reviewers/memberships/alice").await.is(404);
    app.get("/orgs/acme/teams/nobody/members").await.is(404);
    for (login, expected) in [("alice", "admin"), ("bob", "write"), ("carol", "read"), ("mallory", "read")] {
        let path = format!("/repos/acme/app/collaborators/{login}/permission");
        assert_eq!(alice.get(&path).await.is(200).body["permission"], expected, "{login}");
    }
    let client = seen.user("alice", &["repo"]);
    client.get("/repos/acme/app/collaborators/carol").await.is(204);
    client.get("/repos/acme/app/collaborators/mallory").await.is(404);
}

#[tokio::test]
async fn bad_json_is_the_callers_fault() {
    let seen = fixture();
    let url = format!("{}/orgs/acme/repos", seen.github.api_url());
    let token = seen.github.token("alice", &["repo"]);
    let request = seen.anonymous.http.request(Method::POST, url).bearer_auth(token).body("{");
    assert_eq!(request.send().await.unwrap().status(), 400);
}
