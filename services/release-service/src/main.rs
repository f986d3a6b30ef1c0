//! Releases Snapshots, on behalf of somebody, by pipelines that a release team controls.
use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(release_service::Args::parse(), release_service::run)
}
