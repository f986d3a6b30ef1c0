//! The only reader of the wall clock, so that decisions can be repeated in tests.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time of day. Durations are measured by `std::time::Instant`, never by this.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The system's clock, cut to whole seconds as `metav1.Time` is.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else takes")]
        Self(Arc::new(|| truncate(Timestamp::now())))
    }

    /// A clock that stands still, for tests.
    pub fn fixed(at: Timestamp) -> Self {
        Self(Arc::new(move || truncate(at)))
    }

    /// A clock that somebody sets, for tests.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(move || truncate(now())))
    }

    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

fn truncate(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_fractions_of_a_second() {
        let at: Timestamp = "2024-03-01T12:00:00.75Z".parse().unwrap();
        assert_eq!(Clock::fixed(at).now().to_string(), "2024-03-01T12:00:00Z");
    }
}
