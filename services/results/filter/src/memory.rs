//! Tests of rows without a database: the meaning that the SQL has to have.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::Value;

use crate::json;
use crate::row::Row;
use crate::test::{
    Comparison, DatePart, Json, MapColumn, Number, OneOf, Operation, Part, Test, Text, TextColumn, Time,
    TimeColumn, Whole,
};

pub(crate) fn test(of: &Test, row: &Row<'_>) -> Option<bool> {
    match of {
        Test::Constant(holds) => Some(*holds),
        Test::Json(place) => json::truth(&json_text(place, row)?),
        Test::Not(inner) => test(inner, row).map(|holds| !holds),
        Test::Both(left, right) => match (test(left, row), test(right, row)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Test::Either(left, right) => match (test(left, row), test(right, row)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Test::Texts(comparison, left, right) => compare(*comparison, text(left, row), text(right, row)),
        Test::Wholes(comparison, left, right) => compare(*comparison, whole(left, row), whole(right, row)),
        Test::Numbers(comparison, left, right) => compare(*comparison, number(left, row), number(right, row)),
        Test::Times(comparison, left, right) => compare(*comparison, time(left, row), time(right, row)),
        Test::Tests(comparison, left, right) => compare(*comparison, test(left, row), test(right, row)),
        Test::OneOf(one_of) => one_of_them(one_of, row),
        Test::HasKey(column, key) => {
            let key = text(key, row)?;
            Some(map(*column, row).is_some_and(|entries| entries.get(key.as_ref()).is_some()))
        }
        Test::Holds(place, wanted) => {
            let wanted = text(wanted, row)?;
            match json::at(row.data?, &place.0)? {
                Value::Object(fields) => Some(fields.contains_key(wanted.as_ref())),
                Value::Array(items) => Some(items.iter().any(|item| item.as_str() == Some(&wanted))),
                _ => None,
            }
        }
        Test::Part(part, whole, wanted) => {
            let (whole, wanted) = (text(whole, row)?, text(wanted, row)?);
            Some(match part {
                Part::Inside => whole.contains(wanted.as_ref()),
                Part::Start => whole.starts_with(wanted.as_ref()),
                Part::End => whole.ends_with(wanted.as_ref()),
            })
        }
        Test::Matches(whole, pattern) => Some(pattern.is_match(&text(whole, row)?)),
    }
}

fn one_of_them(of: &OneOf, row: &Row<'_>) -> Option<bool> {
    match of {
        OneOf::Texts(item, options) => any(text(item, row), options.iter().map(|option| text(option, row))),
        OneOf::Numbers(item, options) => {
            any(number(item, row), options.iter().map(|option| number(option, row)))
        }
        OneOf::Times(item, options) => any(time(item, row), options.iter().map(|option| time(option, row))),
        OneOf::Tests(item, options) => any(test(item, row), options.iter().map(|option| test(option, row))),
    }
}

/// Whether one is the item. An absent one could be.
fn any<T: PartialEq>(item: Option<T>, options: impl ExactSizeIterator<Item = Option<T>>) -> Option<bool> {
    if options.len() == 0 {
        return Some(false);
    }
    let item = item?;
    let mut is_certain = true;
    for option in options {
        match option {
            Some(option) if option == item => return Some(true),
            Some(_) => {}
            None => is_certain = false,
        }
    }
    is_certain.then_some(false)
}

fn compare<T: PartialOrd>(comparison: Comparison, left: Option<T>, right: Option<T>) -> Option<bool> {
    let (left, right) = (left?, right?);
    Some(match comparison {
        Comparison::Equal => left == right,
        Comparison::Different => left != right,
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
    })
}

fn text<'t>(of: &'t Text, row: &Row<'t>) -> Option<Cow<'t, str>> {
    match of {
        Text::Constant(text) => Some(Cow::Borrowed(text)),
        Text::Column(column) => text_column(*column, row).map(Cow::Borrowed),
        Text::Entry(column, key) => json::text(map(*column, row)?.get(key)?),
        Text::Json(place) => json_text(place, row),
        Text::Joined(left, right) => Some(text(left, row)? + text(right, row)?),
    }
}

fn text_column<'r>(column: TextColumn, row: &Row<'r>) -> Option<&'r str> {
    match column {
        TextColumn::Parent => row.parent,
        TextColumn::Uid => row.uid,
        TextColumn::Name => row.name,
        TextColumn::ResultName => row.result_name,
        TextColumn::DataType => row.data_type,
        TextColumn::SummaryRecord => row.summary_record,
        TextColumn::SummaryType => row.summary_type,
    }
}

fn map<'r>(column: MapColumn, row: &Row<'r>) -> Option<&'r Value> {
    match column {
        MapColumn::Annotations => row.annotations,
        MapColumn::SummaryAnnotations => row.summary_annotations,
    }
}

fn json_text<'r>(place: &Json, row: &Row<'r>) -> Option<Cow<'r, str>> {
    json::text(json::at(row.data?, &place.0)?)
}

fn whole(of: &Whole, row: &Row<'_>) -> Option<i64> {
    match of {
        Whole::Constant(number) => Some(*number),
        Whole::SummaryStatus => row.summary_status.map(i64::from),
        Whole::Json(place) => json::whole(&json_text(place, row)?),
        Whole::Date(part, of) => Some(date_part(*part, time(of, row)?)),
        Whole::Calculated(operation, left, right) => {
            let (left, right) = (whole(left, row)?, whole(right, row)?);
            match operation {
                Operation::Add => left.checked_add(right),
                Operation::Subtract => left.checked_sub(right),
                Operation::Multiply => left.checked_mul(right),
                Operation::Divide => left.checked_div(right),
                Operation::Remainder => left.checked_rem(right),
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "whole numbers are bounded so that none is lost")]
fn number(of: &Number, row: &Row<'_>) -> Option<f64> {
    match of {
        Number::Constant(number) => Some(*number),
        Number::Whole(of) => whole(of, row).map(|number| number as f64),
        Number::Json(place) => json::number(&json_text(place, row)?),
        Number::Calculated(operation, left, right) => {
            let (left, right) = (number(left, row)?, number(right, row)?);
            match operation {
                Operation::Add => Some(left + right),
                Operation::Subtract => Some(left - right),
                Operation::Multiply => Some(left * right),
                Operation::Divide => (right != 0.0).then(|| left / right),
                Operation::Remainder => None,
            }
        }
    }
}

fn time(of: &Time, row: &Row<'_>) -> Option<Timestamp> {
    match of {
        Time::Constant(time) => Some(*time),
        Time::Column(TimeColumn::Created) => row.create_time,
        Time::Column(TimeColumn::Updated) => row.update_time,
        Time::Column(TimeColumn::SummaryStart) => row.summary_start_time,
        Time::Column(TimeColumn::SummaryEnd) => row.summary_end_time,
        Time::Json(place) => crate::time::parse(&json_text(place, row)?),
    }
}

fn date_part(part: DatePart, time: Timestamp) -> i64 {
    let date = Offset::UTC.to_datetime(time).date();
    match part {
        DatePart::Date => i64::from(date.day()),
        DatePart::DayOfMonth => i64::from(date.day()) - 1,
        DatePart::DayOfWeek => i64::from(date.weekday().to_sunday_zero_offset()),
        DatePart::DayOfYear => i64::from(date.day_of_year()) - 1,
        DatePart::FullYear => i64::from(date.year()),
    }
}
