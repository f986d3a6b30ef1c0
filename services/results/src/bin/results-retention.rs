//! Deletes archived runs that have been kept for long enough. See `results::retention`.
use clap::Parser as _;

fn main() -> std::process::ExitCode {
    let args = results::retention::Args::parse();
    fleet::main_once("results-retention", results::retention::run(args, fleet::Clock::system()))
}
