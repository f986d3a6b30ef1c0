//! Tests as conditions of PostgreSQL. Its logic is that of [`crate::memory`] for what is absent: null.
//!
//! Conditions that an index serves say "not true" where others say "neither". That is the same as long as nothing is made of
//! it but `AND` and `OR`, so only there they are used.

mod values;

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::values::map_column;
use crate::json;
use crate::test::{Comparison, Json, MapColumn, OneOf, Part, Step, Test, Text};

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Sql {
    /// In brackets. Placeholders say their type: `$1::text`.
    pub text: String,
    /// In the order of the placeholders, each of which is there once.
    pub binds: Vec<Bind>,
}

/// The value of a placeholder.
#[derive(Clone, Debug, PartialEq)]
pub enum Bind {
    /// Cast to `text`.
    Text(String),
    /// Cast to `float8`; finite.
    Number(f64),
    /// Cast to `int8`.
    Integer(i64),
    /// Cast to `bool`.
    Bool(bool),
    /// Cast to `timestamptz`; whole microseconds.
    Time(Timestamp),
    /// Cast to `jsonb`.
    Json(Value),
}

/// Texts are compared, and patterns matched, by their characters' numbers, whatever the language of the database is.
const BY_CHARACTER: &str = " COLLATE \"C\"";

pub(crate) fn write(test: &Test, first: usize) -> Sql {
    let mut writer = Writer { text: String::new(), binds: Vec::new(), first };
    writer.push("(");
    writer.test(test, Use::Condition);
    writer.push(")");
    Sql { text: writer.text, binds: writer.binds }
}

/// What becomes of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Whether it is true is all that matters.
    Condition,
    /// Whether it is false matters too.
    Value,
}

struct Writer {
    text: String,
    binds: Vec<Bind>,
    first: usize,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn bind(&mut self, bind: Bind) {
        let type_ = match &bind {
            Bind::Text(_) => "text",
            Bind::Number(_) => "float8",
            Bind::Integer(_) => "int8",
            Bind::Bool(_) => "bool",
            Bind::Time(_) => "timestamptz",
            Bind::Json(_) => "jsonb",
        };
        let _ = write!(self.text, "${}::{type_}", self.first + self.binds.len());
        self.binds.push(bind);
    }

    fn test(&mut self, test: &Test, to: Use) {
        match test {
            Test::Constant(holds) => self.push(if *holds { "TRUE" } else { "FALSE" }),
            Test::Json(place) => {
                self.push("CASE ");
                self.json_text(place);
                self.push(" WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END");
            }
            Test::Not(inner) => {
                self.push("NOT (");
                self.test(inner, Use::Value);
                self.push(")");
            }
            Test::Both(left, right) => self.junction(left, " AND ", right, to),
            Test::Either(left, right) => self.junction(left, " OR ", right, to),
            Test::Texts(comparison, left, right) => self.texts(*comparison, left, right, to),
            Test::Wholes(comparison, left, right) => self.compared(*comparison, left, right, Self::whole),
            Test::Numbers(comparison, left, right) => self.compared(*comparison, left, right, Self::number),
            Test::Times(comparison, left, right) => self.compared(*comparison, left, right, Self::time),
            Test::Tests(comparison, left, right) => {
                self.compared(*comparison, left.as_ref(), right.as_ref(), Self::value);
            }
            Test::OneOf(one_of) => match one_of {
                OneOf::Texts(item, options) => self.one_of(item, options, Self::text),
                OneOf::Numbers(item, options) => self.one_of(item, options, Self::number),
                OneOf::Times(item, options) => self.one_of(item, options, Self::time),
                OneOf::Tests(item, options) => self.one_of(item.as_ref(), options, Self::value),
            },
            Test::HasKey(column, key) => self.has_key(*column, key, to),
            Test::Holds(place, wanted) => {
                self.push("CASE WHEN jsonb_typeof(");
                self.json(place);
                self.push(") IN ('object', 'array') THEN ");
                self.json(place);
                self.push(" ? ");
                self.text(wanted);
                self.push(" END");
            }
            Test::Part(part, whole, wanted) => self.part(*part, whole, wanted),
            Test::Matches(whole, pattern) => {
                self.text(whole);
                self.push(BY_CHARACTER);
                self.push(" ~ ");
                self.bind(Bind::Text(pattern.database().to_owned()));
            }
        }
    }

    fn value(&mut self, test: &Test) {
        self.push("(");
        self.test(test, Use::Value);
        self.push(")");
    }

