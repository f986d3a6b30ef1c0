//! The build-service binary.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(build_service::Args::parse(), build_service::run)
}
