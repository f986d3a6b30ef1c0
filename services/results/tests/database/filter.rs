//! Filters (spec results 2.6, scenario 7): the database chooses the rows that the filter's meaning in memory chooses, over
//! 10,000 random Results and Records with values that are easily taken for something else.

mod random_filters;
mod random_rows;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use results_filter::{Bind, Filter, Row, Sql, Target, compile};
use rstest::rstest;
use sqlx::{AssertSqlSafe, PgPool};
use testkit::postgres::Postgres;

use self::random_rows::{RandomRecord, RandomResult};

const ROWS: usize = 10_000;

/// Random filters of each kind. With `FUZZ_SECONDS` in the environment, as many as there is time for.
const FILTERS: usize = 250;

/// The same rows in every run.
const SEED: u64 = 11;

/// One filter or more of each variable, operator and function.
const OF_RECORDS: [&str; 57] = [
    r#"parent == "team-a""#,
    r#"result_name != "100%""#,
    r#"name < "b" || name >= "z""#,
    r#"name in ["a-1", "b-1", "_-1", "%-1", "z-1", "team-a-1", "Ä-1"]"#,
    "name in []",
    "data_type == PIPELINE_RUN",
    "data_type != PIPELINE_RUN",
    "data_type in [TASK_RUN, PIPELINE_RUN]",
    r#"data_type == "tekton.dev/v1.TaskRun""#,
    r#"data.kind == "a""#,
    r#"data.kind <= "o'brien""#,
    r#"data == "{}""#,
    r#"data["list"][0] == "a""#,
    r#"data.list[1]["k"][0] != "x""#,
    r#"data.list["0"] == "a""#,
    r#"data.nested["0"] == "a""#,
    r#"data.nested[0] == "a""#,
    r#"data.metadata.name == "a""#,
    r#"data.metadata.labels["x"] == "o'brien""#,
    r#"data.metadata.labels["x"] == "' OR '1'='1""#,
    r#"data.metadata.labels["x"] == "12""#,
    r#"data.metadata.labels["x"] == "1.0""#,
    r#"data.metadata.labels["x"] == "true""#,
    r#"data.metadata.labels["x"] == "{}""#,
    r#"data.metadata.labels["x"] != "a""#,
    r#""x" in data.metadata.labels"#,
    r#""a" in data.list"#,
    r#"name in data.kind || "k" in data.kind"#,
    "data.kind == data.nested.k",
    "data.kind == 12",
    "data.kind > 1.25",
    "data.kind in [3, 1.5, true, \"a\"]",
    "data.kind + 1 > 4",
    "data.kind * 2 - 1 <= data.nested.k / 3",
    "12 / data.kind > 1",
    "data.kind % 5 == 2",
    "-(data.kind % 5) == -2",
    "-data.kind > 0.5",
    "data.kind && true",
    r#"data.kind == "a" || data.list[0] == "a" && !data.nested.k"#,
    "data.kind == false",
    "data.kind != (name == \"a\")",
    r#"data.kind > timestamp("2024-01-01T00:00:00Z")"#,
    r#"data.kind == timestamp("2024-02-29T21:30:00Z")"#,
    r#"timestamp(data.kind) != timestamp("2024-05-01T10:00:00.123456+00:00")"#,
    "data.kind.getDate() == 29",
    "data.kind.getDayOfMonth() == 28",
    "data.kind.getDayOfWeek() == 4",
    "data.kind.getDayOfYear() > 100",
    "data.kind.getFullYear() * 2 == 4048",
    r#"data.kind.contains("%")"#,
    r#"name.startsWith("_") || name.startsWith(parent)"#,
    r#"data.kind.endsWith("_")"#,
    r#"name.endsWith("") && "a-1".endsWith(name)"#,
    r#"(name + "/" + data.kind).matches("^[ab].*/\\d+$")"#,
    r#"data.kind.matches("^\\w+\\b.$")"#,
    r#"data.kind.matches("(?i)^(o'|Ä|\\s)[^b]{0,9}")"#,
];

