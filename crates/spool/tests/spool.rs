//! The spool on a real disk: who gets what when, what survives, and what is too much.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use fleet::Clock;
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use rstest::rstest;
use serde_json::json;
use spool::{Backoff, Delivery, First, Lease, Limits, Put, PutError, Query, Retention, Retried, Spool, To};
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

fn delivery(key: &str) -> Delivery {
    Delivery {
        key: key.to_owned(),
        labels: [("event".to_owned(), "push".to_owned())].into(),
        head: json!({"path": "/"}),
        body: Bytes::from(format!("body of {key}")),
    }
}

async fn open(folder: &Path, limits: Limits) -> Spool {
    Spool::open(folder, limits, Retention::default(), Clock::system()).await.unwrap()
}

fn now(consumer: &str) -> To<'_> {
    To { consumer, first: First::Now }
}

async fn put(spool: &Spool, key: &str, to: &[To<'_>]) -> Vec<Lease> {
    match spool.put(delivery(key), to).await.unwrap() {
        Put::Stored(leases) => leases,
        Put::Known => panic!("{key} is new"),
    }
}

async fn next(spool: &Spool, consumer: &str) -> (Lease, Delivery) {
    let lease = timeout(PATIENCE * 100, spool.next(consumer)).await.expect("something is due");
    let delivery = lease.delivery().await.unwrap();
    (lease, delivery)
}

/// Keys that are due for a consumer, each of which is taken.
async fn drain(spool: &Spool, consumer: &str) -> Vec<String> {
    let mut keys = Vec::new();
    while spool.waiting(consumer) > 0 {
        let (lease, delivery) = next(spool, consumer).await;
        keys.push(delivery.key);
        lease.done().await;
    }
    keys
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder.join("pending")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn outcomes(spool: &Spool) -> Vec<(String, String, String)> {
    let found = spool.outcomes().search(&Query::default()).unwrap();
    found.into_iter().map(|outcome| (outcome.delivery, outcome.consumer, outcome.result)).collect()
}

#[tokio::test]
async fn hands_out_what_was_put_in_and_forgets_it_when_taken() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    for key in ["a", "b"] {
        assert!(put(&spool, key, &[now("x")]).await.is_empty());
    }
    let (lease, first) = next(&spool, "x").await;
    assert_eq!(first, delivery("a"), "the oldest first, as it was given");
    let (other, second) = next(&spool, "x").await;
    assert_eq!(second, delivery("b"), "what is leased is not given to a second one");
    lease.done().await;
    other.done().await;
    assert_eq!(files(folder.path()).len(), 0);
    assert_eq!((spool.stats().count, spool.stats().bytes), (0, 0));
}

#[tokio::test]
async fn wakes_who_waits_each_by_one_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let spool = spool.clone();
            tokio::spawn(async move { next(&spool, "x").await.1.key })
        })
        .collect();
    for key in ["a", "b", "c", "d"] {
        let _ = put(&spool, key, &[now("x")]).await;
    }
    let mut keys = Vec::new();
    for task in waiting {
        keys.push(task.await.unwrap());
    }
    keys.sort();
    assert_eq!(keys, ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn each_consumer_has_its_own_progress_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    for key in ["a", "b"] {
        let _ = put(&spool, key, &[now("up"), now("down")]).await;
    }
    assert_eq!(drain(&spool, "up").await, ["a", "b"]);
    let (lease, _) = next(&spool, "down").await;
    assert!(matches!(lease.retry("HTTP 500").await, Retried::After(_)));
    assert_eq!((spool.waiting("up"), spool.waiting("down")), (0, 2));
    drop(spool);

    let spool = open(folder.path(), Limits::default()).await;
    assert_eq!((spool.waiting("up"), spool.waiting("down")), (0, 2));
    let mut attempts = Vec::new();
    for _ in 0..2 {
        let (lease, delivery) = next(&spool, "down").await;
        attempts.push((delivery.key, lease.attempts));
        lease.done().await;
    }
    attempts.sort();
    assert_eq!(attempts, [("a".to_owned(), 1), ("b".to_owned(), 0)]);
    assert_eq!(files(folder.path()).len(), 0);
}

#[tokio::test]
async fn the_same_again_waits_once() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    let _ = put(&spool, "a", &[now("x")]).await;
    assert!(matches!(spool.put(delivery("a"), &[now("x")]).await, Ok(Put::Known)));
    let _ = put(&spool, "a", &[now("x"), now("y")]).await;
    assert_eq!((spool.waiting("x"), spool.waiting("y")), (1, 1), "only for whom it is new");
    assert_eq!(drain(&spool, "x").await, ["a"]);
    let _ = put(&spool, "a", &[now("x")]).await;
    assert_eq!(spool.waiting("x"), 1, "once taken, it is new");
}

