//! Moments in text.

use alloc::format;
use alloc::string::String;

/// RFC 3339 in UTC with milliseconds, of nanoseconds since 1970.
pub(crate) fn rfc3339(nanoseconds: i64) -> String {
    let milliseconds = nanoseconds.div_euclid(1_000_000);
    let (seconds, milli) = (milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day of a number of days since 1970-01-01. Counted in years that begin in March, leap days are last and
/// months follow a fixed pattern.
fn date(days: i64) -> (i64, i64, i64) {
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let days = days + DAYS_TO_1970;
    let era = days.div_euclid(DAYS_OF_400_YEARS);
    let day = days.rem_euclid(DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "1970-01-01T00:00:00.000Z")]
    #[case(951_782_399_999_000_000, "2000-02-28T23:59:59.999Z")]
    #[case(951_782_400_000_000_000, "2000-02-29T00:00:00.000Z")]
    #[case(1_704_067_200_250_999_999, "2024-01-01T00:00:00.250Z")]
    #[case(4_107_542_400_000_000_000, "2100-03-01T00:00:00.000Z")]
    fn writes(#[case] nanoseconds: i64, #[case] expected: &str) {
        assert_eq!(rfc3339(nanoseconds), expected);
    }
}
