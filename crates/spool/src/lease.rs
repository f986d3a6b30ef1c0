//! A delivery in somebody's hands.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::files::Progress;
use crate::queue::{Id, Left};
use crate::spool::{Delivery, Inner, blocking};

/// The right of one consumer to one delivery, until it is told how that went. Dropped without a word, as by a panic, the
/// delivery is given out again after the first pause.
#[must_use]
pub struct Lease {
    inner: Arc<Inner>,
    id: Id,
    consumer: Arc<str>,
    /// Tries before this one.
    pub attempts: u32,
    is_settled: bool,
}

/// What follows a try that did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It is given out again after this pause.
    After(Duration),
    /// That was one too many: it is given up, and recorded as an outcome.
    GaveUp,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.id)
            .field("consumer", &self.consumer)
            .finish_non_exhaustive()
    }
}

impl Lease {
    pub(crate) fn new(inner: Arc<Inner>, id: Id, consumer: &str, attempts: u32) -> Self {
        Self { inner, id, consumer: consumer.into(), attempts, is_settled: false }
    }

    /// Reads the delivery from disk.
    pub async fn delivery(&self) -> io::Result<Delivery> {
        let (files, id) = (self.inner.files.clone(), self.id);
        let (head, body) = blocking(move || files.read(id)).await?;
        Ok(Delivery { key: head.key, labels: head.labels, head: head.own, body })
    }

    /// The consumer has it.
    pub async fn done(mut self) {
        self.is_settled = true;
        self.inner.settle(self.id, &self.consumer).await;
    }

    /// It did not work, for a reason that lies in this delivery or in how it was answered: counts as a try.
    pub async fn retry(mut self, reason: &str) -> Retried {
        let attempts = self.attempts.saturating_add(1);
        if attempts >= self.inner.limits.attempts {
            self.is_settled = true;
            let text = format!("tried {attempts} times, the last time: {reason}");
            self.inner.give_up(self.id, &self.consumer, "gave_up", text).await;
            return Retried::GaveUp;
        }
        self.is_settled = true;
        let pause = self.inner.limits.backoff.pause(attempts);
        let note = Progress::Failed { consumer: self.consumer.to_string(), attempts };
        self.inner.append(self.id, note).await;
        self.inner.back(self.id, &self.consumer, Instant::now() + pause, true);
        Retried::After(pause)
    }

    /// The consumer could not be asked at all: given out again after `pause`, and not counted.
    pub fn postpone(mut self, pause: Duration) {
        self.is_settled = true;
        self.inner.back(self.id, &self.consumer, Instant::now() + pause, false);
    }

    /// Gives it up for this consumer, and records that as an outcome with this `result`.
    pub async fn bury(mut self, result: &str, text: impl Into<String>) {
        self.is_settled = true;
        self.inner.give_up(self.id, &self.consumer, result, text.into()).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.is_settled {
            let pause = self.inner.limits.backoff.pause(1);
            self.inner.back(self.id, &self.consumer, Instant::now() + pause, false);
        }
    }
}

impl Inner {
    fn back(&self, id: Id, consumer: &str, at: Instant, failed: bool) {
        self.queue.lock().back(id, consumer, at, failed);
    }

    /// Takes the consumer off a delivery, and the delivery off the disk when that was the last one.
    pub(crate) async fn settle(self: &Arc<Self>, id: Id, consumer: &Arc<str>) {
        let left = self.queue.lock().settle(id, consumer);
        match left {
            Some(Left::Others) => self.append(id, Progress::Settled { consumer: consumer.to_string() }).await,
            Some(Left::Nobody) => {
                let files = self.files.clone();
                if let Err(error) = blocking(move || files.remove(id)).await {
                    tracing::error!(id, error = %error, "A delivery cannot be removed from the spool; it will be sent again at the next start");
                }
            }
            None => {}
        }
    }

    pub(crate) async fn append(self: &Arc<Self>, id: Id, note: Progress) {
        let files = self.files.clone();
        if let Err(error) = blocking(move || files.append(id, &note)).await {
            tracing::warn!(id, error = %error, "The progress of a delivery cannot be noted; after a restart it is known no more");
        }
    }
}
