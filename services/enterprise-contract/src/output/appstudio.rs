//! `appstudio`, formerly `hacbs`: the result `TEST_OUTPUT` that integration-service and release-service read.

use jiff::Timestamp;
use serde::Serialize;

use super::{Outcome, Section, Totals, note::note};
use crate::report::{InputReport, Report};

#[derive(Serialize)]
pub(super) struct TestOutput {
    /// Seconds since 1970.
    timestamp: String,
    namespace: &'static str,
    successes: usize,
    failures: usize,
    warnings: usize,
    result: &'static str,
    /// What became of each rule, a line each.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

pub(super) fn of_images(report: &Report, now: Timestamp) -> TestOutput {
    test_output(&Totals::of_images(report), report.components.iter().map(Section::from), now)
}

pub(super) fn of_files(report: &InputReport, now: Timestamp) -> TestOutput {
    test_output(&Totals::of_files(report), report.filepaths.iter().map(Section::from), now)
}

fn test_output<'a>(
    totals: &Totals,
    sections: impl Iterator<Item = Section<'a>>,
    now: Timestamp,
) -> TestOutput {
    let remark = (totals.outcome == Outcome::Failure && totals.violations == 0)
        .then_some("Nothing was violated, but not everything was checked either");
    TestOutput {
        timestamp: now.as_second().to_string(),
        namespace: "",
        successes: totals.successes,
        failures: totals.violations,
        warnings: totals.warnings,
        result: totals.outcome.into(),
        note: note(remark, sections),
    }
}
