//! See the library.
use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(internal_services::Args::parse(), internal_services::run)
}
