//! The enterprise-contract binary: the controller of policies.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(enterprise_contract::Args::parse(), enterprise_contract::run)
}
