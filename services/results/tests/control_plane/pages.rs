//! Page tokens that were forged, or are for another list (results.md, section 2.5; security.md 5.4).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use prost::Message as _;
use results_api::lister::{Item, PageToken};
use results_api::v1alpha2::results_client::ResultsClient;
use results_api::v1alpha2::{ListRecordsRequest, ListResultsRequest};
use serde_json::json;
use testkit::postgres::Postgres;
use tonic::Code;

use crate::parity::{channel, with_token};
use crate::server::{ALL, Server, record, result};

async fn refuses(server: &Server, token: &str, namespace: &str, page_token: &str, why: &str) {
    let url = format!("{namespace}/results?order_by=create_time&page_size=5&page_token={page_token}");
    let refused = server.get(token, &url).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::BAD_REQUEST, &json!(3)),
        "{why}: {refused:?}"
    );
    let list = ListResultsRequest {
        parent: namespace.to_owned(),
        order_by: "create_time".to_owned(),
        page_size: 5,
        page_token: page_token.to_owned(),
        ..ListResultsRequest::default()
    };
    let mut client = ResultsClient::new(channel(server).await);
    let by_grpc = client.list_results(with_token(token, list)).await.unwrap_err();
    assert_eq!(
        (by_grpc.code(), Some(by_grpc.message())),
        (Code::InvalidArgument, refused.body["message"].as_str()),
        "{why}"
    );
}

#[tokio::test]
async fn a_forged_token_is_bad_input() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("forged").await.unwrap();
    let token = server.user(&namespace, "writer", ALL).await;
    let results = format!("{namespace}/results");
    for number in 0..11 {
        server.post(&token, &results, result(&namespace, &format!("r{number:02}"))).await;
        if number < 6 {
            let run = record(&namespace, "r00", &format!("c{number}"), "t", &json!({}));
            server.post(&token, &format!("{results}/r00/records"), run).await;
        }
    }
    let url = format!("{results}?order_by=create_time&page_size=5");
    let first = server.get(&token, &url).await;
    let good = first.body["nextPageToken"].as_str().unwrap().to_owned();
    let next = server.get(&token, &format!("{url}&page_token={good}")).await;
    assert_eq!(next.body["results"].as_array().map(Vec::len), Some(5), "{next:?}");

    let message = PageToken::decode(&URL_SAFE_NO_PAD.decode(&good).unwrap()[..]).unwrap();
    let sealed = |message: &PageToken| URL_SAFE_NO_PAD.encode(message.encode_to_vec());
    assert_eq!(sealed(&message), good, "what is changed below is the only change");
    let item = message.last_item.clone().unwrap();
    let other_uid = Some(Item { uid: "0".repeat(36), ..item.clone() });
    let injected = Some(Item { uid: "' OR '1'='1".to_owned(), ..item.clone() });
    let without_order = Some(Item { order_by: None, ..item });
    for (why, forged) in [
        ("another last row", PageToken { last_item: other_uid, ..message.clone() }),
        ("SQL for a last row", PageToken { last_item: injected, ..message.clone() }),
        ("no last row", PageToken { last_item: None, ..message.clone() }),
        ("no order", PageToken { last_item: without_order, ..message.clone() }),
        ("every namespace", PageToken { parent: "-".to_owned(), ..message.clone() }),
        ("another filter", PageToken { filter: "true".to_owned(), ..message.clone() }),
        ("no signature", PageToken { authentication: Vec::new().into(), ..message.clone() }),
        (
            "a short signature",
            PageToken { authentication: message.authentication.slice(..15), ..message.clone() },
        ),
        ("another signature", PageToken { authentication: vec![0; 16].into(), ..message.clone() }),
    ] {
        refuses(&server, &token, &namespace, &sealed(&forged), why).await;
    }
    for (why, text) in [
        ("no base64", "!!!".to_owned()),
        ("padding", format!("{good}==")),
        ("cut short", good[..good.len() - 4].to_owned()),
        ("no message", URL_SAFE_NO_PAD.encode([0xff; 40])),
        ("twice", format!("{good}{good}")),
    ] {
        refuses(&server, &token, &namespace, &text, why).await;
    }

    // Tokens that are ours, of other lists.
    let other_order = server.get(&token, &format!("{results}?order_by=create_time%20desc&page_size=5")).await;
    let unordered = server.get(&token, &format!("{results}?page_size=5")).await;
    let of_records =
        server.get(&token, &format!("{results}/r00/records?order_by=create_time&page_size=5")).await;
    for (why, page) in
        [("another order", other_order), ("no order", unordered), ("a list of Records", of_records)]
    {
        let foreign = page.body["nextPageToken"].as_str().unwrap();
        assert!(!foreign.is_empty(), "{why}: {page:?}");
        refuses(&server, &token, &namespace, foreign, why).await;
    }
}

/// A reader of one namespace cannot walk on into another with the token of somebody who may.
#[tokio::test]
async fn a_token_opens_no_other_namespace() {
    let server = Server::start().await;
    let (ours, theirs) =
        (server.plane.namespace("page-a").await.unwrap(), server.plane.namespace("page-b").await.unwrap());
    let (reader, writer) =
        (server.user(&ours, "reader", "get, list").await, server.user(&theirs, "writer", ALL).await);
    for number in 0..6 {
        server.post(&writer, &format!("{theirs}/results"), result(&theirs, &format!("r{number}"))).await;
    }
    let url = |namespace: &str| format!("{namespace}/results?order_by=create_time&page_size=5");
    let first = server.get(&writer, &url(&theirs)).await;
    let foreign = first.body["nextPageToken"].as_str().unwrap();
    refuses(&server, &reader, &ours, foreign, "a token of another namespace").await;
    let refused = server.get(&reader, &format!("{}&page_token={foreign}", url(&theirs))).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
}

/// A token survives a restart, and is good at every replica (section 2.5).
#[tokio::test]
async fn a_token_outlives_the_server_that_gave_it() {
    let database = Postgres::database().await.unwrap();
    let nowhere = std::path::Path::new("/nowhere");
    let first = Server::with(&database, nowhere, &["--auth-disable"]).await;
    for number in 0..8 {
        first.post("", "default/results", result("default", &format!("r{number}"))).await;
    }
    for number in 0..8 {
        let run = record("default", "r0", &format!("c{number}"), "t", &json!({}));
        first.post("", "default/results/r0/records", run).await;
    }
    let url = "default/results/-/records?order_by=update_time%20desc&page_size=5";
    let page = first.get("", url).await;
    let token = page.body["nextPageToken"].as_str().unwrap().to_owned();
    drop(first);

    let second = Server::with(&database, nowhere, &["--auth-disable"]).await;
    let rest = second.get("", &format!("{url}&page_token={token}")).await;
    assert_eq!(rest.status, StatusCode::OK, "{rest:?}");
    let names: Vec<_> = [&page, &rest]
        .iter()
        .flat_map(|page| page.body["records"].as_array().unwrap())
        .map(|record| record["name"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned())
        .collect();
    assert_eq!(names, ["c7", "c6", "c5", "c4", "c3", "c2", "c1", "c0"]);
    let list = ListRecordsRequest {
        parent: "default/results/-".to_owned(),
        order_by: "update_time desc".to_owned(),
        page_size: 7,
        page_token: token,
        ..ListRecordsRequest::default()
    };
    let mut client = ResultsClient::new(channel(&second).await);
    let by_grpc = client.list_records(with_token("", list)).await.unwrap().into_inner();
    assert_eq!(by_grpc.records.len(), 3, "the size of a page may change");
}
