//! The client against a played archive.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// Answers everything alike.
#[derive(Clone)]
struct Answer(StatusCode, String);

/// What was asked: path, query, header `authorization`.
type Asked = std::sync::Arc<std::sync::Mutex<Vec<(String, String, String)>>>;

async fn serve(answers: Vec<Answer>) -> (Archive, Asked) {
    let asked = Asked::default();
    let state = (std::sync::Arc::new(std::sync::Mutex::new(answers.into_iter())), asked.clone());
    let app = Router::new().fallback(answer).with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Uri = format!("http://{}/below", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    // Clients with TLS are made of it elsewhere.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut config = Config::new(url);
    config.default_retry = false;
    config.auth_info.token = Some("secret".to_owned().into());
    (Archive::new(Client::try_from(config).unwrap(), "here".to_owned(), None), asked)
}

type Script = (std::sync::Arc<std::sync::Mutex<std::vec::IntoIter<Answer>>>, Asked);

async fn answer(
    State((answers, asked)): State<Script>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> (StatusCode, String) {
    let token = headers["authorization"].to_str().unwrap().to_owned();
    asked.lock().unwrap().push((uri.path().to_owned(), query.unwrap_or_default(), token));
    let Answer(status, body) = answers.lock().unwrap().next().expect("asked more often than played");
    (status, body)
}

fn record(name: &str) -> Value {
    let object = json!({"kind": "PipelineRun", "metadata": {"name": name}}).to_string();
    json!({
        "name": format!("team-a/results/r/records/{name}"),
        "data": {"type": "tekton.dev/v1.PipelineRun", "value": STANDARD.encode(object)},
        "somethingNew": 1,
    })
}

fn ok(body: &Value) -> Answer {
    Answer(StatusCode::OK, body.to_string())
}

fn name(text: &str) -> RecordName {
    text.parse().unwrap()
}

#[tokio::test]
async fn lists_page_by_page() {
    let (archive, asked) = serve(vec![
        ok(&json!({"records": [record("a")], "nextPageToken": "t+/="})),
        // As newer versions of others spell it, leaving out what is empty.
        ok(&json!({"next_page_token": "u"})),
        ok(&json!({"records": [record("b")]})),
    ])
    .await;
    let runs = archive.runs("team-a", "x == \"ä & b\"".to_owned(), 0).all().await.unwrap();
    assert_eq!(runs.iter().map(Run::name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(runs[0].record.as_deref(), Some("team-a/results/r/records/a"));
    let asked = asked.lock().unwrap();
    let (path, query, token) = &asked[0];
    assert_eq!(path, "/below/apis/results.tekton.dev/v1alpha2/parents/team-a/results/-/records");
    assert_eq!(query, "filter=x+%3D%3D+%22%C3%A4+%26+b%22&order_by=create_time+desc&page_size=50");
    assert_eq!(token, "Bearer secret");
    assert!(asked[1].1.ends_with("&page_token=t%2B%2F%3D"), "{}", asked[1].1);
    assert!(asked[2].1.ends_with("&page_token=u"), "{}", asked[2].1);
}

#[tokio::test]
async fn gets_a_run_and_its_log() {
    let (archive, asked) =
        serve(vec![ok(&record("a")), Answer(StatusCode::OK, "[build : push] done\n".to_owned())]).await;
    let wanted = name("team-a/results/r/records/a");
    assert_eq!(archive.run(&wanted).await.unwrap().name(), "a");
    let mut log = archive.log(&wanted).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = log.next().await {
        bytes.extend_from_slice(piece.unwrap().as_ref());
    }
    assert_eq!(bytes, b"[build : push] done\n");
    assert!(asked.lock().unwrap()[1].0.ends_with("/parents/team-a/results/r/logs/a"));
}

#[rstest]
#[case::bad_token(
    401,
    r#"{"code":16,"message":"no token"}"#,
    "does not accept your token; log in to the cluster again, or give another token by --token-file: no token"
)]
#[case::forbidden(
    403,
    r#"{"code":7,"message":"jane may not get records in team-a"}"#,
    "you may not read this in the archive: jane may not get records in team-a. Who administers"
)]
#[case::missing(404, r#"{"code":5,"message":"no such record"}"#, "not in the archive: no such record")]
#[case::wrapped_by_others(
    404,
    r#"{"error":{"code":5,"message":"Log doesn't exist"}}"#,
    "not in the archive: Log doesn't exist"
)]
#[case::bad_filter(
    400,
    r#"{"code":3,"message":"unsupported CEL at line 1"}"#,
    "see --filter, --selector: unsupported CEL at line 1"
)]
#[case::other_server(
    404,
    "404 page not found\n",
    "here is no archive: 404 Not Found, 404 page not found. See --results-url"
)]
#[case::api_server(
    404,
    r#"{"kind":"Status","code":404,"message":"the server could not find it"}"#,
    "here is no archive: 404 Not Found, the server could not find it"
)]
#[case::down(
    503,
    r#"{"code":14,"message":"database"}"#,
    "has a problem (503 Service Unavailable); try again later: database"
)]
#[case::proxy_down(502, "", "has a problem (502 Bad Gateway); try again later: without an explanation")]
#[case::escapes(503, "\u{1b}[2Jgone", "try again later:  [2Jgone")]
#[tokio::test]
async fn explains_refusals(#[case] status: u16, #[case] body: &str, #[case] expected: &str) {
    let (archive, _) = serve(vec![Answer(StatusCode::from_u16(status).unwrap(), body.to_owned())]).await;
    let error = archive.run(&name("team-a/results/r/records/a")).await.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[rstest]
#[case::no_json("<html>", "gave an answer that cannot be read")]
#[case::no_data(r#"{"name":"a/results/b/records/c"}"#, "record a/results/b/records/c holds no run")]
#[case::no_object(r#"{"name":"a/results/b/records/c","data":{"type":"x","value":"eA=="}}"#, "holds no run")]
#[tokio::test]
async fn explains_answers_that_are_none(#[case] body: &str, #[case] expected: &str) {
    let (archive, _) = serve(vec![Answer(StatusCode::OK, body.to_owned())]).await;
    let error = archive.run(&name("team-a/results/r/records/a")).await.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn says_where_nobody_answers() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let port = testkit::free_port().unwrap();
    let mut config = Config::new(format!("http://127.0.0.1:{port}").parse().unwrap());
    config.default_retry = false;
    let archive = Archive::new(Client::try_from(config).unwrap(), "there".to_owned(), None);
    let error = archive.run(&name("team-a/results/r/records/a")).await.unwrap_err().to_string();
    assert_eq!(error, "the archive at there cannot be reached");
}
