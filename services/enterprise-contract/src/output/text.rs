//! `text`: for people at a terminal.

use std::fmt::Write as _;

use super::{Section, Style, Totals, plain};
use crate::report::{Finding, InputReport, Report};

const RED: &str = "31";
const YELLOW: &str = "33";
const GREEN: &str = "32";
/// What of a finding is shown, under which word.
const SHOWN: [(&str, &str); 6] = [
    ("term", "Term"),
    ("title", "Title"),
    ("description", "Description"),
    ("solution", "Solution"),
    ("effective_on", "Effective on"),
    ("collections", "Collections"),
];

pub(super) fn of_images(report: &Report, style: Style) -> String {
    let sections = report.components.iter().map(Section::from).collect();
    render(&Totals::of_images(report), report.success, "Image", sections, style)
}

pub(super) fn of_files(report: &InputReport, style: Style) -> String {
    let sections = report.filepaths.iter().map(Section::from).collect();
    render(&Totals::of_files(report), report.success, "File", sections, style)
}

fn render(totals: &Totals, is_success: bool, kind: &str, sections: Vec<Section<'_>>, style: Style) -> String {
    let outcome: &str = totals.outcome.into();
    let mut text = String::new();
    // Writing to a String never fails.
    let _ = writeln!(text, "Success: {is_success}\nResult: {outcome}");
    let Totals { violations, warnings, successes, .. } = totals;
    let _ = writeln!(text, "Violations: {violations}, Warnings: {warnings}, Successes: {successes}");
    for section in sections {
        text.push('\n');
        if !section.name.is_empty() {
            let _ = writeln!(text, "Component: {}", visible(section.name));
        }
        let _ = writeln!(text, "{kind}: {}", visible(section.subject));
        let groups = [
            (section.violations, "\u{2715} [Violation]", RED, true),
            (section.warnings, "! [Warning]", YELLOW, true),
            (section.successes, "\u{2713} [Success]", GREEN, style.show_successes),
        ];
        for (findings, word, color, is_shown) in groups {
            for finding in findings.iter().filter(|_| is_shown) {
                say(&mut text, finding, &colored(word, color, style));
            }
        }
    }
    text
}

fn say(text: &mut String, finding: &Finding, word: &str) {
    let _ = writeln!(text, "{word} {}", visible(finding.code().unwrap_or("(no code)")));
    let _ = writeln!(text, "  Reason: {}", indented(&finding.msg));
    for (key, label) in SHOWN {
        if let Some(value) = finding.metadata.get(key) {
            let _ = writeln!(text, "  {label}: {}", indented(&plain(value)));
        }
    }
}

fn colored(word: &str, color: &str, style: Style) -> String {
    if style.color { format!("\u{1b}[{color}m{word}\u{1b}[0m") } else { word.to_owned() }
}

fn indented(text: &str) -> String {
    visible(text).replace('\n', "\n    ")
}

/// Control characters of what strangers wrote do not get to anybody's terminal.
fn visible(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}
