//! Gives robots of image repositories tokens for the registry.

use clap::Parser as _;
use image_controller::tokens;

fn main() -> std::process::ExitCode {
    fleet::main(tokens::Args::parse(), tokens::run)
}
