//! Durations as Go writes them: `1h30m`, `1.5s`, `0s` (package `time` of Go, `ParseDuration` and `Duration.String`).

use std::time::Duration;

/// Text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration: write a number and a unit, as 90s, 1h30m or 1.5h")]
pub struct Invalid(pub String);

/// A duration that may be negative: validation says so instead of parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration {
    /// Nanoseconds.
    nanoseconds: i64,
}

impl GoDuration {
    pub const ZERO: Self = Self { nanoseconds: 0 };

    pub fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self { nanoseconds }
    }

    pub fn is_negative(self) -> bool {
        self.nanoseconds < 0
    }

    /// `None` for zero, which means no limit, and for what is negative.
    pub fn limit(self) -> Option<Duration> {
        u64::try_from(self.nanoseconds).ok().filter(|n| *n > 0).map(Duration::from_nanos)
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self { nanoseconds: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) }
    }
}

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

impl std::str::FromStr for GoDuration {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).map(Self::from_nanoseconds).ok_or_else(|| Invalid(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, tail) = rest.split_at(number);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(scaled(amount, *nanoseconds)?)?;
        rest = tail;
    }
    Some(sign * sum)
}

/// `amount`, a decimal number, times `unit` nanoseconds; digits below a nanosecond are dropped.
fn scaled(amount: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mut total = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.checked_mul(unit)? };
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(i64::from(digit - b'0') * place)?;
    }
    Some(total)
}

impl std::fmt::Display for GoDuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.nanoseconds < 0 {
            f.write_str("-")?;
        }
        let total = self.nanoseconds.unsigned_abs();
        match total {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{total}ns"),
            1_000..1_000_000 => write!(f, "{}µs", decimal(total, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", decimal(total, 1_000_000)),
            _ => {
                let (minutes, rest) = (total / 60_000_000_000, total % 60_000_000_000);
                let (hours, minutes) = (minutes / 60, minutes % 60);
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if hours > 0 || minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                write!(f, "{}s", decimal(rest, 1_000_000_000))
            }
        }
    }
}

/// `amount` in units of `unit`, with as many decimals as it needs.
fn decimal(amount: u64, unit: u64) -> String {
    let fraction = amount % unit;
    if fraction == 0 {
        return (amount / unit).to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{}.{}", amount / unit, digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1h30m", "1h30m0s")]
    #[case("90s", "1m30s")]
    #[case("1.5h", "1h30m0s")]
    #[case("0", "0s")]
    #[case("0s", "0s")]
    #[case("-5m", "-5m0s")]
    #[case("100ms", "100ms")]
    #[case("1.25s", "1.25s")]
    #[case(".5s", "500ms")]
    #[case("1500us", "1.5ms")]
    #[case("2ns", "2ns")]
    #[case("1h0m0s", "1h0m0s")]
    fn writes_what_it_reads(#[case] given: &str, #[case] expected: &str) {
        let duration: GoDuration = given.parse().unwrap();
        assert_eq!(duration.to_string(), expected);
        assert_eq!(expected.parse(), Ok(duration));
    }

    #[rstest]
    #[case("")]
    #[case("5")]
    #[case("h")]
    #[case("1d")]
    #[case("1.2.3s")]
    #[case(".s")]
    #[case("99999999999999h")]
    #[case("1h ")]
    fn refuses(#[case] given: &str) {
        assert!(given.parse::<GoDuration>().is_err(), "{given:?}");
    }

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(GoDuration::ZERO.limit(), None);
        assert_eq!("-1s".parse::<GoDuration>().unwrap().limit(), None);
        assert_eq!("2s".parse::<GoDuration>().unwrap().limit(), Some(Duration::from_secs(2)));
    }
}
