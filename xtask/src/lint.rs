//! `cargo xtask lint`: everything that can be said about the code without running it.
//!
//! All checks run, whatever fails before; what they found is shown together at the end, each with how to mend it.
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::ValueEnum;

use crate::{
    crds, docs, paths, pipelines,
    program::{Program, interruptible},
    repository, ui,
};

pub mod architecture;
mod cargo_tools;
mod kustomize;
mod pages;
mod proto;
mod tracked;

/// Checks the code without running it: format, clippy, dependencies, architecture, generated files, protobuf files,
/// kustomize builds, pages.
#[derive(Debug, clap::Args)]
pub struct LintArgs {
    /// Checks to run. Without any: all.
    #[arg(value_enum)]
    checks: Vec<Check>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Check {
    /// Rust files as rustfmt writes them.
    Format,
    /// Go files as gofmt writes them.
    GoFormat,
    /// Rules about which crate may depend on which, and what each service must have.
    Architecture,
    /// Checked-in CRDs equal to the types of the api crates.
    Crds,
    /// Checked-in reference pages equal to what the code says.
    Docs,
    /// Build pipelines and variants of tasks equal to what their recipes give; rules for all of them.
    Pipelines,
    /// Links and commands in pages.
    Pages,
    /// Protobuf files: names, comments, and nothing public changed.
    Proto,
    /// No paths or package mirrors of one machine in files.
    Tracked,
    /// Dependencies that no code uses.
    Unused,
    /// Banned crates, licences, sources of dependencies.
    Deny,
    /// Every kustomization builds.
    Kustomize,
    /// Clippy, warnings refused.
    Clippy,
}

/// What a check has to look at.
struct Checkout {
    root: PathBuf,
    files: Vec<PathBuf>,
}

impl Check {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// How to mend what the check finds.
    fn remedy(self) -> &'static str {
        match self {
            Self::Format => "run `cargo fmt --all`",
            Self::GoFormat => "run `gofmt -w tools`",
            Self::Architecture => {
                "the rules and their reasons are in docs/explanation/architecture.md, \
                 what a service must have in docs/how-to/add-a-service.md"
            }
            Self::Crds => "run `cargo xtask crds` and commit what it writes",
            Self::Docs => "run `cargo xtask docs` and commit what it writes",
            Self::Pipelines => "run `cargo xtask pipelines` and commit what it writes; correct what it names",
            Self::Pages => "correct the page, or what it names",
            Self::Proto => {
                "what is new goes into the lock file by hand, as shown; what is there never changes: add a field \
                 instead"
            }
            Self::Tracked => {
                "write what holds on every machine: a relative path, a variable, an official host"
            }
            Self::Unused => {
                "remove the line from that crate's Cargo.toml; one that only a macro uses goes into \
                 [package.metadata.cargo-machete] ignored"
            }
            Self::Deny => {
                "see deny.toml, where each ban names its reason; `cargo tree -i CRATE` shows who brings it"
            }
            Self::Kustomize => "try `kubectl kustomize FOLDER` after the correction",
            Self::Clippy => {
                "run `cargo clippy --workspace --all-targets`; a justified exception is #[expect(…, reason = \"…\")]"
            }
        }
    }

    /// What the check looked at, or what is wrong.
    async fn run(self, checkout: &Checkout) -> anyhow::Result<String> {
        let root = &checkout.root;
        match self {
            // File names say enough: the remedy is one command.
            Self::Format => cargo(root, &["fmt", "--all", "--", "--check", "--files-with-diff"]).await,
            Self::GoFormat => go_format(checkout).await,
            Self::Architecture => architecture::check(root).await,
            Self::Crds => fresh(&crds::generate()?.stale(root)?),
            Self::Docs => fresh(&docs::generate()?.stale(root)?),
            Self::Pipelines => {
                fresh(&pipelines::generate()?.stale(root)?)?;
                pipelines::check(root)
            }
            Self::Pages => pages::check(root, &checkout.files),
            Self::Proto => proto::check(root, &checkout.files),
            Self::Tracked => tracked::check(root, &checkout.files),
            Self::Unused => cargo_tools::unused(root).await,
            Self::Deny => cargo_tools::deny(root).await,
            Self::Kustomize => kustomize::check(root, &checkout.files).await,
            Self::Clippy => {
                cargo(
                    root,
                    &[
                        "clippy",
                        "--workspace",
                        "--all-targets",
                        "--keep-going",
                        "--quiet",
                        "--",
                        "-D",
                        "warnings",
                    ],
                )
                .await
            }
        }
    }
}

/// How a check ended.
struct Verdict {
    check: Check,
    took: Duration,
    outcome: anyhow::Result<String>,
}

pub async fn run(args: LintArgs) -> anyhow::Result<()> {
    let checks = if args.checks.is_empty() { Check::value_variants().to_vec() } else { args.checks };
    interruptible(run_checks(&checks)).await
}

async fn run_checks(checks: &[Check]) -> anyhow::Result<()> {
    let root = paths::repository()?;
    let files = repository::files(&root).await?;
    for line in tracked::long_files(&root, &files)? {
        ui::note(&line);
    }
    let checkout = Checkout { root, files };
    let mut verdicts = Vec::new();
    for check in checks {
        let step = ui::step(check.name());
        let began = Instant::now();
        let outcome = check.run(&checkout).await;
        match &outcome {
            Ok(detail) => step.done_with(detail),
            Err(_) => drop(step),
        }
        verdicts.push(Verdict { check: *check, took: began.elapsed(), outcome });
    }
    report(&verdicts)
}

fn report(verdicts: &[Verdict]) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for Verdict { check, outcome, .. } in verdicts {
        let Err(error) = outcome else { continue };
        failed.push(check.name());
        ui::note("");
        ui::note(&format!("{}:", check.name()));
        for line in format!("{error:#}").lines() {
            ui::note(&format!("  {line}"));
        }
        ui::note(&format!("  to mend it: {}", check.remedy()));
    }
    ui::note("");
    ui::note("check         minutes");
    for Verdict { check, took, outcome } in verdicts {
        let state = if outcome.is_ok() { "ok" } else { "FAILED" };
        ui::note(&format!("{:<13} {:>7.1}  {state}", check.name(), took.as_secs_f64() / 60.0));
    }
    anyhow::ensure!(
        failed.is_empty(),
        "{} of {} checks failed: {}",
        failed.len(),
        verdicts.len(),
        failed.join(", ")
    );
    Ok(())
}

/// A cargo command whose output says it all.
async fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let finished = Program::cargo(root).args(arguments).run().await?;
    anyhow::ensure!(finished.status.success(), "{}", finished.text().trim_end());
    Ok(String::new())
}

async fn go_format(checkout: &Checkout) -> anyhow::Result<String> {
    let files: Vec<&PathBuf> = checkout
        .files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "go"))
        .collect();
    if files.is_empty() {
        return Ok("no Go files".into());
    }
    let badly =
        Program::new("gofmt").arg("-l").args(&files).directory(&checkout.root).run().await?.success()?;
    anyhow::ensure!(badly.is_empty(), "not as gofmt writes them:\n{}", badly.trim_end());
    Ok(format!("{} files", files.len()))
}

fn fresh(faults: &[String]) -> anyhow::Result<String> {
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(String::new())
}
