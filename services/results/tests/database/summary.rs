//! Numbers over many Records, compared with those computed here (results.md, section 2.8).

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _, Unit, tz::TimeZone};
use results::store::{Error, Summarise};
use rstest::rstest;
use serde_json::{Map, Value, json};

use crate::fixture::{Fixture, PIPELINE_RUN, fixture, record, result, run};

struct Run {
    namespace: &'static str,
    reason: &'static str,
    start: Timestamp,
    took: i64,
}

fn runs() -> Vec<Run> {
    let begin: Timestamp = "2023-12-28T22:10:00Z".parse().unwrap();
    let reasons = ["Succeeded", "Completed", "Failed", "Cancelled", "Running", "PipelineRunTimeout"];
    (0..60_i64)
        .map(|number| Run {
            namespace: if number % 3 == 0 { "a" } else { "b" },
            reason: reasons[usize::try_from(number).unwrap() % reasons.len()],
            start: begin + (number * 7).hours(),
            took: 30 + number * 3601,
        })
        .collect()
}

async fn filled() -> Fixture {
    let fixture = fixture().await;
    for namespace in ["a", "b"] {
        fixture.store.create_result(result(namespace, "r")).await.unwrap();
    }
    for (number, of) in runs().iter().enumerate() {
        let end = of.start + of.took.seconds();
        let data = run(of.namespace, of.reason, &of.start.to_string(), &end.to_string());
        let new = record(of.namespace, "r", &format!("x{number}"), PIPELINE_RUN, &data);
        fixture.store.create_record(new).await.unwrap();
    }
    fixture
}

const ALL: &str = "total,succeeded,failed,cancelled,running,others,avg_duration,min_duration,max_duration,\
                   total_duration,last_runtime";

/// What the summary of these runs has to say.
fn expected(runs: &[&Run]) -> Map<String, Value> {
    let count = |reasons: &[&str]| runs.iter().filter(|run| reasons.contains(&run.reason)).count();
    let clock = |seconds: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "small")]
        let micros = (seconds * 1e6).round() as i64;
        let (whole, fraction) = (micros / 1_000_000, micros % 1_000_000);
        let text = format!("{:02}:{:02}:{:02}.{fraction:06}", whole / 3600, whole / 60 % 60, whole % 60);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let took: Vec<i64> = runs.iter().map(|run| run.took).collect();
    let sum: i64 = took.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let (sum, average) = (sum as f64, sum as f64 / runs.len() as f64);
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let (least, most) = (*took.iter().min().unwrap() as f64, *took.iter().max().unwrap() as f64);
    let value = json!({
        "total": runs.len(), "succeeded": count(&["Succeeded", "Completed"]), "failed": count(&["Failed"]),
        "cancelled": count(&["Cancelled"]), "running": count(&["Running"]), "others": count(&["PipelineRunTimeout"]),
        "avg_duration": clock(average), "min_duration": clock(least), "max_duration": clock(most),
        "total_duration": clock(sum),
        "last_runtime": runs.iter().map(|run| run.start.as_second()).max(),
    });
    value.as_object().unwrap().clone()
}

#[rstest]
#[case::year("year", Some(Unit::Year))]
#[case::month("month startTime", Some(Unit::Month))]
#[case::week("week", Some(Unit::Week))]
#[case::day("day startTime", Some(Unit::Day))]
#[case::hour("hour", Some(Unit::Hour))]
#[case::minute("minute startTime", Some(Unit::Minute))]
#[case::namespace("namespace", None)]
#[case::pipeline("pipeline", None)]
#[case::repository("repository", None)]
#[tokio::test]
async fn groups_are_as_computed(#[case] group_by: &str, #[case] unit: Option<Unit>) {
    let Fixture { store, .. } = filled().await;
    let runs = runs();
    let mut groups: BTreeMap<String, (Value, Vec<&Run>)> = BTreeMap::new();
    for run in &runs {
        let value: Value = match unit {
            Some(unit) => truncate(run.start, unit).into(),
            None => match group_by {
                "namespace" => run.namespace.into(),
                "pipeline" => format!("{}/build", run.namespace).into(),
                _ => format!("{}/repo", run.namespace).into(),
            },
        };
        groups.entry(value.to_string()).or_insert_with(|| (value, Vec::new())).1.push(run);
    }
    let request = Summarise {
        parent: "-",
        result: "-",
        summary: ALL,
        filter: "data_type == PIPELINE_RUN",
        group_by,
        order_by: "total desc",
    };
    let given = store.summarise(&request).await.unwrap();
    assert!(given.windows(2).all(|pair| pair[0]["total"].as_i64() >= pair[1]["total"].as_i64()));
    assert_eq!(given.len(), groups.len());
    for group in given {
        let (value, runs) = &groups[&group["group_value"].to_string()];
        let mut expected = expected(runs);
        expected.insert("group_value".into(), value.clone());
        assert_eq!(group, expected);
    }
}

