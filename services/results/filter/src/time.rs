//! Times in texts: RFC 3339, of the years 1000 to 9998, as the database and we understand alike.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use regex::Regex;

/// The texts that are times, for the database too: it refuses the 30th of February by failing the query. Other years are
/// written in ways that differ.
pub(crate) const SHAPE: &str = concat!(
    "^((",
    "([1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-",
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])))",
    "|([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-02-29",
    ")T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$",
);

static TIMES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(SHAPE).expect("the shape of times is a regular expression"));

/// `None` if the text is no such time. Fractions are rounded to microseconds as the database does it: a half to the even one.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    if !TIMES.is_match(text) {
        return None;
    }
    let Some((seconds, rest)) = text.split_once('.') else { return text.parse().ok() };
    let zone = rest.find(['Z', '+', '-'])?;
    let fraction: f64 = format!("0.{}", &rest[..zone]).parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "it is between zero and a million")]
    let micros = (fraction * 1e6).round_ties_even() as i64;
    let whole: Timestamp = format!("{seconds}{}", &rest[zone..]).parse().ok()?;
    whole.checked_add(SignedDuration::from_micros(micros)).ok()
}
