//! The `ec` binary.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    enterprise_contract::cli::main(enterprise_contract::cli::Cli::parse())
}
