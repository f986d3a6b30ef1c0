//! The JSON of messages: as the reference writes it, as lenient as it reads it.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::{structure, values};
use crate::v1alpha2::{
    Any, ListResultsResponse, LogSummary, Record, RecordListSummary, RecordSummary, Result as Folder,
    record_summary::Status,
};

#[test]
fn output_has_every_field() {
    let folder = Folder { name: "ns/results/r".into(), ..Folder::default() };
    assert_eq!(
        serde_json::to_value(folder).unwrap(),
        json!({
            "name": "ns/results/r", "id": "", "createdTime": null, "updatedTime": null, "annotations": {},
            "etag": "", "uid": "", "createTime": null, "updateTime": null, "summary": null,
        })
    );
    assert_eq!(
        serde_json::to_value(ListResultsResponse::default()).unwrap(),
        json!({"results": [], "nextPageToken": ""})
    );
    assert_eq!(
        serde_json::to_value(RecordSummary::default()).unwrap(),
        json!({
            "record": "", "type": "", "startTime": null, "endTime": null, "status": "UNKNOWN", "annotations": {},
        })
    );
}

#[test]
fn output_of_a_record_is_that_of_the_reference() {
    let time = "2024-04-01T08:30:00.25Z".parse().unwrap();
    let record = Record {
        name: "ns/results/r/records/c".into(),
        data: Some(Any { r#type: "tekton.dev/v1.TaskRun".into(), value: "{\"a\":\"ÿ>\"}".into() }),
        create_time: Some(time),
        created_time: Some(time),
        ..Record::default()
    };
    assert_eq!(
        serde_json::to_value(record).unwrap(),
        json!({
            "name": "ns/results/r/records/c", "id": "", "uid": "", "etag": "",
            "data": {"type": "tekton.dev/v1.TaskRun", "value": "eyJhIjoiw78+In0="},
            "createTime": "2024-04-01T08:30:00.250Z", "createdTime": "2024-04-01T08:30:00.250Z",
            "updateTime": null, "updatedTime": null,
        })
    );
}

#[rstest]
#[case::camel_case(json!({"record": "r", "startTime": "2024-04-01T08:30:00Z", "status": "FAILURE"}))]
#[case::snake_case(json!({"record": "r", "start_time": "2024-04-01T10:30:00+02:00", "status": 2}))]
#[case::nulls(json!({"record": "r", "startTime": "2024-04-01T08:30:00Z", "status": 2, "endTime": null,
    "type": null, "annotations": null}))]
#[case::unknown_fields(json!({"record": "r", "startTime": "2024-04-01T08:30:00Z", "status": 2, "new": [{}]}))]
fn input_is_read(#[case] input: serde_json::Value) {
    let expected = RecordSummary {
        record: "r".into(),
        start_time: Some("2024-04-01T08:30:00Z".parse().unwrap()),
        status: Status::Failure.into(),
        ..RecordSummary::default()
    };
    assert_eq!(serde_json::from_value::<RecordSummary>(input).unwrap(), expected);
}

#[rstest]
#[case::unknown_name(json!("EXPLODED"), 0, json!("UNKNOWN"))]
#[case::unknown_number(json!(42), 42, json!(42))]
#[case::null(json!(null), 0, json!("UNKNOWN"))]
#[case::name(json!("CANCELLED"), 4, json!("CANCELLED"))]
fn a_status_is_a_name_or_number(
    #[case] input: serde_json::Value,
    #[case] number: i32,
    #[case] output: serde_json::Value,
) {
    let summary: RecordSummary = serde_json::from_value(json!({"status": input})).unwrap();
    assert_eq!(summary.status, number);
    assert_eq!(serde_json::to_value(summary).unwrap()["status"], output);
}

#[rstest]
#[case::padded("+/8=", b"\xfb\xff")]
#[case::unpadded("+/8", b"\xfb\xff")]
#[case::url_safe("-_8", b"\xfb\xff")]
#[case::url_safe_padded("-_8=", b"\xfb\xff")]
#[case::empty("", b"")]
fn bytes_are_read_in_either_alphabet(#[case] input: &str, #[case] expected: &[u8]) {
    let any: Any = serde_json::from_value(json!({"value": input})).unwrap();
    assert_eq!(any.value, expected);
}

#[rstest]
#[case::wrong_type(json!({"name": 1}))]
#[case::wrong_base64(json!({"data": {"value": "%%"}}))]
#[case::wrong_time(json!({"createTime": "soon"}))]
#[case::twice(json!({"createTime": null, "create_time": null}))]
fn input_of_a_wrong_shape_is_an_error(#[case] input: serde_json::Value) {
    assert!(serde_json::from_value::<Record>(input).is_err());
}

#[test]
fn long_numbers_are_text() {
    let summary = LogSummary { record: "r".into(), bytes_received: i64::MAX };
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json, json!({"record": "r", "bytesReceived": "9223372036854775807"}));
    assert_eq!(serde_json::from_value::<LogSummary>(json).unwrap(), summary);
    let given: LogSummary = serde_json::from_value(json!({"bytesReceived": 7})).unwrap();
    assert_eq!(given.bytes_received, 7);
}

#[test]
fn figures_are_plain_objects_with_whole_numbers() {
    let object =
        json!({"total": 3, "avg_duration": "00:01:30.5", "ratio": 0.5, "last_runtime": null, "more": [true]});
    let summary = RecordListSummary { summary: vec![structure(object.as_object().unwrap())] };
    let json = serde_json::to_string(&summary).unwrap();
    assert!(json.contains("\"total\":3,") || json.contains("\"total\":3}"), "{json}");
    assert_eq!(serde_json::to_value(&summary).unwrap(), json!({"summary": [object]}));
    assert_eq!(serde_json::from_str::<RecordListSummary>(&json).unwrap(), summary);
    assert_eq!(serde_json::Value::Object(values(&summary.summary[0])), object);
}

proptest! {
    /// What we write, we read.
    #[test]
    fn comes_back(
        name in "\\PC{0,20}",
        value in proptest::collection::vec(any::<u8>(), 0..50),
        seconds in 0..4_000_000_000_i64,
        nanos in 0..1_000_000_000,
        annotations in proptest::collection::btree_map("\\PC{0,9}", "\\PC{0,9}", 0..4),
        status in any::<i32>(),
    ) {
        let time = Some(crate::timestamp::Timestamp { seconds, nanos });
        let record = Record {
            name: name.clone(),
            data: Some(Any { r#type: name.clone(), value: value.into() }),
            update_time: time,
            ..Record::default()
        };
        prop_assert_eq!(serde_json::from_str::<Record>(&serde_json::to_string(&record).unwrap()).unwrap(), record);
        let summary = RecordSummary { record: name, start_time: time, status, annotations: annotations.clone(), ..RecordSummary::default() };
        let folder = Folder { annotations, summary: Some(summary), ..Folder::default() };
        prop_assert_eq!(serde_json::from_str::<Folder>(&serde_json::to_string(&folder).unwrap()).unwrap(), folder);
    }
}
