//! Results and Records over REST (scenarios 8, 10, 14).

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{ALL, Server, record, result};

const RUN: &str = "tekton.dev/v1.PipelineRun";

#[tokio::test]
async fn what_is_made_twice_or_changed_by_two_is_refused() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("etags").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let results = format!("{namespace}/results");
    let created = server.post(&token, &results, result(&namespace, "first")).await;
    assert_eq!(created.status, StatusCode::OK, "{created:?}");
    let etag = created.body["etag"].as_str().unwrap().to_owned();
    for (old, new) in [("id", "uid"), ("createdTime", "createTime"), ("updatedTime", "updateTime")] {
        assert_eq!(created.body[old], created.body[new]);
        assert!(created.body[new].is_string(), "{created:?}");
    }

    let twice = server.post(&token, &results, result(&namespace, "first")).await;
    assert_eq!((twice.status, &twice.body["code"]), (StatusCode::CONFLICT, &json!(6)), "{twice:?}");

    let update = async |etag: &str| {
        let path = format!("{results}/first?etag={etag}");
        let body = json!({ "annotations": { "team": "b" }, "unknownField": 1 });
        server.call(Method::PATCH, &token, &path, Some(body), &[]).await
    };
    let updated = update(&etag).await;
    assert_eq!(
        (updated.status, &updated.body["annotations"]),
        (StatusCode::OK, &json!({ "team": "b" })),
        "{updated:?}"
    );
    let stale = update(&etag).await;
    assert_eq!((stale.status, &stale.body["code"]), (StatusCode::BAD_REQUEST, &json!(9)), "{stale:?}");
    assert!(stale.body["message"].as_str().unwrap().contains("the etag mismatches"));

    let elsewhere = server.post(&token, &results, result("other", "first")).await;
    assert_eq!(elsewhere.status, StatusCode::BAD_REQUEST, "{elsewhere:?}");
    let gone = server.get(&token, &format!("{results}/absent")).await;
    assert_eq!((gone.status, &gone.body["code"]), (StatusCode::NOT_FOUND, &json!(5)), "{gone:?}");
}

#[tokio::test]
async fn deleting_a_result_takes_its_records_and_logs_along() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("delete").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let results = format!("{namespace}/results");
    server.post(&token, &results, result(&namespace, "first")).await;
    let records = format!("{results}/first/records");
    let run = record(&namespace, "first", "run", RUN, &json!({ "metadata": { "name": "run" } }));
    let made = server.post(&token, &records, run).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let deleted = server.call(Method::DELETE, &token, &format!("{results}/first"), None, &[]).await;
    assert_eq!((deleted.status, &deleted.body), (StatusCode::OK, &json!({})), "{deleted:?}");
    for path in [format!("{results}/first"), format!("{records}/run"), format!("{results}/first/logs/run")] {
        let gone = server.get(&token, &path).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND, "{path}: {gone:?}");
    }
    let again = server.call(Method::DELETE, &token, &format!("{results}/first"), None, &[]).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND, "{again:?}");
}

#[tokio::test]
async fn pages_are_bound_to_what_was_asked() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("pages").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let results = format!("{namespace}/results");
    for number in 0..12 {
        server.post(&token, &results, result(&namespace, &format!("r{number:02}"))).await;
    }
    let page = async |query: String| server.get(&token, &format!("{results}?{query}")).await;
    let names = |body: &Value| -> Vec<String> {
        let results = body["results"].as_array().unwrap();
        results.iter().map(|result| result["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = page("page_size=5&orderBy=create_time%20desc".to_owned()).await;
    let mut seen = names(&first.body);
    let mut next = first.body["nextPageToken"].as_str().unwrap().to_owned();
    let kept = next.clone();
    while !next.is_empty() {
        let more = page(format!("pageSize=5&order_by=create_time%20desc&page_token={next}")).await;
        assert_eq!(more.status, StatusCode::OK, "{more:?}");
        seen.extend(names(&more.body));
        more.body["nextPageToken"].as_str().unwrap().clone_into(&mut next);
    }
    let expected: Vec<String> = (0..12).rev().map(|number| format!("{results}/r{number:02}")).collect();
    assert_eq!(seen, expected);

    for query in [
        format!("page_token={kept}"),
        format!("orderBy=create_time%20desc&page_token={kept}&filter=uid%20!%3D%20%22x%22"),
        "page_token=nonsense".to_owned(),
        "page_size=4".to_owned(),
        "page_size=many".to_owned(),
        "order_by=colour".to_owned(),
        "filter=colour%20%3D%3D%201".to_owned(),
    ] {
        let refused = page(query.clone()).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (StatusCode::BAD_REQUEST, &json!(3)),
            "{query}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn figures_are_a_route_of_their_own() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("figures").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    server.post(&token, &format!("{namespace}/results"), result(&namespace, "first")).await;
    let records = format!("{namespace}/results/first/records");
    for name in ["one", "two"] {
        let run = record(&namespace, "first", name, RUN, &json!({ "metadata": { "name": name } }));
        server.post(&token, &records, run).await;
    }
    let figures = server.get(&token, &format!("{records}/summary")).await;
    assert_eq!(
        (figures.status, &figures.body),
        (StatusCode::OK, &json!({ "summary": [{ "total": 2 }] })),
        "{figures:?}"
    );
}

#[tokio::test]
async fn a_log_record_has_to_be_one() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("log-records").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    server.post(&token, &format!("{namespace}/results"), result(&namespace, "first")).await;
    let records = format!("{namespace}/results/first/records");
    let kind = "results.tekton.dev/v1alpha2.Log";
    let wrong = record(&namespace, "first", "log", kind, &json!({ "spec": 7 }));
    let refused = server.post(&token, &records, wrong).await;
    assert_eq!((refused.status, &refused.body["code"]), (StatusCode::BAD_REQUEST, &json!(3)), "{refused:?}");
    let right = record(&namespace, "first", "log", kind, &json!({ "spec": { "resource": { "uid": "u" } } }));
    let made = server.post(&token, &records, right).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let document = crate::parity::document(&made.body);
    assert_eq!(document["spec"]["type"], "File", "what the server keeps logs in");
}

#[tokio::test]
async fn a_record_of_four_mebibytes_is_kept() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("large").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    server.post(&token, &format!("{namespace}/results"), result(&namespace, "first")).await;
    let records = format!("{namespace}/results/first/records");
    let text = "x".repeat(4 << 20);
    let made = server
        .post(&token, &records, record(&namespace, "first", "big", RUN, &json!({ "text": text })))
        .await;
    assert_eq!(made.status, StatusCode::OK, "{:.300}", made.text);
    let read = server.get(&token, &format!("{records}/big")).await;
    assert_eq!(crate::parity::document(&read.body)["text"].as_str().unwrap().len(), text.len());
}
