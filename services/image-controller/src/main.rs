//! The image-controller binary.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(image_controller::Args::parse(), image_controller::run)
}
