//! Deletes Snapshots that are too many.

use clap::Parser as _;
use integration_service::gc;

fn main() -> std::process::ExitCode {
    gc::main(&gc::Args::parse())
}
