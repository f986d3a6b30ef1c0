//! What the tests of this program begin with.

use results::store::{List, NewRecord, NewResult, Options, RecordRow, Store, Tls};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::postgres::{Database, Postgres};
use testkit::{DEADLINE, eventually};

/// A store over an empty database, and the database for what the store cannot do.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) database: Database,
    pub(crate) pool: PgPool,
}

pub(crate) async fn fixture() -> Fixture {
    let database = Postgres::database().await.unwrap();
    let store = Store::connect(&options(&database)).await.unwrap();
    let pool = PgPool::connect(&database.url()).await.unwrap();
    Fixture { store, database, pool }
}

pub(crate) fn options(database: &Database) -> Options {
    Options {
        tls: Tls::VerifyFull,
        root_cert: Some(database.authority().to_owned()),
        connect_for: std::time::Duration::ZERO,
        ..Options::new(
            database.host(),
            database.port(),
            database.name(),
            database.user(),
            database.password(),
        )
    }
}

pub(crate) fn result(parent: &str, name: &str) -> NewResult {
    NewResult { parent: parent.into(), name: name.into(), ..NewResult::default() }
}

pub(crate) fn record(parent: &str, result: &str, name: &str, kind: &str, data: &Value) -> NewRecord {
    NewRecord {
        parent: parent.into(),
        result: result.into(),
        name: name.into(),
        kind: kind.into(),
        data: data.to_string().into(),
    }
}

/// All rows of a list, page by page.
pub(crate) async fn all_records(store: &Store, list: List<'_>) -> Vec<RecordRow> {
    let (mut rows, mut token) = (Vec::new(), String::new());
    loop {
        let page = store.list_records(&List { page_token: &token, ..list }).await.unwrap();
        rows.extend(page.rows);
        token = page.next_page_token;
        if token.is_empty() {
            return rows;
        }
    }
}

pub(crate) const PIPELINE_RUN: &str = "tekton.dev/v1.PipelineRun";
pub(crate) const TASK_RUN: &str = "tekton.dev/v1.TaskRun";

pub(crate) fn run(namespace: &str, reason: &str, start: &str, end: &str) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": "r", "creationTimestamp": start,
            "labels": {"tekton.dev/pipeline": "build"},
            "annotations": {"pipelinesascode.tekton.dev/repository": "repo"}},
        "status": {"startTime": start, "completionTime": end, "conditions": [{"reason": reason}]},
    })
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let attempt = async || if holds().await { Ok(()) } else { Err(anyhow::anyhow!("not yet")) };
    eventually(DEADLINE, what, attempt).await.unwrap();
}
