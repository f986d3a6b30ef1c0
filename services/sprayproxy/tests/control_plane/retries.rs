//! Scenarios 5 to 7: back ends that are dead, slow or broken, and what becomes of their deliveries.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::backend::{Backend, HANGS};
use crate::proxy::{PATIENCE, Proxy};

const BODY: &[u8] = b"{\"a\":1}";

fn spool(folder: &tempfile::TempDir) -> String {
    format!("--spool-dir={}", folder.path().display())
}

fn waiting(host: impl std::fmt::Display) -> String {
    format!("sprayproxy_spool_deliveries{{host=\"{host}\"}}")
}

#[tokio::test]
async fn without_a_spool_a_dead_back_end_is_told_to_the_forge() {
    let backend = Backend::start().await;
    let dead = Backend::nobody().await;
    let proxy = Proxy::start(&[&format!("http://{dead}"), &backend.url()], &[]).await;
    for number in 0..10 {
        let (status, text) = proxy.deliver("/", BODY.to_vec(), &number.to_string()).await;
        assert_eq!((status, text.as_str()), (502, "failed to proxy"), "also when it is left alone by now");
    }
    assert_eq!(backend.wait(10).await.len(), 10, "the other one gets all of them");
}

#[tokio::test]
async fn a_dead_back_end_gets_each_delivery_once_when_it_returns() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start().await;
    let dead = Backend::nobody().await;
    let proxy = Proxy::start(&[&format!("http://{dead}"), &backend.url()], &[&spool(&folder)]).await;
    for number in 0..10 {
        let answer = proxy.deliver("/", BODY.to_vec(), &number.to_string()).await;
        assert_eq!(answer, (200, "proxied".to_owned()));
    }
    backend.wait(10).await;
    proxy.metric_becomes(&waiting(dead), 10.0).await;
    let returned = Backend::at(dead).await;
    let mut seen: Vec<String> = returned
        .wait_for(PATIENCE * 2, 10)
        .await
        .iter()
        .map(|seen| seen.header("x-github-delivery").to_owned())
        .collect();
    proxy.metric_becomes(&waiting(dead), 0.0).await;
    seen.sort_unstable();
    assert_eq!(seen, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(returned.seen().len(), 10, "none twice");
    let first = &returned.seen()[0];
    assert_eq!((first.body.as_ref(), first.header("content-type")), (BODY, "application/json"));
    assert!(first.header("x-hub-signature-256").starts_with("sha256="), "for the receiver to verify again");
}

#[tokio::test]
async fn an_error_of_a_back_end_is_no_failure_and_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start().await;
    backend.answers(500);
    let proxy = Proxy::start(&[&backend.url()], &[&spool(&folder)]).await;
    assert_eq!(proxy.deliver("/", BODY.to_vec(), "d").await, (200, "proxied".to_owned()));
    backend.wait(2).await;
    backend.answers(202);
    proxy.metric_becomes(&waiting(backend.address), 0.0).await;
    assert!(backend.seen().iter().all(|seen| seen.header("x-github-delivery") == "d"));
    let outcomes = spooled_outcomes(&folder);
    assert!(outcomes.is_empty(), "{outcomes:?}");
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start().await;
    backend.answers(404);
    let proxy = Proxy::start(&[&backend.url()], &[&spool(&folder)]).await;
    assert_eq!(proxy.deliver("/", BODY.to_vec(), "d").await, (200, "proxied".to_owned()));
    proxy.metric_becomes(&waiting(backend.address), 0.0).await;
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn what_always_fails_is_given_up_and_can_be_looked_up() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start().await;
    backend.answers(500);
    let proxy = Proxy::start(&[&backend.url()], &[&spool(&folder), "--retry-attempts=2"]).await;
    assert_eq!(proxy.deliver("/", BODY.to_vec(), "lost").await.0, 200);
    proxy.metric_becomes("sprayproxy_spool_given_up", 1.0).await;
    proxy.metric_becomes(&waiting(backend.address), 0.0).await;
    assert_eq!(backend.seen().len(), 3, "once, and twice from the spool");
    let outcomes = spooled_outcomes(&folder);
    assert_eq!(outcomes.len(), 1);
    assert_eq!((outcomes[0].result.as_str(), outcomes[0].labels["delivery"].as_str()), ("gave_up", "lost"));
    assert_eq!(outcomes[0].consumer, backend.url());
    assert!(outcomes[0].text.contains("HTTP 500"), "{}", outcomes[0].text);
}