#[tokio::test]
async fn one_that_came_again_and_was_taken_does_not_wait_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    let later = To { consumer: "x", first: First::After(Duration::from_hours(1)) };
    let _ = put(&spool, "a", &[later]).await;
    assert!(spool.take("b", "x").is_none() && spool.take("a", "y").is_none());
    let lease = spool.take("a", "x").unwrap();
    assert!(spool.take("a", "x").is_none(), "somebody is at it");
    lease.done().await;
    assert_eq!(spool.waiting("x"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_first_try_that_is_under_way_is_not_repeated_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    let under_way = To { consumer: "slow", first: First::UnderWay };
    let mut leases = put(&spool, "a", &[now("down"), under_way]).await;
    assert_eq!(leases.len(), 1);
    assert!(timeout(Duration::from_hours(1), spool.next("slow")).await.is_err());
    assert!(matches!(leases.remove(0).retry("no answer").await, Retried::After(_)));
    assert_eq!(drain(&spool, "slow").await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_the_last_try_gives_up() {
    let folder = tempfile::tempdir().unwrap();
    let backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(5) };
    let spool = open(folder.path(), Limits { attempts: 4, backoff, ..Limits::default() }).await;
    let _ = put(&spool, "a", &[now("x")]).await;
    for (attempt, longest) in [(1, 2), (2, 4), (3, 5)] {
        let began = Instant::now();
        let (lease, _) = next(&spool, "x").await;
        assert_eq!(lease.attempts, attempt - 1);
        let Retried::After(pause) = lease.retry("HTTP 500").await else { panic!("given up at {attempt}") };
        assert!(
            pause <= Duration::from_secs(longest) && pause >= Duration::from_secs(longest) / 2,
            "{attempt}: {pause:?}"
        );
        if attempt > 1 {
            assert!(began.elapsed() >= Duration::from_secs(1), "it was not given out before its time");
        }
    }
    let (lease, _) = next(&spool, "x").await;
    assert_eq!(lease.retry("HTTP 500").await, Retried::GaveUp);
    assert_eq!(outcomes(&spool), [("a".to_owned(), "x".to_owned(), "gave_up".to_owned())]);
    let by_label = Query { labels: delivery("").labels, ..Query::default() };
    assert_eq!(spool.outcomes().search(&by_label).unwrap().len(), 1);
    assert_eq!((spool.stats().count, spool.stats().given_up), (0, 1));
    assert_eq!(files(folder.path()).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_tried_is_postponed_without_counting_and_so_is_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    let _ = put(&spool, "a", &[now("x")]).await;
    let began = Instant::now();
    next(&spool, "x").await.0.postpone(Duration::from_secs(30));
    let (lease, _) = next(&spool, "x").await;
    assert!(began.elapsed() >= Duration::from_secs(30));
    drop(lease);
    let (lease, _) = next(&spool, "x").await;
    assert_eq!(lease.attempts, 0);
    lease.bury("refused", "HTTP 403").await;
    assert_eq!(outcomes(&spool), [("a".to_owned(), "x".to_owned(), "refused".to_owned())]);
}

#[rstest]
#[case::count(Limits { count: 2, ..Limits::default() })]
#[case::bytes(Limits { bytes: 300, ..Limits::default() })]
#[tokio::test]
async fn says_when_it_is_full_and_has_room_again_when_something_is_taken(#[case] limits: Limits) {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), limits).await;
    for key in ["a", "b"] {
        let _ = put(&spool, key, &[now("x")]).await;
    }
    let error = spool.put(delivery("c"), &[now("x")]).await.unwrap_err();
    assert!(matches!(error, PutError::Count { count: 2 } | PutError::Bytes { limit: 300, .. }), "{error}");
    assert_eq!(files(folder.path()).len(), 2);
    next(&spool, "x").await.0.done().await;
    let _ = put(&spool, "c", &[now("x")]).await;
    assert_eq!(drain(&spool, "x").await, ["b", "c"]);
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_an_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    fs::remove_dir(folder.path().join("pending")).unwrap();
    let error = spool.put(delivery("a"), &[now("x")]).await.unwrap_err();
    assert!(matches!(error, PutError::Write(_)), "{error}");
    assert_eq!((spool.stats().count, spool.stats().bytes, spool.waiting("x")), (0, 0, 0));
}

#[tokio::test]
async fn what_nobody_takes_is_given_up_when_it_is_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let at = std::sync::Arc::new(Mutex::new("2024-03-01T12:00:00Z".parse::<Timestamp>().unwrap()));
    let clock = {
        let at = at.clone();
        Clock::from_fn(move || *at.lock())
    };
    let limits = Limits { age: Duration::from_hours(1), ..Limits::default() };
    let spool = Spool::open(folder.path(), limits, Retention::default(), clock).await.unwrap();
    let under_way = To { consumer: "busy", first: First::UnderWay };
    let leases = put(&spool, "old", &[now("gone"), under_way]).await;
    *at.lock() += jiff::SignedDuration::from_mins(59);
    let _ = put(&spool, "young", &[now("gone")]).await;
    *at.lock() += jiff::SignedDuration::from_mins(2);
    let cancel = tokio_util::sync::CancellationToken::new();
    let sweeping = tokio::spawn({
        let (spool, cancel) = (spool.clone(), cancel.clone());
        async move { spool.run(cancel).await }
    });
    let given_up = async {
        while spool.stats().given_up == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, given_up).await.expect("it is given up");
    assert_eq!(outcomes(&spool), [("old".to_owned(), "gone".to_owned(), "too_old".to_owned())]);
    assert_eq!((spool.waiting("gone"), spool.waiting("busy")), (1, 1), "not under the hands of who is at it");
    cancel.cancel();
    timeout(PATIENCE, sweeping).await.unwrap().unwrap();
    drop(leases);
}

#[tokio::test]
async fn a_consumer_that_is_gone_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    let _ = put(&spool, "a", &[now("gone"), now("there")]).await;
    let _ = put(&spool, "b", &[now("gone")]).await;
    assert_eq!(spool.forget("gone").await, 2);
    assert_eq!((spool.waiting("gone"), spool.waiting("there"), files(folder.path()).len()), (0, 1, 1));
}

#[tokio::test]
async fn a_caller_that_goes_away_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    let under_way = [To { consumer: "x", first: First::UnderWay }];
    let mut writing = Box::pin(spool.put(delivery("a"), &under_way));
    // Begun; whether it is done already does not matter.
    let _ = Future::poll(writing.as_mut(), &mut Context::from_waker(Waker::noop()));
    drop(writing);
    let (lease, delivered) = next(&spool, "x").await;
    assert_eq!(delivered, delivery("a"));
    lease.done().await;
    assert_eq!(files(folder.path()).len(), 0);
}

