//! Pages under concurrent changes, filters and tokens (results.md, section 2.5).

use std::collections::BTreeSet;

use futures::future::try_join_all;
use results::store::{Error, List, Store};
use rstest::rstest;
use serde_json::json;

use crate::fixture::{Fixture, all_records, fixture, options, record, result};

async fn fill(store: &Store, count: usize) {
    store.create_result(result("ns", "a")).await.unwrap();
    try_join_all((0..count).map(|number| {
        store.create_record(record("ns", "a", &format!("r{number}"), "t", &json!({"number": number})))
    }))
    .await
    .unwrap();
}

#[rstest]
#[case::by_uid("")]
#[case::by_time("create_time desc")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_skipped_or_repeated_while_others_write(#[case] order_by: &str) {
    let Fixture { store, .. } = fixture().await;
    fill(&store, 1000).await;
    let list = List { parent: "ns", result: "a", page_size: 7, order_by, ..List::default() };
    let write = async {
        for number in 0..200 {
            let new = record("ns", "a", &format!("later{number}"), "t", &json!({}));
            store.create_record(new).await.unwrap();
        }
    };
    let (rows, ()) = tokio::join!(all_records(&store, list), write);
    let names: BTreeSet<_> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len(), "a row came twice");
    assert_eq!(names.iter().filter(|name| name.starts_with('r')).count(), 1000);
}

#[tokio::test]
async fn pages_are_read_over_the_connections_that_are_there() {
    let Fixture { store, pool, .. } = fixture().await;
    fill(&store, 20).await;
    let connections = async || -> BTreeSet<i32> {
        let all = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'";
        sqlx::query_scalar(all).fetch_all(&pool).await.unwrap().into_iter().collect()
    };
    let before = connections().await;
    let list = List { parent: "ns", result: "a", page_size: 5, ..List::default() };
    assert_eq!(all_records(&store, list).await.len(), 20);
    let new: Vec<_> = connections().await.difference(&before).copied().collect();
    assert!(new.is_empty(), "a page had a connection made for it, or for stopping its statement: {new:?}");
}

#[tokio::test]
async fn filters_apply_to_every_page() {
    let Fixture { store, .. } = fixture().await;
    fill(&store, 50).await;
    let filter = r#"data.number >= 20.0 && name.startsWith("r")"#;
    for parent in ["ns", "-"] {
        for result in ["a", "-"] {
            let list = List { parent, result, filter, page_size: 7, ..List::default() };
            assert_eq!(all_records(&store, list).await.len(), 30);
        }
    }
    let other = List { parent: "other", result: "-", ..List::default() };
    assert!(store.list_records(&other).await.unwrap().rows.is_empty());
}

#[rstest]
#[case::tautology(r#"name == "' OR '1'='1""#, 0)]
#[case::statement(r#"name == "'; DELETE FROM results; --""#, 0)]
#[case::label(r#"data.metadata.labels["x"] == "o'brien""#, 1)]
#[case::key(r#"data.metadata.labels["' OR 1=1 --"] == "x""#, 0)]
#[tokio::test]
async fn texts_of_clients_stay_texts(#[case] filter: &str, #[case] expected: usize) {
    let Fixture { store, .. } = fixture().await;
    fill(&store, 5).await;
    let data = json!({"metadata": {"labels": {"x": "o'brien"}}});
    store.create_record(record("ns", "a", "labelled", "t", &data)).await.unwrap();
    let list = List { parent: "ns", result: "a", filter, ..List::default() };
    assert_eq!(store.list_records(&list).await.unwrap().rows.len(), expected);
    assert_eq!(all_records(&store, List { filter: "", ..list }).await.len(), 6);
}

#[tokio::test]
async fn a_token_is_good_at_every_replica_and_for_its_list_only() {
    let Fixture { store, database, .. } = fixture().await;
    fill(&store, 20).await;
    let list = List { parent: "ns", result: "a", page_size: 5, order_by: "create_time", ..List::default() };
    let token = store.list_records(&list).await.unwrap().next_page_token;
    let next = List { page_token: &token, ..list };
    let replica = Store::connect(&options(&database)).await.unwrap();
    let page = replica.list_records(&List { page_size: 15, ..next }).await.unwrap();
    assert_eq!((page.rows.len(), page.next_page_token.as_str()), (15, ""));
    for other in [
        List { filter: r#"data_type == "t""#, ..next },
        List { result: "-", ..next },
        List { parent: "-", ..next },
        List { order_by: "", ..next },
        List { order_by: "create_time desc", ..next },
        List { page_token: "nonsense", ..next },
        List { page_token: "%%%", ..next },
    ] {
        let error = store.list_records(&other).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "page_token", .. }), "{other:?}: {error}");
    }
    let error = store.list_logs(&next).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { field: "page_token", .. }));
}

#[tokio::test]
async fn logs_are_listed_without_other_records() {
    let Fixture { store, .. } = fixture().await;
    fill(&store, 20).await;
    for (number, version) in [1, 2, 2, 2, 2, 3].into_iter().zip(["v1alpha2", "v1alpha3"].iter().cycle()) {
        let kind = format!("results.tekton.dev/{version}.Log");
        let name = format!("log{number}{version}");
        let _ = store.create_record(record("ns", "a", &name, &kind, &json!({}))).await;
    }
    let list = List { parent: "ns", result: "-", ..List::default() };
    assert_eq!(store.list_logs(&list).await.unwrap().rows.len(), 4);
}

#[tokio::test]
async fn a_page_of_large_documents_ends_early() {
    let Fixture { store, .. } = fixture().await;
    store.create_result(result("ns", "a")).await.unwrap();
    let data = json!({"big": "x".repeat(8 << 20)});
    for number in 0..6 {
        store.create_record(record("ns", "a", &format!("r{number}"), "t", &data)).await.unwrap();
    }
    let list = List { parent: "ns", result: "a", ..List::default() };
    let page = store.list_records(&list).await.unwrap();
    assert!(page.rows.len() < 6 && !page.next_page_token.is_empty());
    assert_eq!(all_records(&store, list).await.len(), 6);
}
