//! How results are shown, and where: `--output format[=path][?option=value]`, as often as wanted.
//!
//! ```text
//! Report, InputReport ─ render ─▶ json yaml appstudio junit summary summary-markdown text data attestation
//!                                 policy-input vsa ─▶ file or standard output
//! ```

mod appstudio;
mod junit;
mod markdown;
mod note;
mod records;
mod summary;
mod target;
mod text;
mod vsa;

use serde::Serialize;
use serde_json::Value;

pub use target::{Format, Target, Unwritten, write};

use crate::report::{ComponentReport, FileReport, Finding, InputReport, Report};

/// How a report is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether what passed is listed.
    pub show_successes: bool,
    /// Whether text has the colours of a terminal.
    pub color: bool,
}

/// Why a report cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the format {0} is not for this command")]
    NotHere(&'static str),
    #[error("the report cannot be written as {format}: {why}")]
    Failed { format: &'static str, why: String },
}

/// The text of a report on images. `now` is when it is written.
pub fn render(report: &Report, format: Format, style: Style, now: jiff::Timestamp) -> Result<String, Error> {
    let failed = |why: String| Error::Failed { format: format.into(), why };
    match format {
        Format::Json => json(&shown(report, style)).map_err(failed),
        Format::Yaml => yaml(&shown(report, style)).map_err(failed),
        Format::Appstudio => json(&appstudio::of_images(report, now)).map_err(failed),
        Format::Junit => junit::render(report, now).map_err(failed),
        Format::Summary => json(&summary::of_images(report, style)).map_err(failed),
        Format::SummaryMarkdown => Ok(markdown::render(report, now)),
        Format::Text => Ok(text::of_images(report, style)),
        Format::Data => records::data(&report.data).map_err(failed),
        Format::Attestation => records::attestations(report).map_err(failed),
        Format::PolicyInput => {
            records::inputs(report.components.iter().map(|component| &component.policy_input)).map_err(failed)
        }
        Format::Vsa => json(&vsa::statement(report).map_err(failed)?).map_err(failed),
    }
}

/// The text of a report on files.
pub fn render_input(
    report: &InputReport,
    format: Format,
    style: Style,
    now: jiff::Timestamp,
) -> Result<String, Error> {
    let failed = |why: String| Error::Failed { format: format.into(), why };
    let mut shown = report.clone();
    if !style.show_successes {
        shown.filepaths.iter_mut().for_each(|file| file.successes.clear());
    }
    match format {
        Format::Json => json(&shown).map_err(failed),
        Format::Yaml => yaml(&shown).map_err(failed),
        Format::Appstudio => json(&appstudio::of_files(report, now)).map_err(failed),
        Format::Summary => json(&summary::of_files(report, style)).map_err(failed),
        Format::Text => Ok(text::of_files(report, style)),
        Format::Data => records::data(&report.data).map_err(failed),
        Format::PolicyInput => {
            records::inputs(report.filepaths.iter().map(|file| &file.policy_input)).map_err(failed)
        }
        Format::Junit | Format::SummaryMarkdown | Format::Attestation | Format::Vsa => {
            Err(Error::NotHere(format.into()))
        }
    }
}

fn shown(report: &Report, style: Style) -> Report {
    let mut shown = Report { data: Vec::new(), ..report.clone() };
    if !style.show_successes {
        shown.components.iter_mut().for_each(|component| component.successes.clear());
    }
    shown
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map(line).map_err(|error| error.to_string())
}

fn yaml(value: &impl Serialize) -> Result<String, String> {
    // By way of JSON's values, so that both say the same.
    let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
    crate::yaml::print(&value)
}

fn line(mut text: String) -> String {
    text.push('\n');
    text
}

/// What is said about one image or one file.
struct Section<'a> {
    name: &'a str,
    /// Reference or path.
    subject: &'a str,
    violations: &'a [Finding],
    warnings: &'a [Finding],
    successes: &'a [Finding],
    is_success: bool,
}

impl<'a> From<&'a ComponentReport> for Section<'a> {
    fn from(component: &'a ComponentReport) -> Self {
        Self {
            name: &component.name,
            subject: &component.container_image,
            violations: &component.violations,
            warnings: &component.warnings,
            successes: &component.successes,
            is_success: component.success,
        }
    }
}

impl<'a> From<&'a FileReport> for Section<'a> {
    fn from(file: &'a FileReport) -> Self {
        Self {
            name: "",
            subject: &file.filepath,
            violations: &file.violations,
            warnings: &file.warnings,
            successes: &file.successes,
            is_success: file.success,
        }
    }
}

/// The word for all of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
enum Outcome {
    Failure,
    Warning,
    /// There was nothing to say.
    Skipped,
    Success,
}

/// How many findings there are, and what they come to.
struct Totals {
    violations: usize,
    warnings: usize,
    successes: usize,
    outcome: Outcome,
}

impl Totals {
    fn of<'a>(sections: impl IntoIterator<Item = Section<'a>>, is_success: bool) -> Self {
        let (mut violations, mut warnings, mut successes, mut all_passed) = (0, 0, 0, is_success);
        for section in sections {
            violations += section.violations.len();
            warnings += section.warnings.len();
            successes += section.successes.len();
            all_passed &= section.is_success;
        }
        let outcome = match (violations, warnings, successes) {
            (1.., _, _) => Outcome::Failure,
            _ if !all_passed => Outcome::Failure,
            (0, 1.., _) => Outcome::Warning,
            (0, 0, 0) => Outcome::Skipped,
            _ => Outcome::Success,
        };
        Self { violations, warnings, successes, outcome }
    }

    fn of_images(report: &Report) -> Self {
        Self::of(report.components.iter().map(Section::from), report.success)
    }

    fn of_files(report: &InputReport) -> Self {
        Self::of(report.filepaths.iter().map(Section::from), report.success)
    }
}

/// A value of a finding's metadata, on one line.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
