//! What a `decide` function answers: writes in order, when to look again, and why nothing happens.
//!
//! ```text
//! observe (stores → one struct) ─▶ decide (pure) ─▶ Decision { writes, wake, hold } ─▶ Writer::apply
//! ```

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::write::Write;

/// When a key is looked at again though nothing that it depends on has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wake {
    /// Only when something changes.
    #[default]
    OnChange,
    /// At this time, or soon after.
    At(Timestamp),
    /// After this long.
    After(Duration),
}

impl Wake {
    /// The earlier of the two, seen from `now`.
    #[must_use]
    pub fn or(self, other: Self, now: Timestamp) -> Self {
        match (self.delay(now), other.delay(now)) {
            (None, _) => other,
            (Some(a), Some(b)) if b < a => other,
            _ => self,
        }
    }

    /// How long from `now`; `None` for never.
    pub fn delay(self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::OnChange => None,
            Self::After(delay) => Some(delay),
            Self::At(at) => Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)),
        }
    }
}

/// Why nothing happens now: a closed set of each decision, for status, log and tests.
///
/// ```
/// #[derive(Debug, PartialEq, strum::IntoStaticStr)]
/// enum Hold { BeingDeleted }
/// impl fleet::Hold for Hold {}
/// ```
pub trait Hold: fmt::Debug + PartialEq {}

/// For decisions that never hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeverHolds {}

impl Hold for NeverHolds {}

/// The answer of a `decide` function.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Decision<H = NeverHolds> {
    /// In order; the first failure stops the rest, so the record that work is done comes last.
    pub writes: Vec<Write>,
    pub wake: Wake,
    /// Why nothing happens now, if nothing does.
    pub hold: Option<H>,
}

impl<H> Default for Decision<H> {
    fn default() -> Self {
        Self { writes: Vec::new(), wake: Wake::OnChange, hold: None }
    }
}

impl<H: Hold> From<H> for Decision<H> {
    fn from(hold: H) -> Self {
        Self { hold: Some(hold), ..Self::default() }
    }
}

impl<H> Decision<H> {
    /// Adds a write, unless it would change nothing.
    pub fn push(&mut self, write: impl Into<Option<Write>>) {
        self.writes.extend(write.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_earlier_wake_wins() {
        let now = at("2024-01-01T00:00:00Z");
        let soon = Wake::After(Duration::from_secs(5));
        let later = Wake::At(at("2024-01-01T00:01:00Z"));
        assert_eq!(soon.or(later, now), soon);
        assert_eq!(later.or(soon, now), soon);
        assert_eq!(Wake::OnChange.or(later, now), later);
        assert_eq!(later.or(Wake::OnChange, now), later);
    }

    #[test]
    fn a_wake_in_the_past_is_now() {
        let wake = Wake::At(at("2024-01-01T00:00:00Z"));
        assert_eq!(wake.delay(at("2024-01-02T00:00:00Z")), Some(Duration::ZERO));
    }
}
