//! An archive that Tekton Results kept, served by this server (scenario 19): read, changed and deleted over both ways, with its
//! stored logs.

use http::{Method, StatusCode};
use results_api::v1alpha2::results_client::ResultsClient;
use results_api::v1alpha2::{GetRecordRequest, ListResultsRequest};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::postgres::Postgres;

use crate::parity::{channel, document, with_token};
use crate::server::{Server, record, result};

/// Tables and rows as the original leaves them, with Records of Logs that point to where their bytes are, and one that points
/// to those of another tenant.
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
INSERT INTO results SELECT 'ns','u' || n,'r' || n,'{"n":"x"}',timestamptz '2023-01-01Z' + n * interval '1 day',
  timestamptz '2023-02-01Z' + n * interval '1 day','ns/results/r' || n || '/records/run','tekton.dev/v1beta1.PipelineRun',
  '2023-01-01T00:00:00Z','2023-01-01T01:00:00Z',1,'{"c":"d"}','u' || n || '-1672617600000000000'
  FROM generate_series(1, 12) AS n;
INSERT INTO results VALUES
  ('ns','u0','r0',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
  ('other','u0','secret','null','2023-01-01Z','2023-01-01Z','','',NULL,NULL,0,'null','u0-1');
INSERT INTO records VALUES
  ('ns','u1','c1','r1','run','tekton.dev/v1beta1.PipelineRun',
   '{"kind":"PipelineRun","metadata":{"name":"run","namespace":"ns","labels":{"x":"o''brien"}}}','2023-01-01Z','2023-01-02Z','c1-1'),
  ('ns','u1','c2','r1','log-run','results.tekton.dev/v1alpha2.Log',
   '{"kind":"Log","metadata":{"name":"run-log","namespace":"ns","uid":"log-run"},
     "spec":{"resource":{"kind":"PipelineRun","namespace":"ns","name":"run","uid":"run"},"type":"File"},
     "status":{"path":"ns/log-run/run-log","size":9}}','2023-01-01Z','2023-01-02Z','c2-1'),
  ('ns','u1','c3','r1','log-stolen','results.tekton.dev/v1alpha2.Log',
   '{"kind":"Log","metadata":{"name":"stolen-log","namespace":"ns","uid":"log-stolen"},
     "spec":{"resource":{"kind":"TaskRun","namespace":"ns","name":"stolen","uid":"stolen"},"type":"File"},
     "status":{"path":"other/log/run-log","size":6}}','2023-01-01Z','2023-01-02Z','c3-1'),
  ('ns','u2','c4','r2','empty',NULL,NULL,NULL,NULL,NULL);
"#;

async fn opened() -> (Server, PgPool) {
    let database = Postgres::database().await.unwrap();
    let pool = PgPool::connect(&database.url()).await.unwrap();
    sqlx::raw_sql(UPSTREAM).execute(&pool).await.unwrap();
    let server = Server::with(&database, std::path::Path::new("/nowhere"), &["--auth-disable"]).await;
    for (path, text) in [("ns/log-run/run-log", "as it was"), ("other/log/run-log", "secret")] {
        let path = server.logs.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    (server, pool)
}

fn names(body: &Value) -> Vec<&str> {
    let results = body["results"].as_array().unwrap();
    results.iter().map(|result| result["name"].as_str().unwrap().rsplit_once('/').unwrap().1).collect()
}

#[tokio::test]
async fn all_of_it_is_read_over_both_ways() {
    let (server, pool) = opened().await;
    let rows: (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM results), (SELECT count(*) FROM records)")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(rows, (14, 4));

    let url = "ns/results?order_by=create_time%20desc&page_size=5";
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = server.get("", &format!("{url}&page_token={next}")).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        seen.extend(names(&page.body).into_iter().map(ToOwned::to_owned));
        page.body["nextPageToken"].as_str().unwrap().clone_into(&mut next);
        if next.is_empty() {
            break;
        }
    }
    // The one without times comes last, and is not lost.
    let expected: Vec<_> = (0..=12).rev().map(|number| format!("r{number}")).collect();
    assert_eq!(seen, expected);

    let filter = "summary.status%20%3D%3D%20SUCCESS%20%26%26%20annotations%5B%22n%22%5D%20%3D%3D%20%22x%22";
    let filtered = server.get("", &format!("ns/results?filter={filter}")).await;
    assert_eq!(names(&filtered.body).len(), 12, "{filtered:?}");
    let records = "filter=data.metadata.labels%5B%22x%22%5D%20%3D%3D%20%22o'brien%22%20%26%26%20data_type%20%3D%3D%20PIPELINE_RUN";
    let found = server.get("", &format!("ns/results/-/records?{records}")).await;
    assert_eq!(found.body["records"][0]["name"], "ns/results/r1/records/run", "{found:?}");

    let mut client = ResultsClient::new(channel(&server).await);
    let list = ListResultsRequest { parent: "-".to_owned(), ..ListResultsRequest::default() };
    let by_grpc = client.list_results(with_token("", list)).await.unwrap().into_inner();
    assert_eq!(by_grpc.results.len(), 14);
    for name in ["run", "log-run"] {
        let name = format!("ns/results/r1/records/{name}");
        let by_rest = server.get("", &name).await;
        let by_grpc =
            client.get_record(with_token("", GetRecordRequest { name })).await.unwrap().into_inner();
        assert_eq!(serde_json::to_value(by_grpc).unwrap(), by_rest.body);
    }
    let empty = server.get("", "ns/results/r2/records/empty").await;
    assert_eq!(empty.status, StatusCode::OK, "{empty:?}");
    let figures = server.get("", "ns/results/-/records/summary").await;
    assert_eq!(figures.body["summary"][0]["total"], 4, "{figures:?}");
}

#[tokio::test]
async fn stored_logs_are_found_where_they_were_put_and_no_others() {
    let (server, _) = opened().await;
    for name in ["log-run", "run"] {
        let log = server.get("", &format!("ns/results/r1/logs/{name}")).await;
        assert_eq!((log.status, log.text.as_str()), (StatusCode::OK, "as it was"), "{name}");
    }
    let stolen = server.get("", "ns/results/r1/logs/log-stolen").await;
    assert_eq!((stolen.status, &stolen.body["code"]), (StatusCode::NOT_FOUND, &json!(5)), "{stolen:?}");
    let deleted = server.call(Method::DELETE, "", "ns/results/r1/logs/log-stolen", None, &[]).await;
    assert_eq!(deleted.status, StatusCode::OK, "the Record may go: {deleted:?}");
    let theirs = server.logs.path().join("other/log/run-log");
    assert_eq!(std::fs::read_to_string(theirs).unwrap(), "secret");

    let deleted = server.call(Method::DELETE, "", "ns/results/r1", None, &[]).await;
    assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
    assert!(!server.logs.path().join("ns/log-run/run-log").exists(), "it goes with its Result");
}

/// What is written now is found in the columns where the original looks for it.
#[tokio::test]
async fn it_goes_on_as_the_same_archive() {
    let (server, pool) = opened().await;
    let old = server.get("", "ns/results/r3").await;
    let etag = old.body["etag"].as_str().unwrap().to_owned();
    assert_eq!(etag, "u3-1672617600000000000");
    let path = format!("ns/results/r3?etag={etag}");
    let body = || Some(json!({ "annotations": { "n": "y" }, "summary": old.body["summary"] }));
    let updated = server.call(Method::PATCH, "", &path, body(), &[]).await;
    assert_eq!(updated.status, StatusCode::OK, "{updated:?}");
    assert_eq!(updated.body["summary"], old.body["summary"]);
    let stale = server.call(Method::PATCH, "", &path, body(), &[]).await;
    assert_eq!((stale.status, &stale.body["code"]), (StatusCode::BAD_REQUEST, &json!(9)), "{stale:?}");

    let twice = server.post("", "ns/results", result("ns", "r3")).await;
    assert_eq!(twice.status, StatusCode::CONFLICT, "{twice:?}");
    server.post("", "ns/results", result("ns", "new")).await;
    for parent in ["r0", "new"] {
        let data = json!({ "kind": "TaskRun" });
        let run = record("ns", parent, "run", "tekton.dev/v1.TaskRun", &data);
        let made = server.post("", &format!("ns/results/{parent}/records"), run).await;
        assert_eq!((made.status, document(&made.body)), (StatusCode::OK, data), "{made:?}");
    }
    let text = "SELECT result_name || ' ' || records.name || ' ' || type || ' ' || (data ->> 'kind') FROM records \
                JOIN results ON results.parent = records.parent AND results.id = result_id AND results.name = result_name WHERE \
                results.name IN ('r0', 'new') AND records.etag <> '' AND records.created_time IS NOT NULL ORDER BY 1";
    let rows: Vec<String> = sqlx::query_scalar(text).fetch_all(&pool).await.unwrap();
    assert_eq!(rows, ["new run tekton.dev/v1.TaskRun TaskRun", "r0 run tekton.dev/v1.TaskRun TaskRun"]);
}
