//! `ec opa test`: runs the unit tests of policies.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Environment, Error, Finished, load};
use crate::rego::{Host, Policy, Test, TestOutcome, Verdict, on_large_stack};

/// Runs the unit tests of policies: rules whose names start with `test_`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folders, files or URLs with rules, their tests, and data.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,
    /// Run the tests whose full names match this regular expression only.
    #[arg(short, long, value_name = "REGEX")]
    pub run: Option<regex::Regex>,
    /// List the tests that pass too, and what they print.
    #[arg(short = 'v')]
    pub list_all: bool,
    /// How to print what was found.
    #[arg(short, long, value_enum, default_value_t = Format::Pretty)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Pretty,
    Json,
}

/// Exit code if a test failed. 1 is for what could not be run at all.
const FAILED: u8 = 2;

pub(super) async fn run(args: &Args, environment: &Environment) -> Result<Finished, Error> {
    let policy = load::policy(&environment.sources, &args.paths, &[]).await?;
    let (wanted, host) = (args.clone(), Arc::clone(&environment.host));
    on_large_stack(move || run_all(&wanted, &policy, &host)).await?
}

fn run_all(args: &Args, policy: &Policy, host: &Arc<dyn Host>) -> Result<Finished, Error> {
    let chosen =
        policy.tests().iter().filter(|test| args.run.as_ref().is_none_or(|run| run.is_match(&test.name)));
    let results: Vec<(&Test, TestOutcome)> = chosen.map(|test| (test, policy.run_test(test, host))).collect();
    if results.is_empty() {
        return Err(Error::NoTests(args.paths.join(", ")));
    }
    let is_bad = |outcome: &TestOutcome| !matches!(outcome.verdict, Verdict::Passed | Verdict::Skipped);
    let code = if results.iter().any(|(_, outcome)| is_bad(outcome)) { FAILED } else { 0 };
    let text = match args.format {
        Format::Pretty => pretty(args, &results),
        Format::Json => format!("{:#}\n", json_of(&results)),
    };
    Ok(Finished { text, code })
}

fn pretty(args: &Args, results: &[(&Test, TestOutcome)]) -> String {
    let mut text = String::new();
    let mut counts = [0_usize; 3];
    for (test, outcome) in results {
        let (number, word) = match &outcome.verdict {
            Verdict::Passed => (0, "PASS".to_owned()),
            Verdict::Skipped => (2, "SKIPPED".to_owned()),
            Verdict::Failed => (1, "FAIL".to_owned()),
            Verdict::Ambiguous => (1, "ERROR: there is another test of this name".to_owned()),
            Verdict::Errored(error) => (1, format!("ERROR: {error}")),
        };
        counts[number] += 1;
        if outcome.verdict != Verdict::Passed || args.list_all {
            let _ = writeln!(text, "{}: {}: {word} ({:?})", test.location, test.name, outcome.elapsed);
            for line in &outcome.prints {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
    let [passed, failed, skipped] = counts;
    let _ = writeln!(text, "PASS: {passed}/{}", results.len());
    for (number, word) in
        [(failed, "FAIL"), (skipped, "SKIPPED")].into_iter().filter(|(number, _)| *number > 0)
    {
        let _ = writeln!(text, "{word}: {number}/{}", results.len());
    }
    text
}

fn json_of(results: &[(&Test, TestOutcome)]) -> Value {
    let entry = |(test, outcome): &(&Test, TestOutcome)| {
        let mut entry = json!({
            "location": {"file": test.location.file, "row": test.location.line},
            "name": test.name,
            "duration": u64::try_from(outcome.elapsed.as_nanos()).unwrap_or(u64::MAX),
        });
        match &outcome.verdict {
            Verdict::Passed => {}
            Verdict::Failed => entry["fail"] = true.into(),
            Verdict::Skipped => entry["skip"] = true.into(),
            Verdict::Ambiguous => entry["error"] = "there is another test of this name".into(),
            Verdict::Errored(error) => entry["error"] = error.to_string().into(),
        }
        entry
    };
    results.iter().map(entry).collect()
}
