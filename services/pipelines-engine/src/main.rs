//! Runs PipelineRuns and TaskRuns.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(pipelines_engine::Args::parse(), pipelines_engine::run)
}
