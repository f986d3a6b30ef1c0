//! Rewrites a module so that the interpreter understands it as OPA does.
//!
//! | in the module | becomes | because the interpreter |
//! |---|---|---|
//! | `import data.lib.image`, `image.parse(x)` | nothing, `data.lib.image.parse(x)` | takes a package's import for all that is below it |
//! | `rego.metadata.chain()` | `__ec.metadata_chain(7)` | knows no annotations |
//! | `ec.oci.blob(x)` | `data.__ec.builtin.ec.oci.blob(x)` | cannot replace functions of ours in unit tests (`with`), but those of modules |
//! | `f(x) with data.lib.f as g`, in `lib` | `data.lib.f(x) with data.lib.f as g` | looks for replaced functions by the name in the call |
//! | `some result in x`, where a rule `result` is in the package | `some __ec_result in x` | confuses the variable with the rule |
//! | `[p, v] := walk(x)` | `[p, v] := __ec.walk(x)[_]` | finds nothing in the first form |
//! | `some x in input.list` | `some x in __ec.collection(input.list)` | stops at an error if it is no list, where there is nothing to find |
//! | `not f(input.a)` | `_ = input.a; not f(input.a)` | takes `not` of what is undefined for true, which OPA does only for what stands in `not` itself |
//! | `f(x) with data.y as z` | `__ec_with := z; f(x) with data.y as __ec_with` | forgets a rule that it evaluates for a `with` |
//! | `f(x) := x.a if { … } else := 2` | `f(x) := x.a if { …; _ = x.a } else := 2` | is content with a body whose value is undefined |
//!
//! No line is added or removed: lines in errors are those of the author.

mod before;
mod locals;
mod text;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Query, Rule, RuleHead};

use self::walk::Walk;
use super::annotations;
use super::error::Location;
use super::source::{Dialect, Parsed, path};

/// The text to load, and what was seen on the way.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
    /// Numbers of the rules whose annotations are asked for, in the order of the numbers given to the calls.
    pub(super) metadata: Vec<usize>,
}

/// A call, by the full path of what it calls.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) at: Location,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Function {
    /// One of another package or, by `data`, of any: the path without `data`.
    Package(Vec<String>),
    /// One of the same package by its full path, or else a built-in one by its name.
    Name { full: Vec<String>, name: String },
}

/// What the modules of a policy define.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The paths of all functions, without `data`.
    pub(super) functions: BTreeSet<Vec<String>>,
    /// The first names of the rules of each package.
    rules: BTreeMap<Vec<String>, BTreeSet<String>>,
}

impl Names {
    pub(super) fn new(modules: &[Parsed]) -> Self {
        let mut names = Self { functions: modules.iter().flat_map(functions).collect(), ..Self::default() };
        for module in modules {
            let rules = names.rules.entry(module.package.clone()).or_default();
            rules.extend(
                module.tree.policy.iter().filter_map(|rule| annotations::rule_name(rule).into_iter().next()),
            );
        }
        names
    }
}

fn functions(module: &Parsed) -> impl Iterator<Item = Vec<String>> {
    let is_function = |rule: &Rule| match rule {
        Rule::Default { args, .. } => !args.is_empty(),
        Rule::Spec { head, .. } => matches!(head, RuleHead::Func { .. }),
    };
    let rules = module.tree.policy.iter().enumerate().filter(move |(_, rule)| is_function(rule));
    rules.map(|(number, _)| annotations::rule_path(module, number))
}

/// `first_metadata` is the number that the first call for annotations gets.
pub(super) fn rewrite(module: &Parsed, names: &Names, first_metadata: usize) -> Rewritten {
    let mut walk = Walk::new(&module.text, &module.package, names);
    walk.imports = imports(module);
    walk.first_metadata = first_metadata;
    for import in &module.tree.imports {
        // Those that switch the language on are needed by old modules only.
        if module.dialect == Dialect::V1 || path(&import.refr).is_some_and(|names| is_document(&names)) {
            walk.replace(&import.span, String::new());
        }
    }
    for (number, rule) in module.tree.policy.iter().enumerate() {
        walk.rule = number;
        walk.rule(rule);
    }
    let Walk { edits, calls, metadata, .. } = walk;
    Rewritten { text: text::apply(&module.text, 0..module.text.len(), &edits), calls, metadata }
}

/// The same for a query, which has no imports and no package.
pub(super) fn rewrite_query(text: &str, query: &Query, names: &Names) -> (String, Vec<Call>) {
    let mut walk = Walk::new(text, &[], names);
    walk.query(query, &[]);
    (text::apply(text, 0..text.len(), &walk.edits), walk.calls)
}

/// What each alias stands for.
fn imports(module: &Parsed) -> BTreeMap<String, Vec<String>> {
    let documents = module.tree.imports.iter().filter_map(|import| {
        let names = path(&import.refr).filter(|names| is_document(names))?;
        let alias = match &import.r#as {
            Some(alias) => alias.text().to_owned(),
            None => names.last()?.clone(),
        };
        Some((alias, names))
    });
    documents.collect()
}

/// Whether an import is of a document; else it switches the language on (`rego.v1`, `future.keywords`).
fn is_document(names: &[String]) -> bool {
    matches!(names.first().map(String::as_str), Some("data" | "input"))
}

#[cfg(test)]
mod tests;
