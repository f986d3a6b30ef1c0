//! The server's part in what many runs at once cost (scenario 16). Work is counted, not timed: a shared machine says little about
//! milliseconds.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;
use sqlx::{PgPool, Row as _};
use testkit::postgres::Postgres;
use testkit::{ControlPlane, eventually};

use crate::rights::{API, kubeconfig};
use crate::server::{Server, record};

/// Records of the archive, over ten namespaces.
const RECORDS: i64 = 100_000;

/// What a statement has read: whole tables, and rows by an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Read {
    scans: i64,
    rows: i64,
}

async fn read(pool: &PgPool) -> Read {
    let text = "SELECT (SELECT coalesce(seq_scan, 0) FROM pg_stat_user_tables WHERE relname = 'records') AS scans, \
                (SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname = 'records') AS rows";
    let row = sqlx::query(text).fetch_one(pool).await.unwrap();
    Read { scans: row.get("scans"), rows: row.get("rows") }
}

/// The newest 50 of a namespace are read as 50 rows, however many there are.
#[tokio::test]
async fn a_page_costs_its_rows_whatever_the_archive_holds() {
    let database = Postgres::database().await.unwrap();
    let server = Server::with(&database, std::path::Path::new("/nowhere"), &["--auth-disable"]).await;
    let pool = PgPool::connect(&database.url()).await.unwrap();
    let text = "INSERT INTO results (parent, id, name, created_time) \
                SELECT 'ns' || n, 'r' || n, 'r', now() FROM generate_series(0, 9) AS n";
    sqlx::query(text).execute(&pool).await.unwrap();
    let text = "INSERT INTO records (parent, result_id, id, result_name, name, type, data, created_time, updated_time) \
                SELECT 'ns' || n % 10, 'r' || n % 10, 'c' || n, 'r', 'c' || n, 'tekton.dev/v1.PipelineRun', '{}', \
                now() - n * interval '1 second', now() - n * interval '1 second' FROM generate_series(1, $1) AS n";
    sqlx::query(text).bind(RECORDS).execute(&pool).await.unwrap();
    eventually(Duration::from_mins(2), "the indexes", async || {
        let text = "SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid = 'records'::regclass";
        let count: i64 = sqlx::query_scalar(text).fetch_one(&pool).await?;
        anyhow::ensure!(count >= 8, "{count} indexes");
        Ok(())
    })
    .await
    .unwrap();
    sqlx::query("VACUUM ANALYZE records").execute(&pool).await.unwrap();
    settled(&pool).await;

    let first = server.get("", "ns3/results/-/records?order_by=create_time%20desc").await;
    let next = first.body["nextPageToken"].as_str().unwrap_or_default().to_owned();
    for (what, query) in [
        ("the newest", "order_by=create_time%20desc".to_owned()),
        ("the next page", format!("order_by=create_time%20desc&page_token={next}")),
        ("those changed last", "order_by=update_time%20desc".to_owned()),
        ("the oldest", "order_by=create_time".to_owned()),
        ("in no order", String::new()),
    ] {
        let before = settled(&pool).await;
        let page = server.get("", &format!("ns3/results/-/records?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        assert_eq!(page.body["records"].as_array().map(Vec::len), Some(50));
        // PostgreSQL counts what a connection did some seconds later.
        let counted = async || {
            let after = read(&pool).await;
            anyhow::ensure!(after != before, "{after:?}");
            Ok(())
        };
        eventually(Duration::from_mins(1), "the counts", counted).await.unwrap();
        let after = settled(&pool).await;
        assert_eq!(after.scans, before.scans, "{what}: no walk over the whole table");
        let rows = after.rows - before.rows;
        // One more than is shown, to know whether there are more.
        assert_eq!(rows, 51, "{what}");
    }
}

/// The counts, once they have not moved for longer than PostgreSQL keeps them back.
async fn settled(pool: &PgPool) -> Read {
    let mut since = (read(pool).await, Instant::now());
    eventually(Duration::from_mins(1), "the counts to stand still", async || {
        let now = read(pool).await;
        if now != since.0 {
            since = (now, Instant::now());
        }
        anyhow::ensure!(since.1.elapsed() > Duration::from_secs(2), "{now:?}");
        Ok(now)
    })
    .await
    .unwrap()
}

/// What archiving runs costs the API server of the cluster: a few reviews for all of them, not some for each.
#[tokio::test]
async fn calls_of_one_caller_share_their_reviews() {
    let plane = ControlPlane::shared().await;
    let installed = plane.install("results", None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let own = plane.token_of(installed.namespace(), API, &[]).await.unwrap();
    let flag = format!("--kubeconfig={}", kubeconfig(folder.path(), plane, &own).display());
    let database = Postgres::database().await.unwrap();
    let server = Server::with(&database, std::path::Path::new("/nowhere"), &[&flag]).await;
    let namespace = plane.namespace("reviews").await.unwrap();
    let watcher = server.user(&namespace, "watcher", "create, get, update").await;
    let ledger = plane.ledger().unwrap();
    let results = format!("{namespace}/results");
    let mark = ledger.mark().await.unwrap();
    let begun = Instant::now();
    let runs = 40;
    for number in 0..runs {
        let name = format!("run{number}");
        let body = json!({ "name": format!("{results}/{name}") });
        let made = server.post(&watcher, &results, body).await;
        assert_eq!(made.status, StatusCode::OK, "{made:?}");
        let document = record(&namespace, &name, "run", "tekton.dev/v1.PipelineRun", &json!({ "a": number }));
        let made = server.post(&watcher, &format!("{results}/{name}/records"), document.clone()).await;
        assert_eq!(made.status, StatusCode::OK, "{made:?}");
        let path = format!("{results}/{name}/records/run");
        let changed = server.call(Method::PATCH, &watcher, &path, Some(document), &[]).await;
        assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
        let path = format!("{results}/{name}");
        let body = Some(json!({ "annotations": { "done": "true" } }));
        let changed = server.call(Method::PATCH, &watcher, &path, body, &[]).await;
        assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    }
    let elapsed = begun.elapsed();
    let calls = ledger.since(&mark).await.unwrap();
    let reviews = calls.by(&installed.user_as(API)).len();
    assert!(reviews > 0, "this looks at the right calls: {calls}");
    // Who it is, and four questions of right, each once in the ten seconds that an answer is good for.
    let windows = usize::try_from(elapsed.as_secs() / 10).unwrap() + 1;
    assert!(reviews <= 5 * windows, "{reviews} reviews for {runs} runs in {elapsed:?}");
}
