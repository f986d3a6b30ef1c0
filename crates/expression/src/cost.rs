//! What an expression can cost, estimated before it is evaluated. Its sources of size are the literals in its text and the
//! variables, whose sizes are known place by place ([`Shape`]); so an upper bound of each value's size, and of the steps
//! that loops over it take, follows from the text.

use std::collections::{BTreeMap, BTreeSet};

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};

use crate::regexes;
use crate::shape::Shape;
use crate::variables::Variables;

/// Most steps. A step takes less than a microsecond.
const MAX_STEPS: u64 = 500_000;

/// Loops in loops.
const MAX_NESTING: usize = 6;

/// Steps of compiling a regular expression.
const REGEX: u64 = 5_000;

/// Functions and operators that give out a truth value or a number, whatever they are given.
const SCALAR: [&str; 17] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::IN,
    "matches",
    "contains",
    "startsWith",
    "endsWith",
    "size",
    "int",
];

/// Names that stand for types.
const TYPES: [&str; 10] =
    ["bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "uint"];

/// Why an expression is not evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("undeclared reference to {name:?}: {hint}")]
    Undeclared { name: String, hint: String },
    #[error(
        "it may take more than {MAX_STEPS} steps: have fewer or shorter lists, fewer loops in loops, or simpler regular \
         expressions"
    )]
    TooMuch,
}

/// Refuses what refers to nothing, and what may take too long.
pub(crate) fn check(
    expression: &IdedExpr,
    shapes: &BTreeMap<&str, Shape<'_>>,
    variables: &Variables<'_>,
) -> Result<(), Refused> {
    let mut estimate =
        Estimate { shapes, variables, bound: BTreeMap::new(), nesting: 0, patterns: BTreeSet::new() };
    let cost = estimate.of(expression)?;
    let compiling = REGEX.saturating_mul(number(estimate.patterns.len()));
    if cost.steps.saturating_add(compiling) > MAX_STEPS { Err(Refused::TooMuch) } else { Ok(()) }
}

/// Upper bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost<'s> {
    steps: u64,
    /// Of the value: its elements, and bytes of strings in it.
    size: u64,
    /// Of the value, where it is a part of a variable.
    shape: Option<&'s Shape<'s>>,
}

impl<'s> Cost<'s> {
    const ONE: Self = Self { steps: 1, size: 1, shape: None };

    /// Of both, and a value that has both.
    fn and(self, other: Self) -> Self {
        let size = self.size.saturating_add(other.size);
        Self { steps: self.steps.saturating_add(other.steps), size, shape: None }
    }

    /// Of what is at a place of a variable: it is looked at where it is.
    fn at(steps: u64, shape: &'s Shape<'s>) -> Self {
        Self { steps, size: shape.size, shape: Some(shape) }
    }

    /// Of a field of the value. Without such a field there is an error instead of a value.
    fn field(self, name: &str) -> Option<Self> {
        let steps = self.steps.saturating_add(1);
        self.shape.map(|shape| match shape.field(name) {
            Some(field) => Self::at(steps, field),
            None => Self { steps, size: 1, shape: None },
        })
    }
}

struct Estimate<'s> {
    shapes: &'s BTreeMap<&'s str, Shape<'s>>,
    variables: &'s Variables<'s>,
    /// The variables of the loops around.
    bound: BTreeMap<String, Cost<'s>>,
    nesting: usize,
    /// Regular expressions in the text: each is compiled once.
    patterns: BTreeSet<String>,
}

