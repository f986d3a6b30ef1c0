//! Making, reading, changing and deleting (results.md, section 2.4).

use bytes::Bytes;
use results::store::{Error, NewResult, RecordUpdate, Summary};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Fixture, fixture, record, result};

fn summary() -> Summary {
    Summary {
        record: "ns/results/a/records/b".into(),
        kind: "tekton.dev/v1.PipelineRun".into(),
        start_time: Some("2024-05-01T10:00:00.123456Z".parse().unwrap()),
        end_time: None,
        status: 2,
        annotations: [("k".to_owned(), "o'brien".to_owned())].into(),
    }
}

#[tokio::test]
async fn a_result_is_read_as_it_was_made() {
    let Fixture { store, .. } = fixture().await;
    let new = NewResult {
        annotations: [("'; DROP TABLE results; --".to_owned(), "ä\u{1F600}".to_owned())].into(),
        summary: Some(summary()),
        ..result("ns", "a")
    };
    let made = store.create_result(new.clone()).await.unwrap();
    assert_eq!(made, store.get_result("ns", "a").await.unwrap());
    assert_eq!((made.annotations, made.summary), (new.annotations, new.summary));
    assert_eq!(made.etag, format!("{}-{}", made.uid, made.update_time.as_nanosecond()));
    assert_eq!(made.create_time, made.update_time);
}

#[tokio::test]
async fn an_update_puts_empty_values_too() {
    let Fixture { store, .. } = fixture().await;
    let made = store
        .create_result(NewResult {
            annotations: [("a".to_owned(), "b".to_owned())].into(),
            summary: Some(summary()),
            ..result("ns", "a")
        })
        .await
        .unwrap();
    let updated = store.update_result("ns", "a", &[].into(), None, "").await.unwrap();
    assert!(updated.annotations.is_empty() && updated.summary.is_none());
    assert!(updated.update_time > made.update_time && updated.create_time == made.create_time);
    assert_ne!(updated.etag, made.etag);
    assert_eq!(updated, store.get_result("ns", "a").await.unwrap());
}

#[tokio::test]
async fn names_are_taken_once_per_parent() {
    let Fixture { store, .. } = fixture().await;
    store.create_result(result("ns", "a")).await.unwrap();
    store.create_result(result("other", "a")).await.unwrap();
    let error = store.create_result(result("ns", "a")).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }));
    assert_eq!(error.to_string(), "ns/results/a already exists");
    store.create_record(record("ns", "a", "b", "t", &json!(1))).await.unwrap();
    let error = store.create_record(record("ns", "a", "b", "t", &json!(1))).await.unwrap_err();
    assert_eq!(error.to_string(), "ns/results/a/records/b already exists");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let Fixture { store, .. } = fixture().await;
    let is_not_found = |error: Error| matches!(error, Error::NotFound { .. });
    assert!(is_not_found(store.get_result("ns", "a").await.unwrap_err()));
    assert!(is_not_found(store.delete_result("ns", "a").await.unwrap_err()));
    assert!(is_not_found(store.update_result("ns", "a", &[].into(), None, "").await.unwrap_err()));
    assert!(is_not_found(store.update_result("ns", "a", &[].into(), None, "x").await.unwrap_err()));
    assert!(is_not_found(store.get_record("ns", "a", "b").await.unwrap_err()));
    assert!(is_not_found(store.delete_record("ns", "a", "b").await.unwrap_err()));
    assert!(is_not_found(store.find_log("ns", "a", "b").await.unwrap_err()));
    let error = store.update_record("ns", "a", "b", RecordUpdate::default(), "").await.unwrap_err();
    assert!(is_not_found(error));
    let error = store.create_record(record("ns", "a", "b", "t", &json!(1))).await.unwrap_err();
    assert_eq!(error.to_string(), "ns/results/a not found");
}

#[tokio::test]
async fn records_go_with_their_result() {
    let Fixture { store, .. } = fixture().await;
    store.create_result(result("ns", "a")).await.unwrap();
    store.create_record(record("ns", "a", "b", "t", &json!(1))).await.unwrap();
    store.delete_result("ns", "a").await.unwrap();
    assert!(matches!(store.get_record("ns", "a", "b").await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn an_update_of_a_record_keeps_what_it_does_not_give() {
    let Fixture { store, .. } = fixture().await;
    store.create_result(result("ns", "a")).await.unwrap();
    store.create_record(record("ns", "a", "b", "t", &json!({"x": 1}))).await.unwrap();
    let update = RecordUpdate { kind: Some("u".into()), data: None };
    let row = store.update_record("ns", "a", "b", update, "").await.unwrap();
    assert_eq!((row.kind.as_str(), &row.data[..]), ("u", &br#"{"x": 1}"#[..]));
    let update = RecordUpdate { kind: None, data: Some("[2]".into()) };
    let row = store.update_record("ns", "a", "b", update, &row.etag).await.unwrap();
    assert_eq!((row.kind.as_str(), &row.data[..]), ("u", &b"[2]"[..]));
    store.delete_record("ns", "a", "b").await.unwrap();
}

#[tokio::test]
async fn takes_documents_of_many_megabytes() {
    let Fixture { store, .. } = fixture().await;
    store.create_result(result("ns", "a")).await.unwrap();
    let data = json!({"big": "ä".repeat(5 << 20)});
    store.create_record(record("ns", "a", "b", "t", &data)).await.unwrap();
    let row = store.get_record("ns", "a", "b").await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&row.data).unwrap(), data);
}

#[rstest]
#[case::nul(br#"{"a": "\u0000"}"#)]
#[case::half_a_pair(br#"{"a": "\ud800"}"#)]
#[case::too_large_a_number(b"1e400000")]
#[case::no_json(b"{")]
#[case::two_documents(b"1 2")]
#[case::too_deep(b"deep")]
#[tokio::test]
async fn data_that_cannot_be_stored_is_the_clients_fault(#[case] data: &'static [u8]) {
    let Fixture { store, .. } = fixture().await;
    store.create_result(result("ns", "a")).await.unwrap();
    let mut data = Bytes::from_static(data);
    if data == b"deep"[..] {
        data = ("[".repeat(100_000) + &"]".repeat(100_000)).into();
    }
    let mut new = record("ns", "a", "b", "t", &json!(1));
    new.data = data;
    let error = store.create_record(new).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { field: "record.data.value", .. }), "{error:?}");
}

#[tokio::test]
async fn a_log_is_found_by_either_name_within_its_result_only() {
    let Fixture { store, .. } = fixture().await;
    let kind = "results.tekton.dev/v1alpha2.Log";
    let of_run = |uid: &str| json!({"spec": {"resource": {"uid": uid}}});
    for parent in ["a", "b"] {
        store.create_result(result(parent, "x")).await.unwrap();
        store.create_result(result(parent, "y")).await.unwrap();
    }
    let mine = store.create_record(record("a", "x", "log", kind, &of_run("run"))).await.unwrap();
    store.create_record(record("a", "x", "run", "tekton.dev/v1.TaskRun", &json!({}))).await.unwrap();
    assert_eq!(store.find_log("a", "x", "log").await.unwrap(), mine);
    assert_eq!(store.find_log("a", "x", "run").await.unwrap(), mine);
    assert!(store.find_log("b", "x", "run").await.is_err());
    assert!(store.find_log("a", "y", "run").await.is_err());
}
