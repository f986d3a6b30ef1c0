//! `cargo xtask docs`: the pages of docs/reference that the code itself can tell.
//!
//! ```text
//! docs/reference/services.md        every service: what it is for, its kinds
//! docs/reference/flags.md           every flag of each service
//! docs/reference/metrics.md         every metric that a service has of its own
//! docs/reference/crds/<kind>.md     every field of a kind, from its schema
//! ```
use crate::{generated::Generated, paths, ui};

mod flags;
mod kinds;
mod markdown;
mod metrics;
mod policy_rules;
mod services;

/// Writes the generated pages of docs/reference from the code.
#[derive(Debug, clap::Args)]
pub struct DocsArgs {
    /// Write nothing; fail if what is checked in differs from the code.
    #[arg(long)]
    check: bool,
}

pub fn run(args: &DocsArgs) -> anyhow::Result<()> {
    let root = paths::repository()?;
    let generated = generate()?;
    if args.check {
        let faults = generated.stale(&root)?;
        anyhow::ensure!(
            faults.is_empty(),
            "{}\nrun `cargo xtask docs` and commit what it writes",
            faults.join("\n")
        );
        return Ok(());
    }
    let changed = generated.write(&root)?;
    ui::answer(&format!("docs/reference: {changed} of {} pages changed", generated.files.len()));
    Ok(())
}

/// All generated pages.
pub fn generate() -> anyhow::Result<Generated> {
    let mut generated = Generated { folders: vec!["docs/reference/crds".into()], ..Generated::default() };
    let mut add = |path: String, text: String| generated.files.insert(path.into(), text);
    add("docs/reference/services.md".into(), services::page());
    add("docs/reference/flags.md".into(), flags::page());
    add("docs/reference/metrics.md".into(), metrics::page()?);
    add("docs/reference/policy-rules.md".into(), policy_rules::page()?);
    for service in crate::services::ALL {
        for crd in (service.crds)() {
            add(kinds::path(&crd), kinds::page(service.name, &crd)?);
        }
    }
    Ok(generated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_in_pages_are_fresh() -> anyhow::Result<()> {
        assert_eq!(generate()?.stale(&paths::repository()?)?, Vec::<String>::new(), "run `cargo xtask docs`");
        Ok(())
    }
}
