//! A database that is away, slow, or not as it should be (results.md, section 8).

use std::time::Duration;

use results::store::{Error, List, Options, Store, Tls};
use serde_json::json;
use testkit::postgres::Postgres;

use crate::fixture::{Fixture, fixture, options, record, result, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_database_is_an_error_and_comes_back_by_itself() {
    let server = Postgres::start().await.unwrap();
    let database = server.create_database().await.unwrap();
    let store = Store::connect(&options(&database)).await.unwrap();
    store.create_result(result("ns", "a")).await.unwrap();
    assert!(store.is_up().await);
    server.kill();
    let list = List { parent: "ns", ..List::default() };
    let error = store.list_results(&list).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(!error.to_string().contains(database.host()), "{error}");
    assert!(!store.is_up().await);
    server.start_again().await.unwrap();
    until("the store finds its database again", async || store.is_up().await).await;
    assert_eq!(store.list_results(&list).await.unwrap().rows.len(), 1);
}

async fn slow(statement_timeout: Duration) -> (Fixture, Store) {
    let fixture = fixture().await;
    fixture.store.create_result(result("ns", "a")).await.unwrap();
    let data = json!("x");
    fixture.store.create_record(record("ns", "a", "b", "t", &data)).await.unwrap();
    let options = Options { statement_timeout, ..options(&fixture.database) };
    let store = Store::connect(&options).await.unwrap();
    // Whatever a filter may do, the rows are slow: each takes ten minutes to be seen.
    for text in [
        "ALTER TABLE records RENAME TO slow_records",
        "CREATE VIEW records AS SELECT * FROM slow_records WHERE pg_sleep(600) IS NOT NULL",
    ] {
        sqlx::query(text).execute(&fixture.pool).await.unwrap();
    }
    (fixture, store)
}

#[tokio::test]
async fn a_slow_statement_ends_at_its_deadline() {
    let (_fixture, store) = slow(Duration::from_millis(200)).await;
    let list = List { parent: "ns", result: "a", ..List::default() };
    let error = store.list_records(&list).await.unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_nobody_waits_for_is_stopped() {
    let (Fixture { pool, .. }, store) = slow(Duration::from_mins(10)).await;
    let sleeping = async || -> i64 {
        let text = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
                    AND wait_event = 'PgSleep'";
        sqlx::query_scalar(text).fetch_one(&pool).await.unwrap()
    };
    let running = tokio::spawn(async move {
        let list = List { parent: "ns", result: "a", ..List::default() };
        let _ = store.list_records(&list).await;
    });
    until("the statement runs", async || sleeping().await == 1).await;
    running.abort();
    until("the statement is stopped", async || sleeping().await == 0).await;
}

#[tokio::test]
async fn without_leave_to_migrate_missing_tables_end_the_start() {
    let database = Postgres::database().await.unwrap();
    let options = Options { auto_migrate: false, ..options(&database) };
    let error = Store::connect(&options).await.unwrap_err().to_string();
    assert!(error.contains("no table results") && error.contains("DB_ENABLE_AUTO_MIGRATION"), "{error}");
    Store::connect(&Options { auto_migrate: true, ..options.clone() }).await.unwrap();
    Store::connect(&options).await.unwrap();
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_trusted() {
    let database = Postgres::database().await.unwrap();
    let other = testkit::pki::Authority::new("other").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("ca.crt");
    std::fs::write(&root, other.cert_pem()).unwrap();
    for tls in [Tls::Require, Tls::VerifyCa, Tls::VerifyFull] {
        let options = Options { tls, root_cert: Some(root.clone()), ..options(&database) };
        assert!(matches!(Store::connect(&options).await, Err(Error::Unavailable(_))), "{tls}");
    }
}

#[tokio::test]
async fn a_wrong_password_ends_the_start_at_once() {
    let database = Postgres::database().await.unwrap();
    let right = options(&database);
    let wrong = Options {
        password: fleet::Secret::new("wrong".to_owned()),
        connect_for: Duration::from_hours(1),
        ..right
    };
    let error = Store::connect(&wrong).await.unwrap_err();
    assert!(matches!(error, Error::Internal(_)), "{error:?}");
}
