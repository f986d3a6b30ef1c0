//! When the agent runs: a line of cron, in UTC.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

/// Five fields: minute, hour, day of month, month, day of week (0 to 7, 0 and 7 are Sunday). Each is `*`, a number, a range
/// `a-b`, either with a step `/n`, or a list of those; months and days of the week may be named. Or one of `@yearly`,
/// `@monthly`, `@weekly`, `@daily`, `@hourly`.
///
/// As in every cron, a day is meant if it is one of *either* field where both days are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether only one of the two days is given, so that the other does not widen it.
    needs_both: bool,
}

/// Why a text is no line of cron.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}`: {why}; write minute, hour, day of month, month and day of week, as in `5 5 * * 0`")]
pub struct InvalidCron {
    text: String,
    why: String,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// How many days ahead to look: 29 February comes within eight years, also over 2100.
const HORIZON: i64 = 366 * 9;

impl FromStr for Cron {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, InvalidCron> {
        let line = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            line => line,
        };
        let invalid = |why: String| InvalidCron { text: text.to_owned(), why };
        let fields: Vec<_> = line.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(invalid(format!("it has {} fields, not 5", fields.len())));
        };
        let read = |field, least, most, names: &[&str]| bits(field, least, most, names).map_err(invalid);
        let mut sunday_twice = read(weekdays, 0, 7, &WEEKDAYS)?;
        sunday_twice |= sunday_twice >> 7;
        let cron = Self {
            minutes: read(minutes, 0, 59, &[])?,
            hours: read(hours, 0, 23, &[])?,
            days: read(days, 1, 31, &[])?,
            months: read(months, 1, 12, &MONTHS)?,
            weekdays: sunday_twice & 0x7f,
            needs_both: days.starts_with(['*', '?']) || weekdays.starts_with(['*', '?']),
        };
        if cron.next_after(Timestamp::UNIX_EPOCH).is_none() {
            return Err(invalid("no such day exists".to_owned()));
        }
        Ok(cron)
    }
}

/// The numbers of a field as bits.
fn bits(field: &str, least: u32, most: u32, names: &[&str]) -> Result<u64, String> {
    let number = |word: &str| {
        let by_name = names.iter().position(|name| word.eq_ignore_ascii_case(name));
        // Named months begin with 1, named days with 0: as their numbers do.
        let number = match by_name.and_then(|place| u32::try_from(place).ok()) {
            Some(place) => Some(place + least),
            None => word.parse().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit())),
        };
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("`{word}` is no number from {least} to {most}"))
    };
    let mut bits = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = step.parse().ok().filter(|step| *step > 0);
                (range, Some(step.ok_or_else(|| format!("`{part}` has no step above 0"))?))
            }
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            // `5/10` begins at 5 and goes on to the end.
            None if step.is_some() => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(format!("`{range}` goes backwards"));
        }
        for place in (from..=to).step_by(step.unwrap_or(1)) {
            bits |= 1 << place;
        }
    }
    Ok(bits)
}

impl Cron {
    /// The first minute that is meant after `time`. `None` if there is none for years.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let start = time.to_zoned(TimeZone::UTC).datetime().checked_add(1.minute()).ok()?;
        let mut minute_of_day = i64::from(start.hour()) * 60 + i64::from(start.minute());
        let mut day = start.date();
        for _ in 0..HORIZON {
            if self.means(day)
                && let Some(minute) = (minute_of_day..24 * 60)
                    .find(|minute| is_set(self.hours, minute / 60) && is_set(self.minutes, minute % 60))
            {
                let midnight = day.to_zoned(TimeZone::UTC).ok()?.timestamp();
                return midnight.checked_add(minute.minutes()).ok();
            }
            minute_of_day = 0;
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn means(&self, day: Date) -> bool {
        let day_of_month = is_set(self.days, i64::from(day.day()));
        let weekday = is_set(self.weekdays, i64::from(day.weekday().to_sunday_zero_offset()));
        let is_day = if self.needs_both { day_of_month && weekday } else { day_of_month || weekday };
        is_day && is_set(self.months, i64::from(day.month()))
    }
}

fn is_set(bits: u64, place: i64) -> bool {
    bits >> place & 1 == 1
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::shipped("5 5 * * 0", "2024-05-01T00:00:00Z", "2024-05-05T05:05:00Z")]
    #[case::seven_is_sunday("7 7 * * 7", "2024-05-01T00:00:00Z", "2024-05-05T07:07:00Z")]
    #[case::after_itself("5 5 * * 0", "2024-05-05T05:05:00Z", "2024-05-12T05:05:00Z")]
    #[case::seconds_are_cut("5 5 * * *", "2024-05-05T05:04:59Z", "2024-05-05T05:05:00Z")]
    #[case::steps("*/20 * * * *", "2024-05-05T05:21:00Z", "2024-05-05T05:40:00Z")]
    #[case::from_a_number_on("50/5 * * * *", "2024-05-05T05:51:00Z", "2024-05-05T05:55:00Z")]
    #[case::names("0 3 * jan-feb MON", "2024-05-05T05:51:00Z", "2025-01-06T03:00:00Z")]
    #[case::list("0 1,13 * * *", "2024-05-05T05:51:00Z", "2024-05-05T13:00:00Z")]
    #[case::over_the_year("@yearly", "2024-05-05T05:51:00Z", "2025-01-01T00:00:00Z")]
    #[case::leap_day("0 0 29 2 *", "2024-03-01T00:00:00Z", "2028-02-29T00:00:00Z")]
    #[case::either_day("0 0 13 * 5", "2024-05-04T00:00:00Z", "2024-05-10T00:00:00Z")]
    #[case::step_of_all_days_is_no_day("0 0 */1 * 5", "2024-05-04T00:00:00Z", "2024-05-10T00:00:00Z")]
    fn finds_the_next_minute(#[case] line: &str, #[case] after: Timestamp, #[case] expected: Timestamp) {
        assert_eq!(line.parse::<Cron>().unwrap().next_after(after), Some(expected));
    }

    #[rstest]
    #[case::too_few("5 5 * *")]
    #[case::too_many("0 5 5 * * 0")]
    #[case::minute("60 5 * * *")]
    #[case::day("0 0 0 * *")]
    #[case::backwards("30-10 * * * *")]
    #[case::step("*/0 * * * *")]
    #[case::word("0 0 * * Someday")]
    #[case::sign("+5 0 * * *")]
    #[case::never("0 0 31 2 *")]
    #[case::every("@every 1h")]
    fn refuses(#[case] line: &str) {
        let error = line.parse::<Cron>().unwrap_err().to_string();
        assert!(error.contains(line), "{error}");
    }

    #[test]
    fn knows_every_day_of_the_week() {
        let sunday = date(2024, 5, 5);
        for place in 0..7 {
            let cron: Cron = format!("0 0 * * {place}").parse().unwrap();
            assert!(cron.means(sunday.checked_add(i64::from(place).days()).unwrap()));
        }
    }

    mod fuzz {
        use proptest::prelude::*;

        use super::*;

        #[test]
        fn never_panics_on_lines() {
            testkit::fuzz(file!(), &"[-*/,0-9a-z@ ]{0,20}|([0-9*/,-]{1,4} ){4}[0-9*]", |line| {
                if let Ok(cron) = line.parse::<Cron>() {
                    let after: Timestamp = "2024-02-28T23:59:00Z".parse().unwrap();
                    prop_assert!(cron.next_after(after).is_none_or(|next| next > after));
                }
                Ok(())
            });
        }
    }
}