    fn junction(&mut self, left: &Test, between: &str, right: &Test, to: Use) {
        self.push("(");
        self.test(left, to);
        self.push(")");
        self.push(between);
        self.push("(");
        self.test(right, to);
        self.push(")");
    }

    fn compared<T: ?Sized>(&mut self, by: Comparison, left: &T, right: &T, write: fn(&mut Self, &T)) {
        write(self, left);
        self.push(operator(by));
        write(self, right);
    }

    fn one_of<T: ?Sized, O>(&mut self, item: &T, options: &[O], write: fn(&mut Self, &T))
    where
        O: std::borrow::Borrow<T>,
    {
        if options.is_empty() {
            self.push("FALSE");
            return;
        }
        write(self, item);
        for (position, option) in options.iter().enumerate() {
            self.push(if position == 0 { " IN (" } else { ", " });
            write(self, option.borrow());
        }
        self.push(")");
    }

    fn texts(&mut self, comparison: Comparison, left: &Text, right: &Text, to: Use) {
        let is_indexed = comparison == Comparison::Equal
            && to == Use::Condition
            && (self.contained(left, right) || self.contained(right, left));
        if is_indexed {
            return;
        }
        self.text(left);
        if !matches!(comparison, Comparison::Equal | Comparison::Different) {
            self.push(BY_CHARACTER);
        }
        self.push(operator(comparison));
        self.text(right);
    }

    /// Writes that a map has an entry, if that is what is compared.
    fn contained(&mut self, entry: &Text, value: &Text) -> bool {
        let Text::Constant(value) = value else { return false };
        match entry {
            Text::Entry(column, key) => {
                self.push(map_column(*column));
                self.push(" @> ");
                self.bind(Bind::Json(json!({ key: value })));
                true
            }
            Text::Json(place) => match place.0.as_slice() {
                [Step::Key(metadata), Step::Key(labels), Step::Key(key)]
                    if metadata == "metadata" && labels == "labels" =>
                {
                    self.labelled(place, key, value)
                }
                _ => false,
            },
            Text::Constant(_) | Text::Column(_) | Text::Joined(..) => false,
        }
    }

    /// Writes that data has a label. Data may be anything, so the value may be the text of something else: 5 instead of "5".
    fn labelled(&mut self, place: &Json, key: &str, value: &str) -> bool {
        let labels = Json(place.0[..2].to_vec());
        let has = |writer: &mut Self, value: Value| {
            writer.json(&labels);
            writer.push(" @> ");
            writer.bind(Bind::Json(json!({ key: value })));
        };
        let number = value.parse().ok().filter(|number: &i64| number.to_string() == value);
        let other = number.map(Value::from).or_else(|| json::truth(value).map(Value::from));
        if let Some(other) = other {
            self.push("(");
            has(self, Value::from(value));
            self.push(" OR ");
            has(self, other);
            self.push(") AND ");
            self.json_text(place);
            self.push(" = ");
            self.bind(Bind::Text(value.to_owned()));
            return true;
        }
        let may_be_other =
            value.starts_with(['[', '{']) || value.parse::<f64>().is_ok() && !value.contains(['e', 'E']);
        if may_be_other {
            return false;
        }
        has(self, Value::from(value));
        true
    }

    fn has_key(&mut self, column: MapColumn, key: &Text, to: Use) {
        if to == Use::Value {
            // No map is a map without keys; but a key that is absent itself is nothing.
            self.push("CASE WHEN ");
            self.push(map_column(column));
            self.push(" IS NOT NULL THEN ");
        }
        self.push(map_column(column));
        self.push(" ? ");
        self.text(key);
        if to == Use::Value {
            self.push(" WHEN ");
            self.text(key);
            self.push(" IS NOT NULL THEN FALSE END");
        }
    }

    fn part(&mut self, part: Part, whole: &Text, wanted: &Text) {
        match part {
            Part::Inside => {
                self.push("strpos(");
                self.text(whole);
                self.push(", ");
                self.text(wanted);
                self.push(") > 0");
            }
            // Not LIKE: nothing has to be escaped, and what is looked for may be a column.
            Part::Start => {
                self.push("starts_with(");
                self.text(whole);
                self.push(", ");
                self.text(wanted);
                self.push(")");
            }
            Part::End => {
                self.push("right(");
                self.text(whole);
                self.push(", length(");
                self.text(wanted);
                self.push(")) = ");
                self.text(wanted);
            }
        }
    }
}

fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => " = ",
        Comparison::Different => " <> ",
        Comparison::Less => " < ",
        Comparison::LessOrEqual => " <= ",
        Comparison::Greater => " > ",
        Comparison::GreaterOrEqual => " >= ",
    }
}
