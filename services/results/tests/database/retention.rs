//! What is deleted, and what is not (results.md, section 4.5, scenario 18).

use bytes::Bytes;
use fleet::Clock;
use jiff::{SignedDuration, Timestamp};
use results::logs::{Kind, LogKey, LogStore, Options, S3Options};
use results::retention::{Cron, Policy, Selector, Settings, sweep};
use results::store::List;
use serde_json::{Value, json};

use crate::fixture::{Fixture, PIPELINE_RUN, TASK_RUN, fixture, record, result, run};

const NOW: &str = "2026-06-01T00:00:00Z";

pub(crate) fn clock() -> Clock {
    Clock::fixed(NOW.parse().unwrap())
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count * 24)
}

fn settings(policies: Vec<Policy>) -> Settings {
    let run_at: Cron = "5 5 * * 0".parse().unwrap();
    Settings { run_at, default: days(30), policies }
}

fn policy(retention: SignedDuration, selector: Selector) -> Policy {
    Policy { name: "p".into(), selector, retention }
}

fn labelled(key: &str, value: &str) -> Selector {
    Selector {
        match_labels: [(key.to_owned(), vec!["other".to_owned(), value.to_owned()])].into(),
        ..Selector::default()
    }
}

pub(crate) fn with_label(key: &str, value: &str) -> Value {
    json!({"metadata": {"labels": {key: value}}})
}

impl Fixture {
    /// A Result with one Record, last changed so many days ago.
    pub(crate) async fn aged(&self, parent: &str, name: &str, kind: &str, age: i64, data: &Value) {
        if self.store.get_result(parent, name).await.is_err() {
            self.store.create_result(result(parent, name)).await.unwrap();
        }
        let row =
            self.store.create_record(record(parent, name, &format!("x{age}"), kind, data)).await.unwrap();
        let now: Timestamp = NOW.parse().unwrap();
        let then = (now - days(age)).to_string();
        for text in [
            "UPDATE records SET created_time = $1::timestamptz, updated_time = $1::timestamptz WHERE id = $2",
            "UPDATE results SET created_time = least(created_time, $1::timestamptz) WHERE id = \
             (SELECT result_id FROM records WHERE id = $2)",
        ] {
            sqlx::query(text).bind(&then).bind(&row.uid).execute(&self.pool).await.unwrap();
        }
    }

