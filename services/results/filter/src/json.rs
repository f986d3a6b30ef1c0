//! Values of JSON, and their texts as the database writes them.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use crate::bounds::{MAX_DIGITS, MAX_WHOLE_DIGITS};
use crate::test::Step;

/// What is at a place. Keys are of objects only, indexes of lists only.
pub(crate) fn at<'v>(value: &'v Value, steps: &[Step]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match (step, value) {
        (Step::Key(key), Value::Object(fields)) => fields.get(key),
        (Step::Index(index), Value::Array(items)) => items.get(usize::try_from(*index).ok()?),
        _ => None,
    })
}

/// `None` for null: it is the same as nothing.
pub(crate) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let mut text = String::new();
            write(value, &mut text);
            Some(Cow::Owned(text))
        }
    }
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => text.push_str(&decimal(&number.to_string())),
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                text.push_str(if position == 0 { "" } else { ", " });
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            // Shorter keys are before longer ones.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(left, _), (right, _)| (left.len(), left).cmp(&(right.len(), right)));
            text.push('{');
            for (position, (key, value)) in fields.into_iter().enumerate() {
                text.push_str(if position == 0 { "" } else { ", " });
                let _ = write!(text, "{}: ", Value::from(key.as_str()));
                write(value, text);
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {
            let _ = write!(text, "{value}");
        }
    }
}

/// A number without an exponent: `15e-1` is `1.5`, and `-0.0` is `0.0`.
fn decimal(number: &str) -> String {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let size = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let count = |size: i32| usize::try_from(size).unwrap_or(0);
    // Where the point is, counted from the first digit.
    let point = size(whole.len()).saturating_add(exponent);
    let before = count(1_i32.saturating_sub(point));
    let after = count(point.saturating_sub(size(all.len())));
    let all = format!("{}{all}{}", "0".repeat(before), "0".repeat(after));
    let (whole, fraction) = all.split_at(count(point.max(1)));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let is_zero = whole == "0" && fraction.bytes().all(|digit| digit == b'0');
    let sign = if is_zero { "" } else { sign };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// The number that a text is.
pub(crate) fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_digits = |digits: &str| {
        (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    (is_digits(whole) && is_digits(fraction)).then(|| text.parse().ok())?
}

/// The texts that are numbers, for the database.
pub(crate) fn shape_of_numbers() -> String {
    format!("^-?[0-9]{{1,{MAX_DIGITS}}}([.][0-9]{{1,{MAX_DIGITS}}})?$")
}

/// The whole number that a text is.
pub(crate) fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_whole = !digits.is_empty()
        && digits.len() <= MAX_WHOLE_DIGITS as usize
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_whole.then(|| text.parse().ok())?
}

/// The texts that are whole numbers, for the database.
pub(crate) fn shape_of_wholes() -> String {
    format!("^-?[0-9]{{1,{MAX_WHOLE_DIGITS}}}$")
}

/// The truth value that a text is.
pub(crate) fn truth(text: &str) -> Option<bool> {
    text.parse().ok()
}
