//! What a client can find out about the server: its services, their descriptors, their health.

use http::StatusCode;
use results_api::FILE_DESCRIPTOR_SET;
use rstest::rstest;
use serde_json::json;
use testkit::postgres::Postgres;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::parity::channel;
use crate::server::Server;

pub(crate) const RESULTS: &str = "tekton.results.v1alpha2.Results";
pub(crate) const LOGS: &str = "tekton.results.v1alpha2.Logs";

/// A file of descriptors, as far as a test reads it.
#[derive(Clone, PartialEq, prost::Message)]
struct File {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "6")]
    services: Vec<Service>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    methods: Vec<Method>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Method {
    #[prost(string, tag = "1")]
    name: String,
}

async fn asked(
    channel: &Channel,
    question: v1::server_reflection_request::MessageRequest,
) -> v1::server_reflection_response::MessageResponse {
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut answers =
        client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap().message_response.unwrap()
}

/// What the server says it has, sorted.
pub(crate) async fn services(channel: &Channel) -> Vec<String> {
    let list = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    match asked(channel, list).await {
        v1::server_reflection_response::MessageResponse::ListServicesResponse(found) => {
            let mut names: Vec<_> = found.service.into_iter().map(|service| service.name).collect();
            names.sort();
            names
        }
        other => unreachable!("{other:?}"),
    }
}

/// Name and package of all files that an answer holds.
fn files(answer: v1::server_reflection_response::MessageResponse) -> Vec<File> {
    use prost::Message as _;
    match answer {
        v1::server_reflection_response::MessageResponse::FileDescriptorResponse(found) => {
            found.file_descriptor_proto.iter().map(|file| File::decode(&file[..]).unwrap()).collect()
        }
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn reflection_tells_services_and_their_methods() {
    let server = Server::start().await;
    let channel = channel(&server).await;
    let names = services(&channel).await;
    let expected = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", LOGS, RESULTS];
    assert_eq!(names, expected);

    for (service, expected) in [
        (
            RESULTS,
            &[
                "CreateResult",
                "UpdateResult",
                "GetResult",
                "DeleteResult",
                "ListResults",
                "CreateRecord",
                "UpdateRecord",
                "GetRecord",
                "ListRecords",
                "DeleteRecord",
                "GetRecordListSummary",
            ][..],
        ),
        (LOGS, &["GetLog", "ListLogs", "UpdateLog", "DeleteLog"]),
    ] {
        let symbol = v1::server_reflection_request::MessageRequest::FileContainingSymbol(service.to_owned());
        let files = files(asked(&channel, symbol).await);
        let (package, name) = service.rsplit_once('.').unwrap();
        let mut described =
            files.iter().filter(|file| file.package == package).flat_map(|file| &file.services);
        let described = described.find(|found| found.name == name).unwrap();
        let mut methods: Vec<_> = described.methods.iter().map(|method| method.name.as_str()).collect();
        methods.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(methods, expected);
    }

    // Whoever follows the imports of a file gets every one of them.
    let imported = v1::server_reflection_request::MessageRequest::FileByFilename(
        "google/protobuf/timestamp.proto".to_owned(),
    );
    assert_eq!(files(asked(&channel, imported).await)[0].package, "google.protobuf");
    let message = "tekton.results.v1alpha2.RecordSummary".to_owned();
    let message = v1::server_reflection_request::MessageRequest::FileContainingSymbol(message);
    assert_eq!(files(asked(&channel, message).await)[0].package, "tekton.results.v1alpha2");
    assert!(!FILE_DESCRIPTOR_SET.is_empty());
}

/// Older clients know this version only.
#[tokio::test]
async fn reflection_has_its_older_version_too() {
    let server = Server::start().await;
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel(&server).await);
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            RESULTS.to_owned(),
        )),
    };
    let mut answers =
        client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(found) = answer else {
        panic!("{answer:?}");
    };
    assert!(!found.file_descriptor_proto.is_empty());
}

#[tokio::test]
async fn an_unknown_symbol_has_no_file() {
    let server = Server::start().await;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel(&server).await);
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::FileContainingSymbol(
            "tekton.results.v1alpha2.Absent".to_owned(),
        )),
    };
    let mut answers =
        client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::NotFound);
}

#[rstest]
#[case::with_logs("--logs-api=true", true)]
#[case::without("--logs-api=false", false)]
#[tokio::test]
async fn health_is_told_by_service(#[case] flag: &str, #[case] has_logs: bool) {
    let database = Postgres::database().await.unwrap();
    let server = Server::with(&database, std::path::Path::new("/nowhere"), &[flag]).await;
    // No token: probes have none.
    let mut checks = HealthClient::new(channel(&server).await);
    let mut check = async |service: &str| {
        let answer = checks.check(HealthCheckRequest { service: service.to_owned() }).await;
        answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
    };
    for service in ["", RESULTS] {
        assert_eq!(check(service).await, Ok(ServingStatus::Serving), "{service}");
    }
    let of_logs = if has_logs { Ok(ServingStatus::Serving) } else { Err(Code::NotFound) };
    assert_eq!(check(LOGS).await, of_logs);
    assert_eq!(check("tekton.results.v1alpha2.Absent").await, Err(Code::NotFound));

    let mut watched =
        checks.watch(HealthCheckRequest { service: RESULTS.to_owned() }).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let by_rest = server.get("", "/healthz").await;
    assert_eq!((by_rest.status, &by_rest.body), (StatusCode::OK, &json!({ "status": "SERVING" })));
}
