//! How fast the registry's API is called, whatever waits to be done.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// What a host outside is given at once by fleet's outbound client, which refuses more after a moment.
pub(crate) const CALLS_AT_ONCE: usize = 4;

/// Calls wait here for their turn, in order; so a thousand repositories at once are a queue, and not a storm.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    at_once: Arc<Semaphore>,
    next: Arc<Mutex<Instant>>,
    interval: Duration,
}

impl Pace {
    pub(crate) fn new(calls_at_once: usize, calls_per_second: u32) -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(calls_at_once)),
            next: Arc::new(Mutex::new(Instant::now())),
            interval: Duration::from_secs(1) / calls_per_second.max(1),
        }
    }

    /// Waits for a turn, which lasts until what is returned is dropped.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        let permit = Arc::clone(&self.at_once).acquire_owned().await.ok();
        let at = {
            let mut next = self.next.lock();
            let at = (*next).max(Instant::now());
            *next = at + self.interval;
            at
        };
        sleep_until(at).await;
        permit
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_are_spread_over_time() {
        let pace = Pace::new(4, 10);
        let begin = Instant::now();
        for _ in 0..11 {
            drop(pace.turn().await);
        }
        assert_eq!(begin.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_under_way() {
        let pace = Pace::new(2, 1000);
        let (first, _second) = (pace.turn().await, pace.turn().await);
        let mut third = Box::pin(pace.turn());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        third.await;
    }
}
