//! Operators and functions.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, operators};

use super::arithmetic::{Refused, calculate, negate};
use super::compare::{compare, contained};
use super::{Checker, Value};
use crate::Error;
use crate::pattern::Pattern;
use crate::test::{Comparison, DatePart, Operation, Part, Test, Text, Time, Whole};
use crate::time;

/// Largest year of a time in the database, and some.
const MAX_YEAR: u64 = 1_000_000;

const MAX_DAY: u64 = 366;

impl Checker<'_> {
    pub(super) fn call(&mut self, at: &IdedExpr, call: &CallExpr) -> Result<Value, Error> {
        match (&call.target, call.args.as_slice()) {
            (None, [left, right]) => self.of_two(at, &call.func_name, left, right),
            (None, [only]) => self.of_one(at, &call.func_name, only),
            (Some(target), arguments) => self.method(at, &call.func_name, target, arguments),
            _ => self.unsupported(at, format_args!("function {:?}", call.func_name)),
        }
    }

    fn of_two(
        &mut self,
        at: &IdedExpr,
        name: &str,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Result<Value, Error> {
        if let Some((sign, comparison)) = comparison(name) {
            let (left, right) = (self.value(left)?, self.value(right)?);
            let (left_kind, right_kind) = (left.kind(), right.kind());
            return match compare(comparison, left, right) {
                Some(test) => Ok(Value::Test(test)),
                None => self.unsupported(at, format_args!("{left_kind} {sign} {right_kind}")),
            };
        }
        if let Some((sign, operation)) = operation(name) {
            let (left, right) = (self.value(left)?, self.value(right)?);
            let (left_kind, right_kind) = (left.kind(), right.kind());
            return calculate(operation, left, right)
                .or_else(|refused| self.refused(at, refused, &format!("{left_kind} {sign} {right_kind}")));
        }
        match name {
            operators::LOGICAL_AND => {
                Ok(Value::Test(Test::Both(self.truth(left)?.into(), self.truth(right)?.into())))
            }
            operators::LOGICAL_OR => {
                Ok(Value::Test(Test::Either(self.truth(left)?.into(), self.truth(right)?.into())))
            }
            operators::INDEX => {
                let value = self.value(left)?;
                self.index(at, value, right)
            }
            operators::IN => {
                let (item, container) = (self.value(left)?, self.value(right)?);
                let (item_kind, container_kind) = (item.kind(), container.kind());
                match contained(item, container) {
                    Some(test) => Ok(Value::Test(test)),
                    None => self.unsupported(at, format_args!("{item_kind} in {container_kind} like this")),
                }
            }
            "matches" => self.matches(at, left, right),
            _ => self.unsupported(at, format_args!("function {name:?}")),
        }
    }

    fn of_one(&mut self, at: &IdedExpr, name: &str, only: &IdedExpr) -> Result<Value, Error> {
        match name {
            operators::LOGICAL_NOT => Ok(Value::Test(Test::Not(self.truth(only)?.into()))),
            operators::NEGATE => {
                let value = self.value(only)?;
                let kind = value.kind();
                negate(value).or_else(|refused| self.refused(at, refused, &format!("minus {kind}")))
            }
            "timestamp" => self.timestamp(only),
            _ => self.unsupported(at, format_args!("function {name:?}")),
        }
    }

    fn method(
        &mut self,
        at: &IdedExpr,
        name: &str,
        target: &IdedExpr,
        arguments: &[IdedExpr],
    ) -> Result<Value, Error> {
        match (name, arguments) {
            ("contains", [wanted]) => self.part(Part::Inside, target, wanted),
            ("startsWith", [wanted]) => self.part(Part::Start, target, wanted),
            ("endsWith", [wanted]) => self.part(Part::End, target, wanted),
            ("matches", [pattern]) => self.matches(at, target, pattern),
            ("getDate", []) => self.date(DatePart::Date, target),
            ("getDayOfMonth", []) => self.date(DatePart::DayOfMonth, target),
            ("getDayOfWeek", []) => self.date(DatePart::DayOfWeek, target),
            ("getDayOfYear", []) => self.date(DatePart::DayOfYear, target),
            ("getFullYear", []) => self.date(DatePart::FullYear, target),
            _ => self.unsupported(
                at,
                format_args!("function {name:?} with {} arguments on a value", arguments.len()),
            ),
        }
    }

    fn refused<T>(&self, at: &IdedExpr, refused: Refused, what: &str) -> Result<T, Error> {
        match refused {
            Refused::Kinds => self.unsupported(at, what),
            Refused::Size => {
                Err(self.error(at, "the result could be too large, or too small, a number; calculate less"))
            }
        }
    }

    fn truth(&mut self, expression: &IdedExpr) -> Result<Test, Error> {
        let value = self.value(expression)?;
        let kind = value.kind();
        match value.into_test() {
            Some(test) => Ok(test),
            None => Err(self.error(expression, format!("here has to be a truth value, and this is {kind}"))),
        }
    }

    fn text(&mut self, expression: &IdedExpr) -> Result<Text, Error> {
        let value = self.value(expression)?;
        let kind = value.kind();
        match value.into_text() {
            Some(text) => Ok(text),
            None => Err(self.error(expression, format!("here has to be a text, and this is {kind}"))),
        }
    }

    fn part(&mut self, part: Part, whole: &IdedExpr, wanted: &IdedExpr) -> Result<Value, Error> {
        Ok(Value::Test(Test::Part(part, self.text(whole)?, self.text(wanted)?)))
    }

    fn matches(&mut self, at: &IdedExpr, whole: &IdedExpr, pattern: &IdedExpr) -> Result<Value, Error> {
        let whole = self.text(whole)?;
        let Text::Constant(text) = self.text(pattern)? else {
            return self.unsupported(at, "a regular expression that is not a constant");
        };
        match Pattern::new(&text) {
            Ok(pattern) => Ok(Value::Test(Test::Matches(whole, pattern))),
            Err(reason) => Err(self.error(pattern, format!("bad regular expression {text:?}: {reason}"))),
        }
    }

    fn timestamp(&mut self, of: &IdedExpr) -> Result<Value, Error> {
        match self.value(of)? {
            Value::Text(Text::Constant(text)) => match time::parse(&text) {
                Some(time) => Ok(Value::Time(Time::Constant(time))),
                None => Err(self.error(
                    of,
                    format!("bad timestamp {text:?}: write it like \"2024-05-01T12:00:00Z\", in the years 1000 to 9998"),
                )),
            },
            Value::Json(place) => Ok(Value::Time(Time::Json(place))),
            Value::Time(time) => Ok(Value::Time(time)),
            other => self.unsupported(of, format_args!("a timestamp of {}", other.kind())),
        }
    }

    fn date(&mut self, part: DatePart, of: &IdedExpr) -> Result<Value, Error> {
        let value = self.value(of)?;
        let kind = value.kind();
        let Some(time) = value.into_time() else {
            return Err(self.error(of, format!("here has to be a time, and this is {kind}")));
        };
        let most = if part == DatePart::FullYear { MAX_YEAR } else { MAX_DAY };
        Ok(Value::Whole(Whole::Date(part, Box::new(time)), most))
    }
}

fn comparison(name: &str) -> Option<(&'static str, Comparison)> {
    Some(match name {
        operators::EQUALS => ("==", Comparison::Equal),
        operators::NOT_EQUALS => ("!=", Comparison::Different),
        operators::LESS => ("<", Comparison::Less),
        operators::LESS_EQUALS => ("<=", Comparison::LessOrEqual),
        operators::GREATER => (">", Comparison::Greater),
        operators::GREATER_EQUALS => (">=", Comparison::GreaterOrEqual),
        _ => return None,
    })
}

fn operation(name: &str) -> Option<(&'static str, Operation)> {
    Some(match name {
        operators::ADD => ("+", Operation::Add),
        operators::SUBSTRACT => ("-", Operation::Subtract),
        operators::MULTIPLY => ("*", Operation::Multiply),
        operators::DIVIDE => ("/", Operation::Divide),
        operators::MODULO => ("%", Operation::Remainder),
        _ => return None,
    })
}
