//! Rows of values that are easily taken for something else.

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngCore};
use results_filter::Row;
use serde_json::{Map, Value, json};
use sqlx::PgPool;

/// Texts that are numbers, times, truth values, patterns, or almost so.
pub(super) const TEXTS: [&str; 36] = [
    "",
    "a",
    "A",
    "b",
    "Ä",
    "ä",
    "z",
    "o'brien",
    "%",
    "_",
    "100%",
    "100",
    "a_",
    "x\\",
    "a\nb",
    "two words",
    "' OR '1'='1",
    "12",
    "012",
    "1.50",
    "-3",
    "1e3",
    "+5",
    "true",
    "TRUE",
    "false",
    "null",
    "{}",
    "2024-02-29T23:30:00+02:00",
    "2023-02-29T00:00:00Z",
    "2024-05-01T12:00:00.1234565+02:00",
    "2024-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59Z",
    "2024-05-01 12:00:00Z",
    "1234567890123456",
    "12345678901234567890123456789012345678901234567890",
];

fn one_of<'a>(texts: &[&'a str], random: &mut StdRng) -> &'a str {
    texts.choose(random).copied().unwrap_or_default()
}

fn scalar(random: &mut StdRng) -> Value {
    match random.random_range(0..12) {
        0 => json!(random.random_range(-4..20)),
        1 => json!(f64::from(random.random_range(-8..40)) / 4.0),
        2 => [json!(1e20), json!(1e-7), json!(1e300), json!(-0.0), json!(u64::MAX), json!(12.0)]
            .choose(random)
            .cloned()
            .unwrap_or_default(),
        3 => json!(random.random_bool(0.5)),
        4 => Value::Null,
        _ => json!(one_of(&TEXTS, random)),
    }
}

fn value(random: &mut StdRng) -> Value {
    match random.random_range(0..10) {
        0 => json!([]),
        1 => json!([scalar(random), { "k": [scalar(random)] }, scalar(random)]),
        2 => json!({ "long key": scalar(random), "k": scalar(random), "0": "a" }),
        _ => scalar(random),
    }
}

/// Each field is missing in some.
fn data(random: &mut StdRng) -> Value {
    let mut data = Map::new();
    let mut put = |key: &str, value: Value, random: &mut StdRng| {
        if random.random_bool(0.9) {
            data.insert(key.to_owned(), value);
        }
    };
    let labels = match random.random_range(0..10) {
        0 => value(random),
        1 => json!({}),
        _ => json!({ "x": scalar(random), "0": "a" }),
    };
    let metadata = json!({ "name": scalar(random), "labels": labels });
    put("metadata", metadata, random);
    let kind = if random.random_bool(0.9) { scalar(random) } else { value(random) };
    put("kind", kind, random);
    let list = json!([scalar(random), { "k": [scalar(random)] }]);
    put("list", if random.random_bool(0.8) { list } else { value(random) }, random);
    let nested = json!({ "k": scalar(random), "0": "a" });
    put("nested", if random.random_bool(0.8) { nested } else { value(random) }, random);
    if random.random_bool(0.02) { scalar(random) } else { Value::Object(data) }
}

fn map(random: &mut StdRng) -> Option<Value> {
    match random.random_range(0..8) {
        0 => None,
        1 => Some(json!({})),
        2 => Some(json!({ "a/b": one_of(&TEXTS, random) })),
        _ => Some(json!({ "k": one_of(&TEXTS, random), "a/b": one_of(&TEXTS, random) })),
    }
}

/// In microseconds; often at an edge of a day, a month or a year.
fn time(random: &mut StdRng) -> Timestamp {
    let edges = [
        "1999-12-31T23:59:59.999999Z",
        "2024-02-29T00:00:00Z",
        "2024-03-01T00:00:00Z",
        "2023-12-31T12:00:00Z",
    ];
    let edge: Timestamp = one_of(&edges, random).parse().expect("an edge is a time");
    edge + SignedDuration::from_micros(
        [0, -1, 1, random.random_range(-1 << 50..1 << 50)][random.random_range(0..4)],
    )
}

fn perhaps<T>(random: &mut StdRng, make: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
    random.random_bool(0.9).then(|| make(random))
}

#[derive(Debug)]
pub(super) struct RandomResult {
    parent: String,
    uid: String,
    annotations: Option<Value>,
    summary_record: Option<String>,
    summary_type: Option<String>,
    summary_start_time: Option<Timestamp>,
    summary_end_time: Option<Timestamp>,
    summary_status: Option<i32>,
    summary_annotations: Option<Value>,
    create_time: Timestamp,
    update_time: Timestamp,
}

const TYPES: [&str; 7] = [
    "tekton.dev/v1.PipelineRun",
    "tekton.dev/v1beta1.PipelineRun",
    "tekton.dev/v1.TaskRun",
    "tekton.dev/v1beta1.TaskRun",
    "results.tekton.dev/v1alpha2.Log",
    "tekton.dev/v1xTaskRun",
    "",
];

