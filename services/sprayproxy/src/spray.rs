//! From one delivery to all back ends, and the answer to the forge.
//!
//! ```text
//!            ┌─ try back end a ── taken
//! delivery ──┼─ try back end b ── failed ──────┐ at the latest after 8 s:
//!            └─ try back end c ── under way ───┴─▶ spool ─▶ answer
//!                     └─ goes on, tells the spool how it ended
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use spool::{First, Lease, Put, Spool, To};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::backends::Backends;
use crate::delivery::Delivery;
use crate::forward::{Attempt, Forwarder};
use crate::metrics::Metrics;

/// Of the time until the answer, what the spool may take.
const SPOOLING: Duration = Duration::from_millis(1500);
/// When the process ends, tries in hand have so long: less than what the server grants.
const AT_THE_END: Duration = Duration::from_secs(3);

/// What the forge is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Every back end has answered, or will get it from the spool.
    Proxied,
    /// Some did not, and will not.
    Failed,
}

/// Passes deliveries on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sprayer(Arc<Inner>);

struct Inner {
    backends: Backends,
    forwarder: Forwarder,
    spool: Option<Spool>,
    metrics: Metrics,
    answer_within: Duration,
    stop: CancellationToken,
}

impl Sprayer {
    pub(crate) fn new(
        backends: Backends,
        forwarder: Forwarder,
        spool: Option<Spool>,
        metrics: Metrics,
        answer_within: Duration,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner { backends, forwarder, spool, metrics, answer_within, stop }))
    }

    /// Passes a delivery on, which goes on when the caller is gone. `began` is when the forge began to wait.
    pub(crate) async fn spray(&self, delivery: Delivery, began: Instant) -> Answer {
        let (answer, told) = oneshot::channel();
        let inner = self.0.clone();
        // What comes in slowly leaves a second at least.
        let deadline = (began + inner.answer_within)
            .max(Instant::now() + Duration::from_secs(1).min(inner.answer_within));
        tokio::spawn(async move { inner.run(Arc::new(delivery), deadline, answer).await });
        // An error would be a panic in there.
        told.await.unwrap_or(Answer::Failed)
    }
}

impl Inner {
    async fn run(&self, delivery: Arc<Delivery>, deadline: Instant, answer: oneshot::Sender<Answer>) {
        let backends = self.backends.all();
        let mut ended: Vec<Option<Attempt>> = vec![None; backends.len()];
        let mut trying: FuturesUnordered<_> = backends
            .iter()
            .enumerate()
            .map(|(index, backend)| {
                let delivery = &delivery;
                async move { (index, self.forwarder.attempt(backend, delivery).await) }
            })
            .collect();
        let collect = async {
            while let Some((index, attempt)) = trying.next().await {
                ended[index] = Some(attempt);
            }
        };
        let spooling = deadline - SPOOLING.min(self.answer_within / 4);
        let hurried = async {
            self.stop.cancelled().await;
            tokio::time::sleep(AT_THE_END).await;
        };
        tokio::select! {
            _ = timeout_at(spooling, collect) => {}
            () = hurried => {}
        }
        // One that is slow now would be slow for the next delivery as well.
        let slow = backends.iter().zip(&ended).filter(|(_, attempt)| attempt.is_none());
        slow.for_each(|(backend, _)| backend.failed());

        self.settle_earlier(&backends, &ended, &delivery).await;
        let (verdict, mut leases) = self.keep(&backends, &ended, &delivery, deadline).await;
        // The forge may have gone.
        let _ = answer.send(verdict);
        while let Some((index, attempt)) = trying.next().await {
            if let Some(lease) =
                leases.iter_mut().find(|(at, _)| *at == index).and_then(|(_, lease)| lease.take())
            {
                report(lease, &attempt, &backends[index]).await;
            }
        }
    }

