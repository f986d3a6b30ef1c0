//! Goes through a syntax tree with the local variables of each place in mind, and notes what to change.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Literal, Query, Rule, RuleAssign, RuleBody, RuleHead, Span};

use super::locals::{declared, pattern};
use super::text::Edit;
use super::{Call, Function, Names};
use crate::rego::builtins;
use crate::rego::source::{self, path};

/// Where a query stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The body of a rule: may be one statement without braces.
    Body,
    /// In a comprehension, an `every`, or by itself.
    Nested,
}

pub(super) struct Walk<'a> {
    pub(super) text: &'a str,
    pub(super) package: &'a [String],
    pub(super) names: &'a Names,
    pub(super) imports: BTreeMap<String, Vec<String>>,
    /// The local variables, from the rule's arguments inwards.
    pub(super) scopes: Vec<BTreeSet<String>>,
    pub(super) edits: Vec<Edit>,
    pub(super) calls: Vec<Call>,
    pub(super) metadata: Vec<usize>,
    pub(super) first_metadata: usize,
    /// Number of the rule in hand.
    pub(super) rule: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a str, package: &'a [String], names: &'a Names) -> Self {
        Self {
            text,
            package,
            names,
            imports: BTreeMap::new(),
            scopes: Vec::new(),
            edits: Vec::new(),
            calls: Vec::new(),
            metadata: Vec::new(),
            first_metadata: 0,
            rule: 0,
        }
    }

    pub(super) fn replace(&mut self, span: &Span, text: String) {
        self.edits.push(Edit { start: span.start as usize, end: span.end as usize, text });
    }

    pub(super) fn insert(&mut self, at: u32, text: &str) {
        self.edits.push(Edit { start: at as usize, end: at as usize, text: text.to_owned() });
    }

    pub(super) fn is_local(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }

    /// Renames a local variable that has the name of a rule of the package.
    pub(super) fn variable(&mut self, span: &Span) {
        let name = span.text();
        if self.names.rules.get(self.package).is_some_and(|rules| rules.contains(name)) && self.is_local(name)
        {
            self.replace(span, format!("{}_{name}", builtins::OURS));
        }
    }

    /// What a name stands for, unless it is a local variable or no import.
    pub(super) fn import(&self, name: &str) -> Option<&Vec<String>> {
        self.imports.get(name).filter(|_| !self.is_local(name))
    }

    pub(super) fn rule(&mut self, rule: &Rule) {
        match rule {
            Rule::Default { refr, args, value, .. } => {
                self.head_reference(refr);
                let mut arguments = BTreeSet::new();
                for argument in args {
                    pattern(argument, &mut arguments);
                }
                self.within(arguments, |walk| {
                    for argument in args {
                        walk.expression(argument);
                    }
                    walk.expression(value);
                });
            }
            Rule::Spec { head, bodies, .. } => self.spec(head, bodies),
        }
    }

    pub(super) fn spec(&mut self, head: &RuleHead, bodies: &[RuleBody]) {
        let mut arguments = BTreeSet::new();
        if let RuleHead::Func { args, .. } = head {
            for argument in args {
                pattern(argument, &mut arguments);
            }
        }
        self.within(arguments, |walk| {
            if let RuleHead::Func { args, .. } = head {
                for argument in args {
                    walk.expression(argument);
                }
            }
            let locals = bodies.first().map(|body| declared(&body.query)).unwrap_or_default();
            walk.within(locals, |walk| match head {
                RuleHead::Compr { refr, assign, .. } | RuleHead::Func { refr, assign, .. } => {
                    walk.head_reference(refr);
                    if let Some(assign) = assign {
                        walk.expression(&assign.value);
                    }
                }
                RuleHead::Set { refr, key, .. } => {
                    walk.head_reference(refr);
                    if let Some(key) = key {
                        walk.expression(key);
                    }
                }
            });
            for (number, body) in bodies.iter().enumerate() {
                let assign = if number == 0 { assign_of(head) } else { body.assign.as_ref() };
                let has_else = bodies.get(number + 1).is_some_and(|next| next.is_else);
                let output = assign.filter(|_| has_else).map(|assign| assign.value.as_ref());
                walk.within(declared(&body.query), |walk| {
                    if let Some(assign) = &body.assign {
                        walk.expression(&assign.value);
                    }
                    walk.statements(&body.query, Place::Body, output);
                });
            }
        });
    }

    /// The name of a rule is no variable, but what stands in brackets behind it can be.
    pub(super) fn head_reference(&mut self, refr: &Expr) {
        match refr {
            Expr::RefDot { refr, .. } => self.head_reference(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.head_reference(refr);
                self.expression(index);
            }
            _ => {}
        }
    }

    pub(super) fn within(&mut self, locals: BTreeSet<String>, inner: impl FnOnce(&mut Self)) {
        self.scopes.push(locals);
        inner(self);
        self.scopes.pop();
    }

    pub(super) fn query(&mut self, query: &Query, output: &[&Expr]) {
        self.within(declared(query), |walk| {
            for expression in output {
                walk.expression(expression);
            }
            walk.statements(query, Place::Nested, None);
        });
    }

    /// `output` is the value of the rule if the body holds, and another one, after an `else`, is to be tried.
    pub(super) fn statements(&mut self, query: &Query, place: Place, output: Option<&Expr>) {
        let mut is_open = false;
        for statement in &query.stmts {
            let first_edit = self.edits.len();
            match &statement.literal {
                Literal::SomeVars { vars, .. } => vars.iter().for_each(|name| self.variable(name)),
                Literal::SomeIn { key, value, collection, .. } => {
                    if let Some(key) = key {
                        self.expression(key);
                    }
                    self.expression(value);
                    self.collection(collection);
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expression(expr),
                Literal::Every { key, value, domain, query, .. } => {
                    self.expression(domain);
                    let names = key.iter().chain([value]).map(|name| name.text().to_owned()).collect();
                    self.within(names, |walk| {
                        key.iter().chain([value]).for_each(|name| walk.variable(name));
                        walk.query(query, &[]);
                    });
                }
            }
            let mut before: String = statement.with_mods.iter().map(|modifier| self.with(modifier)).collect();
            if let Literal::NotExpr { expr, .. } = &statement.literal {
                before.push_str(&self.operands(statement, expr, first_edit));
            }
            if !before.is_empty() {
                self.open(query, place, &mut is_open);
                self.insert(self.ends(&statement.span).0, &before);
            }
        }
        if let (Some(value), Some(last)) = (output, query.stmts.last()) {
            let mut parts = Vec::new();
            self.parts(value, &mut parts);
            for part in parts {
                self.open(query, place, &mut is_open);
                let part = self.edited(part.span(), 0);
                self.insert(self.ends(&last.span).1, &format!("; _ = {part}"));
            }
        }
        if let (true, Some(last)) = (is_open, query.stmts.last()) {
            self.insert(self.ends(&last.span).1, "}");
        }
    }

    /// Lets what `some .. in` goes through be none of a list, a set and an object.
    pub(super) fn collection(&mut self, collection: &Expr) {
        let is_open = matches!(
            collection,
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } | Expr::Call { .. }
        );
        if is_open {
            self.insert(collection.span().start, &format!("{}(", builtins::COLLECTION));
        }
        self.expression(collection);
        if is_open {
            self.insert(collection.span().end, ")");
        }
    }

    /// Gives a function of the package its full path, and points the name of a built-in one of ours to its wrapper.
    pub(super) fn function_name(&mut self, names: &[String], span: &Span) {
        let full = [self.package, names].concat();
        let name = names.join(".");
        if self.names.functions.contains(&full) {
            self.replace(span, source::reference(&full));
        } else if builtins::is_ours(&name) {
            self.replace(span, builtins::wrapper(&name));
        }
    }

    pub(super) fn call(&mut self, call: &Span, function: &Expr, parameters: usize) {
        let at = source::location(function.span());
        let Some(names) = path(function) else { return self.expression(function) };
        let name = names.join(".");
        let root = names.first().map_or("", String::as_str);
        let called = if let Some(imported) = self.import(root) {
            let full = imported.iter().chain(&names[1..]).skip(1).cloned().collect();
            self.expression(function);
            Function::Package(full)
        } else if root == "data" {
            Function::Package(names[1..].to_vec())
        } else if let Some(ours) = metadata_function(&name).filter(|_| parameters == 0) {
            let number = self.first_metadata + self.metadata.len();
            self.metadata.push(self.rule);
            return self.replace(call, format!("{ours}({number})"));
        } else if name == "walk" && parameters == 1 {
            self.replace(function.span(), builtins::WALK.to_owned());
            return self.insert(call.end, "[_]");
        } else {
            self.function_name(&names, function.span());
            Function::Name { full: [self.package, &names].concat(), name }
        };
        self.calls.push(Call { function: called, at });
    }

    pub(super) fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { span, .. } => {
                if let Some(names) = self.import(span.text()) {
                    let (root, names) = (&names[0], &names[1..]);
                    let text = source::reference(names).replacen("data", root, 1);
                    self.replace(span, text);
                } else {
                    self.variable(span);
                }
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                for item in items {
                    self.expression(item);
                }
            }
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.expression(key);
                    self.expression(value);
                }
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.query(query, &[term]);
            }
            Expr::ObjectCompr { key, value, query, .. } => self.query(query, &[key, value]),
            Expr::Call { span, fcn, params, .. } => {
                self.call(span, fcn, params.len());
                for parameter in params {
                    self.expression(parameter);
                }
            }
            Expr::UnaryExpr { expr, .. } => self.expression(expr),
            Expr::RefDot { refr, .. } => self.expression(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.expression(refr);
                self.expression(index);
            }
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.expression(lhs);
                self.expression(rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                if let Some(key) = key {
                    self.expression(key);
                }
                self.expression(value);
                self.expression(collection);
            }
        }
    }
}

fn assign_of(head: &RuleHead) -> Option<&RuleAssign> {
    match head {
        RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => assign.as_ref(),
        RuleHead::Set { .. } => None,
    }
}

/// The function of ours that stands for one that asks for annotations.
fn metadata_function(name: &str) -> Option<&'static str> {
    match name {
        "rego.metadata.chain" => Some(builtins::METADATA_CHAIN),
        "rego.metadata.rule" => Some(builtins::METADATA_RULE),
        _ => None,
    }
}
