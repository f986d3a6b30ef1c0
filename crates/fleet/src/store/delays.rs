//! How long to wait before a watch is tried again.

use std::time::Duration;

use rand::Rng as _;

/// Delays between attempts of a broken watch: doubling with jitter, from 0.2 s to 30 s. A watch that works begins anew.
#[derive(Debug)]
pub(super) struct RetryDelays {
    next: Duration,
}

impl RetryDelays {
    const FIRST: Duration = Duration::from_millis(200);
    const LAST: Duration = Duration::from_secs(30);

    pub(super) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    pub(super) fn next_delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(Self::LAST);
        jittered(delay)
    }

    pub(super) fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

/// A quarter more or less, so that what failed together does not return together.
pub(super) fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(rand::rng().random_range(0.75..1.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_begin_anew() {
        let mut delays = RetryDelays::new();
        let first = delays.next_delay();
        assert!(first < Duration::from_millis(260), "{first:?}");
        let last = (0..20).map(|_| delays.next_delay()).last().unwrap();
        assert!(last >= RetryDelays::LAST.mul_f64(0.75), "{last:?}");
        delays.reset();
        assert!(delays.next_delay() < Duration::from_millis(260));
    }
}
