//! The server over real sockets, and what an intake takes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const MIB: usize = 1024 * 1024;
const PIECE: usize = 64 * 1024;

fn body(sends: usize) -> Body {
    let whole = std::iter::repeat_n(Bytes::from(vec![b' '; PIECE]), sends / PIECE);
    let rest = Bytes::from(vec![b' '; sends % PIECE]);
    Body::from_stream(futures::stream::iter(whole.chain([rest]).map(Ok::<_, io::Error>)))
}

fn announcing(length: Option<usize>) -> HeaderMap {
    length.map(|length| (header::CONTENT_LENGTH, length.into())).into_iter().collect()
}

#[rstest]
#[case::announced(Some(MIB), MIB, Ok(MIB))]
#[case::not_announced(None, MIB, Ok(MIB))]
#[case::fits_exactly(Some(4 * MIB), 4 * MIB, Ok(4 * MIB))]
#[case::fits_exactly_unannounced(None, 4 * MIB, Ok(4 * MIB))]
#[case::nothing(None, 0, Ok(0))]
#[case::announces_too_much(Some(4 * MIB + 1), 0, Err(Refused::TooLarge { limit: 4 * MIB }))]
#[case::sends_too_much(None, 4 * MIB + 1, Err(Refused::TooLarge { limit: 4 * MIB }))]
#[case::sends_more_than_it_announces(Some(1), 5 * MIB, Err(Refused::TooLarge { limit: 4 * MIB }))]
#[tokio::test]
async fn limits_the_size(
    #[case] announces: Option<usize>,
    #[case] sends: usize,
    #[case] expected: Result<usize, Refused>,
) {
    let intake = Intake::new(4 * MIB, 16 * MIB);
    let read = intake.read(&announcing(announces), body(sends)).await;
    if let Ok((content, _)) = &read {
        assert!(intake.free() <= 16 * MIB - content.len(), "what is held counts");
    }
    assert_eq!(read.map(|(content, _)| content.len()), expected);
    assert_eq!(intake.free(), 16 * MIB, "all is given back");
}

