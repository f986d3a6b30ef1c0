//! When a run whose signing failed is tried again, and when that is given up (specification, section 9, number 4).
//!
//! The annotation `retries` has four values, as in the original, whose attempts followed each other within a second. Here they
//! divide the window, each part twice as long as the one before; within a part there are many attempts, with growing pauses.
//!
//! ```text
//! since                                                          since + window
//!   │"0" 1/15│"1"    2/15    │"2"        4/15        │"3"   8/15        │ failed
//! ```

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// After the first failure.
const SHORTEST: Duration = Duration::from_secs(1);
/// However long it has been going on.
const LONGEST: Duration = Duration::from_mins(5);
/// Where the parts of the window begin, in fifteenths.
const PARTS: [i32; 4] = [0, 1, 3, 7];

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Again {
        /// Value of the annotation.
        retries: usize,
        at: Timestamp,
    },
    GiveUp,
}

/// After a failure at `now`, the first of which was at `since` and of which this process saw `failures` in a row before.
/// `spread` (0 to 255) keeps runs that failed together from trying again together.
pub(crate) fn next(
    now: Timestamp,
    since: Timestamp,
    window: SignedDuration,
    failures: u32,
    spread: u8,
) -> Next {
    // A clock that was set back gives nobody a longer window.
    let elapsed = now.duration_since(since).max(SignedDuration::ZERO);
    if elapsed >= window {
        return Next::GiveUp;
    }
    let retries = PARTS.iter().filter(|part| elapsed >= window / 15 * **part).count().saturating_sub(1);
    let pause = SHORTEST.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST);
    let pause = pause + pause / 4 * u32::from(spread) / 255;
    // The last attempt is at the end of the window, not some minutes later.
    let left = Duration::try_from(window - elapsed).unwrap_or_default();
    Next::Again { retries, at: now + pause.min(left) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[rstest]
    #[case::first(0, 0, 0, 1)]
    #[case::second(2, 1, 0, 2)]
    #[case::after_four_minutes(240, 7, 1, 128)]
    #[case::after_twelve(720, 9, 2, 300)]
    #[case::after_twenty_eight(1680, 12, 3, 300)]
    #[case::last(3500, 40, 3, 100)]
    fn pauses_grow(#[case] seconds: i64, #[case] failures: u32, #[case] retries: usize, #[case] pause: i64) {
        let expected = Next::Again { retries, at: at(seconds + pause) };
        assert_eq!(next(at(seconds), at(0), HOUR, failures, 0), expected);
    }

    #[test]
    fn it_ends_with_the_window() {
        assert_eq!(next(at(3600), at(0), HOUR, 3, 0), Next::GiveUp);
        assert!(matches!(next(at(-7200), at(0), HOUR, 3, 0), Next::Again { retries: 0, .. }));
    }

    #[test]
    fn runs_do_not_come_back_together() {
        let Next::Again { at: spread, .. } = next(at(0), at(0), HOUR, 5, 255) else { panic!() };
        assert_eq!(spread, at(40));
    }
}
