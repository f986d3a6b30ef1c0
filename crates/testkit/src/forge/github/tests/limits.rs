//! Pages, ETags, rate limits and faults.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::fixture;
use crate::forge::client::Seen;
use crate::forge::{CommentOn, Fault};

const COMMENTS: &str = "GET /repos/{owner}/{repo}/commits/{ref}/comments";

#[tokio::test]
async fn lists_come_in_pages() {
    let seen = fixture();
    seen.github.edit(|model| {
        let sha = model.repo("acme/app").unwrap().head("main").unwrap().to_owned();
        for n in 0..250 {
            let on = CommentOn::Commit(sha.clone());
            model.comment("acme/app", on, "alice", &n.to_string()).unwrap();
        }
    });
    let client = &seen.anonymous;
    let sizes = |pages: &[Seen]| pages.iter().map(Seen::len).collect::<Vec<_>>();
    let pages = client.pages("/repos/acme/app/commits/main/comments").await;
    assert_eq!(sizes(&pages), [30, 30, 30, 30, 30, 30, 30, 30, 10]);
    let pages = client.pages("/repos/acme/app/commits/main/comments?per_page=500").await;
    assert_eq!(sizes(&pages), [100, 100, 50]);
    let bodies: Vec<_> = pages.iter().flat_map(|page| page.body.as_array().unwrap()).collect();
    assert!(bodies.iter().zip(0..250).all(|(comment, n)| comment["body"] == json!(format!("{n}"))));
    let links = ["prev", "next", "first", "last"];
    let of = |page: usize| links.map(|rel| pages[page].link(rel).is_some());
    assert_eq!(of(0), [false, true, false, true]);
    assert_eq!(of(1), [true, true, true, true]);
    assert_eq!(of(2), [true, false, true, false]);
    let short = client.get("/repos/acme/app/branches").await.is(200);
    assert_eq!(short.header("link"), "");
    assert_eq!(seen.github.traffic().count(COMMENTS), 12);
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_or_counted() {
    let seen = fixture();
    let client = seen.user("alice", &["repo"]);
    let first = client.get("/repos/acme/app").await.is(200);
    let remaining = first.header("x-ratelimit-remaining").to_owned();
    let again = client.with("if-none-match", first.header("etag")).get("/repos/acme/app").await.is(304);
    assert_eq!(again.text, "");
    assert_eq!(again.header("x-ratelimit-remaining"), remaining);
    seen.github.edit(|model| model.repo_mut("acme/app").unwrap().description = "other".to_owned());
    client.with("if-none-match", first.header("etag")).get("/repos/acme/app").await.is(200);
}

#[tokio::test]
async fn the_hour_has_so_many_requests() {
    let seen = fixture();
    seen.github.limit_requests(2, StatusCode::FORBIDDEN);
    let (alice, bob) = (seen.user("alice", &[]), seen.user("bob", &[]));
    let first = alice.get("/user").await.is(200);
    let headers =
        ["limit", "remaining", "used", "resource"].map(|name| first.header(&format!("x-ratelimit-{name}")));
    assert_eq!(headers, ["2", "1", "1", "core"]);
    alice.get("/user").await.is(200);
    let refused = alice.get("/user").await.is(403);
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    assert!(refused.body["message"].as_str().unwrap().starts_with("API rate limit exceeded for user alice"));
    // Asking for the limit is free, and another has their own.
    let limit = alice.get("/rate_limit").await.is(200);
    assert_eq!(limit.body["rate"]["remaining"], 0);
    bob.get("/user").await.is(200);
    let reset: i64 = refused.header("x-ratelimit-reset").parse().unwrap();
    let now = seen.github.edit(|model| model.now().as_second());
    seen.github.edit(|model| model.advance(SignedDuration::from_secs(reset - now)));
    alice.get("/user").await.is(200);
}

#[tokio::test]
async fn too_many_at_once_are_told_to_wait() {
    let seen = fixture();
    let route = "GET /repos/{owner}/{repo}";
    for status in [403, 429] {
        seen.github.traffic().fail(route, 1, Fault::SecondaryLimit { status, retry_after: 17 });
        let refused = seen.anonymous.get("/repos/acme/app").await.is(status);
        assert_eq!(refused.header("retry-after"), "17");
        assert!(refused.body["message"].as_str().unwrap().contains("secondary rate limit"));
    }
    seen.anonymous.get("/repos/acme/app").await.is(200);
}

#[tokio::test]
async fn faults_meet_the_requests_they_were_planned_for() {
    let seen = fixture();
    let (traffic, client) = (seen.github.traffic(), seen.user("alice", &["repo"]));
    let route = "POST /orgs/{org}/repos";
    let create = |name: &str| json!({"name": name});
    for status in [404, 409, 422, 500] {
        traffic.fail(route, 1, Fault::Answer(status));
    }
    for status in [404, 409, 422, 500] {
        let failed = client.post("/orgs/acme/repos", create("new")).await.is(status);
        assert!(failed.body["message"].is_string(), "{}", failed.text);
    }
    traffic.fail(route, 1, Fault::Answer(502));
    let failed = client.post("/orgs/acme/repos", create("new")).await.is(502);
    assert_eq!((failed.header("content-type"), &failed.body), ("text/html", &Value::Null));

    // The first is not carried out, the second is.
    traffic.fail(route, 1, Fault::Drop);
    traffic.fail(route, 1, Fault::LoseReply);
    for (name, is_there) in [("dropped", false), ("lost", true)] {
        let failed = client.try_send(Method::POST, "/orgs/acme/repos", &create(name)).await.unwrap_err();
        assert!(!failed.is_timeout(), "{failed:?}");
        let full_name = format!("acme/{name}");
        assert_eq!(seen.github.edit(|model| model.find_repo(&full_name).is_some()), is_there, "{name}");
    }
    client.post("/orgs/acme/repos", create("new")).await.is(201);
    client.post("/orgs/acme/repos", create("new")).await.is(422);
    let statuses: Vec<u16> = traffic.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [404, 409, 422, 500, 502, 0, 0, 201, 422]);
}

#[tokio::test]
async fn a_forge_that_hangs_or_dawdles_is_waited_for() {
    let seen = fixture();
    seen.github.traffic().fail("*", usize::MAX, Fault::Hang);
    let request = seen.anonymous.http.get(format!("{}/zen", seen.github.api_url()));
    let failed = request.timeout(Duration::from_millis(200)).send().await.unwrap_err();
    assert!(failed.is_timeout(), "{failed:?}");
    assert_eq!(seen.github.traffic().count("GET /zen"), 1);
    seen.github.traffic().heal();
    let delay = Duration::from_millis(100);
    seen.github.traffic().fail("GET /zen", 1, Fault::Delay(delay));
    let asked = Instant::now();
    seen.anonymous.get("/zen").await.is(200);
    assert!(asked.elapsed() >= delay);
    seen.anonymous.get("/zen").await.is(200);
}

#[tokio::test]
async fn a_route_that_is_missing_is_no_404() {
    let seen = fixture();
    let missing = seen.anonymous.get("/repos/acme/app/dependabot/alerts").await.is(501);
    assert!(missing.body["message"].as_str().unwrap().contains("routes.rs"));
}

#[tokio::test]
#[should_panic(expected = "the forge has no route")]
async fn a_misspelt_route_is_not_counted_as_unused() {
    fixture().github.traffic().count("GET /repos/{owner}/{name}");
}
