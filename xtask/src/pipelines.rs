//! `cargo xtask pipelines`: the build pipelines and the variants of their tasks, generated, and rules for all of them.
//!
//! ```text
//! pipelines/tasks/<task>/<version>/<task>.yaml       a Task; written by hand, or
//!                                  recipe.yaml       generated: another Task, and what is different
//!                                  MIGRATION.md      what a user of the version before has to do
//! pipelines/pipelines/template-build/template-build.yaml
//!                     <pipeline>/recipe.yaml         the template, or another pipeline, and what is different
//!                     <pipeline>/<pipeline>.yaml     generated
//! ```
//! A recipe names what it changes ([`merge`]), so that a change of the template cannot make it change something else. In the
//! sources, a pipeline names a task by name and version; `cargo xtask images` makes bundles of them (`images/bundles`).
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{generated::Generated, paths, ui};

mod catalog;
mod merge;
mod recipe;
mod rules;
#[cfg(test)]
mod tests;

pub use catalog::{Catalog, Task};

/// Generates pipelines and variants of tasks from their recipes, and checks all of them.
#[derive(Debug, clap::Args)]
pub struct PipelinesArgs {
    /// Write nothing; fail if what is checked in differs from what the recipes give.
    #[arg(long)]
    check: bool,
}

pub fn run(args: &PipelinesArgs) -> anyhow::Result<()> {
    let root = paths::repository()?;
    let generated = recipe::generate(&root)?;
    if args.check {
        let faults = generated.stale(&root)?;
        let advice = "run `cargo xtask pipelines` and commit what it writes";
        ensure!(faults.is_empty(), "{}\n{advice}", faults.join("\n"));
    } else {
        let changed = generated.write(&root)?;
        ui::answer(&format!("pipelines: {changed} of {} generated files changed", generated.files.len()));
    }
    ui::answer(&check(&root)?);
    Ok(())
}

/// All files that recipes give.
pub fn generate() -> anyhow::Result<Generated> {
    recipe::generate(&paths::repository()?)
}

/// Checks every Task and Pipeline. What was looked at, or all faults, a line each.
pub fn check(root: &Path) -> anyhow::Result<String> {
    let catalog = Catalog::read(root)?;
    let faults = rules::faults(&catalog);
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(format!("{} tasks and {} pipelines", catalog.tasks.len(), catalog.pipelines.len()))
}

/// Reads a document of YAML with the words that a person meant: `true` is a truth value, `0.10` has its zero.
fn read_yaml(path: &Path) -> anyhow::Result<Value> {
    let options = serde_saphyr::options! { strict_booleans: true, leading_zero_numbers_as_strings: true };
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_saphyr::from_str_with_options(&text, options).with_context(|| format!("parse {}", path.display()))
}
