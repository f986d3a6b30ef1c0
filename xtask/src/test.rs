//! `cargo xtask test`: every test, fast ones first.
//!
//! ```text
//! programs ─▶ build (once, whole workspace) ─▶ unit ─▶ control plane ─▶ end to end
//!  kube, gitea                                  code    a real API        demo on a cluster of its own,
//!                                               alone   server            then nothing is left of it
//! ```
//! `--kube <VERSION>` runs the control plane tests against another Kubernetes than the dev cluster's.
//!
//! What fails does not stop the rest, but for a build that fails. The last line reads `N passed, N failed`.
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::StreamExt as _;
use testkit::tools::Release;

use crate::{
    cluster, ourselves, paths,
    program::{Program, interruptible},
    ui,
};

mod build;
mod end_to_end;
mod libtest;

use build::{Binary, Level};
use libtest::Counts;

/// Runs tests: unit, control plane, end to end. Installs what they need.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Tests of code alone.
    #[arg(long)]
    unit: bool,
    /// Tests against a real API server and etcd, started by each test program for itself.
    #[arg(long)]
    integration: bool,
    /// The demo on a cluster of its own beside any other.
    #[arg(long)]
    e2e: bool,
    /// Tests against this Kubernetes instead of the dev cluster's: `oldest` or `newest` of those supported, or a
    /// version that has a build, as `1.34`. Alone, it means --integration.
    #[arg(long, value_name = "VERSION")]
    kube: Option<Release>,
    /// Only tests of this service and its api crate, or of this crate. Can be given several times.
    #[arg(short = 'p', long = "package", value_name = "SERVICE")]
    packages: Vec<String>,
    /// For the test programs themselves: a part of the names of the tests to run, `--nocapture`, …
    #[arg(last = true, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Parts of the tests to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Levels {
    unit: bool,
    integration: bool,
    e2e: bool,
}

impl TestArgs {
    /// Those that were named. Without any: all, but for a single service no end-to-end run.
    fn levels(&self) -> Levels {
        // Unit tests have no Kubernetes.
        let integration = self.integration || self.kube.is_some();
        let named = Levels { unit: self.unit, integration, e2e: self.e2e };
        if named.unit || named.integration || named.e2e {
            return named;
        }
        let is_all = self.packages.is_empty() && self.filter.is_empty();
        Levels { unit: true, integration: true, e2e: is_all }
    }

    /// That what was asked for goes together, and with the environment.
    fn check(&self, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> anyhow::Result<()> {
        let Some(release) = self.kube else { return Ok(()) };
        anyhow::ensure!(
            !self.e2e,
            "--kube is for control plane tests, but the cluster of --e2e is always {}: run them one after the other",
            Release::DEFAULT
        );
        anyhow::ensure!(
            variable("KONFLUX_TEST_KUBECONFIG").is_none(),
            "KONFLUX_TEST_KUBECONFIG names a running API server, which --kube {} would not start: unset it",
            release.minor()
        );
        Ok(())
    }

    fn wants(&self, package: &str) -> bool {
        self.packages.is_empty()
            || self
                .packages
                .iter()
                .any(|wanted| package == wanted || package.strip_suffix("-api") == Some(wanted))
    }
}

/// How many programs of control plane tests run at once. Each has an API server of its own, and waits for it for most of its
/// time: two cores are a third busy with one of them.
const LANES: usize = 2;

/// Time and result of each stage, for the table at the end.
#[derive(Default)]
struct Report {
    stages: Vec<(String, Duration, Counts)>,
    /// Failed programs or checks, for the error at the end.
    failed: Vec<String>,
    /// What they said of it, once more for the end: an hour of other output may lie between.
    failures: Vec<String>,
}

impl Report {
    fn add(&mut self, stage: impl Into<String>, began: Instant, counts: Counts) {
        self.stages.push((stage.into(), began.elapsed(), counts));
    }

    fn total(&self) -> Counts {
        self.stages.iter().fold(Counts::default(), |sum, (.., counts)| sum + *counts)
    }

    /// Counts a program that has run. One that failed has its output printed at once.
    fn take(&mut self, ran: Ran) -> Counts {
        let Ran { name, counts, failure } = ran;
        if let Some(output) = failure {
            for line in output.lines() {
                ui::note(line);
            }
            self.failures.push(format!("{name}:\n{}", libtest::failures(&output)));
            self.failed.push(name);
        }
        counts
    }

