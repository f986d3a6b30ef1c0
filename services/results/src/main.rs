//! The binary `results-api`.

fn main() -> std::process::ExitCode {
    results::main(results::config::parse_args())
}
