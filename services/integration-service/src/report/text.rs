//! What a pull request shows of a scenario.

use std::fmt::Write as _;

use forge::{Report, markdown};
use integration_service_api::status::TestStatus;
use pipelines_engine_api::TaskRun;

use super::links::Links;
use super::message::{Message, Round, Subject, Way};
use super::{tasks, words};

/// Component of the Snapshot of a group.
pub(crate) const GROUP: &str = "pr group";

/// Under which a scenario stands among the other checks of a commit: `Konflux / lint / web`.
pub(crate) fn name(console: &str, scenario: &str, component: Option<&str>) -> String {
    match component {
        Some(component) => format!("{console} / {scenario} / {component}"),
        None => format!("{console} / {scenario}"),
    }
}

/// By what a check run is found again.
fn external_id(scenario: &str, component: Option<&str>) -> String {
    component.map_or_else(|| scenario.to_owned(), |component| format!("{scenario}-{component}"))
}

/// How a scenario does, in a sentence.
pub(crate) fn summary(subject: &Subject, message: &Message) -> String {
    let words = words::of(message.status, message.is_optional);
    let what = match subject {
        Subject::Snapshot(snapshot) => format!("Snapshot {snapshot}"),
        Subject::Build(run) => format!("PipelineRun {run}"),
    };
    let hinders = message.status.is_final() && !message.status.is_passed();
    let optional = if hinders && message.is_optional { " (it is optional)" } else { "" };
    format!("Scenario {} {}{optional}: {what}", message.scenario, words.sentence)
}

/// The report of one scenario. `text` is all that there is to say.
pub(crate) fn report(
    console: &str,
    round: &Round,
    way: Way,
    message: &Message,
    text: String,
    details_url: Option<String>,
) -> Report {
    let words = words::of(message.status, message.is_optional);
    let component = round.component.as_deref();
    let summary = summary(&round.subject, message);
    let has_started = !matches!(words.verdict, forge::Verdict::Queued);
    let is_final = message.status.is_final();
    Report {
        context: name(console, &message.scenario, component),
        verdict: words.verdict,
        // A status has room for a line, a check run for a word above it.
        title: if matches!(way, Way::App { .. }) { words.title.to_owned() } else { summary.clone() },
        summary,
        text,
        details_url,
        external_id: external_id(&message.scenario, component),
        check_run: None,
        replaces: None,
        source_project: match way {
            Way::Token { source_project, .. } => source_project,
            Way::App { .. } => None,
        },
        started_at: message.started_at.filter(|_| has_started),
        completed_at: message.completed_at.filter(|_| is_final),
        annotations: Vec::new(),
    }
}

/// Whether the text shows the tasks of the run.
pub(crate) fn shows_tasks(message: &Message) -> bool {
    let has_tests =
        matches!(message.status, TestStatus::TestPassed | TestStatus::TestWarning | TestStatus::TestFail);
    has_tests && message.run.is_some()
}

/// All that there is to say, in Markdown. `task_runs` are those of the run, if it shows them.
pub(crate) fn body(namespace: &str, message: &Message, task_runs: &[TaskRun], links: &Links) -> String {
    let mut text = String::new();
    if let Some(run) = &message.run {
        let _ = write!(text, "PipelineRun {}", markdown::link(run, &links.run(namespace, run)));
    }
    let mut add = |part: &str| {
        if !part.is_empty() {
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(part);
        }
    };
    let details = shown(&message.details);
    match (&message.run, shows_tasks(message)) {
        (Some(_), true) if task_runs.is_empty() => {
            add(&details);
            add("The TaskRuns of this PipelineRun are gone, so there is no more to show of it.");
        }
        (Some(run), true) => {
            if !message.status.is_passed() {
                add(&details);
            }
            add(&tasks::table(&tasks::of(namespace, run, task_runs, links)));
        }
        _ => add(&details),
    }
    text
}

fn shown(details: &str) -> String {
    match details.trim() {
        "" => String::new(),
        details if details.contains('\n') => markdown::block(details),
        details => markdown::escape(details),
    }
}

/// GitLab, where there are too many scenarios for a status each: one for all of them.
pub(crate) fn overview(scenarios: &[(String, TestStatus)]) -> (TestStatus, String) {
    let is = |wanted: fn(TestStatus) -> bool| scenarios.iter().any(|(_, status)| wanted(*status));
    let status = if is(|status| status.is_final() && !status.is_passed()) {
        TestStatus::TestFail
    } else if scenarios.iter().all(|(_, status)| status.is_final()) {
        TestStatus::TestPassed
    } else if is(|status| status != TestStatus::Pending) {
        TestStatus::InProgress
    } else {
        TestStatus::Pending
    };
    let mut table = "| Scenario | Status |\n| --- | --- |".to_owned();
    for (scenario, status) in scenarios {
        let title = words::of(*status, false).title;
        let _ = write!(table, "\n| {} | {title} |", markdown::escape(scenario));
    }
    (status, table)
}

/// A comment on the pull request. By `mark`, which is not shown, it is found again.
pub(crate) struct Comment {
    pub(crate) mark: String,
    pub(crate) text: String,
}

/// What is said on the pull request where there are no check runs: how it ended.
pub(crate) fn comment(report: &Report, round: &Round, message: &Message) -> Option<Comment> {
    if !message.status.is_final() {
        return None;
    }
    let subject = match &round.subject {
        Subject::Snapshot(name) | Subject::Build(name) => name,
    };
    // The names may contain what would end a comment of HTML.
    let about = fleet::names::hash(16, &[subject, &report.context]);
    let mark = format!("<!-- integration-service {about} -->");
    let title = words::of(message.status, message.is_optional).title;
    let text = format!(
        "{mark}\n### {}: {title}\n\n{}\n\n{}",
        markdown::escape(&report.context),
        markdown::escape(&report.summary),
        report.text
    );
    Some(Comment { mark, text: text.trim_end().to_owned() })
}

#[cfg(test)]
mod tests;
