//! From syntax to meaning: names become columns and places, operators and functions become tests of values that they are for.

mod arithmetic;
mod calls;
mod compare;
mod value;

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, SelectExpr, SourceInfo};

use self::value::{RunType, Value};
use crate::bounds::{Bounds, MAX_WHOLE};
use crate::parse::MAX_DEPTH;
use crate::test::{Json, MapColumn, Number, Step, Test, Text, TextColumn, Time, TimeColumn, Whole};
use crate::{Error, Target};

/// Most literals, and steps of paths: each is a placeholder of the statement, and a query has a limited number of them.
const MAX_LITERALS: usize = 1000;

/// Largest size of a status, which is a number of 32 bits in the database.
const MAX_STATUS: u64 = 1 << 31;

/// Constants: statuses of a summary.
const STATUSES: [(&str, i64); 5] =
    [("UNKNOWN", 0), ("SUCCESS", 1), ("FAILURE", 2), ("TIMEOUT", 3), ("CANCELLED", 4)];

/// The test that an expression is.
pub(crate) fn check(expression: &IdedExpr, source: &SourceInfo, target: Target) -> Result<Test, Error> {
    let mut checker = Checker { source, target, literals: 0, depth: 0 };
    match checker.value(expression)? {
        Value::Test(test) => Ok(test),
        other => Err(checker.error(
            expression,
            format!(
                "a filter has to be true or false, and this is {}; compare it with something",
                other.kind()
            ),
        )),
    }
}

struct Checker<'s> {
    source: &'s SourceInfo,
    target: Target,
    literals: usize,
    depth: usize,
}