    /// Prints what failed, the table, and as the very last line what CI systems read.
    fn print(&self) {
        for line in self.failures.iter().flat_map(|failure| failure.lines()) {
            ui::note(line);
        }
        ui::note("");
        ui::note("stage                    minutes  passed  failed");
        for (stage, took, counts) in &self.stages {
            ui::note(&format!(
                "{stage:<23} {:>8.1} {:>7} {:>7}",
                took.as_secs_f64() / 60.0,
                counts.passed,
                counts.failed
            ));
        }
        let Counts { passed, failed } = self.total();
        ui::answer(&format!("{passed} passed, {failed} failed"));
    }
}

pub async fn run(args: TestArgs) -> anyhow::Result<()> {
    args.check(|name| std::env::var_os(name))?;
    let mut report = Report::default();
    let outcome = interruptible(run_levels(&args, &mut report)).await;
    report.print();
    outcome?;
    anyhow::ensure!(
        report.failed.is_empty(),
        "failed: {}; what they printed is above",
        report.failed.join(", ")
    );
    Ok(())
}

async fn run_levels(args: &TestArgs, report: &mut Report) -> anyhow::Result<()> {
    let levels = args.levels();
    let began = Instant::now();
    let kube = match args.kube {
        Some(release) => Some(Kube::build(release).await?),
        // The test programs find it by themselves.
        None => ourselves::kube_binary().await.map(|_| None)?,
    };
    if levels.integration {
        ourselves::gitea().await?;
        let asks_cosign =
            ["attest", "chains", "enterprise-contract"].iter().any(|package| args.wants(package));
        if asks_cosign {
            ourselves::cosign().await?;
        }
        if args.wants("results") {
            ourselves::s3().await?;
        }
        if ["results", "results-filter", "results-watcher", "testkit"]
            .iter()
            .any(|package| args.wants(package))
        {
            cluster::packages::install_postgres().await?;
        }
        if asks_cosign || args.wants("image-controller") {
            // Tests push to a real one.
            cluster::packages::install_program("docker-registry", "docker-registry").await?;
        }
    }
    if levels.e2e {
        ourselves::cosign().await?;
    }
    report.add("programs", began, Counts::default());

    let began = Instant::now();
    let binaries = build::binaries().await;
    report.add("build", began, Counts::default());
    let binaries = binaries?;

    let (of_all, wanted) = (&binaries, select(&binaries, args)?);
    if levels.unit {
        let began = Instant::now();
        let mut counts = run_binaries(&wanted, Level::Unit, None, args, report).await?;
        if args.packages.is_empty() {
            counts = counts + documentation(args, report).await?;
        }
        report.add("unit", began, counts);
    }
    if levels.integration {
        let began = Instant::now();
        let counts = run_binaries(&wanted, Level::ControlPlane, kube.as_ref(), args, report).await?;
        let version = kube.map(|kube| format!(" {}", kube.version)).unwrap_or_default();
        report.add(format!("control plane{version}"), began, counts);
    }
    if levels.e2e {
        let began = Instant::now();
        let mut counts = Counts::default();
        let outcome = end_to_end::run(of_all, args, &mut counts, report).await;
        report.add("end to end", began, counts);
        outcome?;
    }
    Ok(())
}

/// The build of Kubernetes that `--kube` chose.
struct Kube {
    binary: PathBuf,
    /// What it says itself: `v1.34.4`.
    version: String,
}

impl Kube {
    /// Builds it first if this machine does not have it.
    async fn build(release: Release) -> anyhow::Result<Self> {
        let binary = cluster::programs::build_kubernetes(release).await?;
        let version = version(&binary).await?;
        ui::note(&format!("control plane tests run against Kubernetes {version}"));
        Ok(Self { binary, version })
    }
}

/// The version that a Kubernetes' API server will report.
async fn version(binary: &Path) -> anyhow::Result<String> {
    let text = Program::new(binary).args(["apiserver", "--version"]).run().await?.success()?;
    let version = text.trim().strip_prefix("Kubernetes ");
    Ok(version.with_context(|| format!("{} gave no version but {text:?}", binary.display()))?.to_owned())
}

/// The test programs of the crates that were asked for.
fn select(binaries: &[Binary], args: &TestArgs) -> anyhow::Result<Vec<Binary>> {
    let wanted: Vec<Binary> = binaries.iter().filter(|binary| args.wants(&binary.package)).cloned().collect();
    anyhow::ensure!(
        !wanted.is_empty(),
        "no tests in {}: name a service, or a crate of this workspace",
        args.packages.join(", ")
    );
    Ok(wanted)
}

async fn run_binaries(
    binaries: &[Binary],
    level: Level,
    kube: Option<&Kube>,
    args: &TestArgs,
    report: &mut Report,
) -> anyhow::Result<Counts> {
    let chosen = binaries.iter().filter(|binary| binary.level == level);
    let programs = chosen.map(|binary| {
        let program = binary.program(&args.filter);
        let program = match kube {
            Some(kube) => program.env("KONFLUX_KUBE", &kube.binary),
            None => program,
        };
        run_program(binary.to_string(), program)
    });
    let lanes = if level == Level::ControlPlane { LANES } else { 1 };
    let mut running = futures::stream::iter(programs).buffer_unordered(lanes);
    let mut sum = Counts::default();
    while let Some(ran) = running.next().await {
        sum = sum + report.take(ran?);
    }
    Ok(sum)
}

/// Examples in doc comments. Cargo alone knows how to build them.
async fn documentation(args: &TestArgs, report: &mut Report) -> anyhow::Result<Counts> {
    let program = Program::cargo(&paths::repository()?)
        .args(["test", "--workspace", "--doc", "--no-fail-fast", "--quiet", "--"])
        .args(&args.filter);
    Ok(report.take(run_program("examples in documentation".into(), program).await?))
}

/// A test program that has ended.
struct Ran {
    name: String,
    counts: Counts,
    /// All that it said, if something failed.
    failure: Option<String>,
}

/// Runs a test program, and shows what it is at.
async fn run_program(name: String, program: Program) -> anyhow::Result<Ran> {
    let step = ui::step(name.as_str());
    let finished = program
        .watch(|_, line| {
            if let Some(test) = libtest::finished_test(line) {
                step.waiting(test);
            }
        })
        .await?;
    let is_success = finished.status.success();
    let counts = libtest::counts(&finished.stdout, is_success);
    if counts.failed == 0 {
        step.done_with(&format!("{} passed", counts.passed));
        return Ok(Ran { name, counts, failure: None });
    }
    drop(step);
    let status = if is_success { String::new() } else { format!("{name}: {}\n", finished.status) };
    let failure = Some(finished.text() + &status);
    Ok(Ran { name, counts, failure })
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use rstest::rstest;

    use super::*;

    fn args(line: &str) -> TestArgs {
        let command = TestArgs::augment_args(clap::Command::new("test"));
        let matches = command.get_matches_from(std::iter::once("test").chain(line.split_whitespace()));
        TestArgs::from_arg_matches(&matches).expect("arguments that exist")
    }

    #[rstest]
    #[case::all("", (true, true, true))]
    #[case::only_what_is_named("--unit --e2e", (true, false, true))]
    #[case::service("-p application-service", (true, true, false))]
    #[case::filter("-- refuses", (true, true, false))]
    #[case::service_and_end("-p application-service --e2e", (false, false, true))]
    #[case::other_kubernetes("--kube oldest", (false, true, false))]
    #[case::other_kubernetes_and_unit("--kube 1.34 --unit", (true, true, false))]
    fn levels(#[case] line: &str, #[case] (unit, integration, e2e): (bool, bool, bool)) {
        assert_eq!(args(line).levels(), Levels { unit, integration, e2e });
    }

    #[test]
    fn other_kubernetes_is_for_api_servers_that_are_started_here() {
        let nothing_set = |_: &str| None;
        assert!(args("--kube oldest").check(nothing_set).is_ok());
        assert!(args("--e2e").check(nothing_set).is_ok());
        let error = args("--kube oldest --e2e").check(nothing_set).unwrap_err().to_string();
        assert!(error.contains(Release::DEFAULT.version()), "{error}");
        let error = args("--kube oldest").check(|name| Some(name.into())).unwrap_err().to_string();
        assert!(error.contains("KONFLUX_TEST_KUBECONFIG"), "{error}");
    }

    #[test]
    fn service_brings_its_api_crate() {
        let wants = |package: &str| args("-p application-service").wants(package);
        assert!(wants("application-service") && wants("application-service-api"));
        assert!(!wants("fleet"));
        assert!(args("").wants("fleet"));
    }
}
