//! Lanes: who of those that wait is next.
//!
//! Each Repository with deliveries in the spool has a lane, a task that takes out few of its deliveries at once. What it took waits
//! for a turn, which are given in the order of asking: of a thousand deliveries of one Repository, few stand before the only one
//! of another.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use spool::{Lease, Spool};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::handled::{About, Record};
use super::{Delivery, stored};
use crate::process::Processed;

/// How much is worked on at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Deliveries of all Repositories.
    pub all: usize,
    /// Deliveries of one Repository.
    pub of_one: usize,
    /// How long one may take.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { all: 16, of_one: 4, time: Duration::from_mins(5) }
    }
}

/// A lane in which nothing happens looks this often whether it is needed.
const IDLE: Duration = Duration::from_secs(30);

/// For what is in hand at the end.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// Nobody asks us to wait longer than this.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Does the work of one delivery.
pub trait Handle: Send + Sync + 'static {
    /// What is known of it beside what happened is told by the [`About`].
    fn handle(&self, delivery: Delivery) -> BoxFuture<'_, (About, Processed)>;
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Lanes(Arc<Inner>);

struct Inner {
    spool: Spool,
    handler: Arc<dyn Handle>,
    record: Record,
    limits: Limits,
    turns: Semaphore,
    open: Mutex<HashSet<String>>,
    is_begun: AtomicBool,
    /// No lane takes out anything more.
    stop: CancellationToken,
    tasks: Mutex<JoinSet<()>>,
}

impl Lanes {
    /// Nothing is worked on before [`open_all`](Self::open_all).
    pub fn new(spool: Spool, handler: Arc<dyn Handle>, record: Record, limits: Limits) -> Self {
        Self(Arc::new(Inner {
            spool,
            handler,
            record,
            turns: Semaphore::new(limits.all),
            limits,
            open: Mutex::default(),
            is_begun: AtomicBool::new(false),
            stop: CancellationToken::new(),
            tasks: Mutex::default(),
        }))
    }

    /// Works on what waits, and on what comes from now on.
    pub fn open_all(&self) {
        self.0.is_begun.store(true, Ordering::SeqCst);
        for (lane, count) in self.0.spool.stats().waiting {
            if count > 0 {
                self.wake(&lane);
            }
        }
    }

    /// Something waits for this lane.
    pub(super) fn wake(&self, lane: &str) {
        // One lock for both: a lane that ends looks for what waits, and takes itself off, under the same.
        let mut open = self.0.open.lock();
        let may_open = self.0.is_begun.load(Ordering::SeqCst) && !self.0.stop.is_cancelled();
        if !may_open || !open.insert(lane.to_owned()) {
            return;
        }
        let (inner, lane) = (Arc::clone(&self.0), lane.to_owned());
        let mut tasks = self.0.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move { inner.run(&lane).await });
    }

    /// Works on what is there for at most `grace`, then stops, and waits a moment for what is in hand. What is left stays in the
    /// spool.
    pub async fn finish(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        while self.0.spool.stats().count > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.0.stop.cancel();
        let mut tasks = std::mem::take(&mut *self.0.tasks.lock());
        let ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(LAST_GRACE, ended).await.is_err() {
            tracing::warn!("Deliveries in hand take too long; they are begun anew by the next start");
        }
    }
}

impl Inner {
    async fn run(self: Arc<Self>, lane: &str) {
        let mut in_hand = JoinSet::new();
        loop {
            let may_take = in_hand.len() < self.limits.of_one;
            tokio::select! {
                () = self.stop.cancelled() => break,
                lease = self.spool.next(lane), if may_take => {
                    let inner = Arc::clone(&self);
                    in_hand.spawn(async move { inner.work(lease).await });
                    continue;
                }
                Some(_) = in_hand.join_next(), if !in_hand.is_empty() => {}
                () = tokio::time::sleep(IDLE) => {}
            }
            if in_hand.is_empty() && self.closes(lane) {
                return;
            }
        }
        while in_hand.join_next().await.is_some() {}
    }

    fn closes(&self, lane: &str) -> bool {
        let mut open = self.open.lock();
        self.spool.waiting(lane) == 0 && open.remove(lane)
    }

    async fn work(self: Arc<Self>, lease: Lease) {
        let Ok(_turn) = self.turns.acquire().await else { return };
        // Read only now: what waits for its turn takes no memory.
        let delivery = match lease.delivery().await {
            Ok(delivery) => delivery,
            Err(error) => {
                lease.retry(&format!("it cannot be read from the spool: {error}")).await;
                return;
            }
        };
        let Some(delivery) = stored::from_spool(delivery) else {
            lease.bury("unreadable", "another version of this program has stored it").await;
            return;
        };
        // It came again in the moment in which the first one was over.
        if self.record.has_started(&delivery.key()) {
            lease.done().await;
            return;
        }
        let (id, repository) = (delivery.id.clone(), delivery.repository.clone());
        let whole = About::delivery(&delivery);
        let (inner, attempts) = (Arc::clone(&self), lease.attempts);
        // A task of its own, so that a panic ends nothing but this try, which counts.
        let work =
            tokio::spawn(async move { timeout(inner.limits.time, inner.handler.handle(delivery)).await });
        let (about, processed) = match work.await {
            Ok(Ok(handled)) => handled,
            Ok(Err(_)) => (whole, retry(format!("it took longer than {:?}", self.limits.time))),
            Err(error) => (whole, retry(told(&error))),
        };
        tracing::debug!(delivery = id, %repository, attempts, ?processed, "Worked on a delivery");
        self.settle(lease, &about, processed).await;
    }

    async fn settle(&self, lease: Lease, about: &About, processed: Processed) {
        if let Processed::Retry { reason, made, .. } = &processed
            && !made.is_empty()
        {
            self.record.begin(about, made, reason).await;
        }
        match processed {
            Processed::Done(outcomes) => {
                // Before the delivery is let go: rather twice than never.
                self.record.keep(about, &outcomes).await;
                lease.done().await;
            }
            Processed::Retry { after: Some(after), .. } => lease.postpone(after.min(LONGEST_WAIT)),
            Processed::Retry { reason, after: None, .. } => {
                // The spool itself keeps the outcome when that was one try too many.
                lease.retry(&reason).await;
            }
            Processed::Postpone(pause) => lease.postpone(pause.min(LONGEST_WAIT)),
        }
    }
}

fn retry(reason: String) -> Processed {
    Processed::Retry { reason, after: None, made: Vec::new() }
}

fn told(error: &JoinError) -> String {
    if error.is_panic() {
        "this program made a mistake; its log has more".to_owned()
    } else {
        error.to_string()
    }
}