impl<'s> Estimate<'s> {
    fn of(&mut self, expression: &IdedExpr) -> Result<Cost<'s>, Refused> {
        let one = Cost::ONE;
        Ok(match &expression.expr {
            Expr::Literal(LiteralValue::String(text)) => Cost { size: length(text.inner().len()), ..one },
            Expr::Literal(LiteralValue::Bytes(bytes)) => Cost { size: length(bytes.inner().len()), ..one },
            Expr::Literal(_) | Expr::Unspecified => one,
            Expr::Ident(name) => self.named(name)?,
            Expr::Select(select) => self.select(select)?,
            Expr::List(list) => self.all(one, &list.elements)?,
            Expr::Map(map) => self.entries(map.entries.iter().map(|entry| &entry.expr))?,
            Expr::Struct(of_type) => return Err(self.undeclared(&of_type.type_name)),
            Expr::Call(call) => self.call(call)?,
            Expr::Comprehension(comprehension) => self.comprehension(comprehension)?,
        })
    }

    fn named(&self, name: &str) -> Result<Cost<'s>, Refused> {
        if let Some(bound) = self.bound.get(name) {
            // What was made on the way is copied where it is read.
            let steps = if bound.shape.is_some() { 1 } else { bound.size.saturating_add(1) };
            return Ok(Cost { steps, ..*bound });
        }
        match self.shapes.get(name) {
            Some(shape) => Ok(Cost::at(1, shape)),
            None if TYPES.contains(&name) => Ok(Cost::ONE),
            None => Err(self.undeclared(name)),
        }
    }

    fn undeclared(&self, name: &str) -> Refused {
        Refused::Undeclared { name: name.to_owned(), hint: self.variables.hint() }
    }

    fn select(&mut self, select: &SelectExpr) -> Result<Cost<'s>, Refused> {
        let operand = self.of(&select.operand)?;
        if select.test {
            return Ok(Cost { steps: operand.steps.saturating_add(1), ..Cost::ONE });
        }
        Ok(operand.field(&select.field).unwrap_or_else(|| Cost::ONE.and(operand)))
    }

    fn all<'e>(
        &mut self,
        mut total: Cost<'s>,
        expressions: impl IntoIterator<Item = &'e IdedExpr>,
    ) -> Result<Cost<'s>, Refused> {
        for expression in expressions {
            total = total.and(self.of(expression)?);
        }
        Ok(total)
    }

    fn entries<'e>(&mut self, entries: impl Iterator<Item = &'e EntryExpr>) -> Result<Cost<'s>, Refused> {
        let mut total = Cost::ONE;
        for entry in entries {
            total = match entry {
                EntryExpr::MapEntry(entry) => self.all(total, [&entry.key, &entry.value])?,
                EntryExpr::StructField(field) => total.and(self.of(&field.value)?),
            };
        }
        Ok(total)
    }

    /// A function or operator looks at all that it is given, and gives out no more than that together.
    fn call(&mut self, call: &CallExpr) -> Result<Cost<'s>, Refused> {
        let given: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        if let (operators::INDEX, [operand, index]) = (call.func_name.as_str(), given.as_slice()) {
            return self.index(operand, index);
        }
        let costs = given.iter().map(|part| self.of(part)).collect::<Result<Vec<_>, _>>()?;
        let mut cost = costs.iter().fold(Cost::ONE, |total, part| total.and(*part));
        // The elements of a part of a variable are counted already.
        let is_counted = call.func_name == "size" && costs.iter().all(|part| part.shape.is_some());
        if !is_counted {
            cost.steps = cost.steps.saturating_add(cost.size);
        }
        if SCALAR.contains(&call.func_name.as_str()) {
            cost.size = 1;
        }
        if let Some(steps) = self.variables.steps_of(&call.func_name) {
            cost.steps = cost.steps.saturating_add(steps);
            cost.size = 1;
        }
        if call.func_name == "matches" {
            cost.steps = cost.steps.saturating_add(self.pattern(given.last().copied())?);
        }
        Ok(cost)
    }

    /// Steps of each call of `matches` for its pattern: none for one that is written there.
    fn pattern(&mut self, pattern: Option<&IdedExpr>) -> Result<u64, Refused> {
        match pattern.map(|pattern| &pattern.expr) {
            Some(Expr::Literal(LiteralValue::String(text))) => {
                if self.patterns.insert(text.inner().to_owned()) && regexes::is_too_large(text.inner()) {
                    return Err(Refused::TooMuch);
                }
                Ok(0)
            }
            _ => Ok(REGEX),
        }
    }

    /// `operand[index]`
    fn index(&mut self, operand: &IdedExpr, index: &IdedExpr) -> Result<Cost<'s>, Refused> {
        let of = self.of(operand)?;
        let by = self.of(index)?;
        let steps = of.steps.saturating_add(by.steps).saturating_add(by.size);
        let found = match (&index.expr, of.shape) {
            (Expr::Literal(LiteralValue::String(name)), _) => of.field(name.inner()),
            (_, Some(shape)) => shape.item().map(|item| Cost::at(steps, item)),
            (_, None) => None,
        };
        Ok(match found {
            Some(found) => Cost { steps, ..found },
            // Something in it.
            None => Cost { steps: steps.saturating_add(of.size), size: of.size, shape: None },
        })
    }

    fn comprehension(&mut self, of: &ComprehensionExpr) -> Result<Cost<'s>, Refused> {
        if self.nesting == MAX_NESTING {
            return Err(Refused::TooMuch);
        }
        self.nesting += 1;
        let range = self.of(&of.iter_range)?;
        let start = self.of(&of.accu_init)?;
        let around = self.bound.clone();
        let (rounds, item, copied) = match range.shape {
            Some(shape) => {
                let item = Cost { steps: 0, size: shape.item_size(), shape: shape.item() };
                (shape.count, item, shape.size)
            }
            None => (range.size, Cost { steps: 0, ..range }, 0),
        };
        for variable in [Some(&of.iter_var), of.iter_var2.as_ref()].into_iter().flatten() {
            self.bound.insert(variable.clone(), item);
        }
        self.accumulate(of, start.size, rounds)?;
        let round = self.of(&of.loop_cond)?.and(self.of(&of.loop_step)?);
        let result = self.of(&of.result)?;
        self.bound = around;
        self.nesting -= 1;
        let loops = rounds.saturating_mul(round.steps);
        // Each element of a variable is copied into the variable of the loop.
        let steps =
            [start.steps, loops, copied, result.steps].into_iter().fold(range.steps, u64::saturating_add);
        Ok(Cost { steps, size: result.size, shape: None })
    }

    /// Bounds what a loop has made when it ends, from something of size `start`.
    fn accumulate(&mut self, of: &ComprehensionExpr, start: u64, rounds: u64) -> Result<(), Refused> {
        let mut after_round = |size| {
            self.bound.insert(of.accu_var.clone(), Cost { size, ..Cost::default() });
            self.of(&of.loop_step).map(|step| step.size)
        };
        // What one round adds, seen by letting it begin with nothing.
        let added = after_round(0)?;
        let first = start.max(added);
        // A truth value does not grow.
        let is_constant = after_round(first)? <= first;
        let last = if is_constant { first } else { start.saturating_add(rounds.saturating_mul(added)) };
        self.bound.insert(of.accu_var.clone(), Cost { size: last, ..Cost::default() });
        Ok(())
    }
}

fn length(bytes: usize) -> u64 {
    number(bytes).max(1)
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
