//! Statements that go before or after others of a body, so that the interpreter evaluates something when OPA does.

use regorus::unstable::{BoolOp, Expr, LiteralStmt, Query, Span, WithModifier};

use super::text::apply;
use super::walk::{Place, Walk};
use crate::rego::builtins;
use crate::rego::source::path;

impl Walk<'_> {
    /// Where a statement starts and ends. The interpreter leaves out the quotes of a text at its ends.
    pub(super) fn ends(&self, statement: &Span) -> (u32, u32) {
        let (start, end) = (statement.start, statement.end);
        let is_quote = |character: Option<&u8>| matches!(character, Some(b'"' | b'`'));
        let bytes = self.text.as_bytes();
        let opens = start > 0 && is_quote(bytes.get(start as usize - 1));
        let closes = is_quote(bytes.get(end as usize));
        (start - u32::from(opens), end + u32::from(closes))
    }

    /// Gives a body braces, if it has none, so that there can be several statements in it.
    pub(super) fn open(&mut self, query: &Query, place: Place, is_open: &mut bool) {
        let first = query.stmts.first().map(|statement| statement.span.start);
        if place == Place::Body && first == Some(query.span.start) && !*is_open {
            *is_open = true;
            self.insert(self.ends(&query.span).0, "{");
        }
    }

    /// The text of an expression in one line, with the edits from a number on.
    pub(super) fn edited(&self, span: &Span, first_edit: usize) -> String {
        apply(self.text, span.start as usize..span.end as usize, &self.edits[first_edit..]).replace('\n', " ")
    }

    /// Statements for what a negated call works on, so that the body ends there if it is undefined.
    pub(super) fn operands(&self, statement: &LiteralStmt, negated: &Expr, first_edit: usize) -> String {
        let mut operands = Vec::new();
        match negated {
            Expr::Call { params, .. } => operands.extend(params),
            Expr::Membership { key, value, collection, .. } => {
                operands.extend(key.iter().chain([value, collection]));
            }
            // A comparison for equality is undefined, and its negation true, if a side is; but not for the sake of a call in it.
            Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } => {
                operands
                    .extend([lhs, rhs].into_iter().filter(|side| matches!(side.as_ref(), Expr::Call { .. })));
            }
            Expr::BoolExpr { lhs, rhs, .. } => operands.extend([lhs, rhs]),
            _ => {}
        }
        let with = statement.with_mods.first().map_or(String::new(), |first| {
            let part = Span { end: self.ends(&statement.span).1, ..first.span.clone() };
            format!(" {}", self.edited(&part, first_edit))
        });
        let mut parts = Vec::new();
        for operand in operands {
            self.parts(operand, &mut parts);
        }
        let before = |part: &Expr| format!("_ = {}{with}; ", self.edited(part.span(), first_edit));
        parts.into_iter().map(before).collect::<Vec<_>>().concat()
    }

    /// What an expression is undefined without: references and calls in it that can be evaluated by themselves. Only their
    /// places in the text are to be relied on, not those of what they are in.
    pub(super) fn parts<'e>(&self, expression: &'e Expr, parts: &mut Vec<&'e Expr>) {
        match expression {
            Expr::Var { span, .. } => {
                let name = span.text();
                let rules = self.names.rules.get(self.package);
                let is_rule = rules.is_some_and(|rules| rules.contains(name));
                if !self.is_local(name) && (is_rule || self.import(name).is_some()) {
                    parts.push(expression);
                }
            }
            Expr::RefDot { span, .. } | Expr::RefBrack { span, .. } | Expr::Call { span, .. } => {
                // A comment would hide what comes after it when lines are joined, and `_` would be another one.
                let text = span.text();
                if !text.contains('#') && !text.contains("_]") && !text.contains('`') {
                    parts.push(expression);
                }
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                for item in items {
                    self.parts(item, parts);
                }
            }
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| self.parts(value, parts)),
            Expr::BinExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } => {
                self.parts(lhs, parts);
                self.parts(rhs, parts);
            }
            _ => {}
        }
    }

    /// Returns a statement that evaluates the value before, unless it is a function.
    pub(super) fn with(&mut self, modifier: &WithModifier) -> String {
        let mut before = String::new();
        let mut parts = Vec::new();
        if self.is_function(&modifier.r#as) {
            self.expression(&modifier.r#as);
        } else {
            self.parts(&modifier.r#as, &mut parts);
            let first_edit = self.edits.len();
            self.expression(&modifier.r#as);
            for part in parts {
                let span = part.span();
                let name = format!("{}_with_{}", builtins::OURS, span.start);
                before.extend([&name, " := ", &self.edited(span, first_edit), "; "]);
                let within = span.start as usize..span.end as usize;
                self.edits.retain(|edit| !(within.start <= edit.start && edit.end <= within.end));
                self.replace(span, name);
            }
        }
        let names = path(&modifier.refr).unwrap_or_default();
        match names.first() {
            Some(root) if self.import(root).is_none() => self.function_name(&names, modifier.refr.span()),
            _ => self.expression(&modifier.refr),
        }
        before
    }

    /// Whether an expression is the name of a function, which `with` puts in the place of another.
    pub(super) fn is_function(&self, expression: &Expr) -> bool {
        let Some(names) = path(expression) else { return false };
        let root = names.first().map_or("", String::as_str);
        let full = match self.import(root) {
            Some(imported) => [&imported[1..], &names[1..]].concat(),
            None if root == "data" => names[1..].to_vec(),
            None => [self.package, &names].concat(),
        };
        self.names.functions.contains(&full) || builtins::is_known(&names.join("."))
    }
}
