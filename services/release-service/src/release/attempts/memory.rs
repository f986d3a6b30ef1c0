//! Amounts of memory, as Kubernetes writes them (`resource.Quantity`). Pure.

/// What units are worth, the larger ones first.
const UNITS: [(&str, u64); 10] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("m", 0),
    ("", 1),
];

/// Bytes of an amount such as `512Mi`, `1.5Gi`, `2G`. `None` for what is none, or has an exponent, or is of thousandths.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, worth) = UNITS.iter().find(|(name, worth)| *name == unit && *worth > 0)?;
    times(*worth, thousandths(number)?)
}

/// The decimal number, times a thousand: `1.5` is 1500. Further digits are dropped.
pub(super) fn thousandths(number: &str) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(fraction.parse().ok()?)
}

/// `amount` times so many thousandths, rounded up.
pub(super) fn times(amount: u64, thousandths: u64) -> Option<u64> {
    let product = u128::from(amount) * u128::from(thousandths);
    u64::try_from(product.div_ceil(1_000)).ok()
}

/// In the largest of `Gi`, `Mi`, `Ki` that it is a whole number of.
pub(super) fn text(bytes: u64) -> String {
    let binary = UNITS.iter().filter(|(name, _)| name.ends_with('i'));
    match binary.into_iter().find(|(_, worth)| bytes >= *worth && bytes.is_multiple_of(*worth)) {
        Some((name, worth)) => format!("{}{name}", bytes / worth),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("512Mi", Some(512 << 20))]
    #[case("1.5Gi", Some(1536 << 20))]
    #[case("2G", Some(2_000_000_000))]
    #[case("1024", Some(1024))]
    #[case("100m", None)]
    #[case("1e3", None)]
    #[case("Gi", None)]
    #[case("-1Gi", None)]
    #[case("1.2.3Gi", None)]
    #[case("99999999999Ti", None)]
    fn reads(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(bytes(text), expected);
    }

    #[rstest]
    #[case(512 << 20, 2_000, "1Gi")]
    #[case(512 << 20, 1_500, "768Mi")]
    #[case(1_000, 1_001, "1001")]
    #[case(1 << 40, 1_000, "1Ti")]
    fn multiplies_and_writes(#[case] amount: u64, #[case] by: u64, #[case] expected: &str) {
        assert_eq!(text(times(amount, by).unwrap()), expected);
    }
}
