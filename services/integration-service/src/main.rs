//! Gates every build: Snapshots, their tests, and what follows from them.
use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(integration_service::Args::parse(), integration_service::run)
}
