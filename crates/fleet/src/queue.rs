//! The work queue of one controller: each key at most once, fair between namespaces, with back-off per key.

mod state;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::sync::Notify;

use crate::key::ObjectKey;
use crate::shard::Shard;
use state::State;

/// Limits of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Keys of one namespace that are worked on at once; the rest of the workers stays free for the others.
    pub per_namespace: usize,
    /// Delay after the first failure of a key; doubles with each further one.
    pub first_delay: Duration,
    pub last_delay: Duration,
}

impl Limits {
    /// security.md 8.8: 1 s to 5 min.
    pub fn for_workers(workers: usize) -> Self {
        Self {
            // One worker always stays free for the other tenants.
            per_namespace: workers.saturating_sub(1).max(1),
            first_delay: Duration::from_secs(1),
            last_delay: Duration::from_mins(5),
        }
    }
}

/// Metrics of all queues of a process, named as platform dashboards know them.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    depth: IntGaugeVec,
    adds: IntCounterVec,
    retries: IntCounterVec,
    waited: HistogramVec,
    worked: HistogramVec,
}

impl QueueMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let buckets = vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];
        let label = &["name"];
        let metrics = Self {
            depth: IntGaugeVec::new(Opts::new("workqueue_depth", "Keys that wait to be reconciled."), label)?,
            adds: IntCounterVec::new(Opts::new("workqueue_adds_total", "Keys put into the queue."), label)?,
            retries: IntCounterVec::new(
                Opts::new("workqueue_retries_total", "Keys put back after a failure."),
                label,
            )?,
            waited: HistogramVec::new(
                HistogramOpts::new("workqueue_queue_duration_seconds", "How long a key waited, in seconds.")
                    .buckets(buckets.clone()),
                label,
            )?,
            worked: HistogramVec::new(
                HistogramOpts::new(
                    "workqueue_work_duration_seconds",
                    "How long a key was worked on, in seconds.",
                )
                .buckets(buckets),
                label,
            )?,
        };
        registry.register(Box::new(metrics.depth.clone()))?;
        registry.register(Box::new(metrics.adds.clone()))?;
        registry.register(Box::new(metrics.retries.clone()))?;
        registry.register(Box::new(metrics.waited.clone()))?;
        registry.register(Box::new(metrics.worked.clone()))?;
        Ok(metrics)
    }
}

/// A queue shared by the stores that fill it and the workers that empty it. Cheap to clone.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    /// Keys of other shards are never put in.
    shard: Shard,
    state: Mutex<State>,
    changed: Notify,
    depth: prometheus::IntGauge,
    adds: prometheus::IntCounter,
    retries: prometheus::IntCounter,
    waited: Histogram,
    worked: Histogram,
}

impl Queue {
    pub fn new(name: &'static str, limits: Limits, metrics: &QueueMetrics) -> Self {
        Self::of_shard(Shard::ALL, name, limits, metrics)
    }

    /// A queue that takes the keys of one shard only.
    pub fn of_shard(shard: Shard, name: &'static str, limits: Limits, metrics: &QueueMetrics) -> Self {
        Self(Arc::new(Inner {
            shard,
            state: Mutex::new(State::new(limits)),
            changed: Notify::new(),
            depth: metrics.depth.with_label_values(&[name]),
            adds: metrics.adds.with_label_values(&[name]),
            retries: metrics.retries.with_label_values(&[name]),
            waited: metrics.waited.with_label_values(&[name]),
            worked: metrics.worked.with_label_values(&[name]),
        }))
    }

    /// Puts a key in, unless it waits already. A key that is being worked on is worked on again afterwards.
    pub fn add(&self, key: ObjectKey) {
        if !self.0.shard.owns(&key) {
            return;
        }
        self.0.adds.inc();
        self.with(|state, now| state.add(key, now));
    }

    /// Puts a key in after `delay`; an earlier time that is set already stays.
    pub fn add_after(&self, key: ObjectKey, delay: Duration) {
        if !self.0.shard.owns(&key) {
            return;
        }
        self.with(|state, now| state.add_at(key, now + delay));
    }

