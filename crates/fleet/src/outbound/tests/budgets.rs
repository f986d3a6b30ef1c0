//! What one host is given, so that the others get theirs.

use futures::future::join_all;
use http::{HeaderName, Method, StatusCode};
use rstest::rstest;
use tokio::time::Instant;

use super::*;

const PRIVATE: HeaderName = HeaderName::from_static("private-token");

/// Answers in this order; the last one stays.
fn in_turn(world: &World, answers: &[(u16, &[(&str, &str)])]) -> Place {
    let mut answers: Vec<_> = answers
        .iter()
        .map(|(status, headers)| {
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            (*status, headers)
        })
        .collect();
    answers.reverse();
    let answers = Arc::new(Mutex::new(answers));
    world.serve("127.0.0.1", &["forge.test"], move |_| {
        let mut answers = answers.lock();
        let next = if answers.len() > 1 { answers.pop() } else { answers.last().cloned() };
        let (status, headers) = next.unwrap();
        std::future::ready(answer(status, &headers, "said"))
    })
}

#[rstest]
#[case::away_for_a_moment(&[(503, &[][..]), (502, &[][..]), (504, &[][..]), (200, &[][..])], Method::GET, Ok(200), 4)]
#[case::put_is_repeatable(&[(503, &[][..]), (200, &[][..])], Method::PUT, Ok(200), 2)]
#[case::post_is_not(&[(503, &[][..]), (200, &[][..])], Method::POST, Err(503), 1)]
#[case::away(&[(503, &[][..])], Method::GET, Err(503), 4)]
#[case::away_for_longer_than_we_wait(&[(503, &[("retry-after", "600")][..])], Method::GET, Err(503), 1)]
#[case::broken(&[(500, &[][..])], Method::GET, Ok(500), 1)]
#[case::missing(&[(404, &[][..])], Method::GET, Ok(404), 1)]
#[tokio::test]
async fn tries_again_what_may_be_repeated(
    #[case] answers: &[(u16, &[(&str, &str)])],
    #[case] method: Method,
    #[case] expected: Result<u16, u16>,
    #[case] asked: usize,
) {
    let world = World::new();
    let forge = in_turn(&world, answers);
    let result = world.client("forge.test").fetch(Request::new(method, forge.url("forge.test", "/"))).await;
    match &result {
        Ok(response) => assert_eq!(Ok(response.status().as_u16()), expected),
        Err(error @ Error::Status { status, .. }) => {
            assert_eq!(Err(*status), expected);
            assert!(error.to_string().ends_with("HTTP 503: said"), "{error}");
            let says_when = answers.iter().any(|(_, headers)| !headers.is_empty());
            assert_eq!(error.retry_at().is_some(), says_when);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(forge.asked(), asked);
}

#[tokio::test]
async fn the_caller_may_say_that_a_post_is_repeatable() {
    let world = World::new();
    let forge = in_turn(&world, &[(503, &[]), (200, &[])]);
    let request = Request::new(Method::POST, forge.url("forge.test", "/")).repeatable();
    assert_eq!(world.client("forge.test").fetch(request).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let world = World::new();
    let first = AtomicUsize::new(0);
    let first = Arc::new(first);
    let forge = world.serve("127.0.0.1", &["forge.test"], move |_| {
        let is_first = first.fetch_add(1, Ordering::SeqCst) == 0;
        let pieces = [Ok(axum::body::Bytes::from_static(b"half")), Err(std::io::Error::other("broken"))];
        let pieces = futures::stream::iter(pieces.into_iter().take(if is_first { 2 } else { 1 }));
        std::future::ready(Answer::new(axum::body::Body::from_stream(pieces)))
    });
    let client = world.client("forge.test");
    assert_eq!(client.fetch(Request::get(forge.url("forge.test", "/"))).await.unwrap().body(), "half");
    assert_eq!(forge.asked(), 2);
}

#[tokio::test]
async fn waits_as_long_as_the_server_says() {
    let world = World::new();
    let forge = in_turn(&world, &[(429, &[("retry-after", "1")]), (200, &[])]);
    let began = Instant::now();
    let response =
        world.client("forge.test").fetch(Request::get(forge.url("forge.test", "/"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[rstest]
#[case::too_many(429, &[("retry-after", "600")])]
#[case::used_up(403, &[("x-ratelimit-remaining", "0")])]
#[tokio::test]
async fn a_limit_is_kept_for_that_credential_and_no_other(
    #[case] status: u16,
    #[case] headers: &[(&str, &str)],
) {
    let world = World::new();
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let forge = world.serve("127.0.0.1", &["forge.test"], move |request| {
        let is_limited = request.headers().get(PRIVATE).is_some_and(|value| value == "greedy");
        std::future::ready(if is_limited { answer(status, &headers, "") } else { ok("") })
    });
    let client = world.client("forge.test");
    let call = async |value: &str| {
        let url = forge.url("forge.test", "/");
        let credential = Credential::header(&url, PRIVATE, &token(value)).unwrap();
        client.fetch(Request::get(url).credential(&credential)).await
    };
    let now = Clock::system().now();
    let error = call("greedy").await.unwrap_err();
    assert!(error.retry_at().unwrap() > now, "{error}");
    assert!(call("greedy").await.unwrap_err().retry_at().is_some());
    assert_eq!(forge.asked(), 1, "the second call did not go out");
    call("modest").await.unwrap();
}

#[tokio::test]
async fn few_calls_reach_one_host_at_once() {
    let mut world = World::new();
    world.timing.limits.wait = DEADLINE;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, seen) = (now.clone(), most.clone());
    let forge = world.serve("127.0.0.1", &["forge.test"], move |_| {
        let (inside, seen) = (inside.clone(), seen.clone());
        async move {
            seen.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            inside.fetch_sub(1, Ordering::SeqCst);
            ok("")
        }
    });
    let client = world.client("forge.test");
    let calls = (0..12).map(|_| client.fetch(Request::get(forge.url("forge.test", "/"))));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_host_that_hangs_does_not_delay_another() {
    let mut world = World::new();
    world.timing.limits.wait = Duration::from_millis(50);
    let hung = world.serve("127.0.0.1", &["hung.test"], |_| std::future::pending());
    let forge = world.says("127.0.0.2", &["forge.test"], 200, &[], "");
    let client = world.client("127.0.0.0/8");
    let call = |_| {
        tokio::spawn({
            let (client, url) = (client.clone(), hung.url("hung.test", "/"));
            async move { client.fetch(Request::get(url)).await }
        })
    };
    let calls: Vec<_> = (0..8).map(call).collect();
    testkit::eventually(DEADLINE, "four calls to hang", async || {
        anyhow::ensure!(hung.asked() == 4, "{} hang", hung.asked());
        Ok(())
    })
    .await
    .unwrap();
    let quick = client.fetch(Request::get(forge.url("forge.test", "/")));
    tokio::time::timeout(Duration::from_secs(2), quick).await.expect("it is not delayed").unwrap();
    // Those beyond its share are sent away; their workers do something else.
    let (mut busy, mut hanging) = (0, 0);
    testkit::eventually(DEADLINE, "the others to be sent away", async || {
        let ended = calls.iter().filter(|call| call.is_finished()).count();
        anyhow::ensure!(ended == 4, "{ended} ended");
        Ok(())
    })
    .await
    .unwrap();
    for call in calls {
        if call.is_finished() {
            assert!(matches!(call.await.unwrap(), Err(Error::Busy { .. })));
            busy += 1;
        } else {
            call.abort();
            hanging += 1;
        }
    }
    assert_eq!((busy, hanging), (4, 4));
}

#[tokio::test]
async fn a_dead_host_is_not_called_for_a_while() {
    let world = World::new();
    let port = {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        closed.local_addr().unwrap().port()
    };
    world.name("dead.test", &[&["127.0.0.1"]]);
    let client = world.client("dead.test");
    let request = || Request::new(Method::POST, Url::parse(&format!("https://dead.test:{port}/")).unwrap());
    for _ in 0..5 {
        assert!(matches!(client.fetch(request()).await, Err(Error::Connect { .. })));
    }
    let lookups = world.lookups.load(Ordering::SeqCst);
    let rests = client.fetch(request()).await;
    assert!(matches!(rests, Err(Error::Unavailable { failures: 5, .. })), "{rests:?}");
    assert_eq!(world.lookups.load(Ordering::SeqCst), lookups);
}

/// Only those that a host earns: else every service would repeat each call to a forge that is down.
#[tokio::test]
async fn retries_have_to_be_earned() {
    let world = World::new();
    // 503 with a success in between, so that the host does not rest.
    let count = Arc::new(AtomicUsize::new(0));
    let forge = world.serve("127.0.0.1", &["forge.test"], move |_| {
        let is_fine = count.fetch_add(1, Ordering::SeqCst) % 5 == 4;
        std::future::ready(answer(
            if is_fine { 200 } else { 503 },
            &[("retry-after".to_owned(), "0".to_owned())],
            "",
        ))
    });
    let client = world.client("forge.test");
    for _ in 0..30 {
        // Outcomes differ; the number of tries is what matters.
        let _ = client.fetch(Request::get(forge.url("forge.test", "/"))).await;
    }
    let retries = forge.asked() - 30;
    assert!((8..=14).contains(&retries), "{retries} retries");
}
