//! A database that Tekton Results made is taken over as it is (results.md, section 2.9, scenario 19).

use results::store::{List, NewResult, Store};
use serde_json::json;
use sqlx::PgPool;
use testkit::postgres::Postgres;

use crate::fixture::{PIPELINE_RUN, options, record, until};

/// Tables as its object mapper makes them, with rows of all its ages: without summary, with nulls for empty maps.
const UPSTREAM: &str = r#"
CREATE TABLE "results" ("parent" varchar(64),"id" varchar(64),"name" varchar(64),"annotations" jsonb,
  "created_time" timestamptz DEFAULT CURRENT_TIMESTAMP,"updated_time" timestamptz DEFAULT CURRENT_TIMESTAMP,
  "recordsummary_record" varchar(256),"recordsummary_type" varchar(768),"recordsummary_start_time" timestamptz,
  "recordsummary_end_time" timestamptz,"recordsummary_status" integer,"recordsummary_annotations" jsonb,
  "etag" varchar(128),PRIMARY KEY ("parent","id"));
CREATE UNIQUE INDEX "results_by_name" ON "results" ("parent","name");
CREATE TABLE "records" ("parent" varchar(64),"result_id" varchar(64),"id" varchar(64),"result_name" varchar(64),
  "name" varchar(64),"type" varchar(768),"data" jsonb,"created_time" timestamptz DEFAULT CURRENT_TIMESTAMP,
  "updated_time" timestamptz DEFAULT CURRENT_TIMESTAMP,"etag" varchar(128),PRIMARY KEY ("parent","result_id","id"),
  CONSTRAINT "fk_records_result" FOREIGN KEY ("parent","result_id") REFERENCES "results"("parent","id")
  ON DELETE CASCADE ON UPDATE CASCADE);
CREATE UNIQUE INDEX "records_by_name" ON "records" ("parent","result_name","name");
INSERT INTO results VALUES
  ('ns','r1','old',NULL,'2023-01-01T00:00:00Z','2023-01-02T00:00:00Z','','',NULL,NULL,0,'null','r1-1672617600000000000'),
  ('ns','r2','new','{"a":"b"}','2024-01-01T00:00:00Z','2024-01-02T00:00:00Z','ns/results/new/records/x',
   'tekton.dev/v1beta1.PipelineRun','2024-01-01T00:00:00Z','2024-01-01T01:00:00Z',1,'{"c":"d"}','r2-1'),
  ('ns','r3','bare','null',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO records VALUES
  ('ns','r2','c1','new','x','tekton.dev/v1beta1.PipelineRun','{"kind":"PipelineRun"}','2024-01-01T00:00:00Z',
   '2024-01-02T00:00:00Z','c1-1'),
  ('ns','r2','c2','new','y',NULL,NULL,NULL,NULL,NULL);
"#;

#[tokio::test]
async fn opens_it_without_loss() {
    let database = Postgres::database().await.unwrap();
    let pool = PgPool::connect(&database.url()).await.unwrap();
    sqlx::raw_sql(UPSTREAM).execute(&pool).await.unwrap();
    let dump = async || -> Vec<String> {
        let text = "SELECT row_to_json(t)::text FROM (SELECT * FROM results ORDER BY id) t \
                    UNION ALL SELECT row_to_json(t)::text FROM (SELECT * FROM records ORDER BY id) t";
        sqlx::query_scalar(text).fetch_all(&pool).await.unwrap()
    };
    let before = dump().await;
    let store = Store::connect(&options(&database)).await.unwrap();
    assert_eq!(dump().await, before);
    let list = List { parent: "ns", order_by: "create_time desc", ..List::default() };
    let results = store.list_results(&list).await.unwrap().rows;
    assert_eq!(results.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["new", "old", "bare"]);
    let summary = results[0].summary.as_ref().unwrap();
    assert_eq!((summary.status, summary.annotations["c"].as_str()), (1, "d"));
    assert!(results[1].summary.is_none() && results[1].annotations.is_empty());
    let records = List { parent: "ns", result: "new", ..List::default() };
    assert_eq!(store.list_records(&records).await.unwrap().rows.len(), 2);
    assert_eq!(&store.get_record("ns", "new", "x").await.unwrap().data[..], br#"{"kind": "PipelineRun"}"#);
    assert!(store.get_record("ns", "new", "y").await.unwrap().data.is_empty());
    // It goes on being used.
    store.update_result("ns", "bare", &[].into(), None, "").await.unwrap();
    store.create_record(record("ns", "bare", "z", PIPELINE_RUN, &json!({}))).await.unwrap();
    store.delete_result("ns", "new").await.unwrap();
    assert_eq!(store.list_results(&list).await.unwrap().rows.len(), 2);
}

#[tokio::test]
async fn columns_that_an_older_one_lacks_are_added() {
    let database = Postgres::database().await.unwrap();
    let pool = PgPool::connect(&database.url()).await.unwrap();
    let first = r"
        CREATE TABLE results (parent varchar(64), id varchar(64), name varchar(64), annotations jsonb,
          created_time timestamptz, updated_time timestamptz, PRIMARY KEY (parent, id));
        CREATE TABLE records (parent varchar(64), result_id varchar(64), id varchar(64), result_name varchar(64),
          name varchar(64), data jsonb, created_time timestamptz, updated_time timestamptz,
          PRIMARY KEY (parent, result_id, id));
        INSERT INTO results VALUES ('ns', 'r1', 'a', NULL, now(), now());";
    sqlx::raw_sql(first).execute(&pool).await.unwrap();
    let store = Store::connect(&options(&database)).await.unwrap();
    assert_eq!(store.get_result("ns", "a").await.unwrap().uid, "r1");
    store.create_record(record("ns", "a", "z", PIPELINE_RUN, &json!({}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_start_together_migrate_once_and_build_all_indexes() {
    let database = Postgres::database().await.unwrap();
    let options = options(&database);
    let stores = futures::future::join_all((0..4).map(|_| Store::connect(&options))).await;
    for store in &stores {
        assert!(store.is_ok(), "{store:?}");
    }
    let store = stores[0].as_ref().unwrap();
    store
        .create_result(NewResult { parent: "ns".into(), name: "a".into(), ..NewResult::default() })
        .await
        .unwrap();
    let pool = PgPool::connect(&database.url()).await.unwrap();
    let wanted = include_str!("../../migrations/indexes.sql").matches("CREATE INDEX CONCURRENTLY").count();
    let wanted = i64::try_from(wanted).unwrap();
    until("all indexes are there", async || {
        let text = "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid \
                    WHERE indisvalid AND relname ~ '^(results|records)_by_' AND relname !~ 'by_name$'";
        let count: i64 = sqlx::query_scalar(text).fetch_one(&pool).await.unwrap();
        count == wanted
    })
    .await;
}