    /// A redelivery that was taken now need not be sent again.
    async fn settle_earlier(
        &self,
        backends: &[Arc<Backend>],
        ended: &[Option<Attempt>],
        delivery: &Delivery,
    ) {
        let Some(spool) = &self.spool else { return };
        let taken = backends.iter().zip(ended).filter(|(_, attempt)| **attempt == Some(Attempt::Taken));
        let waiting = taken.filter(|(backend, _)| spool.waiting(&backend.name) > 0);
        let mut key = None;
        for (backend, _) in waiting {
            let key = key.get_or_insert_with(|| delivery.key());
            if let Some(lease) = spool.take(key, &backend.name) {
                lease.done().await;
            }
        }
    }

    /// Spools what is not taken, and decides on the answer. Returns leases of tries that are under way, by back end.
    async fn keep(
        &self,
        backends: &[Arc<Backend>],
        ended: &[Option<Attempt>],
        delivery: &Delivery,
        deadline: Instant,
    ) -> (Answer, Vec<(usize, Option<Lease>)>) {
        let is_open = |attempt: &Option<Attempt>| attempt.as_ref().is_none_or(Attempt::is_to_be_repeated);
        let open: Vec<usize> = (0..backends.len()).filter(|index| is_open(&ended[*index])).collect();
        let all_answered = ended.iter().all(|attempt| attempt.as_ref().is_some_and(Attempt::is_answer));
        let without_spool = if all_answered { Answer::Proxied } else { Answer::Failed };
        let Some(spool) = self.spool.as_ref().filter(|_| !open.is_empty()) else {
            return (without_spool, Vec::new());
        };
        let to: Vec<To<'_>> = open
            .iter()
            .map(|index| To { consumer: &backends[*index].name, first: first_try(ended[*index].as_ref()) })
            .collect();
        let stored = match delivery.to_spool() {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!("request-id" = delivery.request_id, error = %error, "A delivery cannot be spooled");
                return (without_spool, Vec::new());
            }
        };
        let patience = deadline.saturating_duration_since(Instant::now()).max(SPOOLING / 3);
        let reason = match timeout(patience, spool.put(stored, &to)).await {
            Ok(Ok(put)) => {
                for index in &open {
                    self.metrics.spooled(backends[*index].origin.host());
                }
                tracing::info!(
                    "request-id" = delivery.request_id,
                    backends = open.len(),
                    "Spooled, to be sent again"
                );
                let leases = if let Put::Stored(leases) = put { leases } else { Vec::new() };
                let under_way = open.iter().copied().filter(|index| ended[*index].is_none());
                return (Answer::Proxied, under_way.zip(leases.into_iter().map(Some)).collect());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the disk did not answer within {patience:?}"),
        };
        self.metrics.not_spooled();
        tracing::error!("request-id" = delivery.request_id, error = reason, "A delivery cannot be spooled");
        (without_spool, Vec::new())
    }
}

/// When the spool's first try is.
fn first_try(attempt: Option<&Attempt>) -> First {
    match attempt {
        None => First::UnderWay,
        // The back end's own rest decides.
        Some(Attempt::NotAsked | Attempt::Unreachable(_)) => First::Now,
        Some(_) => First::After(Duration::from_secs(1)),
    }
}

/// Tells the spool how a try ended.
pub(crate) async fn report(lease: Lease, attempt: &Attempt, backend: &Backend) {
    match attempt {
        Attempt::Taken => lease.done().await,
        Attempt::Refused(status) => {
            lease
                .bury("refused", format!("the back end answered HTTP {status}, which no repetition changes"))
                .await;
        }
        Attempt::Failed(status) => {
            lease.retry(&format!("HTTP {status}")).await;
        }
        // Whether that counts as a try is the back end's affair, not the delivery's. Its rest decides when it is tried.
        Attempt::Unreachable(_) | Attempt::NotAsked => {
            let pause = if backend.is_resting() { Duration::ZERO } else { Duration::from_secs(1) };
            lease.postpone(pause);
        }
    }
}
