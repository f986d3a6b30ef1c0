//! Runs one step of a build task.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    toolbox::main(toolbox::Cli::parse())
}
