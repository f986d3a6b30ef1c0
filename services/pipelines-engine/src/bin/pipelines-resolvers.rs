//! Answers ResolutionRequests.

use clap::Parser as _;
use pipelines_engine::resolvers;

fn main() -> std::process::ExitCode {
    fleet::main(resolvers::Args::parse(), resolvers::run)
}
