//! docs/reference/policy-rules.md.
use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use enterprise_contract::rego::{Kind, Module, Policy, Rule};

use super::markdown;
use crate::paths;

/// Chapters of the page: what the rules judge, and the folders of policy/ that they stand in.
const CHAPTERS: [(&str, &[&str]); 2] = [
    ("Rules about images", &["lib", "release"]),
    ("Rules about definitions of Pipelines and Tasks", &["lib", "pipeline", "task", "build_task"]),
];

pub(super) fn page() -> anyhow::Result<String> {
    let mut text = format!(
        "{}# Policy rules\n\nFrom the annotations of the rules in [policy/](../../policy/README.md). A policy selects them by name \
         or collection (`@minimal`); `deny` is a violation, from its date on, and `warn` a warning. With the name of another \
         rule below it, a rule says nothing once that one has failed.\n",
        markdown::GENERATED
    );
    let root = paths::repository()?.join("policy");
    for (title, folders) in CHAPTERS {
        let mut modules = Vec::new();
        for folder in folders {
            collect(&root, &root.join(folder), &mut modules)?;
        }
        let policy = Policy::compile(modules, serde_json::json!({}))?;
        let _ = write!(text, "\n## {title}\n");
        let mut packages: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
        for rule in policy.rules() {
            let package = rule.code.rsplit_once('.').map_or(&*rule.code, |(package, _)| package);
            packages.entry(package).or_default().push(rule);
        }
        for (package, mut rules) in packages {
            rules.sort_by(|one, other| one.code.cmp(&other.code));
            let _ = write!(
                text,
                "\n### {package}\n\n| rule | | collections | what it checks | what to do |\n|---|---|---|---|---|\n"
            );
            for rule in rules {
                text.push_str(&row(rule));
            }
        }
    }
    Ok(text)
}

fn row(rule: &Rule) -> String {
    let effect = match rule.kind {
        Kind::Deny => "deny",
        Kind::Warn => "warn",
    };
    let since = rule.effective_on.as_deref().and_then(|date| date.split('T').next());
    let since = since.map(|day| format!(" from {day}")).unwrap_or_default();
    let names =
        |names: &[String]| names.iter().map(|name| markdown::code(name)).collect::<Vec<_>>().join(", ");
    let below = match &*rule.depends_on {
        [] => String::new(),
        others => format!(" Below {}.", names(others)),
    };
    format!(
        "| {} | {effect}{since} | {} | {}{below} | {} |\n",
        markdown::code(&rule.short_name),
        names(&rule.collections),
        markdown::cell(&rule.description),
        markdown::cell(&rule.solution),
    )
}

/// The Rego files below a folder that are no tests, in the order of their paths.
fn collect(root: &Path, folder: &Path, into: &mut Vec<Module>) -> anyhow::Result<()> {
    let read = || format!("read {}", folder.display());
    let entries: Result<Vec<_>, _> = fs::read_dir(folder).with_context(read)?.collect();
    let mut paths: Vec<_> = entries.with_context(read)?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            collect(root, &path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rego")
            && !name.ends_with("_test.rego")
        {
            let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            into.push(Module { path: path.strip_prefix(root)?.display().to_string(), text });
        }
    }
    Ok(())
}
