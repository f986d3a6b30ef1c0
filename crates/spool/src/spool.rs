//! The spool as its user sees it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fleet::Clock;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::files::{Files, Head, VERSION};
use crate::lease::Lease;
use crate::outcomes::{Outcome, Outcomes, Retention};
use crate::queue::{Due, Full, Id, Limits, Next, Queue};

/// How often is looked for what is too old.
const SWEEP: Duration = Duration::from_secs(10);

/// At a start, what waits is given out over this span, not all in one moment.
const SPREAD: Duration = Duration::from_secs(2);

/// What is accepted and passed on.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// What the sender calls it. One key waits at most once for a consumer.
    pub key: String,
    /// What its outcomes are found by if the spool gives it up, as `event`.
    pub labels: BTreeMap<String, String>,
    /// The caller's own, small: headers, path. Read back as it was given.
    pub head: serde_json::Value,
    /// As it came in.
    pub body: Bytes,
}

/// Somebody a delivery is meant for.
#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    /// A name that stays the same over restarts, as a back end's address.
    pub consumer: &'a str,
    pub first: First,
}

/// When the first try is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    Now,
    After(Duration),
    /// It is under way: a lease for it is in the answer of [`Spool::put`].
    UnderWay,
}

/// A delivery is safe.
#[derive(Debug)]
#[must_use]
pub enum Put {
    /// With a lease for each consumer whose first try is under way, in that order.
    Stored(Vec<Lease>),
    /// It was before: it waits for all of these consumers already.
    Known,
}

/// A delivery is not safe: whoever sent it has to keep it.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    #[error("the spool is full: {count} deliveries wait, and no more are taken")]
    Count { count: usize },
    #[error("the spool is full: {bytes} of {limit} bytes wait, and {size} more do not fit")]
    Bytes { bytes: u64, limit: u64, size: u64 },
    #[error("the spool cannot be written to")]
    Write(#[source] io::Error),
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the spool {path}: cannot be used; does the folder belong to this program, and is it writable?", path = path.display())]
pub struct OpenError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// What there is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub count: usize,
    pub bytes: u64,
    /// When the oldest was received.
    pub oldest: Option<Timestamp>,
    /// Deliveries by consumer, those included that somebody is at. One that waits for nothing stays with 0.
    pub waiting: Vec<(String, usize)>,
    /// Given up since the start, all consumers together.
    pub given_up: u64,
}

