use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleet::Clock;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use prometheus::Registry;
use spool::{Limits as SpoolLimits, Retention};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::lanes::Handle;
use super::*;
use crate::process::{Outcome, Verdict};

/// Disks are slow at times.
const PATIENCE: Duration = Duration::from_mins(1);

fn requested(repository: &str, id: &str) -> Delivery {
    Delivery {
        id: id.to_owned(),
        repository: ObjectKey::new("tenant", repository),
        content: Content::Incoming(Requested {
            branch: "main".to_owned(),
            pipeline_run: "run".to_owned(),
            params: BTreeMap::new(),
            by: By::Http,
        }),
        received: now(),
    }
}

fn now() -> Timestamp {
    "2024-03-01T12:00:00Z".parse().unwrap()
}

fn started() -> Processed {
    Processed::Done(vec![Outcome {
        result: Verdict::Started,
        text: "fine".to_owned(),
        runs: vec!["r".to_owned()],
    }])
}

type Answer = dyn Fn(&Delivery, usize) -> Processed + Send + Sync;

/// Plays the part of the worker: answers what it is told to, once it is let.
struct Player {
    answer: Box<Answer>,
    seen: Mutex<Vec<String>>,
    changed: Notify,
    at_work: AtomicUsize,
    most_at_work: AtomicUsize,
    gate: tokio::sync::Semaphore,
}

impl Player {
    fn new(answer: impl Fn(&Delivery, usize) -> Processed + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            seen: Mutex::default(),
            changed: Notify::new(),
            at_work: AtomicUsize::new(0),
            most_at_work: AtomicUsize::new(0),
            gate: tokio::sync::Semaphore::new(0),
        })
    }

    /// Lets all work end at once.
    fn opened(self: Arc<Self>) -> Arc<Self> {
        self.gate.add_permits(10_000);
        self
    }

    async fn until(&self, is_met: impl Fn(&[String]) -> bool) -> Vec<String> {
        let met = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                let seen = self.seen.lock().clone();
                if is_met(&seen) {
                    return seen;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, met).await.unwrap_or_else(|_| panic!("seen: {:?}", self.seen.lock()))
    }
}

impl Handle for Player {
    fn handle(&self, delivery: Delivery) -> BoxFuture<'_, (About, Processed)> {
        async move {
            let count = self.at_work.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_work.fetch_max(count, Ordering::SeqCst);
            let name = format!("{} {}", delivery.repository.name, delivery.id);
            let attempts = {
                let mut seen = self.seen.lock();
                seen.push(name.clone());
                seen.iter().filter(|seen| **seen == name).count() - 1
            };
            self.changed.notify_waiters();
            self.gate.acquire().await.unwrap().forget();
            self.at_work.fetch_sub(1, Ordering::SeqCst);
            (About::delivery(&delivery), (self.answer)(&delivery, attempts))
        }
        .boxed()
    }
}

struct Stage {
    queue: Queue,
    spool: Spool,
    lanes: Lanes,
}

async fn play(folder: &TempDir, player: &Arc<Player>, limits: Limits) -> Stage {
    let clock = Clock::fixed(now());
    let spool_limits = SpoolLimits {
        backoff: spool::Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(2) },
        ..SpoolLimits::default()
    };
    let spool = Spool::open(folder.path(), spool_limits, Retention::default(), clock.clone()).await.unwrap();
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let record = Record::open(spool.outcomes().clone(), metrics.clone(), clock).await;
    let handler: Arc<dyn Handle> = player.clone();
    let lanes = Lanes::new(spool.clone(), handler, record.clone(), limits);
    let queue = Queue::new(spool.clone(), lanes.clone(), record, metrics);
    lanes.open_all();
    Stage { queue, spool, lanes }
}

impl Stage {
    async fn put(&self, repository: &str, id: &str) {
        self.queue.put(&requested(repository, id)).await.unwrap();
    }

    async fn holds(&self, count: usize) {
        let met = async {
            let mut looks = tokio::time::interval(Duration::from_millis(5));
            while self.spool.stats().count != count {
                looks.tick().await;
            }
        };
        timeout(PATIENCE, met).await.unwrap_or_else(|_| panic!("the spool has {:?}", self.spool.stats()));
    }

    async fn is_empty(&self) {
        self.holds(0).await;
    }

