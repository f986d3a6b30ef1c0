//! gRPC-Web, as browsers speak it: over HTTP/1.1, with what ends a call in the body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use prost::Message as _;
use results_api::v1alpha2::{
    GetResultRequest, ListResultsRequest, ListResultsResponse, Result as ResultMessage,
};
use rstest::rstest;

use crate::server::{ALL, Server, result};

/// Of a frame that holds trailers.
const TRAILERS: u8 = 0x80;

/// What came back.
struct Answer {
    kind: String,
    version: http::Version,
    message: Option<Vec<u8>>,
    /// Of the body's last frame; of the headers if there is no body.
    trailers: Vec<(String, String)>,
    ends_in_body: bool,
}

impl Answer {
    fn status(&self) -> &str {
        self.trailers.iter().find(|(name, _)| name == "grpc-status").map_or("", |(_, value)| value)
    }
}

fn framed(message: &impl prost::Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), &message].concat()
}

/// Frames of a body: what each begins with, and what it holds.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [kind, a, b, c, d, rest @ ..] = body {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap();
        frames.push((*kind, rest[..length].to_vec()));
        body = &rest[length..];
    }
    assert!(body.is_empty(), "bytes behind the last frame: {body:?}");
    frames
}

fn text(kind: &str) -> bool {
    kind.starts_with("application/grpc-web-text")
}

async fn call(
    server: &Server,
    token: &str,
    kind: &str,
    method: &str,
    message: &impl prost::Message,
) -> Answer {
    let client = reqwest::Client::builder().http1_only().build().unwrap();
    let body = framed(message);
    let body = if text(kind) { STANDARD.encode(body).into_bytes() } else { body };
    let answer = client
        .post(format!("{}/tekton.results.v1alpha2.Results/{method}", server.url))
        .header("content-type", kind)
        .header("accept", kind)
        .header("x-grpc-web", "1")
        .bearer_auth(token)
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "how a call ends is said by grpc-status");
    let (version, headers) = (answer.version(), answer.headers().clone());
    let kind_of_answer = headers["content-type"].to_str().unwrap().to_owned();
    let body = answer.bytes().await.unwrap();
    // Padding may come anywhere: the server encodes what it sends piece by piece.
    let groups = || body.chunks(4).flat_map(|group| STANDARD.decode(group).unwrap()).collect();
    let body: Vec<u8> = if text(kind) { groups() } else { body.to_vec() };
    let mut message = None;
    let mut trailers = None;
    for (kind, bytes) in frames(&body) {
        if kind & TRAILERS == 0 {
            message = Some(bytes);
        } else {
            let lines = String::from_utf8(bytes).unwrap();
            let pairs = lines.lines().filter_map(|line| line.split_once(':'));
            trailers =
                Some(pairs.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect());
        }
    }
    let ends_in_body = trailers.is_some();
    let of_headers = || {
        let pairs =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        pairs.collect()
    };
    let trailers = trailers.unwrap_or_else(of_headers);
    Answer { kind: kind_of_answer, version, message, trailers, ends_in_body }
}

#[rstest]
#[case::binary("application/grpc-web")]
#[case::binary_with_its_format("application/grpc-web+proto")]
#[case::text("application/grpc-web-text")]
#[tokio::test]
async fn a_browser_lists_what_it_may(#[case] kind: &str) {
    let server = Server::start().await;
    let namespace = server.plane.namespace("web").await.unwrap();
    let writer = server.user(&namespace, "writer", ALL).await;
    let stranger = server.user(&namespace, "stranger", "").await;
    server.post(&writer, &format!("{namespace}/results"), result(&namespace, "first")).await;
    let list = ListResultsRequest { parent: namespace.to_string(), ..ListResultsRequest::default() };

    let listed = call(&server, &writer, kind, "ListResults", &list).await;
    assert_eq!((listed.version, listed.status()), (http::Version::HTTP_11, "0"));
    assert!(listed.kind.starts_with(kind), "{}", listed.kind);
    assert!(listed.ends_in_body, "a browser sees no trailers of HTTP");
    let results = ListResultsResponse::decode(&listed.message.unwrap()[..]).unwrap().results;
    assert_eq!(
        results.iter().map(|result| result.name.as_str()).collect::<Vec<_>>(),
        [format!("{namespace}/results/first")]
    );

    for (token, status, word) in [(stranger.as_str(), "7", "stranger"), ("garbage", "16", "token")] {
        let refused = call(&server, token, kind, "ListResults", &list).await;
        assert_eq!(refused.status(), status, "{:?}", refused.trailers);
        assert!(refused.message.is_none(), "nothing is given away");
        let (_, message) = refused.trailers.iter().find(|(name, _)| name == "grpc-message").unwrap();
        assert!(message.contains(word), "{message}");
    }
}

/// The content type chooses the way, not the path: what is no gRPC-Web is not taken for it.
#[tokio::test]
async fn its_messages_are_those_of_grpc() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("web-get").await.unwrap();
    let writer = server.user(&namespace, "writer", ALL).await;
    server.post(&writer, &format!("{namespace}/results"), result(&namespace, "first")).await;
    let name = format!("{namespace}/results/first");
    let got =
        call(&server, &writer, "application/grpc-web+proto", "GetResult", &GetResultRequest { name }).await;
    let got = ResultMessage::decode(&got.message.unwrap()[..]).unwrap();
    let by_rest = server.get(&writer, &format!("{namespace}/results/first")).await;
    assert_eq!(serde_json::to_value(got).unwrap(), by_rest.body);

    let absent = GetResultRequest { name: format!("{namespace}/results/absent") };
    let absent = call(&server, &writer, "application/grpc-web+proto", "GetResult", &absent).await;
    assert_eq!(absent.status(), "5", "{:?}", absent.trailers);
    let plain = reqwest::Client::new()
        .post(format!("{}/tekton.results.v1alpha2.Results/GetResult", server.url))
        .header("content-type", "application/json")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(plain.status(), StatusCode::NOT_FOUND, "{plain:?}");
}
