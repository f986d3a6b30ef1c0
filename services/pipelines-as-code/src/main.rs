//! Starts pipelines for what happens at Git forges.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(pipelines_as_code::Args::parse().settled(), pipelines_as_code::run)
}