/// Seconds of the beginning of the unit of time; weeks begin on Monday.
fn truncate(time: Timestamp, unit: Unit) -> i64 {
    let zoned = time.to_zoned(TimeZone::UTC);
    let date = zoned.date();
    let (hour, minute) = (zoned.hour(), zoned.minute());
    let (date, hour, minute) = match unit {
        Unit::Year => (date.first_of_year(), 0, 0),
        Unit::Month => (date.first_of_month(), 0, 0),
        Unit::Week => (date - i64::from(date.weekday().to_monday_zero_offset()).days(), 0, 0),
        Unit::Day => (date, 0, 0),
        Unit::Hour => (date, hour, 0),
        _ => (date, hour, minute),
    };
    date.at(hour, minute, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp().as_second()
}

#[tokio::test]
async fn one_summary_without_groups() {
    let Fixture { store, .. } = filled().await;
    let runs = runs();
    let all = Summarise { parent: "-", result: "-", summary: ALL, ..Summarise::default() };
    assert_eq!(store.summarise(&all).await.unwrap(), [expected(&runs.iter().collect::<Vec<_>>())]);
    let of_a = runs.iter().filter(|run| run.namespace == "a").collect::<Vec<_>>();
    let request = Summarise { parent: "a", result: "r", ..all };
    assert_eq!(store.summarise(&request).await.unwrap(), [expected(&of_a)]);
    let count = store.summarise(&Summarise { summary: "", ..all }).await.unwrap();
    assert_eq!(Value::from(count[0].clone()), json!({"total": 60}));
}

#[tokio::test]
async fn over_nothing_there_are_counts_only() {
    let Fixture { store, .. } = fixture().await;
    let request = Summarise { parent: "x", result: "-", summary: ALL, ..Summarise::default() };
    let [summary] = &store.summarise(&request).await.unwrap()[..] else { panic!("one summary") };
    assert_eq!((&summary["total"], &summary["others"]), (&json!(0), &json!(0)));
    assert!(["avg_duration", "total_duration", "last_runtime"].iter().all(|key| summary[*key].is_null()));
    let groups = store.summarise(&Summarise { group_by: "day", ..request }).await.unwrap();
    assert!(groups.is_empty());
}

#[rstest]
#[case::no_text(json!(7))]
#[case::no_time(json!("yesterday"))]
#[case::no_such_day(json!("2023-02-29T00:00:00Z"))]
#[case::no_such_year(json!("0000-01-01T00:00:00Z"))]
#[case::no_century_leap(json!("1900-02-29T00:00:00Z"))]
#[case::no_such_month(json!("2023-13-01T00:00:00Z"))]
#[case::no_such_hour(json!("2023-01-01T24:61:00Z"))]
#[case::far_offset(json!("2023-01-01T00:00:00+99:00"))]
#[case::infinity(json!("infinity"))]
#[tokio::test]
async fn a_record_with_a_wrong_time_spoils_nothing(#[case] time: Value) {
    let Fixture { store, .. } = filled().await;
    let data = json!({"metadata": {"creationTimestamp": time}, "status": {"startTime": time, "completionTime": time}});
    store.create_record(record("a", "r", "bad", PIPELINE_RUN, &data)).await.unwrap();
    let request =
        Summarise { parent: "-", result: "-", summary: ALL, group_by: "year", ..Summarise::default() };
    let groups = store.summarise(&request).await.unwrap();
    assert_eq!(groups.len(), 3);
    assert!(groups[2]["group_value"].is_null());
    assert_eq!(groups[2]["total"], 1);
}

#[tokio::test]
async fn leap_days_are_times() {
    let Fixture { store, .. } = fixture().await;
    store.create_result(result("a", "r")).await.unwrap();
    for (name, year) in [("x", "2024"), ("y", "2000")] {
        let time = format!("{year}-02-29T12:00:00.5Z");
        let new = record("a", "r", name, PIPELINE_RUN, &run("a", "Failed", &time, &time));
        store.create_record(new).await.unwrap();
    }
    let request = Summarise { parent: "a", result: "-", group_by: "day", ..Summarise::default() };
    let days: Vec<_> =
        store.summarise(&request).await.unwrap().iter().map(|group| group["group_value"].clone()).collect();
    assert_eq!(days, [json!(951_782_400), json!(1_709_164_800)]);
}

#[tokio::test]
async fn unknown_words_are_refused() {
    let Fixture { store, .. } = fixture().await;
    let request = Summarise { parent: "a", result: "-", summary: "total; DROP", ..Summarise::default() };
    assert!(matches!(store.summarise(&request).await, Err(Error::Invalid { field: "summary", .. })));
}
