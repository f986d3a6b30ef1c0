//! Runs one step of a release pipeline.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    release_tasks::main(release_tasks::Cli::parse())
}
