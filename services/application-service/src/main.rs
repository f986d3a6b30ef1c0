//! The application-service binary.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(application_service::Args::parse(), application_service::run)
}
