//! Values in SQL. None of them fails, whatever is in the rows.

use std::fmt::Write as _;

use serde_json::json;

use super::{BY_CHARACTER, Bind, Writer};
use crate::test::{
    DatePart, Json, MapColumn, Number, Operation, Step, Text, TextColumn, Time, TimeColumn, Whole,
};
use crate::{json, time};

/// Steps of a path that are words of the statement, as only then an index on the path can be found.
const WELL_KNOWN: [&str; 7] = ["metadata", "labels", "annotations", "name", "namespace", "uid", "kind"];

impl Writer {
    pub(super) fn text(&mut self, text: &Text) {
        match text {
            Text::Constant(text) => self.bind(Bind::Text(text.clone())),
            Text::Column(column) => self.push(text_column(*column)),
            Text::Entry(column, key) => {
                self.push("(");
                self.push(map_column(*column));
                self.push(" ->> ");
                self.bind(Bind::Text(key.clone()));
                self.push(")");
            }
            Text::Json(place) => self.json_text(place),
            Text::Joined(left, right) => {
                self.push("(");
                self.text(left);
                self.push(" || ");
                self.text(right);
                self.push(")");
            }
        }
    }

    pub(super) fn whole(&mut self, whole: &Whole) {
        match whole {
            Whole::Constant(number) => self.bind(Bind::Integer(*number)),
            Whole::SummaryStatus => self.push("recordsummary_status::int8"),
            Whole::Json(place) => self.cast(place, &json::shape_of_wholes(), "int8"),
            Whole::Date(part, time) => {
                let (field, first) = match part {
                    DatePart::Date => ("DAY", 0),
                    DatePart::DayOfMonth => ("DAY", 1),
                    DatePart::DayOfWeek => ("DOW", 0),
                    DatePart::DayOfYear => ("DOY", 1),
                    DatePart::FullYear => ("YEAR", 0),
                };
                let _ = write!(self.text, "(EXTRACT({field} FROM ");
                self.time(time);
                let _ = write!(self.text, " AT TIME ZONE 'UTC')::int8 - {first})");
            }
            Whole::Calculated(operation, left, right) => {
                self.calculated(*operation, left.as_ref(), right.as_ref(), Self::whole);
            }
        }
    }

    pub(super) fn number(&mut self, number: &Number) {
        match number {
            Number::Constant(number) => self.bind(Bind::Number(*number)),
            Number::Whole(whole) => {
                self.push("(");
                self.whole(whole);
                self.push(")::float8");
            }
            Number::Json(place) => self.cast(place, &json::shape_of_numbers(), "float8"),
            Number::Calculated(operation, left, right) => {
                self.calculated(*operation, left.as_ref(), right.as_ref(), Self::number);
            }
        }
    }

    fn calculated<T>(&mut self, operation: Operation, left: &T, right: &T, write: fn(&mut Self, &T)) {
        let (before, after) = match operation {
            Operation::Add => (" + ", ")"),
            Operation::Subtract => (" - ", ")"),
            Operation::Multiply => (" * ", ")"),
            // Nothing, instead of an error of the whole query.
            Operation::Divide => (" / NULLIF(", ", 0))"),
            Operation::Remainder => (" % NULLIF(", ", 0))"),
        };
        self.push("(");
        write(self, left);
        self.push(before);
        write(self, right);
        self.push(after);
    }

    pub(super) fn time(&mut self, time: &Time) {
        match time {
            Time::Constant(time) => self.bind(Bind::Time(*time)),
            Time::Column(column) => self.push(time_column(*column)),
            Time::Json(place) => self.cast(place, time::SHAPE, "timestamptz"),
        }
    }

    /// The value of a text of this shape; null for another, whose cast would be an error of the whole query.
    fn cast(&mut self, place: &Json, shape: &str, type_: &str) {
        self.push("CASE WHEN ");
        self.json_text(place);
        let _ = write!(self.text, "{BY_CHARACTER} ~ '{shape}' THEN ");
        self.json_text(place);
        let _ = write!(self.text, "::{type_} END");
    }

    pub(super) fn json(&mut self, place: &Json) {
        self.steps(&place.0, "->");
    }

    pub(super) fn json_text(&mut self, place: &Json) {
        match place.0.last() {
            Some(Step::Key(_)) => self.steps(&place.0, "->>"),
            Some(Step::Index(_)) | None => {
                self.push("(");
                self.steps(&place.0, "->");
                self.push(" #>> '{}')");
            }
        }
    }

    /// Goes into objects by a key, and into lists by a number. `#>` would take "0" for either, and `-> 0` a text for a list
    /// of one.
    fn steps(&mut self, steps: &[Step], last: &str) {
        for step in steps.iter().rev() {
            self.push(match step {
                Step::Key(_) => "(",
                Step::Index(_) => "jsonb_path_query_first(",
            });
        }
        self.push("data");
        for (position, step) in steps.iter().enumerate() {
            match step {
                Step::Key(key) => {
                    let operator = if position + 1 == steps.len() { last } else { "->" };
                    let _ = write!(self.text, " {operator} ");
                    match WELL_KNOWN.iter().find(|known| *known == key) {
                        Some(known) => {
                            let _ = write!(self.text, "'{known}'");
                        }
                        None => self.bind(Bind::Text(key.clone())),
                    }
                }
                Step::Index(index) => {
                    self.push(", 'strict $[$i]', ");
                    self.bind(Bind::Json(json!({ "i": index })));
                    // Nothing instead of an error.
                    self.push(", TRUE");
                }
            }
            self.push(")");
        }
    }
}

fn text_column(column: TextColumn) -> &'static str {
    match column {
        TextColumn::Parent => "parent",
        TextColumn::Uid => "id",
        TextColumn::Name => "name",
        TextColumn::ResultName => "result_name",
        TextColumn::DataType => "type",
        TextColumn::SummaryRecord => "recordsummary_record",
        TextColumn::SummaryType => "recordsummary_type",
    }
}

fn time_column(column: TimeColumn) -> &'static str {
    match column {
        TimeColumn::Created => "created_time",
        TimeColumn::Updated => "updated_time",
        TimeColumn::SummaryStart => "recordsummary_start_time",
        TimeColumn::SummaryEnd => "recordsummary_end_time",
    }
}

pub(super) fn map_column(column: MapColumn) -> &'static str {
    match column {
        MapColumn::Annotations => "annotations",
        MapColumn::SummaryAnnotations => "recordsummary_annotations",
    }
}
