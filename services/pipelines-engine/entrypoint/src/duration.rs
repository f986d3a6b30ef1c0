//! Durations as Go writes them: `1h2m3.5s`, `100ms`.

/// Nanoseconds; `None` for what Go does not take. Longer than 292 years is 292 years.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let unit: i64 = match &behind[..end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let number = |digits: &str| {
            digits
                .bytes()
                .fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')))
        };
        total = total.saturating_add(number(whole).saturating_mul(unit));
        let mut place = unit;
        for digit in fraction.bytes() {
            place /= 10;
            total = total.saturating_add(i64::from(digit - b'0') * place);
        }
        rest = &behind[end..];
    }
    Some(if negative { -total } else { total })
}

/// The digits that a text begins with, and what follows.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1m0s", Some(60_000_000_000))]
    #[case("1h2m3.5s", Some(3_723_500_000_000))]
    #[case("100ms", Some(100_000_000))]
    #[case("1.5µs", Some(1_500))]
    #[case("0", Some(0))]
    #[case("-5s", Some(-5_000_000_000))]
    #[case("99999999999999999999h", Some(i64::MAX))]
    #[case("", None)]
    #[case("5", None)]
    #[case("s", None)]
    #[case("1x", None)]
    #[case("1.", None)]
    fn reads(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(parse(text), expected);
    }
}