const OF_RESULTS: [&str; 27] = [
    r#"parent != "team-a""#,
    r#"uid.startsWith("u-12")"#,
    r#"uid == "u-77" || uid == "u-78""#,
    r#"annotations["k"] == "o'brien""#,
    r#""' OR '1'='1" == annotations["k"]"#,
    r#"annotations["k"] != "a""#,
    r#"annotations.k > "a" && annotations["a/b"].contains("_")"#,
    r#"annotations["k"] == summary.annotations["k"]"#,
    r#"annotations["k"] in ["a", "%", summary.record]"#,
    r#""k" in annotations"#,
    r#"uid in annotations || "a/b" in summary.annotations"#,
    r#"(annotations["k"] == "a") == ("k" in annotations)"#,
    "summary.status == SUCCESS",
    "summary.status != FAILURE",
    "summary.status in [UNKNOWN, TIMEOUT, CANCELLED]",
    "summary.status * 3 % 4 - 1 > summary.status / 2",
    "summary.status / summary.status == 1",
    "summary.status / 2.0 >= 0.5",
    "summary.type == TASK_RUN",
    r#"summary.type.matches("v1\\.|^$")"#,
    r#"summary.record.contains("records/1")"#,
    r#"create_time >= timestamp("2024-02-29T23:59:59.999999Z")"#,
    "update_time > create_time",
    "summary.end_time <= summary.start_time",
    "create_time in [update_time, summary.start_time]",
    "create_time.getDayOfYear() == 365 || update_time.getDayOfMonth() == 28",
    "summary.start_time.getFullYear() == 1999 || summary.end_time.getDayOfWeek() == 0 || create_time.getDate() == 31",
];

/// The tables, with rows in them.
struct Filled {
    pool: PgPool,
    results: Vec<RandomResult>,
    records: Vec<RandomRecord>,
}

impl Filled {
    async fn new(rows: usize) -> anyhow::Result<Self> {
        let database = Postgres::database().await?;
        let pool = PgPool::connect(&database.url()).await?;
        sqlx::raw_sql(include_str!("../../migrations/0001_tables.sql")).execute(&pool).await?;
        let random = &mut StdRng::seed_from_u64(SEED);
        let results: Vec<_> = (0..rows).map(|number| RandomResult::new(number, random)).collect();
        let records: Vec<_> = results
            .iter()
            .enumerate()
            .map(|(number, result)| RandomRecord::new(number, result, random))
            .collect();
        random_rows::insert(&pool, &results, &records).await?;
        Ok(Self { pool, results, records })
    }

