//! `+ - * / %`, and minus. Calculations whose result could be too large, or too small, are refused.

use super::Value;
use crate::bounds::{Bounds, MAX_WHOLE, MAX_WHOLE_DIGITS};
use crate::test::{Number, Operation, Text, Whole};

/// Why there is no such value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no such operation on values like these.
    Kinds,
    /// The result may be a number that there is none of.
    Size,
}

pub(super) fn calculate(operation: Operation, left: Value, right: Value) -> Result<Value, Refused> {
    if operation == Operation::Add && (left.is_text() || right.is_text()) {
        return joined(left, right).ok_or(Refused::Kinds);
    }
    if operation == Operation::Remainder {
        let left = into_whole(left).ok_or(Refused::Kinds)?;
        let right = into_whole(right).ok_or(Refused::Kinds)?;
        return wholes(operation, left, right);
    }
    match (left, right) {
        (Value::Whole(left, left_most), Value::Whole(right, right_most)) => {
            wholes(operation, (left, left_most), (right, right_most))
        }
        (left, right) if left.is_number() || right.is_number() => {
            numbers(operation, left, right).ok_or(Refused::Kinds)?
        }
        _ => Err(Refused::Kinds),
    }
}

pub(super) fn negate(value: Value) -> Result<Value, Refused> {
    calculate(Operation::Subtract, Value::Whole(Whole::Constant(0), 0), value)
}

fn joined(left: Value, right: Value) -> Option<Value> {
    Some(Value::Text(Text::Joined(Box::new(left.into_text()?), Box::new(right.into_text()?))))
}

fn into_whole(value: Value) -> Option<(Whole, u64)> {
    match value {
        Value::Whole(whole, most) => Some((whole, most)),
        Value::Json(place) => Some((Whole::Json(place), 10_u64.pow(MAX_WHOLE_DIGITS))),
        _ => None,
    }
}

fn wholes(operation: Operation, left: (Whole, u64), right: (Whole, u64)) -> Result<Value, Refused> {
    let most = match operation {
        Operation::Add | Operation::Subtract => left.1.saturating_add(right.1),
        Operation::Multiply => left.1.saturating_mul(right.1),
        Operation::Divide => left.1,
        Operation::Remainder => left.1.min(right.1),
    };
    if most > MAX_WHOLE {
        return Err(Refused::Size);
    }
    Ok(Value::Whole(Whole::Calculated(operation, Box::new(left.0), Box::new(right.0)), most))
}

/// `None` if one is no number.
fn numbers(operation: Operation, left: Value, right: Value) -> Option<Result<Value, Refused>> {
    let ((left, left_bounds), (right, right_bounds)) = (left.into_number()?, right.into_number()?);
    let combine = match operation {
        Operation::Add | Operation::Subtract => Bounds::sum,
        Operation::Multiply => Bounds::product,
        Operation::Divide => Bounds::quotient,
        Operation::Remainder => return None,
    };
    let bounds = combine(left_bounds, right_bounds);
    let number = Number::Calculated(operation, Box::new(left), Box::new(right));
    Some(bounds.map(|bounds| Value::Number(number, bounds)).ok_or(Refused::Size))
}
