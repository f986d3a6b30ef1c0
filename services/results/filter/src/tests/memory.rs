//! What filters mean.

use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{Row, Target, compile};

fn data() -> Value {
    json!({
        "kind": "PipelineRun",
        "metadata": {
            "name": "build-1",
            "labels": { "app": "o'brien", "number": "12", "real": 12, "on": "true" },
            "generation": 3,
        },
        "spec": { "params": [{ "name": "a", "value": "x" }, { "name": "b" }], "ratio": 1.0, "paused": false, "nothing": null },
        "status": {
            "completionTime": "2024-02-29T23:30:00+02:00",
            "startTime": "2023-02-29T00:00:00Z",
            "words": ["one", "two", 3],
            "empty": {},
        },
    })
}

fn record(text: &str) -> Option<bool> {
    let data = data();
    let row = Row {
        parent: Some("team"),
        name: Some("r-1"),
        result_name: Some("100%_done"),
        data_type: Some("tekton.dev/v1.PipelineRun"),
        data: Some(&data),
        ..Row::default()
    };
    compile(text, Target::Records).unwrap_or_else(|error| panic!("{text}: {error}")).matches(&row)
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

#[rstest]
#[case::nothing("", YES)]
#[case::blank(" \n", YES)]
#[case::column(r#"parent == "team""#, YES)]
#[case::column_of_another_row(r#"name != "r-1""#, NO)]
#[case::run_type_of_each_version("data_type == PIPELINE_RUN", YES)]
#[case::other_run_type("data_type != TASK_RUN", YES)]
#[case::run_types_in_a_list("data_type in [TASK_RUN, PIPELINE_RUN]", YES)]
#[case::path_of_one_step(r#"data.kind == "PipelineRun""#, YES)]
#[case::keys_as_indexes(r#"data["metadata"]["labels"]["app"] == "o'brien""#, YES)]
#[case::mixed(r#"data.spec["params"][0].value == "x""#, YES)]
#[case::either_side(r#""x" == data.spec.params[0].value"#, YES)]
#[case::injection(r#"data.metadata.labels["app"] == "' OR '1'='1""#, NO)]
#[case::absent_key(r#"data.spec.params[1].value == "x""#, None)]
#[case::absent_key_differs(r#"data.spec.params[1].value != "x""#, None)]
#[case::absent_key_negated(r#"!(data.spec.params[1].value == "x")"#, None)]
#[case::absent_or_true(r#"data.no == "x" || parent == "team""#, YES)]
#[case::absent_and_false(r#"data.no == "x" && parent == "other""#, NO)]
#[case::absent_and_true(r#"data.no == "x" && parent == "team""#, None)]
#[case::null_is_absent(r#"data.spec.nothing == "null""#, None)]
#[case::text_index_is_no_position(r#"data.spec.params["0"].value == "x""#, None)]
#[case::position_is_no_key("data.metadata[0] == 1", None)]
#[case::number_as_number("data.metadata.generation > 2", YES)]
#[case::number_as_text(r#"data.metadata.generation == "3""#, YES)]
#[case::fraction_as_text(r#"data.spec.ratio == "1.0""#, YES)]
#[case::text_of_a_number("data.metadata.labels.number == 12", YES)]
#[case::text_of_no_number("data.kind == 12", None)]
#[case::truth("!data.spec.paused", YES)]
#[case::text_of_a_truth("data.metadata.labels.on == true", YES)]
#[case::data_with_data("data.metadata.labels.number == data.metadata.labels.real", YES)]
#[case::list_as_text(r#"data.status.words == "[\"one\", \"two\", 3]""#, YES)]
#[case::earlier(r#"data.status.completionTime < timestamp("2024-02-29T21:30:01Z")"#, YES)]
#[case::same_time(r#"data.status.completionTime == timestamp("2024-02-29T21:30:00Z")"#, YES)]
#[case::no_day(r#"data.status.startTime < timestamp("2024-02-29T21:30:01Z")"#, None)]
#[case::day("data.status.completionTime.getDate() == 29", YES)]
#[case::day_from_zero("timestamp(data.status.completionTime).getDayOfMonth() == 28", YES)]
#[case::thursday("data.status.completionTime.getDayOfWeek() == 4", YES)]
#[case::day_of_year("data.status.completionTime.getDayOfYear() == 59", YES)]
#[case::year("data.status.completionTime.getFullYear() == 2024", YES)]
#[case::contains(r#"name.contains("-")"#, YES)]
#[case::percent_is_a_character(r#"result_name.contains("%_") && !name.contains("%")"#, YES)]
#[case::starts(r#"result_name.startsWith("100%")"#, YES)]
#[case::underscore_is_a_character(r#"result_name.startsWith("10_")"#, NO)]
#[case::ends(r#"data.metadata.name.endsWith("-1")"#, YES)]
#[case::matches(r#"name.matches("^r-\\d$")"#, YES)]
#[case::function_of_two(r#"matches(name, "x")"#, NO)]
#[case::joined(r#"parent + "/" + name == "team/r-1""#, YES)]
#[case::integer_division("7 / 2 == 3 && -7 / 2 == -3 && 7 % 3 == 1 && -7 % 3 == -1", YES)]
#[case::division("7.0 / 2 == 3.5", YES)]
#[case::by_zero("data.metadata.generation / 0 == 1", None)]
#[case::calculated("data.metadata.generation * 2 + 1 == 7", YES)]
#[case::remainder("data.metadata.generation % 2 == 1", YES)]
#[case::remainder_of_a_text("data.kind % 2 == 1", None)]
#[case::minus("-data.metadata.generation == -3.0", YES)]
#[case::in_list(r#"data.kind in ["TaskRun", "PipelineRun"]"#, YES)]
#[case::in_mixed_list(r#"data.metadata.generation in ["x", 3]"#, YES)]
#[case::in_empty_list("name in []", NO)]
#[case::absent_in_list(r#"data.no in ["a"]"#, None)]
#[case::in_absent(r#"name in [data.no, "r-1"]"#, YES)]
#[case::not_in_absent(r#"name in [data.no, "r-2"]"#, None)]
#[case::key_in_object(r#""app" in data.metadata.labels"#, YES)]
#[case::no_key_in_object(r#""app" in data.status.empty"#, NO)]
#[case::text_in_list(r#""two" in data.status.words"#, YES)]
#[case::number_is_no_text(r#""3" in data.status.words"#, NO)]
#[case::in_a_text(r#""P" in data.kind"#, None)]
#[case::bigger_text(r#"name > "r-09" && "B" < "a" && "Ä" > "z""#, YES)]
#[case::truths(r#"(name == "r-1") == true && false < true"#, YES)]
fn of_records(#[case] text: &str, #[case] expected: Option<bool>) {
    assert_eq!(record(text), expected, "{text}");
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[rstest]
#[case::uid(r#"uid == "u-1""#, YES)]
#[case::entry(r#"annotations["repo"] == "a/b""#, YES)]
#[case::entry_by_name(r#"annotations.repo.startsWith("a")"#, YES)]
#[case::no_entry(r#"annotations["no"] == "a/b""#, None)]
#[case::no_entry_negated(r#"!("a/b" == annotations["no"])"#, None)]
#[case::has_entry(r#""repo" in annotations"#, YES)]
#[case::has_no_entry(r#"!("no" in annotations)"#, YES)]
#[case::no_map(r#""repo" in summary.annotations"#, NO)]
#[case::no_entry_of_no_map(r#"summary.annotations["x"] == "y""#, None)]
#[case::status("summary.status == FAILURE", YES)]
#[case::statuses("summary.status in [SUCCESS, TIMEOUT]", NO)]
#[case::summary_type("summary.type == TASK_RUN", YES)]
#[case::run_type_by_name(r#"summary.type == "tekton.dev/v1.TaskRun""#, NO)]
#[case::summary_record(r#"summary.record.endsWith("/records/1")"#, YES)]
#[case::time(r#"create_time >= timestamp("2024-05-01T10:00:00Z")"#, YES)]
#[case::times("update_time > create_time", YES)]
#[case::time_that_is_not_yet("summary.end_time > create_time", None)]
#[case::date("summary.start_time.getDayOfWeek() == 0", YES)]
fn of_results(#[case] text: &str, #[case] expected: Option<bool>) {
    let annotations = json!({ "repo": "a/b" });
    let row = Row {
        parent: Some("team"),
        uid: Some("u-1"),
        annotations: Some(&annotations),
        summary_record: Some("team/results/x/records/1"),
        summary_type: Some("tekton.dev/v1beta1.TaskRun"),
        summary_status: Some(2),
        summary_start_time: Some(time("2024-05-05T10:00:00Z")),
        create_time: Some(time("2024-05-01T10:00:00Z")),
        update_time: Some(time("2024-05-01T10:00:00.000001Z")),
        ..Row::default()
    };
    assert_eq!(compile(text, Target::Results).unwrap().matches(&row), expected, "{text}");
}

#[rstest]
#[case(json!(1.5e300), "15", 301)]
#[case(json!(1e-7), "0.0000001", 9)]
#[case(json!(1.25e-2), "0.0125", 6)]
#[case(json!(-0.0), "0.0", 3)]
#[case(json!(-12.0), "-12.0", 5)]
#[case(json!({ "bb": 1, "a": [true, null, "x\"\n"] }), r#"{"a": [true, null, "x\"\n"], "bb": 1}"#, 37)]
fn is_written_as_the_database_does(#[case] value: Value, #[case] start: &str, #[case] length: usize) {
    let text = crate::json::text(&value).unwrap();
    assert!(text.starts_with(start), "{text}");
    assert_eq!(text.len(), length, "{text}");
}

#[rstest]
#[case::half_to_even("2024-01-01T00:00:00.0000005Z", Some("2024-01-01T00:00:00Z"))]
#[case::up("2024-12-31T23:59:59.9999999Z", Some("2025-01-01T00:00:00Z"))]
#[case::zone("2024-01-01T00:00:00.5-01:30", Some("2024-01-01T01:30:00.5Z"))]
#[case::last("9998-12-31T23:59:59-14:59", Some("9999-01-01T14:58:59Z"))]
#[case::leap_day("2000-02-29T00:00:00Z", Some("2000-02-29T00:00:00Z"))]
#[case::no_leap_day("1900-02-29T00:00:00Z", None)]
#[case::no_such_day("2024-04-31T00:00:00Z", None)]
#[case::day_alone("2024-04-30", None)]
#[case::leap_second("2024-12-31T23:59:60Z", None)]
#[case::early("0999-01-01T00:00:00Z", None)]
#[case::late("9999-01-01T00:00:00Z", None)]
#[case::line_after_it("2024-01-01T00:00:00Z\n", None)]
fn reads_times(#[case] text: &str, #[case] expected: Option<&str>) {
    assert_eq!(crate::time::parse(text), expected.map(time));
}
