use clap::CommandFactory as _;
use rstest::rstest;

use super::*;

#[test]
fn flags_fit_together() {
    Cli::command().debug_assert();
}

fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from([&["ec"], arguments].concat())
}

/// As the task calls it: flags that are empty, and bools with values.
#[test]
fn takes_flags_as_the_original_does() {
    let cli = parse(&[
        "validate",
        "image",
        "--images={\"components\": []}",
        "--policy=",
        "--public-key=",
        "--rekor-url=",
        "--ignore-rekor=true",
        "--info=false",
        "--effective-time=now",
        "--extra-rule-data=",
        "--workers=5",
        "--timeout=0",
        "--verbose",
        "--strict=false",
        "--show-successes",
        "--output=yaml=/tmp/report.yaml",
        "--output",
        "json",
    ])
    .unwrap();
    let Global { timeout, verbose, show_successes, quiet, .. } = cli.global;
    assert_eq!((timeout, verbose, show_successes, quiet), (Duration::ZERO, true, true, false));
}

#[rstest]
#[case("5m", Some(300))]
#[case("1h30m", Some(5400))]
#[case("5m0s", Some(300))]
#[case("0", Some(0))]
#[case("-5m", None)]
#[case("soon", None)]
fn reads_durations(#[case] text: &str, #[case] seconds: Option<u64>) {
    assert_eq!(duration(text).ok(), seconds.map(Duration::from_secs));
}

#[rstest]
#[case::time(&["validate", "image", "--effective-time", "tomorrow"], "2024-03-01")]
#[case::workers(&["validate", "image", "--workers", "0"], "--workers")]
#[case::trace(&["version", "--trace=everything"], "none of none, all")]
#[case::bool(&["version", "--verbose=maybe"], "--verbose")]
#[case::nothing_to_fetch(&["fetch", "policy", "--dest", "x", "--work-dir"], "cannot be used with")]
fn says_what_a_flag_may_be(#[case] arguments: &[&str], #[case] expected: &str) {
    let error = parse(arguments).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}
