//! Of several changes to one state, one wins.

use futures::future::join_all;
use results::store::{Error, RecordUpdate};
use serde_json::json;

use crate::fixture::{Fixture, fixture, record, result};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_concurrent_updates_wins() {
    let Fixture { store, .. } = fixture().await;
    let mut etag = store.create_result(result("ns", "a")).await.unwrap().etag;
    for round in 0..20 {
        let updates = (0..10).map(|number| {
            let annotations = [("winner".to_owned(), format!("{round}-{number}"))].into();
            let (store, etag) = (store.clone(), etag.clone());
            async move { store.update_result("ns", "a", &annotations, None, &etag).await }
        });
        let (won, lost): (Vec<_>, Vec<_>) =
            join_all(updates).await.into_iter().partition(std::result::Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 9));
        assert!(lost.iter().all(|lost| matches!(lost, Err(Error::EtagMismatch { .. }))));
        etag = store.get_result("ns", "a").await.unwrap().etag;
        assert_eq!(won[0].as_ref().unwrap().etag, etag);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_holds_for_records() {
    let Fixture { store, .. } = fixture().await;
    store.create_result(result("ns", "a")).await.unwrap();
    let etag = store.create_record(record("ns", "a", "b", "t", &json!(0))).await.unwrap().etag;
    let updates = (0..10).map(|number| {
        let update = RecordUpdate { kind: None, data: Some(number.to_string().into()) };
        let (store, etag) = (store.clone(), etag.clone());
        async move { store.update_record("ns", "a", "b", update, &etag).await }
    });
    let won = join_all(updates).await.into_iter().flatten().count();
    assert_eq!(won, 1);
    let error = store.update_record("ns", "a", "b", RecordUpdate::default(), &etag).await.unwrap_err();
    assert!(error.to_string().contains("the etag mismatches"), "{error}");
}

#[tokio::test]
async fn every_state_has_an_etag_of_its_own() {
    let Fixture { store, pool, .. } = fixture().await;
    store.create_result(result("ns", "a")).await.unwrap();
    // As if another clock had been ahead.
    sqlx::query("UPDATE results SET updated_time = now() + interval '1 day'").execute(&pool).await.unwrap();
    let first = store.update_result("ns", "a", &[].into(), None, "").await.unwrap();
    let second = store.update_result("ns", "a", &[].into(), None, "").await.unwrap();
    assert!(second.update_time > first.update_time);
    assert_ne!(first.etag, second.etag);
}
