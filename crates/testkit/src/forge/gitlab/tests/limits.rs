//! Pages, rate limits and faults.

use jiff::SignedDuration;
use serde_json::Value;

use super::{APP, fixture};
use crate::forge::Fault;
use crate::forge::client::Seen;

#[tokio::test]
async fn lists_come_in_pages() {
    let seen = fixture();
    seen.gitlab.edit(|model| {
        let names: Vec<String> = (0..249).map(|n| format!("f{n:03}")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), Some(b"x".as_slice()))).collect();
        model.commit("acme/platform/app", "main", "Add many", &files).unwrap();
    });
    let tree = format!("{APP}/repository/tree");
    let first = seen.alice.get(&tree).await.is(200);
    let headers = ["page", "per-page", "next-page", "prev-page", "total", "total-pages"]
        .map(|name| first.header(&format!("x-{name}")).to_owned());
    assert_eq!((first.len(), headers), (20, ["1", "20", "2", "", "250", "13"].map(str::to_owned)));
    let last = seen.alice.get(&format!("{tree}?page=3&per_page=1000")).await.is(200);
    assert_eq!((last.len(), last.header("x-next-page"), last.header("x-prev-page")), (50, "", "2"));

    let pages = seen.alice.pages(&format!("{tree}?pagination=keyset&per_page=100")).await;
    assert_eq!(pages.iter().map(Seen::len).collect::<Vec<_>>(), [100, 100, 50]);
    assert!(pages.iter().all(|page| page.header("x-total").is_empty()));
    let names: Vec<_> =
        pages.iter().flat_map(|page| page.body.as_array().unwrap()).map(|e| &e["path"]).collect();
    assert!(names.is_sorted_by(|one, other| one.as_str() < other.as_str()), "each once, in order");
}

#[tokio::test]
async fn the_minute_has_so_many_requests() {
    let seen = fixture();
    seen.gitlab.limit_requests(1);
    let first = seen.alice.get("/user").await.is(200);
    assert_eq!((first.header("ratelimit-limit"), first.header("ratelimit-remaining")), ("1", "0"));
    let refused = seen.alice.get("/user").await.is(429);
    assert_eq!((refused.text.as_str(), refused.header("content-type")), ("Retry later\n", "text/plain"));
    assert_eq!((refused.header("ratelimit-remaining"), refused.header("ratelimit-observed")), ("0", "2"));
    let wait: i64 = refused.header("retry-after").parse().unwrap();
    assert!((0..=60).contains(&wait), "{wait}");
    seen.gitlab.edit(|model| model.advance(SignedDuration::from_secs(wait)));
    seen.alice.get("/user").await.is(200);
}

#[tokio::test]
async fn faults_meet_the_requests_they_were_planned_for() {
    let seen = fixture();
    let traffic = seen.gitlab.traffic();
    traffic.fail("GET /projects/{id}", 1, Fault::Answer(500));
    traffic.fail("GET /projects/{id}", 1, Fault::Answer(502));
    traffic.fail("*", 1, Fault::SecondaryLimit { status: 429, retry_after: 3 });
    let failed = seen.alice.get(APP).await.is(500);
    assert_eq!(failed.body["message"], "500 Internal Server Error");
    assert_eq!(seen.alice.get(APP).await.is(502).body, Value::Null);
    assert_eq!(seen.alice.get("/user").await.is(429).header("retry-after"), "3");
    seen.alice.get(APP).await.is(200);
    assert_eq!(traffic.count("GET /projects/{id}"), 3);
    traffic.forget();
    assert_eq!(traffic.calls().len(), 0);
}
