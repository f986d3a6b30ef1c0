//! So many per second and no more.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Gives turns, one after the other.
pub(super) struct Pace {
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// `rate` is at least 1.
    pub(super) fn per_second(rate: u32) -> Self {
        Self { interval: Duration::from_secs(1) / rate.max(1), next: Mutex::new(None) }
    }

    /// Waits for the next turn. Who is dropped while waiting takes none.
    pub(super) async fn turn(&self) {
        let mut next = self.next.lock().await;
        if let Some(at) = *next {
            sleep_until(at).await;
        }
        *next = Some(Instant::now() + self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_as_far_apart_as_they_should() {
        let (pace, began) = (Pace::per_second(5), Instant::now());
        for _ in 0..11 {
            pace.turn().await;
        }
        assert_eq!(began.elapsed().as_millis(), 2_000);
    }

    #[tokio::test(start_paused = true)]
    async fn rest_saves_up_no_turns() {
        let pace = Pace::per_second(5);
        pace.turn().await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        let began = Instant::now();
        pace.turn().await;
        pace.turn().await;
        assert_eq!(began.elapsed().as_millis(), 200);
    }
}
