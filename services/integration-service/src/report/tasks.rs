//! The tasks of a test run, as the pull request shows them.

use std::fmt::Write as _;

use forge::markdown;
use jiff::Timestamp;
use pipelines_engine_api::TaskRun;
use pipelines_engine_api::status::succeeded;

use super::links::Links;
use crate::tests::output::{self, TestOutput, TestResult};

/// What a cell shows where there is nothing to show.
const NOTHING: &str = "-";

/// Rows of a table, and notes below it. Longer ones would not fit into what forges take.
const MAX_ROWS: usize = 100;

/// Lines of one note.
const MAX_LINES: usize = 50;

/// One task of a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Task {
    /// In the pipeline.
    name: String,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    /// `None` of a task that says nothing of tests.
    result: Option<Result<TestOutput, String>>,
    has_failed: bool,
    /// Where a person sees its log.
    log: String,
}

/// The tasks of a run, in the order in which they began.
pub(crate) fn of(namespace: &str, run: &str, task_runs: &[TaskRun], links: &Links) -> Vec<Task> {
    let mut tasks: Vec<Task> = task_runs
        .iter()
        .map(|task_run| {
            let name = output::task_of(task_run);
            let status = task_run.status.as_ref();
            let end = status.and_then(|status| succeeded(&status.conditions));
            Task {
                started_at: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0),
                completed_at: status.and_then(|status| status.completion_time.as_ref()).map(|time| time.0),
                result: output::read(task_run).map(|read| read.map_err(|fault| fault.to_string())),
                has_failed: end.is_some_and(|condition| condition.status == "False"),
                log: links.log(namespace, run, &name),
                name,
            }
        })
        .collect();
    // Those that have not begun come last.
    tasks.sort_by(|a, b| {
        let begun = |task: &Task| (task.started_at.is_none(), task.started_at);
        begun(a).cmp(&begun(b)).then_with(|| a.name.cmp(&b.name))
    });
    tasks
}

/// As Markdown: a table, and below it what the tasks have to say.
pub(crate) fn table(tasks: &[Task]) -> String {
    let mut rows =
        "| Task | Duration | Test Suite | Status | Details |\n| --- | --- | --- | --- | --- |".to_owned();
    let mut notes = String::new();
    let mut count = 0;
    for task in tasks.iter().take(MAX_ROWS) {
        let note = match &task.result {
            Some(Ok(output)) => Some(output.note.trim()).filter(|note| !note.is_empty()),
            _ => None,
        };
        let reference = note.map(|note| {
            count += 1;
            notes.push_str(&shown_note(count, &task.name, note));
            count
        });
        rows.push('\n');
        rows.push_str(&row(task, reference));
    }
    if let Some(left) = tasks.len().checked_sub(MAX_ROWS).filter(|left| *left > 0) {
        let _ = write!(notes, "\n\n… and {left} tasks more.");
    }
    rows + &notes
}

fn row(task: &Task, note: Option<usize>) -> String {
    let duration = match (task.started_at, task.completed_at) {
        (Some(from), Some(to)) => duration(to.duration_since(from).as_secs()),
        _ => NOTHING.to_owned(),
    };
    let (suite, status, details) = match &task.result {
        Some(Ok(output)) => (output.namespace.as_str(), outcome(output.result), counts(output)),
        Some(Err(fault)) => ("", ":question: INVALID", markdown::escape(fault)),
        None if task.has_failed => ("", ":x: Failed", NOTHING.to_owned()),
        None => ("", NOTHING, NOTHING.to_owned()),
    };
    let suite = if suite.is_empty() { NOTHING.to_owned() } else { markdown::escape(suite) };
    let reference = note.map(|note| format!(" (note {note})")).unwrap_or_default();
    format!(
        "| {} | {duration} | {suite} | {status} | {details}{reference} |",
        markdown::link(&task.name, &task.log),
    )
}

fn outcome(result: TestResult) -> &'static str {
    match result {
        TestResult::Success => ":heavy_check_mark: SUCCESS",
        TestResult::Failure => ":x: FAILURE",
        TestResult::Warning => ":warning: WARNING",
        TestResult::Skipped => ":white_check_mark: SKIPPED",
        TestResult::Error => ":heavy_exclamation_mark: ERROR",
    }
}

/// How many of each, without those that there are none of.
fn counts(output: &TestOutput) -> String {
    let counts = [
        (":heavy_check_mark:", output.successes, "success(es)"),
        (":warning:", output.warnings, "warning(s)"),
        (":x:", output.failures, "failure(s)"),
    ];
    let shown: Vec<String> = counts
        .into_iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(sign, count, word)| format!("{sign} {count} {word}"))
        .collect();
    if shown.is_empty() { NOTHING.to_owned() } else { shown.join("<br>") }
}

/// What a task has to say: several lines are a list, as of a policy that speaks rule by rule.
fn shown_note(number: usize, task: &str, note: &str) -> String {
    let lines: Vec<&str> = note.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let head = format!("\n\n**Note {number}**, {}:", markdown::escape(task));
    if let [line] = lines.as_slice() {
        return format!("{head} {}", markdown::escape(line));
    }
    let mut shown = head + "\n";
    for line in lines.iter().take(MAX_LINES) {
        shown.push_str("\n- ");
        shown.push_str(&markdown::escape(line));
    }
    if let Some(left) = lines.len().checked_sub(MAX_LINES).filter(|left| *left > 0) {
        let _ = write!(shown, "\n- … and {left} lines more");
    }
    shown
}

/// `1h 2m 3s`, without the parts that are nothing.
fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let shown: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }
}

#[cfg(test)]
mod tests;
