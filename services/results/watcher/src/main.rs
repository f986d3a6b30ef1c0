//! Archives runs and their logs, and deletes what is archived.
use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(results_watcher::Args::parse().settled(), results_watcher::run)
}