    /// The next key to work on; [`finish`](Self::finish) has to follow.
    pub async fn next(&self) -> Work {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            // Registers before looking, so that a change in between is not missed.
            changed.as_mut().enable();
            let deadline = {
                let mut state = self.0.state.lock();
                let now = Instant::now();
                if let Some((key, since)) = state.take(now) {
                    self.0.depth.set(i64::try_from(state.waiting()).unwrap_or(i64::MAX));
                    self.0.waited.observe(now.duration_since(since).as_secs_f64());
                    // There may be more for the next worker, which this notification has woken alone.
                    self.0.changed.notify_one();
                    return Work { key, began: now };
                }
                state.next_deadline()
            };
            match deadline {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at.into(), changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// Ends the work on a key. After a success its failures are forgotten.
    pub fn finish(&self, work: &Work, outcome: Outcome) {
        self.0.worked.observe(work.began.elapsed().as_secs_f64());
        if outcome == Outcome::Retry {
            self.0.retries.inc();
        }
        self.with(|state, now| state.finish(&work.key, outcome, now));
    }

    /// Keys that wait now, those with a delay not counted.
    pub fn waiting(&self) -> usize {
        self.0.state.lock().waiting()
    }

    fn with(&self, change: impl FnOnce(&mut State, Instant)) {
        let mut state = self.0.state.lock();
        change(&mut state, Instant::now());
        self.0.depth.set(i64::try_from(state.waiting()).unwrap_or(i64::MAX));
        drop(state);
        self.0.changed.notify_one();
    }
}

/// A key that a worker has taken.
#[derive(Debug)]
#[must_use]
pub struct Work {
    pub key: ObjectKey,
    began: Instant,
}

/// How the work on a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more to do until something changes.
    Done,
    /// Look again after this long.
    Again(Duration),
    /// Failed: again after the key's back-off.
    Retry,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        Queue::new("test", Limits::for_workers(2), &QueueMetrics::new(&Registry::new()).unwrap())
    }

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey::new(namespace, name)
    }

    #[tokio::test]
    async fn wakes_a_waiting_worker() {
        let queue = queue();
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await.key }
        });
        tokio::task::yield_now().await;
        queue.add(key("a", "1"));
        assert_eq!(worker.await.unwrap(), key("a", "1"));
    }

    #[tokio::test]
    async fn wakes_every_worker_that_has_work() {
        let queue = queue();
        queue.add(key("a", "1"));
        queue.add(key("b", "1"));
        let take = || {
            let queue = queue.clone();
            tokio::spawn(async move { queue.next().await.key })
        };
        let (first, second) = (take(), take());
        let mut taken = vec![first.await.unwrap(), second.await.unwrap()];
        taken.sort();
        assert_eq!(taken, [key("a", "1"), key("b", "1")]);
    }

    #[tokio::test]
    async fn hands_out_a_delayed_key_when_it_is_due() {
        let queue = queue();
        let began = Instant::now();
        queue.add_after(key("a", "1"), Duration::from_millis(50));
        assert_eq!(queue.next().await.key, key("a", "1"));
        assert!(began.elapsed() >= Duration::from_millis(50));
    }

    #[tokio::test]
    async fn each_key_waits_in_the_queue_of_its_shard_only() {
        let metrics = QueueMetrics::new(&Registry::new()).unwrap();
        let queues = [0, 1].map(|index| {
            Queue::of_shard(Shard::new(index, 2).unwrap(), "test", Limits::for_workers(2), &metrics)
        });
        for i in 0..100 {
            for queue in &queues {
                queue.add(key(&format!("team-{i}"), "1"));
                queue.add_after(key(&format!("team-{i}"), "2"), Duration::ZERO);
            }
        }
        let mut taken = std::collections::BTreeSet::new();
        for queue in &queues {
            let mut here = 0;
            while let Ok(work) = tokio::time::timeout(Duration::from_millis(50), queue.next()).await {
                assert!(taken.insert(work.key.clone()), "{} waited in both", work.key);
                queue.finish(&work, Outcome::Done);
                here += 1;
            }
            assert!(here > 50, "{here} of 200");
        }
        assert_eq!(taken.len(), 200);
    }

    #[tokio::test]
    async fn finishing_lets_a_worker_take_the_next_of_a_namespace_at_its_limit() {
        let queue = queue();
        queue.add(key("a", "1"));
        queue.add(key("a", "2"));
        let first = queue.next().await;
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await.key }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "one of two workers is kept free for other namespaces");
        queue.finish(&first, Outcome::Done);
        assert_eq!(waiting.await.unwrap(), key("a", "2"));
    }
}
