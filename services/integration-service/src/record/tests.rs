use super::*;
use integration_service_api::labels;
use rstest::rstest;
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn holding(annotation: &str) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.metadata.annotations = Some([(STATUS.as_str().to_owned(), annotation.to_owned())].into());
    snapshot
}

fn scenario(name: &str, optional: bool) -> Arc<IntegrationTestScenario> {
    let mut scenario = IntegrationTestScenario::default();
    scenario.metadata.name = Some(name.to_owned());
    if optional {
        scenario.metadata.labels = Some([(labels::OPTIONAL.as_str().to_owned(), "true".to_owned())].into());
    }
    Arc::new(scenario)
}

fn json_of(record: &Record) -> Value {
    serde_json::from_str(&record.to_annotation()).unwrap()
}

#[test]
fn goes_from_pending_to_its_end_and_back() {
    let mut record =
        Record::read(&holding(&initial(&[scenario("b", false), scenario("a", false)], at(0)))).unwrap();
    assert_eq!(
        json_of(&record),
        json!([
            {"scenario": "a", "status": "Pending", "lastUpdateTime": "2023-11-14T22:13:20Z", "details": "Pending"},
            {"scenario": "b", "status": "Pending", "lastUpdateTime": "2023-11-14T22:13:20Z", "details": "Pending"},
        ])
    );

    record.start("a", "run-1", at(1));
    record.start("a", "run-1", at(2));
    assert_eq!(
        json_of(&record)[0],
        json!({"scenario": "a", "status": "InProgress", "lastUpdateTime": "2023-11-14T22:13:21Z",
            "details": "PipelineRun run-1 is in progress", "startTime": "2023-11-14T22:13:21Z", "testPipelineRunName": "run-1"})
    );

    record.set("a", TestStatus::TestFail, "no", at(5));
    let ended = record.clone();
    record.set("a", TestStatus::TestFail, "no", at(6));
    assert_eq!(record, ended, "the same again is no change");
    assert_eq!(json_of(&record)[0]["completionTime"], "2023-11-14T22:13:25Z");
    assert_eq!(json_of(&record)[0]["startTime"], "2023-11-14T22:13:21Z");

    record.reset("a", at(9));
    assert_eq!(
        json_of(&record)[0],
        json!({"scenario": "a", "status": "Pending", "lastUpdateTime": "2023-11-14T22:13:29Z",
            "details": "Asked for again", "attempt": 1})
    );
    record.start("a", "run-2", at(10));
    assert_eq!(record.entry("a").unwrap().attempt, 1);
}

#[test]
fn each_change_is_later_than_the_one_before_though_the_clock_stands() {
    let mut record = Record::default();
    record.set("a", TestStatus::Pending, "", at(5));
    record.set("a", TestStatus::InProgress, "", at(5));
    let first = record.entry("a").unwrap().last_update_time.clone();
    record.set("a", TestStatus::TestPassed, "", at(3));
    assert!(record.entry("a").unwrap().last_update_time > first);
}

#[test]
fn keeps_what_newer_programs_wrote() {
    let text =
        r#"[{"scenario":"a","status":"Excused","lastUpdateTime":"2023-07-26T16:57:49+02:00","reason":"x"}]"#;
    let mut record = Record::read(&holding(text)).unwrap();
    record.set("b", TestStatus::Pending, "", at(0));
    let json = json_of(&record);
    assert_eq!((&json[0]["status"], &json[0]["reason"]), (&json!("Excused"), &json!("x")));
}

#[test]
fn of_two_entries_of_a_scenario_the_later_counts() {
    let text = r#"[{"scenario":"b","status":"TestPassed","lastUpdateTime":"T"},
        {"scenario":"a","status":"TestFail","lastUpdateTime":"T"},
        {"scenario":"a","status":"TestPassed","lastUpdateTime":"U"}]"#;
    let record = Record::read(&holding(text)).unwrap();
    assert_eq!(record.entries().len(), 2);
    assert_eq!(record.state("a"), Some(TestStatus::TestPassed));
}

#[rstest]
#[case::no_json("{")]
#[case::no_list(r#"{"a":"TestPassed"}"#)]
#[case::no_status(r#"[{"scenario":"a","lastUpdateTime":"T"}]"#)]
#[case::wrong_type(r#"[{"scenario":"a","status":1,"lastUpdateTime":"T"}]"#)]
fn refuses(#[case] annotation: &str) {
    assert!(Record::read(&holding(annotation)).is_err());
}

#[test]
fn cuts_long_details_between_characters() {
    let mut record = Record::default();
    record.set("a", TestStatus::TestFail, &"ä".repeat(MAX_DETAILS), at(0));
    assert_eq!(record.entry("a").unwrap().details.len(), MAX_DETAILS);
    record.set("a", TestStatus::TestFail, &format!("x{}", "ä".repeat(MAX_DETAILS)), at(0));
    assert_eq!(record.entry("a").unwrap().details.len(), MAX_DETAILS - 1);
}

#[rstest]
#[case::all_passed(TestStatus::TestPassed, TestStatus::TestFail, Verdict::Passed)]
#[case::with_warnings(TestStatus::TestWarning, TestStatus::Pending, Verdict::Passed)]
#[case::still_running(TestStatus::InProgress, TestStatus::TestFail, Verdict::Open)]
#[case::failed(
    TestStatus::Deleted, TestStatus::TestPassed,
    Verdict::Failed { cause: "Required integration tests did not pass: must (Deleted)".to_owned() }
)]
fn judges(#[case] must: TestStatus, #[case] may: TestStatus, #[case] expected: Verdict) {
    let mut record = Record::default();
    record.set("must", must, "", at(0));
    record.set("may", may, "", at(0));
    let scenarios = [scenario("must", false), scenario("may", true), scenario("later", false)];
    assert_eq!(Verdict::of(&record, &scenarios), expected);
}
