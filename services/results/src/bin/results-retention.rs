//! Deletes archived runs that have been kept for long enough. See `results::retention`.
fn main() -> std::process::ExitCode {
    let args: results::retention::Args = results::config::parse_args();
    fleet::main_once("results-retention", results::retention::run(args, fleet::Clock::system()))
}