    pub(crate) async fn kept(&self) -> Vec<String> {
        let list = List { parent: "-", page_size: 10_000, ..List::default() };
        let mut names: Vec<_> =
            self.store.list_results(&list).await.unwrap().rows.into_iter().map(|row| row.name).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn the_first_policy_that_matches_decides() {
    let fixture = fixture().await;
    for age in [1, 29, 31, 179, 181] {
        fixture.aged("ns", &format!("plain{age}"), PIPELINE_RUN, age, &json!({})).await;
        fixture.aged("ns", &format!("long{age}"), PIPELINE_RUN, age, &with_label("x", "o'brien")).await;
        fixture.aged("short", &format!("short{age}"), PIPELINE_RUN, age, &json!({})).await;
        fixture.aged("short", &format!("both{age}"), PIPELINE_RUN, age, &with_label("x", "o'brien")).await;
    }
    let of_namespace = Selector { match_namespaces: vec!["short".into()], ..Selector::default() };
    let settings = settings(vec![policy(days(180), labelled("x", "o'brien")), policy(days(7), of_namespace)]);
    let swept = sweep(&fixture.store, None, &settings, &clock()).await.unwrap();
    let kept = fixture.kept().await;
    assert_eq!(
        kept,
        [
            "both1", "both179", "both29", "both31", "long1", "long179", "long29", "long31", "plain1",
            "plain29", "short1"
        ]
    );
    assert_eq!((swept.seen, swept.deleted, swept.failed), (20, 9, 0));
    assert_eq!(sweep(&fixture.store, None, &settings, &clock()).await.unwrap().deleted, 0);
}

#[tokio::test]
async fn all_conditions_of_a_policy_have_to_match() {
    let fixture = fixture().await;
    let data = |reason: &str, note: &str| {
        let mut data = run("ns", reason, "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z");
        data["metadata"]["annotations"]["note"] = json!(note);
        data
    };
    fixture.aged("ns", "all", PIPELINE_RUN, 5, &data("Failed", "n")).await;
    fixture.aged("ns", "status", PIPELINE_RUN, 5, &data("Succeeded", "n")).await;
    fixture.aged("ns", "note", PIPELINE_RUN, 5, &data("Failed", "m")).await;
    fixture.aged("other", "namespace", PIPELINE_RUN, 5, &data("Failed", "n")).await;
    fixture.aged("ns", "odd", PIPELINE_RUN, 5, &json!([1])).await;
    let selector = Selector {
        match_namespaces: vec!["ns".into()],
        match_annotations: [("note".to_owned(), vec!["n".to_owned()])].into(),
        match_statuses: vec!["Cancelled".into(), "Failed".into()],
        ..Selector::default()
    };
    sweep(&fixture.store, None, &settings(vec![policy(days(2), selector)]), &clock()).await.unwrap();
    assert_eq!(fixture.kept().await, ["namespace", "note", "odd", "status"]);
}

#[tokio::test]
async fn a_result_waits_for_the_last_of_its_runs() {
    let fixture = fixture().await;
    let owned = json!({"metadata": {"ownerReferences": [{"kind": "PipelineRun", "name": "r"}]}});
    let by_component = json!({"metadata": {"ownerReferences": [{"kind": "Component", "name": "c"}]}});
    // Two runs of one event.
    fixture.aged("ns", "young", PIPELINE_RUN, 100, &json!({})).await;
    fixture.aged("ns", "young", PIPELINE_RUN, 10, &json!({})).await;
    // One of them under a longer policy.
    fixture.aged("ns", "policy", PIPELINE_RUN, 100, &json!({})).await;
    fixture.aged("ns", "policy", PIPELINE_RUN, 101, &with_label("x", "1")).await;
    // Parts of a run do not count, nor do documents of other kinds.
    fixture.aged("ns", "gone", PIPELINE_RUN, 100, &json!({})).await;
    fixture.aged("ns", "gone", TASK_RUN, 10, &owned).await;
    fixture.aged("ns", "gone", "results.tekton.dev/v1alpha2.Log", 9, &json!({})).await;
    fixture.aged("ns", "task", TASK_RUN, 100, &by_component).await;
    fixture.aged("ns", "youngtask", TASK_RUN, 10, &by_component).await;
    // Without a run nothing says that it has ended.
    fixture.aged("ns", "empty", "other", 100, &json!({})).await;
    let settings = settings(vec![policy(days(180), labelled("x", "1"))]);
    sweep(&fixture.store, None, &settings, &clock()).await.unwrap();
    assert_eq!(fixture.kept().await, ["empty", "policy", "young", "youngtask"]);
}

#[tokio::test]
async fn values_of_the_settings_stay_values() {
    let fixture = fixture().await;
    fixture.aged("ns", "a", PIPELINE_RUN, 10, &json!({})).await;
    let hostile = "' OR '1'='1";
    let selectors = [
        labelled(hostile, hostile),
        labelled("x') IS NULL OR ('a", "a"),
        Selector { match_namespaces: vec![hostile.into()], ..Selector::default() },
        Selector { match_statuses: vec![hostile.into()], ..Selector::default() },
    ];
    let policies = selectors.into_iter().map(|selector| policy(days(1), selector)).collect();
    sweep(&fixture.store, None, &settings(policies), &clock()).await.unwrap();
    assert_eq!(fixture.kept().await, ["a"]);
}

#[tokio::test]
async fn walks_over_more_than_one_window() {
    let fixture = fixture().await;
    let text = "INSERT INTO results (parent, id, name, created_time, updated_time) \
                SELECT 'ns', 'r' || n, 'r' || n, '2020-01-01', '2020-01-01' FROM generate_series(1, 1200) AS n";
    sqlx::query(text).execute(&fixture.pool).await.unwrap();
    let text = "INSERT INTO records (parent, result_id, id, result_name, name, type, data, updated_time) \
                SELECT parent, id, id, name, name, $1, '{}', \
                CASE WHEN right(id, 1) = '0' THEN now() ELSE '2020-01-01' END FROM results";
    sqlx::query(text).bind(PIPELINE_RUN).execute(&fixture.pool).await.unwrap();
    let swept = sweep(&fixture.store, None, &settings(vec![]), &clock()).await.unwrap();
    assert_eq!((swept.seen, swept.deleted), (1200, 1080));
    assert_eq!(fixture.kept().await.len(), 120);
}

#[tokio::test]
async fn stored_logs_go_first_and_keep_the_result_if_they_cannot() {
    let fixture = fixture().await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        kind: Kind::File,
        chunk: 1024,
        folder: folder.path().to_owned(),
        s3: S3Options {
            bucket: String::new(),
            endpoint: String::new(),
            hostname_immutable: false,
            region: String::new(),
            access_key_id: String::new(),
            secret_access_key: fleet::Secret::new(String::new()),
            part_size: 5 << 20,
            ca_bundle: None,
        },
    };
    let logs = LogStore::open(&options, &clock()).await.unwrap();
    fixture.aged("ns", "old", PIPELINE_RUN, 100, &json!({})).await;
    fixture.aged("ns", "new", PIPELINE_RUN, 1, &json!({})).await;
    let mut keys = Vec::new();
    for name in ["old", "new"] {
        let uid = fixture.store.get_result("ns", name).await.unwrap().uid;
        let key = LogKey::new("ns", &uid, "log").unwrap();
        logs.put(&key, futures::stream::iter([Ok(Bytes::from_static(b"text"))])).await.unwrap();
        keys.push(key);
    }
    let swept = sweep(&fixture.store, Some(&logs), &settings(vec![]), &clock()).await.unwrap();
    assert_eq!((swept.deleted, swept.failed), (1, 0));
    assert!(logs.get(&keys[0]).await.is_err());
    assert!(logs.get(&keys[1]).await.is_ok());
    // A bucket that cannot be reached.
    let unreachable = Options {
        kind: Kind::S3,
        s3: S3Options {
            bucket: "logs".into(),
            endpoint: format!("http://127.0.0.1:{}", testkit::free_port().unwrap()),
            hostname_immutable: true,
            region: "r".into(),
            access_key_id: "a".into(),
            secret_access_key: fleet::Secret::new("b".to_owned()),
            ..options.s3
        },
        ..options
    };
    let unreachable = LogStore::open(&unreachable, &clock()).await.unwrap();
    fixture.aged("ns", "old", PIPELINE_RUN, 100, &json!({})).await;
    let swept = sweep(&fixture.store, Some(&unreachable), &settings(vec![]), &clock()).await.unwrap();
    assert_eq!((swept.deleted, swept.failed), (0, 1));
    assert_eq!(fixture.kept().await, ["new", "old"]);
}
