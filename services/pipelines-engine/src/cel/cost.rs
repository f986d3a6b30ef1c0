//! What an expression can cost, estimated before it is evaluated. Its only sources of size are the literals in its text, so
//! an upper bound of each value's size, and of the steps that loops over it take, follows from the text.

use std::collections::BTreeMap;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

/// Most steps. A step takes about a microsecond.
const MAX_STEPS: u64 = 200_000;

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
pub(super) enum Refused {
    #[error(
        "undeclared reference to {0:?}: an expression sees no variables; put a value between quotes, as '$(params.name)'"
    )]
    Undeclared(String),
    #[error("it may take more than {MAX_STEPS} steps: have fewer or shorter lists, or fewer loops in loops")]
    TooMuch,
}

/// Refuses what refers to nothing, and what may take too long.
pub(super) fn check(expression: &IdedExpr) -> Result<(), Refused> {
    let mut estimate = Estimate { variables: BTreeMap::new(), nesting: 0 };
    let cost = estimate.of(expression)?;
    if cost.steps > MAX_STEPS { Err(Refused::TooMuch) } else { Ok(()) }
}

/// Upper bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    steps: u64,
    /// Of the value: its elements, and bytes of strings in it.
    size: u64,
}

impl Cost {
    /// Of both, and a value that has both.
    fn and(self, other: Self) -> Self {
        Self { steps: self.steps.saturating_add(other.steps), size: self.size.saturating_add(other.size) }
    }
}

struct Estimate {
    /// Sizes of the variables of the loops around.
    variables: BTreeMap<String, u64>,
    nesting: usize,
}

impl Estimate {
    fn of(&mut self, expression: &IdedExpr) -> Result<Cost, Refused> {
        let one = Cost { steps: 1, size: 1 };
        Ok(match &expression.expr {
            Expr::Literal(LiteralValue::String(text)) => Cost { size: length(text.inner().len()), ..one },
            Expr::Literal(LiteralValue::Bytes(bytes)) => Cost { size: length(bytes.inner().len()), ..one },
            Expr::Literal(_) | Expr::Unspecified => one,
            Expr::Ident(name) => match self.variables.get(name) {
                // Values are copied where they are read.
                Some(size) => Cost { steps: size.saturating_add(1), size: *size },
                None if TYPES.contains(&name.as_str()) => one,
                None => return Err(Refused::Undeclared(name.clone())),
            },
            Expr::Select(select) => one.and(self.of(&select.operand)?),
            Expr::List(list) => self.all(one, &list.elements)?,
            Expr::Map(map) => self.entries(map.entries.iter().map(|entry| &entry.expr))?,
            Expr::Struct(of_type) => return Err(Refused::Undeclared(of_type.type_name.clone())),
            Expr::Call(call) => self.call(call)?,
            Expr::Comprehension(comprehension) => self.comprehension(comprehension)?,
        })
    }

    fn all<'e>(
        &mut self,
        mut total: Cost,
        expressions: impl IntoIterator<Item = &'e IdedExpr>,
    ) -> Result<Cost, Refused> {
        for expression in expressions {
            total = total.and(self.of(expression)?);
        }
        Ok(total)
    }

    fn entries<'e>(&mut self, entries: impl Iterator<Item = &'e EntryExpr>) -> Result<Cost, Refused> {
        let mut total = Cost { steps: 1, size: 1 };
        for entry in entries {
            total = match entry {
                EntryExpr::MapEntry(entry) => self.all(total, [&entry.key, &entry.value])?,
                EntryExpr::StructField(field) => total.and(self.of(&field.value)?),
            };
        }
        Ok(total)
    }

    /// A function or operator looks at all that it is given, and gives out no more than that together.
    fn call(&mut self, call: &CallExpr) -> Result<Cost, Refused> {
        let given = call.target.as_deref().into_iter().chain(&call.args);
        let mut cost = self.all(Cost { steps: 1, size: 1 }, given)?;
        cost.steps = cost.steps.saturating_add(cost.size);
        if SCALAR.contains(&call.func_name.as_str()) {
            cost.size = 1;
        }
        if call.func_name == "matches" {
            cost.steps = cost.steps.saturating_add(REGEX);
        }
        Ok(cost)
    }

    fn comprehension(&mut self, of: &ComprehensionExpr) -> Result<Cost, Refused> {
        if self.nesting == MAX_NESTING {
            return Err(Refused::TooMuch);
        }
        self.nesting += 1;
        let range = self.of(&of.iter_range)?;
        let start = self.of(&of.accu_init)?;
        let around = self.variables.clone();
        for variable in [Some(&of.iter_var), of.iter_var2.as_ref()].into_iter().flatten() {
            self.variables.insert(variable.clone(), range.size);
        }
        // What one round adds, seen by letting it begin with nothing.
        self.variables.insert(of.accu_var.clone(), 0);
        let added = self.of(&of.loop_step)?;
        let rounds = range.size;
        let last = start.size.saturating_add(rounds.saturating_mul(added.size));
        self.variables.insert(of.accu_var.clone(), last);
        let round = self.of(&of.loop_cond)?.and(self.of(&of.loop_step)?);
        let result = self.of(&of.result)?;
        self.variables = around;
        self.nesting -= 1;
        let loops = rounds.saturating_mul(round.steps);
        let steps = [start.steps, loops, result.steps].into_iter().fold(range.steps, u64::saturating_add);
        Ok(Cost { steps, size: result.size })
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).max(1)
}