impl Checker<'_> {
    fn error(&self, at: &IdedExpr, message: impl Into<String>) -> Error {
        let offset = self.source.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        let before = self.source.source.get(..offset).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        Error {
            message: message.into(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }

    fn unsupported<T>(&self, at: &IdedExpr, what: impl std::fmt::Display) -> Result<T, Error> {
        Err(self.error(at, format!("unsupported CEL: {what}")))
    }

    fn value(&mut self, expression: &IdedExpr) -> Result<Value, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(expression, format!("the filter has more than {MAX_DEPTH} levels")));
        }
        let value = match &expression.expr {
            Expr::Literal(literal) => self.literal(expression, literal),
            Expr::Ident(name) => self.named(expression, name),
            Expr::Select(select) => self.select(expression, select),
            Expr::Call(call) => self.call(expression, call),
            Expr::List(list) => {
                let items = list.elements.iter().map(|item| self.value(item)).collect::<Result<_, _>>();
                items.map(Value::List)
            }
            Expr::Map(_) => self.unsupported(expression, "a map in the filter"),
            Expr::Struct(_) => self.unsupported(expression, "a message in the filter"),
            Expr::Comprehension(_) => self.unsupported(expression, "a loop"),
            Expr::Unspecified => self.unsupported(expression, "an empty expression"),
        };
        self.depth -= 1;
        value
    }

    fn count(&mut self, at: &IdedExpr) -> Result<(), Error> {
        self.literals += 1;
        if self.literals > MAX_LITERALS {
            return Err(self
                .error(at, format!("the filter has more than {MAX_LITERALS} constants and steps of paths")));
        }
        Ok(())
    }

    /// A text that the database can be given.
    fn constant(&self, at: &IdedExpr, text: &str) -> Result<String, Error> {
        if text.contains('\0') {
            return Err(
                self.error(at, "a text has the character U+0000, which no stored text has; leave it out")
            );
        }
        Ok(text.to_owned())
    }

    fn literal(&mut self, at: &IdedExpr, literal: &LiteralValue) -> Result<Value, Error> {
        self.count(at)?;
        match literal {
            LiteralValue::Boolean(truth) => Ok(Value::Test(Test::Constant(*truth.inner()))),
            LiteralValue::Int(number) => self.whole(at, Some(*number.inner())),
            LiteralValue::UInt(number) => self.whole(at, i64::try_from(*number.inner()).ok()),
            LiteralValue::Double(number) => {
                let number = *number.inner();
                match Bounds::of_constant(number).valid() {
                    Some(bounds) => Ok(Value::Number(Number::Constant(number), bounds)),
                    None => Err(self.error(at, "the number is too large, or too small")),
                }
            }
            LiteralValue::String(text) => {
                self.constant(at, text.inner()).map(|text| Value::Text(Text::Constant(text)))
            }
            LiteralValue::Bytes(_) => self.unsupported(at, "bytes; write a text"),
            LiteralValue::Null => {
                self.unsupported(at, "null; a comparison with what is absent is neither true nor false")
            }
        }
    }

    fn whole(&self, at: &IdedExpr, number: Option<i64>) -> Result<Value, Error> {
        match number {
            Some(number) if number.unsigned_abs() <= MAX_WHOLE => {
                Ok(Value::Whole(Whole::Constant(number), number.unsigned_abs()))
            }
            _ => Err(self.error(at, format!("a whole number can be at most {MAX_WHOLE}"))),
        }
    }

    fn named(&self, at: &IdedExpr, name: &str) -> Result<Value, Error> {
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some((_, number)) = STATUSES.iter().find(|(known, _)| *known == name) {
            return Ok(Value::Whole(Whole::Constant(*number), number.unsigned_abs()));
        }
        let text = |column| Ok(Value::Text(Text::Column(column)));
        let time = |column| Ok(Value::Time(Time::Column(column)));
        match (name, self.target) {
            ("PIPELINE_RUN", _) => Ok(Value::RunType(RunType::PipelineRun)),
            ("TASK_RUN", _) => Ok(Value::RunType(RunType::TaskRun)),
            ("parent", _) => text(TextColumn::Parent),
            ("uid", Target::Results) => text(TextColumn::Uid),
            ("annotations", Target::Results) => Ok(Value::Map(MapColumn::Annotations)),
            ("summary", Target::Results) => Ok(Value::Summary),
            ("create_time", Target::Results) => time(TimeColumn::Created),
            ("update_time", Target::Results) => time(TimeColumn::Updated),
            ("result_name", Target::Records) => text(TextColumn::ResultName),
            ("name", Target::Records) => text(TextColumn::Name),
            ("data_type", Target::Records) => text(TextColumn::DataType),
            ("data", Target::Records) => Ok(Value::Json(Json(Vec::new()))),
            _ => {
                let known = match self.target {
                    Target::Results => {
                        "of Results are parent, uid, annotations, summary, create_time and update_time"
                    }
                    Target::Records => "of Records are parent, result_name, name, data_type and data",
                };
                Err(self.error(at, format!("undeclared reference to {name:?}; the variables {known}")))
            }
        }
    }

    fn select(&mut self, at: &IdedExpr, select: &SelectExpr) -> Result<Value, Error> {
        if select.test {
            return self.unsupported(at, "has()");
        }
        let value = self.value(&select.operand)?;
        self.member(at, value, &select.field)
    }

    /// `value.name` and `value["name"]`.
    fn member(&mut self, at: &IdedExpr, value: Value, name: &str) -> Result<Value, Error> {
        self.count(at)?;
        let name = self.constant(at, name)?;
        let text = |column| Ok(Value::Text(Text::Column(column)));
        match (value, name.as_str()) {
            (Value::Json(Json(mut steps)), _) => {
                steps.push(Step::Key(name));
                Ok(Value::Json(Json(steps)))
            }
            (Value::Map(column), _) => Ok(Value::Text(Text::Entry(column, name))),
            (Value::Summary, "record") => text(TextColumn::SummaryRecord),
            (Value::Summary, "type") => text(TextColumn::SummaryType),
            (Value::Summary, "start_time") => Ok(Value::Time(Time::Column(TimeColumn::SummaryStart))),
            (Value::Summary, "end_time") => Ok(Value::Time(Time::Column(TimeColumn::SummaryEnd))),
            (Value::Summary, "status") => Ok(Value::Whole(Whole::SummaryStatus, MAX_STATUS)),
            (Value::Summary, "annotations") => Ok(Value::Map(MapColumn::SummaryAnnotations)),
            (Value::Summary, _) => Err(self.error(
                at,
                format!(
                    "undefined field {name:?}; a summary has record, type, start_time, end_time, status and annotations"
                ),
            )),
            (other, _) => self.unsupported(at, format_args!("a member of {}", other.kind())),
        }
    }

    fn index(&mut self, at: &IdedExpr, value: Value, index: &IdedExpr) -> Result<Value, Error> {
        match (&index.expr, value) {
            (Expr::Literal(LiteralValue::String(key)), value) if !matches!(value, Value::Summary) => {
                self.member(at, value, key.inner())
            }
            (Expr::Literal(LiteralValue::Int(number)), Value::Json(Json(mut steps))) => {
                self.count(at)?;
                match i32::try_from(*number.inner()) {
                    Ok(number) if number >= 0 => {
                        steps.push(Step::Index(number));
                        Ok(Value::Json(Json(steps)))
                    }
                    _ => Err(self.error(index, format!("an index is between 0 and {}", i32::MAX))),
                }
            }
            (_, Value::Json(_)) => self.unsupported(index, "an index that is not a constant text or number"),
            (_, Value::Map(_)) => self.unsupported(index, "a key that is not a constant text"),
            (_, other) => self.unsupported(at, format_args!("an index of {}", other.kind())),
        }
    }
}
