//! The `kubectl-konflux` binary, which kubectl runs as `kubectl konflux`.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    kubectl_konflux::main(kubectl_konflux::Cli::parse())
}