fn spooled_outcomes(folder: &tempfile::TempDir) -> Vec<spool::Outcome> {
    let outcomes =
        spool::Outcomes::open(&folder.path().join("outcomes"), spool::Retention::default()).unwrap();
    outcomes.search(&spool::Query::default()).unwrap()
}

#[tokio::test]
async fn a_slow_back_end_delays_neither_the_others_nor_for_long_the_forge() {
    let folder = tempfile::tempdir().unwrap();
    let (slow, backend) = (Backend::start().await, Backend::start().await);
    slow.answers(HANGS);
    let flags =
        [spool(&folder), "--answer-within=2s".to_owned(), "--forwarding-request-timeout=4s".to_owned()];
    let proxy = Proxy::start(&[&slow.url(), &backend.url()], &flags.each_ref().map(String::as_str)).await;
    let began = Instant::now();
    let (answer, arrived) = tokio::join!(proxy.deliver("/", BODY.to_vec(), "d"), async {
        backend.wait(1).await;
        began.elapsed()
    });
    assert_eq!(answer, (200, "proxied".to_owned()));
    assert!(arrived < Duration::from_millis(1500), "{arrived:?}: not after the slow one");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}: before the slow one's time is over");
    proxy.metric_becomes(&waiting(slow.address), 1.0).await;
    assert_eq!(slow.seen().len(), 1, "not tried again while the first try is under way");
    slow.answers(202);
    slow.wait(2).await;
    proxy.metric_becomes(&waiting(slow.address), 0.0).await;
}

#[tokio::test]
async fn a_slow_back_end_that_answers_late_gets_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = Proxy::start(&[&format!("http://{address}")], &[&spool(&folder), "--answer-within=1s"]).await;
    let (answer, mut stream) = tokio::join!(proxy.deliver("/", BODY.to_vec(), "d"), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        stream
    });
    assert_eq!(answer.0, 200);
    proxy.metric_becomes(&waiting(address), 1.0).await;
    stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    proxy.metric_becomes(&waiting(address), 0.0).await;
    proxy.end().await;
    assert!(timeout(Duration::ZERO, listener.accept()).await.is_err(), "nobody came a second time");
}

#[tokio::test]
async fn a_redelivery_that_is_taken_need_not_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start().await;
    backend.answers(429);
    let proxy = Proxy::start(&[&backend.url()], &[&spool(&folder)]).await;
    assert_eq!(proxy.deliver("/", BODY.to_vec(), "d").await.0, 200);
    assert_eq!(proxy.deliver("/", BODY.to_vec(), "d").await.0, 200);
    proxy.metric_becomes(&waiting(backend.address), 1.0).await;
    assert_eq!(proxy.deliver("/", b"{\"a\":2}".to_vec(), "d").await.0, 200);
    proxy.metric_becomes(&waiting(backend.address), 2.0).await;
    backend.answers(202);
    assert_eq!(proxy.deliver("/", BODY.to_vec(), "d").await.0, 200);
    proxy.metric_becomes(&waiting(backend.address), 0.0).await;
}

#[tokio::test]
async fn a_full_spool_is_told_to_the_forge() {
    let folder = tempfile::tempdir().unwrap();
    let dead = Backend::nobody().await;
    let proxy = Proxy::start(&[&format!("http://{dead}")], &[&spool(&folder), "--spool-count=2"]).await;
    let mut statuses = Vec::new();
    for number in 0..3 {
        statuses.push(proxy.deliver("/", BODY.to_vec(), &number.to_string()).await.0);
    }
    assert_eq!(statuses, [200, 200, 502]);
    proxy.metric_becomes("sprayproxy_spool_failures_total", 1.0).await;
}
