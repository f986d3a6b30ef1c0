//! `summary`: for each rule its first message, and how many more there are.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Section, Style};
use crate::report::{Finding, InputReport, Report};

#[derive(Serialize)]
pub(super) struct Summary<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Part<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filepaths: Vec<Part<'a>>,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

#[derive(Serialize)]
struct Part<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    /// `containerImage` or `filepath`.
    #[serde(flatten)]
    subject: BTreeMap<&'static str, &'a str>,
    violations: Messages,
    warnings: Messages,
    successes: Messages,
    total_violations: usize,
    total_warnings: usize,
    total_successes: usize,
    success: bool,
}

/// By code; those without one by the empty one.
type Messages = BTreeMap<String, Vec<String>>;

pub(super) fn of_images(report: &Report, style: Style) -> Summary<'_> {
    let parts = report.components.iter().map(|component| part("containerImage", &component.into(), style));
    Summary {
        snapshot: report.snapshot.as_deref(),
        components: parts.collect(),
        filepaths: Vec::new(),
        success: report.success,
        key: Some(&report.key),
    }
}

pub(super) fn of_files(report: &InputReport, style: Style) -> Summary<'_> {
    let parts = report.filepaths.iter().map(|file| part("filepath", &file.into(), style));
    Summary {
        snapshot: None,
        components: Vec::new(),
        filepaths: parts.collect(),
        success: report.success,
        key: None,
    }
}

fn part<'a>(kind: &'static str, section: &Section<'a>, style: Style) -> Part<'a> {
    Part {
        name: section.name,
        subject: [(kind, section.subject)].into(),
        violations: messages(section.violations),
        warnings: messages(section.warnings),
        successes: if style.show_successes { messages(section.successes) } else { Messages::new() },
        total_violations: section.violations.len(),
        total_warnings: section.warnings.len(),
        total_successes: section.successes.len(),
        success: section.is_success,
    }
}

fn messages(findings: &[Finding]) -> Messages {
    let mut all: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        all.entry(finding.code().unwrap_or_default()).or_default().push(finding);
    }
    let short = |(code, findings): (&str, Vec<&Finding>)| {
        let mut messages: Vec<String> = findings.first().map(|first| first.msg.clone()).into_iter().collect();
        match findings.len() {
            0 | 1 => {}
            2 => messages.push(format!("There is 1 more {code:?} message")),
            count => messages.push(format!("There are {} more {code:?} messages", count - 1)),
        }
        (code.to_owned(), messages)
    };
    all.into_iter().map(short).collect()
}