/// Deliveries on disk. Cheap to clone. [`run`](Self::run) has to run beside it.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) files: Files,
    pub(crate) limits: Limits,
    pub(crate) queue: Mutex<Queue>,
    outcomes: Outcomes,
    clock: Clock,
    given_up: AtomicU64,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Spool {
    /// Takes over what an earlier process left in `folder`, which is made if it is not there. Reads all of it.
    pub async fn open(
        folder: &Path,
        limits: Limits,
        retention: Retention,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let path = folder.to_owned();
        let opened = blocking(move || {
            let files = Files::open(&path.join("pending"))?;
            let found = files.restore()?;
            let outcomes = Outcomes::open(&path.join("outcomes"), retention)?;
            Ok((files, found, outcomes))
        });
        let (files, found, outcomes) =
            opened.await.map_err(|source| OpenError { path: folder.to_owned(), source })?;
        let mut queue = Queue::default();
        let now = Instant::now();
        if !found.is_empty() {
            tracing::info!(count = found.len(), "Deliveries of an earlier run wait in the spool");
        }
        for delivery in found {
            let due = || Due::At(now + SPREAD.mul_f64(rand::random()));
            let waiting =
                delivery.waiting.iter().map(|(consumer, attempts)| (consumer.as_str(), *attempts, due()));
            queue.restore(
                delivery.id,
                (delivery.key.as_str().into(), delivery.received, delivery.size),
                waiting,
            );
        }
        Ok(Self(Arc::new(Inner {
            files,
            limits,
            queue: Mutex::new(queue),
            outcomes,
            clock,
            given_up: AtomicU64::new(0),
        })))
    }

    /// Writes a delivery down for those consumers that it does not wait for already. A caller that goes away meanwhile
    /// changes nothing: the delivery is in the spool or not.
    pub async fn put(&self, delivery: Delivery, to: &[To<'_>]) -> Result<Put, PutError> {
        let received = self.0.clock.now();
        let Delivery { key, labels, head, body } = delivery;
        let (reserved, head, new) = {
            let mut queue = self.0.queue.lock();
            let new: Vec<(String, First)> = to
                .iter()
                .filter(|to| !queue.waits(&key, to.consumer))
                .map(|to| (to.consumer.to_owned(), to.first))
                .collect();
            if new.is_empty() {
                return Ok(Put::Known);
            }
            let consumers = new.iter().map(|(consumer, _)| consumer.clone()).collect();
            let head = Head { v: VERSION, key: key.clone(), received, consumers, labels, own: head };
            let head = serde_json::to_vec(&head).map_err(|error| PutError::Write(error.into()))?;
            let size = u64::try_from(head.len() + body.len()).unwrap_or(u64::MAX);
            let limits = &self.0.limits;
            let id = queue.reserve(size, limits).map_err(|full| match full {
                Full::Count => PutError::Count { count: limits.count },
                Full::Bytes => PutError::Bytes { bytes: queue.bytes(), limit: limits.bytes, size },
            })?;
            (Reserved { inner: self.0.clone(), id, size, is_used: false }, head, new)
        };
        let write = move || {
            reserved.inner.files.write(reserved.id, &head, &body)?;
            Ok(reserved.used((key.as_str().into(), received), &new))
        };
        blocking(write).await.map(Put::Stored).map_err(PutError::Write)
    }

    /// Waits for the next delivery that is due for this consumer. Several may wait at once; each delivery is leased to one.
    pub async fn next(&self, consumer: &str) -> Lease {
        let changed = self.0.queue.lock().changes(consumer);
        loop {
            let mut notified = std::pin::pin!(changed.notified());
            // Before the look: something may come between that and the wait.
            notified.as_mut().enable();
            let found = self.0.queue.lock().next(consumer, Instant::now());
            match found {
                Next::Found { id, attempts } => return Lease::new(self.0.clone(), id, consumer, attempts),
                Next::Wait(Some(until)) => tokio::select! {
                    () = notified => {}
                    () = sleep_until(until) => {}
                },
                Next::Wait(None) => notified.await,
            }
        }
    }

    /// Leases a delivery by its key, whether it is due or not: for one that came again and was taken this time. `None` if
    /// it does not wait for this consumer, or somebody is at it.
    pub fn take(&self, key: &str, consumer: &str) -> Option<Lease> {
        let mut queue = self.0.queue.lock();
        let id = queue.take(key, consumer)?;
        let attempts = queue.attempts(id, consumer)?;
        Some(Lease::new(self.0.clone(), id, consumer, attempts))
    }

    /// Drops what waits for a consumer that there will not be any more. What somebody is at is not touched.
    pub async fn forget(&self, consumer: &str) -> usize {
        let waiting = self.0.queue.lock().waiting_for(consumer);
        let name: Arc<str> = consumer.into();
        for id in &waiting {
            self.0.settle(*id, &name).await;
        }
        waiting.len()
    }

    /// How many deliveries wait for a consumer.
    pub fn waiting(&self, consumer: &str) -> usize {
        self.0.queue.lock().count(consumer)
    }

    pub fn stats(&self) -> Stats {
        let queue = self.0.queue.lock();
        Stats {
            count: queue.len(),
            bytes: queue.bytes(),
            oldest: queue.oldest(),
            waiting: queue.counts(),
            given_up: self.0.given_up.load(Ordering::Relaxed),
        }
    }

    /// What became of deliveries.
    pub fn outcomes(&self) -> &Outcomes {
        &self.0.outcomes
    }

    /// Gives up what is too old, and forgets outcomes that are. Until cancelled.
    pub async fn run(&self, cancel: CancellationToken) {
        loop {
            self.sweep().await;
            let again = tokio::time::sleep(SWEEP);
            if cancel.run_until_cancelled(again).await.is_none() {
                return;
            }
        }
    }

    async fn sweep(&self) {
        let now = self.0.clock.now();
        let old = self.0.queue.lock().older_than(self.0.limits.age, now);
        for (id, consumer) in old {
            let text = format!("nobody took it within {:?}", self.0.limits.age);
            self.0.give_up(id, &consumer, "too_old", text).await;
        }
        let outcomes = self.0.outcomes.clone();
        if let Err(error) = blocking(move || outcomes.clean(now)).await {
            tracing::warn!(error = %error, "Old outcomes cannot be removed");
        }
    }
}

impl Inner {
    /// Records that a consumer does not get a delivery, and then lets go of it: in this order, or nobody would know.
    pub(crate) async fn give_up(self: &Arc<Self>, id: Id, consumer: &Arc<str>, result: &str, text: String) {
        let Some(key) = self.queue.lock().entry(id).map(|entry| entry.key.to_string()) else { return };
        tracing::error!(delivery = key, consumer = %consumer, result, reason = text, "A delivery is given up");
        let files = self.files.clone();
        let labels = blocking(move || files.read(id)).await.map(|(head, _)| head.labels).unwrap_or_default();
        let (at, consumer_name) = (self.clock.now(), consumer.to_string());
        let result = result.to_owned();
        let outcome = Outcome { at, delivery: key, consumer: consumer_name, result, text, labels };
        let outcomes = self.outcomes.clone();
        if let Err(error) = blocking(move || outcomes.record(&outcome)).await {
            tracing::error!(error = %error, "The outcome of a delivery cannot be recorded");
        }
        self.given_up.fetch_add(1, Ordering::Relaxed);
        self.settle(id, consumer).await;
    }
}

/// Room that was reserved, given back unless it is used.
struct Reserved {
    inner: Arc<Inner>,
    id: Id,
    size: u64,
    is_used: bool,
}

impl Reserved {
    /// The file is written: the delivery waits now. Returns leases for those whose first try is under way.
    fn used(mut self, (key, received): (Arc<str>, Timestamp), to: &[(String, First)]) -> Vec<Lease> {
        self.is_used = true;
        let now = Instant::now();
        let due = |first| match first {
            First::Now => Due::At(now),
            First::After(pause) => Due::At(now + pause),
            First::UnderWay => Due::Leased,
        };
        let waiting = to.iter().map(|(consumer, first)| (consumer.as_str(), 0, due(*first)));
        self.inner.queue.lock().insert(self.id, (key, received, self.size), waiting);
        let under_way = to.iter().filter(|(_, first)| *first == First::UnderWay);
        under_way.map(|(consumer, _)| Lease::new(self.inner.clone(), self.id, consumer, 0)).collect()
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.is_used {
            self.inner.queue.lock().give_back(self.size);
        }
    }
}

/// Off the threads that answer requests: a disk can be slow.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