impl RandomResult {
    pub(super) fn new(number: usize, random: &mut StdRng) -> Self {
        let create_time = time(random);
        Self {
            parent: one_of(&["team-a", "team-b", "a"], random).to_owned(),
            uid: format!("u-{number}"),
            annotations: map(random),
            summary_record: perhaps(random, |random| {
                if random.next_u32() % 2 == 0 {
                    "a".to_owned()
                } else {
                    format!("a/results/b/records/{number}")
                }
            }),
            summary_type: perhaps(random, |random| one_of(&TYPES, random).to_owned()),
            summary_start_time: perhaps(random, time),
            summary_end_time: perhaps(random, time),
            summary_status: perhaps(random, |random| random.random_range(-1..6)),
            summary_annotations: map(random),
            create_time,
            update_time: if random.random_bool(0.3) { create_time } else { time(random) },
        }
    }

    pub(super) fn row(&self) -> Row<'_> {
        Row {
            parent: Some(&self.parent),
            uid: Some(&self.uid),
            annotations: self.annotations.as_ref(),
            summary_record: self.summary_record.as_deref(),
            summary_type: self.summary_type.as_deref(),
            summary_start_time: self.summary_start_time,
            summary_end_time: self.summary_end_time,
            summary_status: self.summary_status,
            summary_annotations: self.summary_annotations.as_ref(),
            create_time: Some(self.create_time),
            update_time: Some(self.update_time),
            ..Row::default()
        }
    }
}

#[derive(Debug)]
pub(super) struct RandomRecord {
    parent: String,
    uid: String,
    result_name: String,
    name: String,
    data_type: Option<String>,
    data: Option<Value>,
}

impl RandomRecord {
    /// The only Record of its Result.
    pub(super) fn new(number: usize, result: &RandomResult, random: &mut StdRng) -> Self {
        Self {
            parent: result.parent.clone(),
            uid: result.uid.clone(),
            result_name: one_of(&TEXTS, random).to_owned(),
            name: format!("{}-{number}", one_of(&["a", "b", "_", "%", "z", "team-a", "Ä"], random)),
            data_type: perhaps(random, |random| one_of(&TYPES, random).to_owned()),
            data: perhaps(random, data),
        }
    }

    pub(super) fn row(&self) -> Row<'_> {
        Row {
            parent: Some(&self.parent),
            result_name: Some(&self.result_name),
            name: Some(&self.name),
            data_type: self.data_type.as_deref(),
            data: self.data.as_ref(),
            ..Row::default()
        }
    }
}

pub(super) async fn insert(
    pool: &PgPool,
    results: &[RandomResult],
    records: &[RandomRecord],
) -> Result<(), sqlx::Error> {
    let json = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    sqlx::query(
        "INSERT INTO results (parent, id, name, annotations, recordsummary_record, recordsummary_type,
             recordsummary_start_time, recordsummary_end_time, recordsummary_status, recordsummary_annotations,
             created_time, updated_time)
         SELECT parent, id, id, annotations::jsonb, record, type, start::timestamptz, finish::timestamptz, status,
             summary::jsonb, created::timestamptz, updated::timestamptz
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int4[],
             $9::text[], $10::text[], $11::text[])
         AS t (parent, id, annotations, record, type, start, finish, status, summary, created, updated)",
    )
    .bind(results.iter().map(|row| row.parent.clone()).collect::<Vec<_>>())
    .bind(results.iter().map(|row| row.uid.clone()).collect::<Vec<_>>())
    .bind(results.iter().map(|row| json(&row.annotations)).collect::<Vec<_>>())
    .bind(results.iter().map(|row| row.summary_record.clone()).collect::<Vec<_>>())
    .bind(results.iter().map(|row| row.summary_type.clone()).collect::<Vec<_>>())
    .bind(results.iter().map(|row| time(row.summary_start_time)).collect::<Vec<_>>())
    .bind(results.iter().map(|row| time(row.summary_end_time)).collect::<Vec<_>>())
    .bind(results.iter().map(|row| row.summary_status).collect::<Vec<_>>())
    .bind(results.iter().map(|row| json(&row.summary_annotations)).collect::<Vec<_>>())
    .bind(results.iter().map(|row| row.create_time.to_string()).collect::<Vec<_>>())
    .bind(results.iter().map(|row| row.update_time.to_string()).collect::<Vec<_>>())
    .execute(pool)
    .await?;
    sqlx::query(
        "INSERT INTO records (parent, result_id, id, result_name, name, type, data)
         SELECT parent, id, id, result, name, type, data::jsonb
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
         AS t (parent, id, result, name, type, data)",
    )
    .bind(records.iter().map(|row| row.parent.clone()).collect::<Vec<_>>())
    .bind(records.iter().map(|row| row.uid.clone()).collect::<Vec<_>>())
    .bind(records.iter().map(|row| row.result_name.clone()).collect::<Vec<_>>())
    .bind(records.iter().map(|row| row.name.clone()).collect::<Vec<_>>())
    .bind(records.iter().map(|row| row.data_type.clone()).collect::<Vec<_>>())
    .bind(records.iter().map(|row| json(&row.data)).collect::<Vec<_>>())
    .execute(pool)
    .await?;
    Ok(())
}
