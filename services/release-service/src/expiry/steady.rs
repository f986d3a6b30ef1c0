//! Whether the time of day can be believed: a clock that jumps deletes nothing (security.md, section 8.11).

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// How far the time of day may be from what has passed since.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// How long after a jump the new time is believed: it may have been set right.
const QUARANTINE: Duration = Duration::from_hours(1);

/// Compares the time of day with a clock that nobody sets.
#[derive(Debug)]
pub(super) struct Steady {
    wall: Timestamp,
    monotonic: Instant,
    jumped: Option<Instant>,
}

impl Steady {
    pub(super) fn new(wall: Timestamp, monotonic: Instant) -> Self {
        Self { wall, monotonic, jumped: None }
    }

    /// Whether the time of day has gone on as time has, but for a jump of more than an hour ago.
    pub(super) fn is_steady(&mut self, wall: Timestamp, monotonic: Instant) -> bool {
        let passed = monotonic.duration_since(self.monotonic);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        let error = wall.duration_since(self.wall).checked_sub(passed).unwrap_or(SignedDuration::MAX);
        if error.abs() > TOLERANCE {
            self.jumped = Some(monotonic);
        }
        // From here on, so that small corrections do not add up.
        (self.wall, self.monotonic) = (wall, monotonic);
        self.jumped.is_none_or(|jumped| monotonic.duration_since(jumped) >= QUARANTINE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Seconds by either clock since the last look.
    #[rstest]
    #[case::as_time_goes(&[(0, 0), (3_600, 3_600), (86_400, 86_400)], true)]
    #[case::small_corrections(&[(160, 100), (40, 100), (160, 100)], true)]
    #[case::forward(&[(86_400, 60)], false)]
    #[case::back(&[(-86_400, 60)], false)]
    #[case::soon_after(&[(86_400, 60), (3_599, 3_599)], false)]
    #[case::long_after(&[(86_400, 60), (3_600, 3_600)], true)]
    fn believes(#[case] looks: &[(i64, u64)], #[case] expected: bool) {
        let (mut wall, mut monotonic) =
            ("2024-03-01T12:00:00Z".parse::<Timestamp>().unwrap(), Instant::now());
        let mut steady = Steady::new(wall, monotonic);
        let mut is_steady = true;
        for (by_day, by_time) in looks {
            wall += SignedDuration::from_secs(*by_day);
            monotonic += Duration::from_secs(*by_time);
            is_steady = steady.is_steady(wall, monotonic);
        }
        assert_eq!(is_steady, expected);
    }
}