#[tokio::test]
async fn turns_away_what_would_not_fit_into_memory() {
    let intake = Intake::new(4 * MIB, 6 * MIB);
    let first = intake.read(&announcing(Some(4 * MIB)), body(4 * MIB)).await.unwrap();
    for announces in [Some(3 * MIB), None] {
        let refused = intake.read(&announcing(announces), body(3 * MIB)).await.unwrap_err();
        assert_eq!(refused, Refused::Busy);
        let response = axum::response::IntoResponse::into_response(refused);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
    drop(first);
    assert!(intake.read(&announcing(Some(3 * MIB)), body(3 * MIB)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_announced_but_not_sent_takes_nothing_and_not_for_long() {
    let intake = Intake::new(4 * MIB, 6 * MIB);
    let silent = || Body::from_stream(futures::stream::pending::<Result<Bytes, io::Error>>());
    let headers = announcing(Some(4 * MIB));
    let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(intake.read(&headers, silent()))).collect();
    for reading in &mut waiting {
        assert!(futures::poll!(reading).is_pending());
    }
    assert_eq!(intake.free(), 6 * MIB);
    for reading in waiting {
        assert_eq!(reading.await.unwrap_err(), Refused::TooSlow(Duration::from_secs(30)));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_none() {
    let intake = Intake::new(MIB, MIB);
    let pieces = [Ok(Bytes::from_static(b"{")), Err(io::Error::other("reset"))];
    let read = intake.read(&HeaderMap::new(), Body::from_stream(futures::stream::iter(pieces))).await;
    assert_eq!(read.unwrap_err(), Refused::BrokeOff);
    assert_eq!(intake.free(), MIB);
}

/// A server of its own, with what its routes wait for.
struct Running {
    address: SocketAddr,
    cancel: CancellationToken,
    ended: tokio::task::JoinHandle<Result<(), Error>>,
    began: Arc<Notify>,
    release: Arc<Notify>,
}

fn start(limits: Limits) -> Running {
    let [began, release] = [(); 2].map(|()| Arc::new(Notify::new()));
    let slow = {
        let (began, release) = (began.clone(), release.clone());
        move || {
            let (began, release) = (began.clone(), release.clone());
            async move {
                began.notify_one();
                release.notified().await;
                "slow"
            }
        }
    };
    let router = Router::new()
        .route(
            "/",
            get(|request: Request| async move {
                let peer = request.extensions().get::<Peer>().is_some_and(|peer| peer.0.ip().is_loopback());
                let id = request.extensions().get::<RequestId>().unwrap().to_string().len();
                format!("{peer} {id}")
            }),
        )
        .route("/slow", get(slow))
        .route("/panic", post(|| async { "a".parse::<u8>().unwrap().to_string() }));
    let server = Server::bind("port", "127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let (address, cancel) = (server.listening(), CancellationToken::new());
    let ended = tokio::spawn(server.run(router, None, cancel.clone()));
    Running { address, cancel, ended, began, release }
}

/// Sends `text` and reads to the end of the connection.
async fn talk(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server ends the connection");
    String::from_utf8(answer).unwrap()
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn knows_whom_it_talks_to_and_survives_panics() {
    let running = start(Limits::default());
    let answer = talk(running.address, &request("POST", "/panic")).await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    let answer = talk(running.address, &request("GET", "/")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("true 36"), "{answer}");
}

#[tokio::test]
async fn a_slow_header_ends_the_connection() {
    let running = start(Limits { header: Duration::from_millis(200), ..Limits::default() });
    assert_eq!(talk(running.address, "GET / HTTP/1.1\r\nHos").await, "");
}

#[tokio::test]
async fn a_late_answer_is_504() {
    let running = start(Limits { deadline: Duration::from_millis(200), ..Limits::default() });
    let answer = talk(running.address, &request("GET", "/slow")).await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

#[tokio::test]
async fn caps_connections() {
    let running = start(Limits { connections: 2, ..Limits::default() });
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
        open.push(stream);
    }
    assert_eq!(talk(running.address, &request("GET", "/")).await, "", "closed without a word");
    open.pop();
    let again = async {
        while talk(running.address, &request("GET", "/")).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.expect("one that is closed makes room");
}

#[tokio::test]
async fn finishes_what_is_in_hand_and_takes_nothing_new() {
    let running = start(Limits::default());
    let slow = tokio::spawn(async move { talk(running.address, &request("GET", "/slow")).await });
    running.began.notified().await;
    running.cancel.cancel();
    let refused = async {
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.expect("nobody is let in any more");
    assert!(!running.ended.is_finished());
    running.release.notify_one();
    let answer = slow.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"), "{answer}");
    timeout(PATIENCE, running.ended).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn does_not_wait_for_ever_for_what_is_in_hand() {
    let running = start(Limits { grace: Duration::from_millis(200), ..Limits::default() });
    let slow = tokio::spawn(async move { talk(running.address, &request("GET", "/slow")).await });
    running.began.notified().await;
    running.cancel.cancel();
    timeout(PATIENCE, running.ended).await.expect("it ends").unwrap().unwrap();
    assert_eq!(slow.await.unwrap(), "");
}

#[tokio::test]
async fn a_taken_port_names_the_flag() {
    let running = start(Limits::default());
    let error = Server::bind("port", running.address, Limits::default()).unwrap_err().to_string();
    assert!(error.starts_with("--port 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn takes_up_a_new_certificate() {
    use crate::Secret;
    use crate::certificate::{CertificateBundle, Certificates};
    use testkit::pki::Authority;

    let authority = Authority::new("test").unwrap();
    let bundle = |name: &str| {
        let issued = authority.server(name, &[name]).unwrap();
        Some(Arc::new(
            CertificateBundle::parse(String::new(), issued.cert_pem, Secret::new(issued.key_pem)).unwrap(),
        ))
    };
    let (publish, certificates): (_, Certificates) = tokio::sync::watch::channel(None);
    let server = Server::bind("port", "127.0.0.1:0".parse().unwrap(), Limits::default()).unwrap();
    let (address, mut ready) = (server.listening(), server.ready());
    let router = Router::new().route("/", get(|| async { "ok" }));
    let cancel = CancellationToken::new();
    let ended = tokio::spawn(server.run(router, Some(certificates), cancel.clone()));
    assert!(!*ready.borrow());
    let client = |name: &str| {
        reqwest::Client::builder()
            .add_root_certificate(reqwest::Certificate::from_pem(authority.cert_pem().as_bytes()).unwrap())
            .resolve(name, address)
            .build()
            .unwrap()
    };
    for name in ["first.test", "second.test"] {
        publish.send_replace(bundle(name));
        timeout(PATIENCE, ready.wait_for(|ready| *ready)).await.expect("it serves").unwrap();
        let answered = async {
            while client(name).get(format!("https://{name}:{}/", address.port())).send().await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, answered).await.expect("the certificate is served");
    }
    cancel.cancel();
    timeout(PATIENCE, ended).await.expect("it ends").unwrap().unwrap();
}
