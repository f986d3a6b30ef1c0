//! Names that lead nowhere or elsewhere, and messages without what they need (results.md, sections 2.3 and 2.4).

use http::{Method, StatusCode};
use results_api::v1alpha2::logs_client::LogsClient;
use results_api::v1alpha2::results_client::ResultsClient;
use results_api::v1alpha2::{
    CreateRecordRequest, CreateResultRequest, DeleteLogRequest, DeleteRecordRequest, DeleteResultRequest,
    GetLogRequest, GetRecordRequest, GetResultRequest, ListRecordsRequest, ListResultsRequest, Log, Record,
    RecordListSummaryRequest, RecordSummary, Result as ResultMessage, UpdateRecordRequest,
    UpdateResultRequest,
};
use rstest::rstest;
use serde_json::json;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::parity::{channel, with_token};
use crate::server::{ALL, Server, record, result};

/// What is no part of a name.
const PARTS: [&str; 10] = ["UPPER", "..", "*", "a/b", "a'b", "a\n", "ä", "a\0", "", LONG];

/// One character more than there may be.
const LONG: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Each of [`PARTS`] in each place of each name of each call. The caller may do everything in the namespace, so that what
/// is refused is the name.
#[tokio::test]
async fn a_malformed_name_is_refused_by_every_call() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("names").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let channel = channel(&server).await;
    let (mut results, mut logs) = (ResultsClient::new(channel.clone()), LogsClient::new(channel));
    for part in PARTS {
        let statuses = refusals(&mut results, &mut logs, &token, &namespace, part).await;
        for (call, status) in &statuses {
            assert_eq!(status.code(), Code::InvalidArgument, "{call}: {status:?}");
            assert!(
                status.message().contains("[a-z0-9_-]{1,63}"),
                "{call} says what a name looks like: {status:?}"
            );
        }
    }
}

/// What all calls say to names with this part.
async fn refusals(
    results: &mut ResultsClient<Channel>,
    logs: &mut LogsClient<Channel>,
    token: &str,
    namespace: &str,
    part: &str,
) -> Vec<(String, Status)> {
    let mut statuses: Vec<(String, Status)> = Vec::new();
    let mut saw = |call: &str, name: &str, status: Option<Status>| {
        let status = status.unwrap_or_else(|| Status::ok("it was taken"));
        statuses.push((format!("{call} {name:?}"), status));
    };

    let list = ListResultsRequest { parent: part.to_owned(), ..ListResultsRequest::default() };
    saw("ListResults", part, results.list_results(with_token(token, list)).await.err());
    let create = CreateResultRequest { parent: part.to_owned(), result: Some(ResultMessage::default()) };
    saw("CreateResult", part, results.create_result(with_token(token, create)).await.err());
    for name in [format!("{part}/results/a"), format!("{namespace}/results/{part}")] {
        let create = CreateResultRequest {
            parent: namespace.to_owned(),
            result: Some(ResultMessage { name: name.clone(), ..ResultMessage::default() }),
        };
        saw("CreateResult", &name, results.create_result(with_token(token, create)).await.err());
        let update = UpdateResultRequest {
            name: name.clone(),
            result: Some(ResultMessage::default()),
            etag: String::new(),
        };
        saw("UpdateResult", &name, results.update_result(with_token(token, update)).await.err());
        let get = GetResultRequest { name: name.clone() };
        saw("GetResult", &name, results.get_result(with_token(token, get)).await.err());
        let delete = DeleteResultRequest { name: name.clone() };
        saw("DeleteResult", &name, results.delete_result(with_token(token, delete)).await.err());
        let create = CreateRecordRequest { parent: name.clone(), record: Some(Record::default()) };
        saw("CreateRecord", &name, results.create_record(with_token(token, create)).await.err());
        let list = ListRecordsRequest { parent: name.clone(), ..ListRecordsRequest::default() };
        saw("ListRecords", &name, results.list_records(with_token(token, list.clone())).await.err());
        saw("ListLogs", &name, logs.list_logs(with_token(token, list)).await.err());
        let figures =
            RecordListSummaryRequest { parent: name.clone(), ..RecordListSummaryRequest::default() };
        saw("Summary", &name, results.get_record_list_summary(with_token(token, figures)).await.err());
    }
    for name in [
        format!("{part}/results/a/records/b"),
        format!("{namespace}/results/{part}/records/b"),
        format!("{namespace}/results/a/records/{part}"),
    ] {
        let record = Record { name: name.clone(), ..Record::default() };
        let create =
            CreateRecordRequest { parent: format!("{namespace}/results/a"), record: Some(record.clone()) };
        saw("CreateRecord", &name, results.create_record(with_token(token, create)).await.err());
        let update = UpdateRecordRequest { record: Some(record), ..UpdateRecordRequest::default() };
        saw("UpdateRecord", &name, results.update_record(with_token(token, update)).await.err());
        let get = GetRecordRequest { name: name.clone() };
        saw("GetRecord", &name, results.get_record(with_token(token, get)).await.err());
        let delete = DeleteRecordRequest { name: name.clone() };
        saw("DeleteRecord", &name, results.delete_record(with_token(token, delete)).await.err());
        let name = name.replace("/records/", "/logs/");
        let get = GetLogRequest { name: name.clone() };
        saw("GetLog", &name, logs.get_log(with_token(token, get)).await.err());
        let delete = DeleteLogRequest { name: name.clone() };
        saw("DeleteLog", &name, logs.delete_log(with_token(token, delete)).await.err());
        let pieces = futures::stream::iter([Log { name: name.clone(), data: "x".into() }]);
        saw("UpdateLog", &name, logs.update_log(with_token(token, pieces)).await.err());
    }
    statuses
}

