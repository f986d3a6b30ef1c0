//! The sprayproxy binary.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    sprayproxy::main(sprayproxy::Command::parse())
}