    async fn outcomes(&self, repository: &str) -> Vec<spool::Outcome> {
        let key = ObjectKey::new("tenant", repository);
        self.queue.record().search(&key, BTreeMap::new(), 0).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_one_delays_no_other() {
    let folder = TempDir::new().unwrap();
    let player = Player::new(|_, _| started());
    let stage = play(&folder, &player, Limits { all: 2, of_one: 2, ..Limits::default() }).await;
    for number in 0..40 {
        stage.put("busy", &number.to_string()).await;
    }
    player.until(|seen| seen.len() == 2).await;
    stage.put("quiet", "only").await;
    player.gate.add_permits(8);
    let seen = player.until(|seen| seen.iter().any(|seen| seen == "quiet only")).await;
    assert!(seen.len() <= 8, "{seen:?}");
    assert!(player.most_at_work.load(Ordering::SeqCst) <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_of_one_are_worked_on_at_once() {
    let folder = TempDir::new().unwrap();
    let player = Player::new(|_, _| started());
    let stage = play(&folder, &player, Limits { all: 16, of_one: 3, ..Limits::default() }).await;
    for number in 0..9 {
        stage.put("app", &number.to_string()).await;
    }
    player.until(|seen| seen.len() == 3).await;
    player.gate.add_permits(100);
    player.until(|seen| seen.len() == 9).await;
    stage.is_empty().await;
    assert_eq!(player.most_at_work.load(Ordering::SeqCst), 3);
    assert_eq!(stage.outcomes("app").await.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_done_again_until_it_was_tried_too_often() {
    let folder = TempDir::new().unwrap();
    let player = Player::new(|delivery, attempts| match (&*delivery.id, attempts) {
        ("recovers", 2) | ("panics", 1) => started(),
        ("panics", 0) => panic!("as a mistake of ours would"),
        ("waits", 0) => Processed::Postpone(Duration::from_hours(1)),
        _ => Processed::Retry { reason: "nobody is there".to_owned(), after: None, made: Vec::new() },
    })
    .opened();
    let stage = play(&folder, &player, Limits::default()).await;
    for id in ["recovers", "panics", "fails", "waits"] {
        stage.put(id, id).await;
    }
    let count = |seen: &[String], name: &str| seen.iter().filter(|seen| seen.starts_with(name)).count();
    player
        .until(|seen| {
            count(seen, "fails") == 12 && count(seen, "recovers") == 3 && count(seen, "panics") == 2
        })
        .await;
    stage.holds(1).await;
    assert_eq!(stage.outcomes("fails").await[0].result, "gave_up");
    assert_eq!(stage.outcomes("panics").await[0].result, "started");
    assert_eq!(stage.outcomes("waits").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_started_runs_is_not_worked_on_again() {
    let folder = TempDir::new().unwrap();
    let player = Player::new(|delivery, _| match &*delivery.id {
        "skipped" => {
            Processed::Done(vec![Outcome { result: Verdict::Skipped, text: String::new(), runs: Vec::new() }])
        }
        _ => started(),
    })
    .opened();
    {
        let stage = play(&folder, &player, Limits::default()).await;
        for id in ["a", "a", "skipped"] {
            stage.put("app", id).await;
            stage.is_empty().await;
        }
        assert_eq!(player.seen.lock().len(), 2);
        // One that was on its way in while the first one ended.
        let late = stored::to_spool(&requested("app", "a")).unwrap();
        let to = [To { consumer: "tenant/app", first: First::Now }];
        assert!(matches!(stage.spool.put(late, &to).await, Ok(Put::Stored(_))));
        stage.lanes.wake("tenant/app");
        stage.is_empty().await;
        assert_eq!(player.seen.lock().len(), 2);
        stage.lanes.finish(Duration::from_secs(1)).await;
    }
    // Nor after a restart. What came to nothing may come to something now.
    let stage = play(&folder, &player, Limits::default()).await;
    for id in ["a", "skipped"] {
        stage.put("app", id).await;
        stage.is_empty().await;
    }
    assert_eq!(*player.seen.lock(), ["app a", "app skipped", "app skipped"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_start_works_on_what_is_left() {
    let folder = TempDir::new().unwrap();
    let stuck = Player::new(|_, _| started());
    {
        let stage = play(&folder, &stuck, Limits::default()).await;
        stage.put("app", "a").await;
        stuck.until(|seen| seen.len() == 1).await;
        stage.lanes.finish(Duration::ZERO).await;
        assert_eq!(stage.spool.stats().count, 1);
    }
    let player = Player::new(|_, _| started()).opened();
    let stage = play(&folder, &player, Limits::default()).await;
    player.until(|seen| seen == ["app a"]).await;
    stage.is_empty().await;
}
