//! gRPC and REST are two ways to the same handlers.

use results_api::v1alpha2::results_client::ResultsClient;
use results_api::v1alpha2::{GetRecordRequest, GetResultRequest, ListRecordsRequest, ListResultsRequest};
use serde_json::{Value, json};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::server::{ALL, Server, record, result};

/// The document in a Record's JSON.
pub(crate) fn document(record: &Value) -> Value {
    use base64::Engine as _;
    let text = record["data"]["value"].as_str().unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

pub(crate) async fn channel(server: &Server) -> Channel {
    Channel::from_shared(server.url.clone()).unwrap().connect().await.unwrap()
}

pub(crate) fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

#[tokio::test]
async fn both_answer_the_same() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("parity").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let results = format!("{namespace}/results");
    server.post(&token, &results, result(&namespace, "first")).await;
    let run = json!({ "metadata": { "name": "run", "labels": { "x": "o'brien" } } });
    let record = record(&namespace, "first", "run", "tekton.dev/v1.PipelineRun", &run);
    server.post(&token, &format!("{results}/first/records"), record).await;
    let mut client = ResultsClient::new(channel(&server).await);

    let name = format!("{results}/first");
    let by_grpc =
        client.get_result(with_token(&token, GetResultRequest { name })).await.unwrap().into_inner();
    let by_rest = server.get(&token, &format!("{results}/first")).await;
    assert_eq!(serde_json::to_value(by_grpc).unwrap(), by_rest.body);

    let name = format!("{results}/first/records/run");
    let by_grpc =
        client.get_record(with_token(&token, GetRecordRequest { name })).await.unwrap().into_inner();
    let by_rest = server.get(&token, &format!("{results}/first/records/run")).await;
    assert_eq!(serde_json::to_value(by_grpc).unwrap(), by_rest.body);
    assert_eq!(document(&by_rest.body), run);

    let filter = r#"data.metadata.labels["x"] == "o'brien""#;
    let list = ListRecordsRequest {
        parent: format!("{results}/-"),
        filter: filter.to_owned(),
        order_by: "create_time desc".to_owned(),
        ..ListRecordsRequest::default()
    };
    let by_grpc = client.list_records(with_token(&token, list)).await.unwrap().into_inner();
    let query =
        "filter=data.metadata.labels%5B%22x%22%5D%20%3D%3D%20%22o'brien%22&order_by=create_time%20desc";
    let by_rest = server.get(&token, &format!("{results}/-/records?{query}")).await;
    assert_eq!(by_grpc.records.len(), 1);
    assert_eq!(serde_json::to_value(by_grpc).unwrap(), by_rest.body);
}

#[tokio::test]
async fn errors_have_the_same_codes_and_calls_are_counted() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("codes").await.unwrap();
    let token = server.user(&namespace, "reader", "get, list").await;
    let mut client = ResultsClient::new(channel(&server).await);
    let list =
        |parent: &str| ListResultsRequest { parent: parent.to_owned(), ..ListResultsRequest::default() };
    for (token, parent, expected) in [
        (token.as_str(), "Not_A_Namespace!", Code::InvalidArgument),
        (&token, "-", Code::PermissionDenied),
        ("garbage", namespace.name(), Code::Unauthenticated),
    ] {
        let status = client.list_results(with_token(token, list(parent))).await.unwrap_err();
        assert_eq!(status.code(), expected, "{status:?}");
        let by_rest = server.get(token, &format!("{parent}/results")).await;
        assert_eq!(
            (&by_rest.body["code"], by_rest.body["message"].as_str()),
            (&json!(i32::from(expected)), Some(status.message()))
        );
    }
    let text = reqwest::get(format!("{}/metrics", server.metrics)).await.unwrap().text().await.unwrap();
    for code in ["InvalidArgument", "PermissionDenied", "Unauthenticated"] {
        let line = format!(
            r#"grpc_server_handled_total{{grpc_code="{code}",grpc_method="ListResults",grpc_service="tekton.results.v1alpha2.Results",grpc_type="unary"}} 2"#
        );
        assert!(text.contains(&line), "{line}\n{text}");
    }
}
