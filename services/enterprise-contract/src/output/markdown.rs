//! `summary-markdown`: a table of counts, and one of what went wrong.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Outcome, Totals};
use crate::report::Report;

pub(super) fn render(report: &Report, now: Timestamp) -> String {
    let totals = Totals::of_images(report);
    let sign = |is_good: bool| if is_good { ":white_check_mark:" } else { ":x:" };
    let result: &str = totals.outcome.into();
    let mut text = String::from("| Field | Value | Status |\n| --- | --- | --- |\n");
    let rows = [
        ("Time", now.to_string(), ""),
        ("Images", report.components.len().to_string(), ""),
        ("Successes", totals.successes.to_string(), sign(true)),
        ("Failures", totals.violations.to_string(), sign(totals.violations == 0)),
        (
            "Warnings",
            totals.warnings.to_string(),
            if totals.warnings == 0 { sign(true) } else { ":warning:" },
        ),
        ("Result", result.to_owned(), sign(totals.outcome != Outcome::Failure)),
    ];
    for (name, value, status) in rows {
        // Writing to a String never fails.
        let _ = writeln!(text, "| {name} | {value} | {status} |");
    }
    if totals.violations > 0 {
        text.push_str("\n| Image | Rule | Message |\n| --- | --- | --- |\n");
        for component in &report.components {
            for finding in &component.violations {
                let code = finding.code().unwrap_or_default();
                let cells = [&component.container_image, code, &finding.msg].map(cell);
                let _ = writeln!(text, "| {} |", cells.join(" | "));
            }
        }
    }
    text
}

/// Text of strangers as one cell: without lines, columns and markup of its own.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => cell.push(' '),
            '<' => cell.push_str("&lt;"),
            '|' | '`' | '[' | ']' | '\\' | '*' => cell.extend(['\\', c]),
            c => cell.push(c),
        }
    }
    cell
}
