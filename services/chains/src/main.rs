//! Signs what finished runs have built, and attests how.
use clap::Parser as _;

fn main() -> std::process::ExitCode {
    fleet::main(chains::Args::parse().settled(), chains::run)
}
