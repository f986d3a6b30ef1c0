//! Logs over gRPC and REST.

use http::{Method, StatusCode};
use results_api::v1alpha2::Log;
use results_api::v1alpha2::logs_client::LogsClient;
use serde_json::json;

use crate::parity::{channel, with_token};
use crate::server::{ALL, Server, record, result};

#[tokio::test]
async fn a_log_comes_back_as_it_was_sent_and_goes_with_its_result() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("logs").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let results = format!("{namespace}/results");
    server.post(&token, &results, result(&namespace, "first")).await;
    let resource =
        json!({ "kind": "TaskRun", "namespace": namespace.name(), "name": "run", "uid": "run-uid" });
    let log = record(
        &namespace,
        "first",
        "log",
        "results.tekton.dev/v1alpha2.Log",
        &json!({ "spec": { "resource": resource } }),
    );
    server.post(&token, &format!("{results}/first/records"), log).await;
    let path = format!("{results}/first/logs/log");
    let empty = server.get(&token, &path).await;
    assert_eq!(empty.status, StatusCode::NOT_FOUND, "{empty:?}");

    let pieces = ["first line\n", "second line", "\n\nend without a newline"];
    let name = path.clone();
    let messages = pieces.map(|data| Log { name: name.clone(), data: data.into() });
    let mut client = LogsClient::new(channel(&server).await);
    let request = with_token(&token, futures::stream::iter(messages));
    let stored = client.update_log(request).await.unwrap().into_inner();
    assert_eq!(stored.bytes_received, i64::try_from(pieces.concat().len()).unwrap());

    let read = server.get(&token, &path).await;
    assert_eq!((read.status, read.text), (StatusCode::OK, pieces.concat()));
    assert!(read.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    let listed = server.get(&token, &format!("{results}/-/logs")).await;
    assert_eq!(listed.body["records"].as_array().unwrap().len(), 1, "{listed:?}");

    let reader = server.user(&namespace, "nobody", "").await;
    let refused = server.get(&reader, &path).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");

    server.call(Method::DELETE, &token, &format!("{results}/first"), None, &[]).await;
    let gone = server.get(&token, &path).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "{gone:?}");
}
