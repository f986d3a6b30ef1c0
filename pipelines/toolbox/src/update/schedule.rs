//! When updates are proposed: cron expressions, as `* * * * 6` for Saturdays.

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

/// Whether it is time by one of `expressions`, in UTC. What is no cron expression is always true: a proposal too early is
/// better than none for ever.
pub(crate) fn is_time(expressions: &[String], now: Timestamp) -> bool {
    expressions.is_empty() || expressions.iter().any(|text| matches(text, now).unwrap_or(true))
}

/// `None` if it is no cron expression. Minutes do not count, as nobody runs by the minute.
fn matches(text: &str, now: Timestamp) -> Option<bool> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [_, hours, days, months, weekdays] = fields[..] else { return None };
    let now = now.to_zoned(TimeZone::UTC);
    let weekday = now.weekday().to_sunday_zero_offset();
    let sunday_is_seven = now.weekday() == Weekday::Sunday && is_in(weekdays, 7)?;
    Some(
        is_in(hours, now.hour())?
            && is_in(days, now.day())?
            && is_in(months, now.month())?
            && (is_in(weekdays, weekday)? || sunday_is_seven),
    )
}

/// Whether a field, as `*`, `1-5`, `*/2` or `1,3`, has the number.
fn is_in(field: &str, number: i8) -> Option<bool> {
    let mut found = false;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<i8>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, i8::MAX),
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None => {
                let only: i8 = range.parse().ok()?;
                (only, only)
            }
        };
        found |=
            (first..=last).contains(&number) && (i16::from(number) - i16::from(first)) % i16::from(step) == 0;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// A Saturday.
    const NOW: &str = "2024-03-02T10:30:00Z";

    #[rstest]
    #[case::saturdays("* * * * 6", true)]
    #[case::mondays("* * * * 1", false)]
    #[case::working_days("* * * * 1-5", false)]
    #[case::early("* 0-5 * * *", false)]
    #[case::every_other_hour("* */2 * * *", true)]
    #[case::days_of_the_month("* * 1,2 3 *", true)]
    #[case::other_words_are_always_true("before 5am on monday", true)]
    #[case::no_numbers("* x * * *", true)]
    fn is_time_at(#[case] expression: &str, #[case] expected: bool) {
        assert_eq!(is_time(&[expression.to_owned()], NOW.parse().unwrap()), expected);
    }

    #[test]
    fn sunday_has_two_numbers() {
        let sunday = "2024-03-03T10:30:00Z".parse().unwrap();
        for expression in ["* * * * 0", "* * * * 7"] {
            assert!(is_time(&[expression.to_owned()], sunday), "{expression}");
        }
    }

    #[test]
    fn one_of_several_is_enough() {
        let expressions = ["* * * * 1".to_owned(), "* * * * 6".to_owned()];
        assert!(is_time(&expressions, NOW.parse().unwrap()));
        assert!(is_time(&[], NOW.parse().unwrap()));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ */,0-9-]{0,40}|\\PC{0,40}") {
            let _ = is_time(&[text], NOW.parse().unwrap());
        }
    }
}