    fn rows(&self, target: Target) -> Vec<Row<'_>> {
        match target {
            Target::Results => self.results.iter().map(RandomResult::row).collect(),
            Target::Records => self.records.iter().map(RandomRecord::row).collect(),
        }
    }

    /// The numbers of the rows that the database chooses.
    async fn chosen(&self, target: Target, sql: Sql) -> Result<Vec<i32>, sqlx::Error> {
        let table = match target {
            Target::Results => "results",
            Target::Records => "records",
        };
        let number = "substr(id, 3)::int4";
        let text = format!("SELECT array_agg({number} ORDER BY {number}) FROM {table} WHERE {}", sql.text);
        let mut query = sqlx::query_scalar::<_, Option<Vec<i32>>>(AssertSqlSafe(text));
        for bind in sql.binds {
            query = match bind {
                Bind::Text(text) => query.bind(text),
                Bind::Number(number) => query.bind(number),
                Bind::Integer(number) => query.bind(number),
                Bind::Bool(truth) => query.bind(truth),
                Bind::Time(time) => query.bind(time.to_string()),
                Bind::Json(value) => query.bind(value),
            };
        }
        Ok(query.fetch_one(&self.pool).await?.unwrap_or_default())
    }

    /// That the database chooses what matches, and with the filter negated what certainly does not match.
    async fn check(&self, target: Target, text: &str) -> anyhow::Result<usize> {
        let filter = filter(text, target)?;
        let verdicts: Vec<Option<bool>> = self.rows(target).iter().map(|row| filter.matches(row)).collect();
        let expected = |verdict: bool| -> Vec<i32> {
            let numbers = (0_i32..).zip(&verdicts).filter(|(_, known)| **known == Some(verdict));
            numbers.map(|(number, _)| number).collect()
        };
        let negated = self::filter(&format!("!({text})"), target)?;
        for (filter, expected) in [(&filter, expected(true)), (&negated, expected(false))] {
            let sql = filter.sql(1);
            let chosen = self.chosen(target, sql.clone()).await;
            let chosen = chosen.with_context(|| format!("{text}: {sql:#?}"))?;
            let odd = chosen.iter().find(|number| !expected.contains(number));
            let odd = odd.or_else(|| expected.iter().find(|number| !chosen.contains(number)));
            if let Some(odd) = odd {
                let rows = self.rows(target);
                let row = &rows[usize::try_from(*odd).unwrap_or_default()];
                bail!(
                    "{text}: the database chooses {} rows instead of {}, and differs over {row:#?}\n{sql:#?}",
                    chosen.len(),
                    expected.len()
                );
            }
            ensure!(chosen.len() == expected.len(), "{text}: a row is chosen twice");
        }
        Ok(verdicts.iter().filter(|verdict| **verdict == Some(true)).count())
    }
}

fn filter(text: &str, target: Target) -> anyhow::Result<Filter> {
    compile(text, target).with_context(|| text.to_owned())
}

#[rstest]
#[case::of_records(Target::Records, &OF_RECORDS)]
#[case::of_results(Target::Results, &OF_RESULTS)]
#[tokio::test]
async fn each_function_chooses_what_it_means(
    #[case] target: Target,
    #[case] texts: &[&str],
) -> anyhow::Result<()> {
    let filled = Filled::new(ROWS).await?;
    let mut without_rows = Vec::new();
    for text in texts {
        if filled.check(target, text).await? == 0 {
            without_rows.push(*text);
        }
    }
    // Else the rows are too plain to show a fault.
    let expected = [
        "name in []",
        "OR '1'='1",
        "data == \"{}\"",
        "\"a-1\".endsWith(name)",
        "data.list[\"0\"]",
        "data.nested[0]",
    ];
    without_rows.retain(|text| !expected.iter().any(|known| text.contains(known)));
    assert!(without_rows.is_empty(), "no row matches {without_rows:#?}");
    Ok(())
}

#[rstest]
#[case::of_records(Target::Records)]
#[case::of_results(Target::Results)]
#[tokio::test]
async fn random_filters_choose_what_they_mean(#[case] target: Target) -> anyhow::Result<()> {
    let filled = Filled::new(ROWS / 10).await?;
    let seconds = std::env::var_os("FUZZ_SECONDS");
    let seconds = seconds.map(|seconds| seconds.to_str().and_then(|text| text.parse().ok()).unwrap());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let mut random = StdRng::seed_from_u64(if seconds.is_some() { rand::random() } else { SEED });
    let mut count = 0;
    while count < FILTERS || Instant::now() < until {
        filled.check(target, &random_filters::filter(target, &mut random)).await?;
        count += 1;
    }
    Ok(())
}

/// What the database's syntax of regular expressions has, and what it refuses, is no matter of whoever writes one.
#[tokio::test]
async fn patterns_mean_the_same_in_the_database() -> anyhow::Result<()> {
    let filled = Filled::new(ROWS / 10).await?;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut count = 0;
    while count < FILTERS {
        let pattern = random_filters::pattern(&mut random);
        let text = format!("data.kind.matches({})", serde_json::Value::from(pattern));
        if compile(&text, Target::Records).is_ok() {
            filled.check(Target::Records, &text).await?;
            count += 1;
        }
    }
    Ok(())
}
