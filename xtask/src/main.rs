//! Everything that is done to this repository and its dev cluster: `cargo xtask <command>`.
#![expect(clippy::print_stdout, reason = "a command line tool talks on standard output")]
#![allow(unreachable_pub, reason = "nothing of a binary can be reached: `pub` says what a module offers")]
use std::process::ExitCode;

use clap::Parser as _;

mod bench;
mod cluster;
mod conform;
mod crds;
mod demo;
mod deploy;
mod docs;
mod down;
mod drill;
mod forge;
mod generated;
mod images;
mod kubeconfig;
mod lint;
mod ourselves;
mod paths;
mod pipelines;
mod program;
mod repository;
mod services;
mod status;
mod tenant;
mod test;
mod ui;
mod up;

#[derive(Debug, clap::Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
enum Command {
    Up(up::UpArgs),
    Down(down::DownArgs),
    Status(status::StatusArgs),
    Kubeconfig(kubeconfig::KubeconfigArgs),
    Images(images::ImagesArgs),
    Deploy(deploy::DeployArgs),
    Tenant(tenant::TenantArgs),
    Forge(forge::ForgeArgs),
    Conform(conform::ConformArgs),
    Demo(demo::DemoArgs),
    Test(test::TestArgs),
    Lint(lint::LintArgs),
    Crds(crds::CrdsArgs),
    Docs(docs::DocsArgs),
    Pipelines(pipelines::PipelinesArgs),
    Bench(bench::BenchArgs),
    Drill(drill::DrillArgs),
    #[command(hide = true)]
    NodeInit(cluster::init::InitArgs),
    #[command(hide = true)]
    Supervise(cluster::supervisor::SuperviseArgs),
}

fn main() -> ExitCode {
    let command = Command::parse();
    // Every TLS client and server of the process takes this provider: nothing may choose another.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        ui::failure(&anyhow::anyhow!("a TLS provider was installed before ours: a defect of xtask"));
        return ExitCode::FAILURE;
    }
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(command)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::failure(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(args) => up::run(args).await,
        Command::Down(args) => down::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Kubeconfig(args) => kubeconfig::run(args).await,
        Command::Images(args) => images::run(args).await,
        Command::Deploy(args) => deploy::run(args).await,
        Command::Tenant(args) => tenant::run(args).await,
        Command::Forge(args) => forge::run(args).await,
        Command::Conform(args) => Box::pin(conform::run(args)).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Test(args) => test::run(args).await,
        Command::Lint(args) => lint::run(args).await,
        Command::Crds(args) => crds::run(&args),
        Command::Docs(args) => docs::run(&args),
        Command::Pipelines(args) => pipelines::run(&args),
        Command::Bench(args) => Box::pin(bench::run(args)).await,
        Command::Drill(args) => drill::run(args).await,
        Command::NodeInit(args) => cluster::init::run(&args),
        Command::Supervise(args) => cluster::supervisor::run(args).await,
    }
}
