//! The METADATA comments of modules: which of them describe what, and the chain that `rego.metadata.chain()` yields.
//!
//! A block starts with a line `# METADATA`; the comment lines right below it are YAML. It describes the statement that
//! follows: a rule, or the package. `scope: document` makes it describe all rules of that name in the package, and
//! `scope: subpackages` all packages below.

use std::collections::BTreeMap;

use regorus::unstable::{Rule, RuleHead};
use serde_json::{Map, Value, json};

use super::error::{LoadError, Location};
use super::source::{Parsed, leading_path};

/// The annotations of all modules of a policy.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    /// By module and number of the rule in it.
    rules: BTreeMap<(usize, usize), Value>,
    /// By the full path of the rules.
    documents: BTreeMap<Vec<String>, Value>,
    packages: BTreeMap<Vec<String>, Value>,
    subpackages: BTreeMap<Vec<String>, Value>,
}

impl Annotations {
    pub(super) fn read(modules: &[Parsed]) -> Result<Self, LoadError> {
        let mut all = Self::default();
        for (number, module) in modules.iter().enumerate() {
            for block in blocks(&module.text) {
                all.add(number, module, &block)?;
            }
        }
        Ok(all)
    }

    fn add(&mut self, number: usize, module: &Parsed, block: &Block) -> Result<(), LoadError> {
        let spans: Vec<_> = module.tree.policy.iter().map(|rule| rule.span()).collect();
        // Within a rule: a comment in its body, or a piece of a raw string.
        if spans.iter().any(|span| (span.start as usize..span.end as usize).contains(&block.start)) {
            return Ok(());
        }
        let at = Location { file: module.file.clone(), line: block.line };
        let mut annotation = match serde_saphyr::from_str::<Option<Map<String, Value>>>(&block.yaml) {
            Ok(annotation) => annotation.unwrap_or_default(),
            Err(error) => return Err(LoadError::Annotation { at, message: error.to_string() }),
        };
        let scope = annotation.get("scope").and_then(Value::as_str).map(str::to_owned);
        if block.start < module.tree.package.span.start as usize {
            let scope = scope.as_deref().unwrap_or("package");
            annotation.insert("scope".to_owned(), scope.into());
            let of_scope = if scope == "subpackages" { &mut self.subpackages } else { &mut self.packages };
            of_scope.insert(module.package.clone(), annotation.into());
            return Ok(());
        }
        let next = spans.iter().enumerate().filter(|(_, span)| span.start as usize > block.start);
        let Some((rule, _)) = next.min_by_key(|(_, span)| span.start) else { return Ok(()) };
        let scope = scope.as_deref().unwrap_or("rule");
        annotation.insert("scope".to_owned(), scope.into());
        if scope == "document" {
            self.documents.insert(rule_path(module, rule), annotation.into());
        } else {
            self.rules.insert((number, rule), annotation.into());
        }
        Ok(())
    }

    /// What describes one rule by itself.
    pub(super) fn of_rule(&self, module: usize, rule: usize) -> Option<&Value> {
        self.rules.get(&(module, rule))
    }

    /// The chain of a rule: the rule itself, whether it is annotated or not, then the document, the package and the packages
    /// above it, as far as they are.
    pub(super) fn chain(&self, number: usize, module: &Parsed, rule: usize) -> Value {
        let path = rule_path(module, rule);
        let own = match self.of_rule(number, rule) {
            Some(own) => json!({"path": path, "annotations": own}),
            None => json!({"path": path}),
        };
        let document = self.documents.get(&path).map(|found| json!({"path": path, "annotations": found}));
        let package = &module.package;
        let of_package =
            self.packages.get(package).map(|found| json!({"path": package, "annotations": found}));
        let above = (0..=package.len()).rev().filter_map(|length| {
            let found = self.subpackages.get(&package[..length])?;
            Some(json!({"path": package[..length], "annotations": found}))
        });
        std::iter::once(own).chain(document).chain(of_package).chain(above).collect()
    }
}

/// The path of a rule, without `data`: the package's and the names of its head.
pub(super) fn rule_path(module: &Parsed, rule: usize) -> Vec<String> {
    let mut path = module.package.clone();
    path.extend(rule_name(&module.tree.policy[rule]));
    path
}

/// The names of a rule's head: one, or several for a reference.
pub(super) fn rule_name(rule: &Rule) -> Vec<String> {
    let head = match rule {
        Rule::Default { refr, .. } => refr,
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => refr,
        },
    };
    leading_path(head)
}

struct Block {
    /// Offset of its first byte.
    start: usize,
    line: u32,
    yaml: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    let mut offset = 0;
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        let content = line.trim_start();
        let column = line.len() - content.len();
        let content = content.trim_end();
        match (&mut open, content.strip_prefix('#')) {
            (Some((at, block)), Some(yaml)) if *at == column => {
                block.yaml.push_str(yaml);
                block.yaml.push('\n');
            }
            (open, comment) => {
                found.extend(open.take().map(|(_, block)| block));
                if comment.is_some_and(|comment| comment.trim() == "METADATA") {
                    *open = Some((column, Block { start: offset, line: number, yaml: String::new() }));
                }
            }
        }
        offset += line.len();
    }
    found.extend(open.map(|(_, block)| block));
    found
}
