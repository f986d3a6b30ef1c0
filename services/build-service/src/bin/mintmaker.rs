//! Looks through the dependencies of Components.

use build_service::mintmaker;
use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(mintmaker::Args::parse(), mintmaker::run)
}
