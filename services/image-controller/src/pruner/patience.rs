//! Calls that are made again when the registry has a bad moment, a bounded number of times.

use std::time::Duration;

use crate::registry::Error;

/// Beside the first.
const RETRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A registry that wants to be left alone for longer has its way: the repository is skipped.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The result of the first call that works, or of the last.
pub(super) async fn patiently<T>(call: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let mut attempt = 0;
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(pause) = pause(&error, attempt) else { return Err(error) };
        tracing::debug!(error = %error, attempt, ?pause, "Calling again");
        // Not all at the same moment.
        tokio::time::sleep(pause.mul_f64(rand::random_range(1.0..=1.25))).await;
        attempt += 1;
    }
}

/// `None` if it is not tried again.
fn pause(error: &Error, attempt: u32) -> Option<Duration> {
    let Error::Transient { retry_after, .. } = error else { return None };
    let pause = FIRST_PAUSE.saturating_mul(1 << attempt.min(16)).max(retry_after.unwrap_or_default());
    (attempt < RETRIES && pause <= LONGEST_PAUSE).then_some(pause)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn transient(retry_after: Option<Duration>) -> Error {
        Error::Transient { step: "x".to_owned(), detail: "y".to_owned(), retry_after }
    }

    async fn calls(errors: u32, error: Error) -> (u32, bool) {
        let count = Cell::new(0);
        let result = patiently(async || {
            count.set(count.get() + 1);
            if count.get() > errors { Ok(()) } else { Err(error.clone()) }
        });
        let is_fine = result.await.is_ok();
        (count.get(), is_fine)
    }

    #[tokio::test(start_paused = true)]
    async fn tries_a_few_times() {
        assert_eq!(calls(4, transient(None)).await, (5, true));
        assert_eq!(calls(99, transient(None)).await, (5, false));
        assert_eq!(calls(99, Error::PlanLimit).await, (1, false));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_as_long_as_it_is_told_but_not_for_ever() {
        let began = tokio::time::Instant::now();
        assert_eq!(calls(1, transient(Some(Duration::from_secs(40)))).await, (2, true));
        assert!(began.elapsed() >= Duration::from_secs(40));
        assert_eq!(calls(1, transient(Some(Duration::from_secs(400)))).await, (1, false));
    }
}
