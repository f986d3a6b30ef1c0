//! A server without `LOGS_API`: the service `Logs` is not there, and all else is.

use http::{Method, StatusCode};
use results_api::v1alpha2::logs_client::LogsClient;
use results_api::v1alpha2::{DeleteLogRequest, GetLogRequest, ListRecordsRequest, Log};
use serde_json::json;
use testkit::postgres::Postgres;
use tonic::Code;

use crate::discovery::{LOGS, RESULTS, services};
use crate::parity::{channel, with_token};
use crate::server::{ALL, Server, record, result};

#[tokio::test]
async fn calls_of_logs_are_not_implemented() {
    let database = Postgres::database().await.unwrap();
    let server = Server::with(&database, std::path::Path::new("/nowhere"), &["--logs-api=false"]).await;
    let namespace = server.plane.namespace("no-logs").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let results = format!("{namespace}/results");
    let made = server.post(&token, &results, result(&namespace, "first")).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let log = record(
        &namespace,
        "first",
        "log",
        "results.tekton.dev/v1alpha2.Log",
        &json!({ "spec": { "resource": { "uid": "run-uid" } } }),
    );
    let made = server.post(&token, &format!("{results}/first/records"), log).await;
    assert_eq!(made.status, StatusCode::OK, "what is no log is stored as ever: {made:?}");

    let name = format!("{results}/first/logs/log");
    for (method, path) in [
        (Method::GET, name.clone()),
        (Method::DELETE, name.clone()),
        (Method::GET, format!("{results}/-/logs")),
    ] {
        let answer = server.call(method.clone(), &token, &path, None, &[]).await;
        assert_eq!(
            (answer.status, &answer.body["code"], &answer.body["details"]),
            (StatusCode::NOT_IMPLEMENTED, &json!(12), &json!([])),
            "{method} {path}: {answer:?}"
        );
    }

    let channel = channel(&server).await;
    let mut logs = LogsClient::new(channel.clone());
    let get = with_token(&token, GetLogRequest { name: name.clone() });
    assert_eq!(logs.get_log(get).await.unwrap_err().code(), Code::Unimplemented);
    let delete = with_token(&token, DeleteLogRequest { name: name.clone() });
    assert_eq!(logs.delete_log(delete).await.unwrap_err().code(), Code::Unimplemented);
    let list = ListRecordsRequest { parent: format!("{results}/-"), ..ListRecordsRequest::default() };
    assert_eq!(logs.list_logs(with_token(&token, list)).await.unwrap_err().code(), Code::Unimplemented);
    let pieces = futures::stream::iter([Log { name, data: "text".into() }]);
    assert_eq!(logs.update_log(with_token(&token, pieces)).await.unwrap_err().code(), Code::Unimplemented);

    let names = services(&channel).await;
    assert!(names.iter().any(|name| name == RESULTS), "{names:?}");
    assert!(!names.iter().any(|name| name == LOGS), "what is not there is not advertised: {names:?}");

    let deleted = server.call(Method::DELETE, &token, &format!("{results}/first"), None, &[]).await;
    assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
}
