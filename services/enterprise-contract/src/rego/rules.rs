//! Which rules of a policy are asked, and what their annotations say of them.

use std::collections::BTreeMap;

use regorus::unstable::{Expr, Rule as Tree, RuleHead};
use serde_json::Value;

use super::annotations::{Annotations, rule_name};
use super::error::{LoadError, Location};
use super::source::{Parsed, location};

/// What a result of a rule is by the rule's name: `deny…` and `violation…`, or `warn…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Deny,
    Warn,
}

impl Kind {
    /// Of a rule that is asked: `deny`, `violation` or `warn`, alone or followed by `_` and letters or digits, repeatedly.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (kind, rest) = [("deny", Self::Deny), ("violation", Self::Deny), ("warn", Self::Warn)]
            .into_iter()
            .find_map(|(prefix, kind)| Some((kind, name.strip_prefix(prefix)?)))?;
        let parts = rest.strip_prefix('_').map(|rest| rest.split('_'));
        let named = |mut parts: std::str::Split<'_, char>| {
            parts.all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric()))
        };
        (rest.is_empty() || parts.is_some_and(named)).then_some(kind)
    }
}

/// An annotated rule that yields results.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The package without a leading `policy` and a following `release` or `pipeline`, a dot, and the short name.
    pub code: String,
    /// The whole name of the package, with dots.
    pub package: String,
    pub short_name: String,
    pub title: String,
    pub description: String,
    pub solution: String,
    pub failure_msg: String,
    pub collections: Vec<String>,
    /// As written.
    pub effective_on: Option<String>,
    /// Codes of the rules without which this one means nothing.
    pub depends_on: Vec<String>,
    /// `warning` or `failure`, where the annotation overrides what the rule's name says.
    pub severity: Option<String>,
    pub kind: Kind,
    pub location: Location,
    /// The annotation as written.
    pub annotations: Value,
}

impl Rule {
    fn new(package: &[String], kind: Kind, location: Location, annotations: &Value) -> Option<Self> {
        let custom = &annotations["custom"];
        let text = |value: &Value| without_links(value.as_str().unwrap_or_default().trim());
        let short_name = custom["short_name"].as_str().filter(|name| !name.is_empty())?;
        Some(Self {
            code: code(package, short_name),
            package: package.join("."),
            short_name: short_name.to_owned(),
            title: text(&annotations["title"]),
            description: text(&annotations["description"]),
            solution: text(&custom["solution"]),
            failure_msg: text(&custom["failure_msg"]),
            collections: strings(&custom["collections"]),
            effective_on: custom["effective_on"].as_str().map(str::to_owned),
            depends_on: strings(&custom["depends_on"]),
            severity: custom["severity"].as_str().map(str::to_owned),
            kind,
            location,
            annotations: annotations.clone(),
        })
    }
}

/// A rule name of a package that is asked for results.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    pub(super) package: Vec<String>,
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// All annotated rules with a short name, and all that are asked, annotated or not. Those of unit tests are neither.
pub(super) fn rules(
    modules: &[Parsed],
    annotations: &Annotations,
) -> Result<(Vec<Rule>, Vec<Asked>), LoadError> {
    let mut described = Vec::new();
    let mut first: BTreeMap<String, Location> = BTreeMap::new();
    let mut asked = Vec::new();
    for (number, module) in modules.iter().enumerate().filter(|(_, module)| !module.is_test()) {
        for (rule_number, tree) in module.tree.policy.iter().enumerate() {
            let [name] = &rule_name(tree)[..] else { continue };
            let Some(kind) = Kind::of(name) else { continue };
            if is_function(tree) {
                continue;
            }
            let at = location(tree.span());
            if !is_supported(tree) {
                return Err(LoadError::UnsupportedValue { at, rule: name.clone() });
            }
            asked.push(Asked { package: module.package.clone(), name: name.clone(), kind });
            let annotation = annotations.of_rule(number, rule_number);
            let rule = annotation.and_then(|found| Rule::new(&module.package, kind, at.clone(), found));
            let Some(rule) = rule else { continue };
            if let Some(first) = first.insert(rule.code.clone(), at.clone()) {
                return Err(LoadError::DuplicateCode { at, code: rule.code, first });
            }
            described.push(rule);
        }
    }
    asked.sort();
    asked.dedup();
    Ok((described, asked))
}

fn is_function(tree: &Tree) -> bool {
    match tree {
        Tree::Default { args, .. } => !args.is_empty(),
        Tree::Spec { head, .. } => matches!(head, RuleHead::Func { .. }),
    }
}

/// Whether a rule can yield results at all: a set of texts or objects. What an expression really yields shows only when it is
/// evaluated, and is an error then.
fn is_supported(tree: &Tree) -> bool {
    let member = |value: &Expr| {
        !matches!(
            value,
            Expr::Number { .. }
                | Expr::Bool { .. }
                | Expr::Null { .. }
                | Expr::Array { .. }
                | Expr::Set { .. }
        )
    };
    match tree {
        Tree::Default { value, .. } => matches!(value.as_ref(), Expr::Set { .. } | Expr::Array { .. }),
        Tree::Spec { head: RuleHead::Set { key, refr, .. }, .. } => match (key, refr.as_ref()) {
            (Some(key), _) => member(key),
            (None, Expr::RefBrack { index, .. }) => member(index),
            (None, _) => false,
        },
        Tree::Spec { head: RuleHead::Compr { refr, assign, .. }, .. } => match (assign, refr.as_ref()) {
            (None, Expr::RefBrack { index, .. }) => member(index),
            (Some(assign), Expr::Var { .. }) => !matches!(
                assign.value.as_ref(),
                Expr::Number { .. }
                    | Expr::Bool { .. }
                    | Expr::Null { .. }
                    | Expr::String { .. }
                    | Expr::RawString { .. }
                    | Expr::Object { .. }
                    | Expr::ObjectCompr { .. }
            ),
            _ => false,
        },
        Tree::Spec { head: RuleHead::Func { .. }, .. } => true,
    }
}

/// The code of a rule: `policy.release.cve` and `cve_blockers` make `cve.cve_blockers`.
fn code(package: &[String], short_name: &str) -> String {
    let rest = match package {
        [first, second, rest @ ..] if first == "policy" && (second == "release" || second == "pipeline") => {
            rest
        }
        [first, rest @ ..] if first == "policy" => rest,
        rest => rest,
    };
    rest.iter().map(String::as_str).chain([short_name]).collect::<Vec<_>>().join(".")
}

/// A text or a list of texts.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Replaces each link `xref:target[text]` by its text.
fn without_links(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("xref:") {
        let found = link.split_once('[').and_then(|(target, after)| {
            let (label, after) = after.split_once(']')?;
            (!target.contains(char::is_whitespace)).then_some((label, after))
        });
        result.push_str(before);
        if let Some((label, after)) = found {
            result.push_str(label);
            rest = after;
        } else {
            result.push_str("xref:");
            rest = link;
        }
    }
    result + rest
}
