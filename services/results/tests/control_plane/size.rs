//! Messages that are larger than the server takes (results.md, section 8).

use http::StatusCode;
use results_api::v1alpha2::results_client::ResultsClient;
use results_api::v1alpha2::{Any, CreateRecordRequest, GetRecordRequest, Record};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use crate::parity::{channel, with_token};
use crate::server::{ALL, PARENTS, Server, result};

/// Of a message.
const LIMIT: usize = 16 << 20;

/// A JSON document of so many bytes.
fn document(length: usize) -> Vec<u8> {
    format!("\"{}\"", "x".repeat(length - 2)).into_bytes()
}

#[tokio::test]
async fn a_record_beyond_the_limit_is_refused_and_the_next_is_taken() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("oversized").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    server.post(&token, &format!("{namespace}/results"), result(&namespace, "first")).await;
    let parent = format!("{namespace}/results/first");
    let create = |name: &str, length: usize| CreateRecordRequest {
        parent: parent.clone(),
        record: Some(Record {
            name: format!("{parent}/records/{name}"),
            data: Some(Any { r#type: "t".to_owned(), value: document(length).into() }),
            ..Record::default()
        }),
    };
    let mut client = ResultsClient::new(channel(&server).await).max_decoding_message_size(2 * LIMIT);

    let refused = client.create_record(with_token(&token, create("over", LIMIT))).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    assert!(refused.message().contains("16777216"), "it says how much is taken: {refused:?}");
    let get = GetRecordRequest { name: format!("{parent}/records/over") };
    let absent = client.get_record(with_token(&token, get)).await.unwrap_err();
    assert_eq!(absent.code(), Code::NotFound);

    // By the same connection, with room for the names around it.
    let length = LIMIT - 1024;
    client.create_record(with_token(&token, create("under", length))).await.unwrap();
    let get = GetRecordRequest { name: format!("{parent}/records/under") };
    let got = client.get_record(with_token(&token, get)).await.unwrap().into_inner();
    assert_eq!(got.data.unwrap().value.len(), length);
}

/// What a request announces is enough to refuse it: nobody has to send it all first.
#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_it_comes() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("oversized").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let address = server.url.strip_prefix("http://").unwrap();
    let head = format!(
        "POST {PARENTS}/{namespace}/results/first/records HTTP/1.1\r\nhost: {address}\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        LIMIT / 3 * 4 + 1
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {}", StatusCode::PAYLOAD_TOO_LARGE.as_u16())), "{answer}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["code"], &body["details"]), (&json!(8), &json!([])), "{body}");
}

/// U+0000 and types that are too long are the client's fault, by whatever way they come (section 2.4).
#[tokio::test]
async fn what_the_database_cannot_hold_is_bad_input() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("unstorable").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let results = format!("{namespace}/results");
    server.post(&token, &results, result(&namespace, "first")).await;
    let named = |kind: &str, data: &Value| crate::server::record(&namespace, "first", "run", kind, data);
    for (path, body) in [
        (results.clone(), json!({ "name": format!("{results}/second"), "annotations": { "a": "b\0" } })),
        (format!("{results}/first/records"), named("t", &json!("a\0"))),
        (format!("{results}/first/records"), named("t\0", &json!("a"))),
        (format!("{results}/first/records"), named(&"t".repeat(769), &json!("a"))),
        (
            format!("{results}/first/records"),
            json!({ "name": format!("{results}/first/records/run"), "data": { "type": "t", "value": "e30gMQ==" } }),
        ),
        (
            format!("{results}/first/records"),
            json!({ "name": format!("{results}/first/records/run"), "data": { "type": "t", "value": "***" } }),
        ),
    ] {
        let refused = server.post(&token, &path, body.clone()).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (StatusCode::BAD_REQUEST, &json!(3)),
            "{body}: {refused:?}"
        );
    }
    let kept = server.get(&token, &format!("{results}/-/records")).await;
    assert_eq!(kept.body["records"], json!([]), "{kept:?}");
}
