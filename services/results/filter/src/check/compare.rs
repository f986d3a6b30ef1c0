//! Comparisons, and `in`. A value of data becomes what it is compared with.

use super::Value;
use crate::test::{Comparison, OneOf, Test, Text};

/// `None` if values like these cannot be compared.
pub(super) fn compare(by: Comparison, left: Value, right: Value) -> Option<Test> {
    match (left, right) {
        (Value::RunType(run), other) | (other, Value::RunType(run)) if by_equality(by) => {
            let one_of = Test::OneOf(OneOf::Texts(other.into_text()?, run.all().into()));
            Some(if by == Comparison::Equal { one_of } else { Test::Not(Box::new(one_of)) })
        }
        (Value::Whole(left, _), Value::Whole(right, _)) => Some(Test::Wholes(by, left, right)),
        (left, right) => match common(&[&left, &right])? {
            Kind::Text => Some(Test::Texts(by, left.into_text()?, right.into_text()?)),
            Kind::Number => Some(Test::Numbers(by, left.into_number()?.0, right.into_number()?.0)),
            Kind::Time => Some(Test::Times(by, left.into_time()?, right.into_time()?)),
            Kind::Test => Some(Test::Tests(by, left.into_test()?.into(), right.into_test()?.into())),
        },
    }
}

fn by_equality(by: Comparison) -> bool {
    matches!(by, Comparison::Equal | Comparison::Different)
}

/// `None` if nothing of this kind can be in a container of that kind.
pub(super) fn contained(item: Value, container: Value) -> Option<Test> {
    match container {
        Value::Map(column) => Some(Test::HasKey(column, item.into_text()?)),
        Value::Json(place) => Some(Test::Holds(place, item.into_text()?)),
        Value::List(options) => one_of(&item, options),
        _ => None,
    }
}

/// The options of one kind at a time: a value of data may be any of several kinds.
fn one_of(item: &Value, options: Vec<Value>) -> Option<Test> {
    let mut groups: Vec<(Kind, Vec<Value>)> = Vec::new();
    for option in options {
        let kind = common(&[item, &option])?;
        match groups.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, group)) => group.push(option),
            None => groups.push((kind, vec![option])),
        }
    }
    // Only a value of data has several groups, and that is not large.
    let tests: Option<Vec<Test>> =
        groups.into_iter().map(|(kind, group)| one_of_kind(kind, item.clone(), group)).collect();
    let either = |left: Test, right| Test::Either(Box::new(left), Box::new(right));
    Some(tests?.into_iter().reduce(either).unwrap_or(Test::Constant(false)))
}

fn one_of_kind(kind: Kind, item: Value, options: Vec<Value>) -> Option<Test> {
    Some(Test::OneOf(match kind {
        Kind::Text => {
            let texts = options.into_iter().map(every_text).collect::<Option<Vec<_>>>()?;
            OneOf::Texts(item.into_text()?, texts.into_iter().flatten().collect())
        }
        Kind::Number => {
            let numbers =
                options.into_iter().map(|option| Some(option.into_number()?.0)).collect::<Option<_>>();
            OneOf::Numbers(item.into_number()?.0, numbers?)
        }
        Kind::Time => {
            OneOf::Times(item.into_time()?, options.into_iter().map(Value::into_time).collect::<Option<_>>()?)
        }
        Kind::Test => {
            let tests = options.into_iter().map(Value::into_test).collect::<Option<_>>()?;
            OneOf::Tests(item.into_test()?.into(), tests)
        }
    }))
}

fn every_text(option: Value) -> Option<Vec<Text>> {
    match option {
        Value::RunType(run) => Some(run.all().into()),
        other => Some(vec![other.into_text()?]),
    }
}

/// What values can be compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Time,
    Test,
}

/// What all of these are, or can become. Values of data among themselves are compared as texts.
fn common(values: &[&Value]) -> Option<Kind> {
    let all = |is: fn(&Value) -> bool| values.iter().all(|value| value.is_json() || is(value));
    if all(Value::is_text) {
        Some(Kind::Text)
    } else if all(Value::is_number) {
        Some(Kind::Number)
    } else if all(|value| matches!(value, Value::Time(_))) {
        Some(Kind::Time)
    } else if all(|value| matches!(value, Value::Test(_))) {
        Some(Kind::Test)
    } else {
        None
    }
}
