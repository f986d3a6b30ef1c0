//! Variables with another text where they are compared with certain texts.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, operators};

/// What joins comparisons: each side is looked at by itself.
const JOINTS: [&str; 4] =
    [operators::LOGICAL_AND, operators::LOGICAL_OR, operators::LOGICAL_NOT, operators::CONDITIONAL];

/// The name of the variable with the other text. No expression can have it.
pub(crate) fn other_name(name: &str) -> String {
    format!("{name}@beside")
}

/// Has each comparison that a literal with `mark` is in look at the other text of `name`.
pub(crate) fn rename(expression: &mut IdedExpr, name: &str, mark: &str) {
    match &mut expression.expr {
        Expr::Call(call) if JOINTS.contains(&call.func_name.as_str()) => {
            call.args.iter_mut().for_each(|side| rename(side, name, mark));
        }
        _ => {
            if has_mark(expression, mark) {
                replace(expression, name);
            }
        }
    }
}

fn has_mark(expression: &IdedExpr, mark: &str) -> bool {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => text.inner().contains(mark),
        _ => parts(expression).any(|part| has_mark(part, mark)),
    }
}

fn replace(expression: &mut IdedExpr, name: &str) {
    match &mut expression.expr {
        Expr::Ident(known) if known == name => *known = other_name(name),
        _ => parts_mut(expression).into_iter().for_each(|part| replace(part, name)),
    }
}

fn parts(expression: &IdedExpr) -> Box<dyn Iterator<Item = &IdedExpr> + '_> {
    match &expression.expr {
        Expr::Select(select) => Box::new(std::iter::once(select.operand.as_ref())),
        Expr::Call(call) => Box::new(call.target.as_deref().into_iter().chain(&call.args)),
        Expr::List(list) => Box::new(list.elements.iter()),
        Expr::Map(map) => Box::new(map.entries.iter().flat_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
            EntryExpr::StructField(field) => vec![&field.value],
        })),
        Expr::Comprehension(of) => {
            Box::new([&of.iter_range, &of.accu_init, &of.loop_cond, &of.loop_step, &of.result].into_iter())
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {
            Box::new(std::iter::empty())
        }
    }
}

fn parts_mut(expression: &mut IdedExpr) -> Vec<&mut IdedExpr> {
    match &mut expression.expr {
        Expr::Select(select) => vec![select.operand.as_mut()],
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).collect(),
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Map(map) => map
            .entries
            .iter_mut()
            .flat_map(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
                EntryExpr::StructField(field) => vec![&mut field.value],
            })
            .collect(),
        Expr::Comprehension(of) => {
            vec![&mut of.iter_range, &mut of.accu_init, &mut of.loop_cond, &mut of.loop_step, &mut of.result]
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Vec::new(),
    }
}
