//! Conversions of messages. Calls are tested against a real database.

use bytes::Bytes;
use results_api::v1alpha2::RecordSummary;
use rstest::rstest;
use serde_json::{Value, json};
use tonic::Code;

use super::convert::{document, store_status, summary};
use crate::store;

const LOG: &str = "results.tekton.dev/v1alpha2.Log";

#[rstest]
#[case::empty(json!({ "spec": { "type": "" } }), "S3")]
#[case::absent(json!({}), "S3")]
#[case::said(json!({ "spec": { "type": "File" } }), "File")]
fn a_log_says_what_keeps_it(#[case] log: Value, #[case] expected: &str) {
    let stored = document(LOG, Bytes::from(log.to_string()), "S3").unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    assert_eq!(stored["spec"]["type"], expected);
}

#[test]
fn other_data_is_left_as_it_is() {
    let data = Bytes::from_static(b"{ \"a\" : 1 }");
    assert_eq!(document("tekton.dev/v1.TaskRun", data.clone(), "S3").unwrap(), data);
}

#[test]
fn what_is_no_log_is_refused() {
    let status = document(LOG, Bytes::from_static(b"7"), "File").unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains(LOG), "{status}");
}

#[test]
fn an_empty_summary_is_none_and_a_wild_time_an_error() {
    assert_eq!(summary(Some(RecordSummary::default())).unwrap(), None);
    let wild = results_api::timestamp::Timestamp { seconds: i64::MAX, nanos: 0 };
    let record = "ns/results/a/records/b".to_owned();
    let late = RecordSummary { record, start_time: Some(wild), ..RecordSummary::default() };
    let status = summary(Some(late)).unwrap_err();
    assert!(status.message().starts_with("result.summary.start_time: "), "{status}");
}

#[rstest]
#[case::nothing("")]
#[case::a_result("ns/results/a")]
#[case::no_name("' OR '1'='1")]
fn a_summary_is_of_a_record(#[case] record: &str) {
    let of = RecordSummary { record: record.to_owned(), r#type: "t".to_owned(), ..RecordSummary::default() };
    let status = summary(Some(of)).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with("result.summary.record: "), "{status}");
}

#[rstest]
#[case::missing(store::Error::NotFound { what: "x".into() }, Code::NotFound)]
#[case::twice(store::Error::AlreadyExists { what: "x".into() }, Code::AlreadyExists)]
#[case::changed(store::Error::EtagMismatch { what: "x".into() }, Code::FailedPrecondition)]
#[case::invalid(store::Error::Invalid { field: "filter", message: "x".into() }, Code::InvalidArgument)]
#[case::setup(store::Error::Setup("secret detail".into()), Code::Internal)]
fn has_a_code_for(#[case] error: store::Error, #[case] expected: Code) {
    let status = store_status(error);
    assert_eq!(status.code(), expected);
    assert!(!status.message().contains("secret"), "{status}");
}
