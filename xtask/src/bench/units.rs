//! Figures as the tables show them.
use std::time::Duration;

/// Bytes as `12.3 MiB`.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", precise(bytes) / f64::from(1 << 20))
}

/// Exact for everything below 8 PiB.
#[expect(clippy::cast_precision_loss, reason = "sizes of files and processes are far below 2^53")]
pub(super) fn precise(bytes: u64) -> f64 {
    bytes as f64
}

/// A number of things, of which no benchmark has more than 2^32.
pub(super) fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// `1.92 s`, or `92 ms` below a second.
pub(super) fn time(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{:.0} ms", duration.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

/// The smallest of `times` that so many of a hundred do not exceed; zero without any.
pub(super) fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

/// The middle one, or the mean of the two in the middle; zero without any.
pub(super) fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    match sorted.get(middle) {
        None => Duration::ZERO,
        Some(upper) if sorted.len() % 2 == 1 => *upper,
        Some(upper) => (*upper + sorted[middle - 1]) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(milliseconds: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        milliseconds.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn shows_times_and_sizes() {
        assert_eq!(time(Duration::from_millis(92)), "92 ms");
        assert_eq!(time(Duration::from_millis(1_925)), "1.93 s");
        assert_eq!(mebibytes(3 << 19), "1.5 MiB");
    }

    #[test]
    fn finds_the_middle() {
        assert_eq!(median(&times([])), Duration::ZERO);
        assert_eq!(median(&times([30, 10, 20])), Duration::from_millis(20));
        assert_eq!(median(&times([40, 10, 20, 30])), Duration::from_millis(25));
    }

    #[test]
    fn finds_what_few_exceed() {
        assert_eq!(percentile(&times([]), 95), Duration::ZERO);
        assert_eq!(percentile(&times(1..=100), 95), Duration::from_millis(95));
        assert_eq!(percentile(&times([5]), 95), Duration::from_millis(5));
        assert_eq!(percentile(&times(1..=20), 95), Duration::from_millis(19));
    }
}
