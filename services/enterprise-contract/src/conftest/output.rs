//! Prints what `ec test` found.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::check::{Checked, TestArgs};
use super::{Error, Finished};
use crate::rego::RawResult;

/// How `ec test` prints what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line for each finding, and a sum.
    Stdout,
    /// A list with an entry for each file and package.
    Json,
    /// The Test Anything Protocol.
    Tap,
    /// Commands that annotate files in a run of GitHub Actions.
    Github,
    /// What a task reports as its result `TEST_OUTPUT`.
    #[value(alias = "hacbs")]
    Appstudio,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    successes: usize,
    failures: usize,
    warnings: usize,
    exceptions: usize,
}

impl Totals {
    fn of(checked: &[Checked]) -> Self {
        checked.iter().fold(Self::default(), |sum, checked| Self {
            successes: sum.successes + checked.outcome.successes,
            failures: sum.failures + checked.outcome.failures.len(),
            warnings: sum.warnings + checked.outcome.warnings.len(),
            exceptions: sum.exceptions + checked.outcome.exceptions.len(),
        })
    }

    fn code(self, args: &TestArgs) -> u8 {
        match self {
            _ if args.no_fail => 0,
            Self { failures: 1.., .. } if args.fail_on_warn => 2,
            Self { failures: 1.., .. } => 1,
            Self { warnings: 1.., .. } if args.fail_on_warn => 1,
            _ => 0,
        }
    }
}

pub(super) fn render(args: &TestArgs, checked: &[Checked], now: Timestamp) -> Finished {
    let totals = Totals::of(checked);
    let text = match args.output {
        Format::Stdout => lines(checked, totals, args.suppress_exceptions),
        Format::Json => format!("{:#}\n", json(checked)),
        Format::Tap => tap(checked),
        Format::Github => github(checked),
        Format::Appstudio => format!("{}\n", appstudio(args, totals, now)),
    };
    Finished { text, code: totals.code(args) }
}

/// What is said of an error, in the one format that has a result for it.
pub(super) fn failed(args: &TestArgs, error: &Error, now: Timestamp) -> Option<Finished> {
    (args.output == Format::Appstudio).then(|| {
        let note = error.to_string();
        let value = test_output(args, Totals::default(), "ERROR", &note, now);
        Finished { text: format!("{value}\n"), code: u8::from(!args.no_fail) }
    })
}

fn lines(checked: &[Checked], totals: Totals, without_exceptions: bool) -> String {
    let mut text = String::new();
    let mut list = |kind: &str, checked: &Checked, results: &[RawResult]| {
        for result in results {
            let _ =
                writeln!(text, "{kind} - {} - {} - {}", checked.file, checked.outcome.namespace, result.msg);
        }
    };
    for found in checked {
        list("WARN", found, &found.outcome.warnings);
        list("FAIL", found, &found.outcome.failures);
        if !without_exceptions {
            list("EXCP", found, &found.outcome.exceptions);
        }
    }
    let Totals { successes, failures, warnings, exceptions } = totals;
    let tests = successes + failures + warnings + exceptions;
    let plural = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    let sum = [
        plural(tests, "test"),
        format!("{successes} passed"),
        plural(warnings, "warning"),
        plural(failures, "failure"),
        plural(exceptions, "exception"),
    ];
    let _ = writeln!(text, "\n{}", sum.join(", "));
    text
}

fn json(checked: &[Checked]) -> Value {
    let results = |results: &[RawResult]| -> Value {
        results
            .iter()
            .map(|result| {
                if result.metadata.is_empty() {
                    json!({"msg": result.msg})
                } else {
                    json!({"msg": result.msg, "metadata": result.metadata})
                }
            })
            .collect()
    };
    checked
        .iter()
        .map(|Checked { file, outcome }| {
            let mut entry =
                json!({"filename": file, "namespace": outcome.namespace, "successes": outcome.successes});
            let lists = [
                ("warnings", &outcome.warnings),
                ("failures", &outcome.failures),
                ("exceptions", &outcome.exceptions),
            ];
            for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
                entry[name] = results(list);
            }
            entry
        })
        .collect()
}

fn tap(checked: &[Checked]) -> String {
    let mut tests = Vec::new();
    for Checked { file, outcome } in checked {
        let mut add = |state: &str, directive: &str, results: &[RawResult]| {
            tests.extend(results.iter().map(|result| {
                // A line is a test: a message of several lines would be several.
                let msg = result.msg.replace('\n', " ");
                (state.to_owned(), format!("{directive}{file} - {} - {msg}", outcome.namespace))
            }));
        };
        add("not ok", "", &outcome.failures);
        add("not ok", "# TODO ", &outcome.warnings);
        add("ok", "# SKIP ", &outcome.exceptions);
        let passed =
            (0..outcome.successes).map(|_| ("ok".to_owned(), format!("{file} - {} -", outcome.namespace)));
        tests.extend(passed);
    }
    let mut text = format!("1..{}\n", tests.len());
    for ((state, what), number) in tests.into_iter().zip(1..) {
        let _ = writeln!(text, "{state} {number} - {what}");
    }
    text
}

fn github(checked: &[Checked]) -> String {
    // The runner's own escapes: what a policy says must not become another command.
    let escaped = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let mut text = String::new();
    for Checked { file, outcome } in checked {
        let file = escaped(file).replace(':', "%3A").replace(',', "%2C");
        let lists =
            [("error", &outcome.failures), ("warning", &outcome.warnings), ("notice", &outcome.exceptions)];
        for (command, list) in lists {
            for result in list {
                let _ = writeln!(text, "::{command} file={file}::{}", escaped(&result.msg));
            }
        }
    }
    text
}

fn appstudio(args: &TestArgs, totals: Totals, now: Timestamp) -> Value {
    let (result, note) = match totals {
        Totals { failures: 1.., .. } => ("FAILURE", "Some rules are not kept"),
        Totals { warnings: 1.., .. } => ("WARNING", "Some rules warn"),
        Totals { successes: 0, .. } => ("SKIPPED", "No rule had anything to look at"),
        _ => ("SUCCESS", "All rules are kept"),
    };
    test_output(args, totals, result, note, now)
}

fn test_output(args: &TestArgs, totals: Totals, result: &str, note: &str, now: Timestamp) -> Value {
    json!({
        "timestamp": now.as_second().to_string(),
        "namespace": args.namespace.first().map_or("", String::as_str),
        "successes": totals.successes,
        "failures": totals.failures,
        "warnings": totals.warnings,
        "result": result,
        "note": note,
    })
}