/// `-` is for lists: nothing is made, changed or deleted by it, wherever it stands.
#[rstest]
#[case::of_a_namespace("-/results", "-/results/a")]
#[case::of_a_result("NS/results", "NS/results/-")]
#[tokio::test]
async fn any_is_no_name_of_one(#[case] list: &str, #[case] one: &str) {
    let server = Server::start().await;
    let namespace = server.plane.namespace("any").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let (list, one) = (list.replace("NS", &namespace), one.replace("NS", &namespace));
    for (method, path, body) in [
        (Method::POST, list, Some(json!({ "name": one }))),
        (Method::GET, one.clone(), None),
        (Method::DELETE, one.clone(), None),
        (Method::PATCH, one.clone(), Some(json!({ "annotations": {} }))),
        (Method::POST, format!("{one}/records"), Some(json!({ "name": format!("{one}/records/b") }))),
        (Method::GET, format!("{one}/records/b"), None),
        (Method::DELETE, format!("{one}/records/b"), None),
        (Method::GET, format!("{one}/logs/b"), None),
        (Method::DELETE, format!("{one}/logs/b"), None),
    ] {
        let refused = server.call(method.clone(), &token, &path, body, &[]).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (StatusCode::BAD_REQUEST, &json!(3)),
            "{method} {path}: {refused:?}"
        );
    }
}

/// What REST makes of a path is what it says: an escaped slash parts nothing.
#[tokio::test]
async fn escapes_do_not_lead_elsewhere() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("escapes").await.unwrap();
    let token = server.user(&namespace, "reader", "get, list").await;
    for path in [
        "a%2Fb/results",
        "a%2F..%2Fdefault/results",
        "a%0A/results",
        "a%00/results",
        "default/results/a%2Frecords%2Fb",
        "default/results/a/records/b%2F..",
        "default/results/a/logs/b%2F..%2F..%2Fetc",
        "default/results/A/records",
    ] {
        let refused = server.get(&token, path).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (StatusCode::BAD_REQUEST, &json!(3)),
            "{path}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_name_has_to_be_in_the_parent_that_is_given() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("parents").await.unwrap();
    let other = server.plane.namespace("others").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let results = format!("{namespace}/results");
    server.post(&token, &results, result(&namespace, "first")).await;

    let run = |parent: &str, result: &str| record(parent, result, "run", "t", &json!({}));
    for (path, body) in [
        (results.clone(), result(&other, "first")),
        (format!("{results}/first/records"), run(&namespace, "second")),
        (format!("{results}/first/records"), run(&other, "first")),
        (format!("{results}/first/records"), json!({ "name": format!("{results}/first") })),
        (format!("{results}/first/records"), json!({})),
        (results.clone(), json!({})),
    ] {
        let refused = server.post(&token, &path, body.clone()).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (StatusCode::BAD_REQUEST, &json!(3)),
            "{path} {body}: {refused:?}"
        );
    }
    // It is the namespace of the name that counts for rights, and the caller has none there.
    let elsewhere = server.post(&token, &format!("{other}/results"), result(&other, "first")).await;
    assert_eq!(elsewhere.status, StatusCode::FORBIDDEN, "{elsewhere:?}");
    let absent = server.post(&token, &format!("{results}/absent/records"), run(&namespace, "absent")).await;
    assert_eq!((absent.status, &absent.body["code"]), (StatusCode::NOT_FOUND, &json!(5)), "{absent:?}");

    let mut client = ResultsClient::new(channel(&server).await);
    let create = CreateResultRequest { parent: namespace.to_string(), result: None };
    let refused = client.create_result(with_token(&token, create)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let create = CreateRecordRequest { parent: format!("{results}/first"), record: None };
    let refused = client.create_record(with_token(&token, create)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let refused = client.update_record(with_token(&token, UpdateRecordRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
}

/// A summary says of which Record it is, and of what type that is (section 2.4).
#[rstest]
#[case::of_nothing("", "t")]
#[case::of_no_record("NS/results/first", "t")]
#[case::of_no_name("' OR '1'='1", "t")]
#[case::without_a_type("NS/results/first/records/run", "")]
#[case::with_a_long_type("NS/results/first/records/run", &"t".repeat(769))]
#[tokio::test]
async fn a_summary_is_of_a_record(#[case] of: &str, #[case] kind: &str) {
    let server = Server::start().await;
    let namespace = server.plane.namespace("summary").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let of = of.replace("NS", &namespace);
    let mut client = ResultsClient::new(channel(&server).await);
    let summarised = |of: &str, kind: &str| ResultMessage {
        name: format!("{namespace}/results/first"),
        summary: Some(RecordSummary {
            record: of.to_owned(),
            r#type: kind.to_owned(),
            status: 1,
            ..RecordSummary::default()
        }),
        ..ResultMessage::default()
    };
    let create = |result| CreateResultRequest { parent: namespace.to_string(), result: Some(result) };
    let refused = client.create_result(with_token(&token, create(summarised(&of, kind)))).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);

    let good = summarised(&format!("{namespace}/results/first/records/run"), "t");
    client.create_result(with_token(&token, create(good.clone()))).await.unwrap();
    let update = UpdateResultRequest {
        name: good.name.clone(),
        result: Some(summarised(&of, kind)),
        etag: String::new(),
    };
    let refused = client.update_result(with_token(&token, update)).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    let get = GetResultRequest { name: good.name.clone() };
    let kept = client.get_result(with_token(&token, get)).await.unwrap().into_inner();
    assert_eq!(kept.summary, good.summary);
}
