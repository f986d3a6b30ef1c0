//! Deletes tags of attachments whose image is gone.

use clap::Parser as _;
use image_controller::pruner;

fn main() -> std::process::ExitCode {
    pruner::main(&pruner::Args::parse())
}
