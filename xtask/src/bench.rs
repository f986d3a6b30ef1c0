//! `cargo xtask bench`: what services cost. The rows of docs/benchmarks.md.
use std::path::PathBuf;

use anyhow::Context as _;

use crate::{
    paths,
    program::{Program, interruptible},
    ui,
};

mod account;
mod chains;
mod controller;
mod ec;
mod engine;
mod integration;
mod load;
mod pac;
mod process;
mod release;
mod results;
mod sbom;
mod sprayproxy;
mod table;
mod tally;
mod units;

/// Measures a service against a real API server, by default application-service: memory, start, writes after a restart,
/// size.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    #[command(subcommand)]
    service: Option<Service>,
    #[command(flatten)]
    controller: ControllerArgs,
}

/// Services that have rows of their own.
#[derive(Debug, clap::Subcommand)]
enum Service {
    Chains(chains::ChainsArgs),
    Ec(ec::EcArgs),
    Engine(engine::EngineArgs),
    Integration(integration::IntegrationArgs),
    Pac(pac::PacArgs),
    Release(release::ReleaseArgs),
    Results(results::ResultsArgs),
    Sbom(sbom::SbomArgs),
    Sprayproxy(sprayproxy::SprayproxyArgs),
}

/// Of the rows that every controller has.
#[derive(Debug, clap::Args)]
struct ControllerArgs {
    /// Numbers of Components to measure with, in ascending order.
    #[arg(long, value_delimiter = ',', default_value = "4000,20000", value_name = "COUNT")]
    components: Vec<usize>,
    /// Measure this binary instead of a release build of this checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Writes a Markdown table for docs/benchmarks.md to standard output.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.service {
        Some(Service::Chains(args)) => Box::pin(chains::run(args)).await,
        Some(Service::Ec(args)) => Box::pin(ec::run(args)).await,
        Some(Service::Engine(args)) => Box::pin(engine::run(args)).await,
        Some(Service::Integration(args)) => Box::pin(integration::run(args)).await,
        Some(Service::Pac(args)) => Box::pin(pac::run(args)).await,
        Some(Service::Release(args)) => Box::pin(release::run(args)).await,
        Some(Service::Results(args)) => Box::pin(results::run(args)).await,
        Some(Service::Sbom(args)) => Box::pin(sbom::run(args)).await,
        Some(Service::Sprayproxy(args)) => Box::pin(sprayproxy::run(args)).await,
        None => controller(args.controller).await,
    }
}

async fn controller(args: ControllerArgs) -> anyhow::Result<()> {
    anyhow::ensure!(args.components.is_sorted(), "--components: numbers in ascending order, as 4000,20000");
    let table = interruptible(async {
        let binary = match args.binary {
            Some(binary) => binary
                .canonicalize()
                .with_context(|| format!("--binary {}: is there such a file?", binary.display()))?,
            None => release("application-service").await?,
        };
        // On the heap: it holds a whole control plane.
        Box::pin(controller::measure(&binary, &args.components)).await
    })
    .await?;
    ui::answer(&table.to_string());
    Ok(())
}

/// The binary of a service as it is shipped.
async fn release(service: &str) -> anyhow::Result<PathBuf> {
    /// One line of cargo's `--message-format=json`.
    #[derive(serde::Deserialize)]
    struct Message {
        #[serde(default)]
        executable: Option<PathBuf>,
    }
    let step = ui::step("release build");
    // The whole workspace, as for images, so that features are those of what is shipped.
    let output = Program::cargo(&paths::repository()?)
        .args(["build", "--release", "--workspace", "--bins", "--message-format=json-render-diagnostics"])
        .watch(|_, line| {
            if line.trim_start().starts_with("Compiling") {
                step.waiting(line.trim());
            }
        })
        .await?
        .success()?;
    let binary = output
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .find(|executable| executable.file_name().is_some_and(|name| name == service))
        .with_context(|| format!("cargo built no binary {service}"))?;
    step.done();
    Ok(binary)
}