/// Wherever the last write of a process stopped, the next one finds every delivery that was accepted before, and no
/// half of one.
#[tokio::test(start_paused = true)]
async fn what_was_not_written_to_its_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    let _ = put(&spool, "a", &[now("x"), now("y")]).await;
    let path = files(folder.path()).remove(0);
    let accepted = fs::metadata(&path).unwrap().len();
    assert_eq!(drain(&spool, "x").await, ["a"]);
    drop(spool);
    let whole = fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let spool = open(folder.path(), Limits::default()).await;
        let length = u64::try_from(length).unwrap();
        let expected = match length {
            _ if length < accepted => (0, 0),
            _ if length < u64::try_from(whole.len()).unwrap() => (1, 1),
            _ => (0, 1),
        };
        assert_eq!((spool.waiting("x"), spool.waiting("y")), expected, "cut after {length} bytes");
        if length < accepted {
            assert_eq!(files(folder.path()).len(), 0, "what was never accepted is removed");
        } else if expected.0 == 1 {
            // What is noted after the cut has to count.
            assert_eq!(drain(&spool, "x").await, ["a"]);
            drop(spool);
            let spool = open(folder.path(), Limits::default()).await;
            assert_eq!((spool.waiting("x"), spool.waiting("y")), (0, 1), "cut after {length} bytes");
        }
    }
}

#[tokio::test]
async fn leaves_alone_what_it_does_not_understand() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    let _ = put(&spool, "a", &[now("x")]).await;
    drop(spool);
    File::create(folder.path().join("pending/lost+found")).unwrap();
    // As a later version may write it.
    let mut bytes = Vec::new();
    let content = [&11_u32.to_le_bytes()[..], br#"{"v":2,"x":1}"#].concat();
    let head = &content[4..];
    let content = [&u32::try_from(head.len()).unwrap().to_le_bytes()[..], head].concat();
    bytes.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    bytes.extend(crc32fast::hash(&content).to_le_bytes());
    bytes.extend(content);
    fs::write(folder.path().join("pending/00000000000000ff"), bytes).unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    assert_eq!((spool.stats().count, files(folder.path()).len()), (1, 3));
    let _ = put(&spool, "b", &[now("x")]).await;
    assert_eq!(files(folder.path()).len(), 4, "its name is not used again");
}

/// The program of the next test: puts deliveries in until it is killed, and says which are accepted.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os("SPOOL_OF_CHILD") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let spool = open(Path::new(&folder), Limits { count: 1_000_000, ..Limits::default() }).await;
        for number in 0.. {
            let body = Bytes::from(vec![b'x'; 20_000]);
            let delivery = Delivery { key: number.to_string(), body, ..delivery("") };
            let _ = spool.put(delivery, &[now("x")]).await.unwrap();
            #[expect(clippy::print_stdout, reason = "this is what the parent reads")]
            {
                println!("\naccepted {number}");
            }
        }
    });
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_killed", "--nocapture"])
        .env("SPOOL_OF_CHILD", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let accepted = |line: &str| line.strip_prefix("accepted ")?.parse::<u64>().ok();
    let mut last = None;
    while last.is_none_or(|last| last < 50) {
        let line = lines.next().expect("the child goes on").unwrap();
        last = accepted(&line).or(last);
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    let last = lines.filter_map(|line| accepted(&line.ok()?)).last().or(last).unwrap();
    let spool = open(folder.path(), Limits::default()).await;
    let mut keys: Vec<u64> = drain(&spool, "x").await.iter().map(|key| key.parse().unwrap()).collect();
    keys.sort_unstable();
    assert!(keys.len() as u64 > last, "{} of {last} are there", keys.len());
    assert!(keys.iter().copied().eq(0..keys.len() as u64));
}
