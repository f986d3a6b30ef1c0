//! How much, and for how long.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use rstest::rstest;
use tokio::time::Instant;

use super::*;

const MIB: usize = 1024 * 1024;

fn too_large<T: std::fmt::Debug>(result: &Result<T, Error>) {
    assert!(matches!(result, Err(Error::TooLarge { .. })), "{result:?}");
}

fn pieces(count: usize) -> Body {
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    Body::from_stream(futures::stream::iter(std::iter::repeat_n(piece, count).map(Ok::<_, std::io::Error>)))
}

#[rstest]
#[case::declared(true)]
#[case::undeclared(false)]
#[tokio::test]
async fn reads_no_more_than_the_limit(#[case] declares: bool) {
    let world = World::new();
    let forge = world.serve("127.0.0.1", &["forge.test"], move |request| {
        let bytes: usize = request.uri().path().trim_start_matches('/').parse().unwrap();
        let body = if declares { Body::from(vec![b'x'; bytes]) } else { pieces(bytes / (64 * 1024)) };
        std::future::ready(Answer::new(body))
    });
    let client = world.client("forge.test");
    let get = |bytes: usize| Request::get(forge.url("forge.test", &format!("/{bytes}")));
    assert_eq!(client.fetch(get(4 * MIB)).await.unwrap().body().len(), 4 * MIB);
    too_large(&client.fetch(get(5 * MIB)).await);
    assert_eq!(client.fetch(get(5 * MIB).limit(5 * MIB as u64)).await.unwrap().body().len(), 5 * MIB);
    assert_eq!(forge.asked(), 3, "what is too large is not tried again");

    let mut stream = client.open(get(2 * MIB).limit(MIB as u64)).await.unwrap();
    let mut read = 0;
    let end = loop {
        match stream.chunk().await {
            Ok(Some(piece)) => read += piece.len(),
            other => break other,
        }
    };
    too_large(&end);
    assert!(read <= MIB, "{read}");
}

#[tokio::test]
async fn counts_what_comes_out_of_a_bomb() {
    let world = World::new();
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..64 {
        bomb.write_all(&vec![0; MIB]).unwrap();
    }
    let bomb = Bytes::from(bomb.finish().unwrap());
    assert!(bomb.len() < MIB, "{}", bomb.len());
    let forge = world.serve("127.0.0.1", &["forge.test"], move |request| {
        assert!(request.headers()["accept-encoding"].to_str().unwrap().contains("gzip"));
        let answer = http::Response::builder().header("content-encoding", "gzip");
        std::future::ready(answer.body(Body::from(bomb.clone())).unwrap())
    });
    let client = world.client("forge.test");
    too_large(&client.fetch(Request::get(forge.url("forge.test", "/"))).await);
    let large = Request::get(forge.url("forge.test", "/")).limit(64 * MIB as u64);
    assert_eq!(client.fetch(large).await.unwrap().body().len(), 64 * MIB);
}

/// One piece, then a byte now and then, for ever.
fn trickle() -> Answer {
    let bytes = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
    });
    Answer::new(Body::from_stream(bytes))
}

#[rstest]
#[case::content("/content")]
#[case::header("/header")]
#[tokio::test]
async fn the_whole_call_has_a_limit(#[case] path: &str) {
    let world = World::new();
    let forge = world.serve("127.0.0.1", &["forge.test"], |request| async move {
        if request.uri().path() == "/content" { trickle() } else { std::future::pending().await }
    });
    let client = world.client("forge.test");
    let request = Request::get(forge.url("forge.test", path)).timeout(Duration::from_millis(500));
    let began = Instant::now();
    let result = tokio::time::timeout(DEADLINE, client.fetch(request)).await.expect("it ends by itself");
    assert!(matches!(result, Err(Error::Timeout { .. })), "{result:?}");
    assert!(began.elapsed() >= Duration::from_millis(500));
    assert_eq!(forge.asked(), 1, "no time is left to try again");
}

/// A connection that has died, or a server that forgot the call.
#[tokio::test]
async fn an_answer_that_does_not_begin_is_asked_for_again() {
    let mut world = World::new();
    world.timing.header = Duration::from_millis(300);
    let calls = Arc::new(AtomicUsize::new(0));
    let forge = world.serve("127.0.0.1", &["forge.test"], move |_| {
        let is_first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        async move { if is_first { std::future::pending().await } else { Answer::new(Body::from("here")) } }
    });
    let client = world.client("forge.test");
    let url = forge.url("forge.test", "/");
    let answer = tokio::time::timeout(DEADLINE, client.fetch(Request::get(url.clone()))).await.unwrap();
    assert_eq!(answer.unwrap().body(), "here");
    assert_eq!(forge.asked(), 2);
}

#[tokio::test]
async fn an_answer_that_never_begins_is_reported_with_the_limit_it_missed() {
    let mut world = World::new();
    world.timing.header = Duration::from_millis(300);
    let forge = world.serve("127.0.0.1", &["forge.test"], |_| std::future::pending());
    let url = forge.url("forge.test", "/");
    let once = Request::new(http::Method::POST, url);
    let error = tokio::time::timeout(DEADLINE, world.client("forge.test").fetch(once)).await.unwrap();
    let error = error.unwrap_err().to_string();
    assert!(error.ends_with("not finished within 300ms"), "{error}");
    assert_eq!(forge.asked(), 1, "what is done twice by being asked twice is not asked twice");
}

/// A listener that is full: its queue of connections takes no more.
#[tokio::test]
async fn does_not_wait_long_for_a_connection() {
    let mut world = World::new();
    world.timing.connect = Duration::from_millis(300);
    // Accepts at the level of TCP, and says nothing: the TLS handshake hangs.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    world.name("forge.test", &[&["127.0.0.1"]]);
    let url = Url::parse(&format!("https://forge.test:{}/", listener.local_addr().unwrap().port())).unwrap();
    let request = Request::new(http::Method::POST, url);
    let call = world.client("forge.test");
    let result = tokio::time::timeout(DEADLINE, call.fetch(request)).await.expect("it ends by itself");
    assert!(matches!(result, Err(Error::Connect { .. })), "{result:?}");
}
