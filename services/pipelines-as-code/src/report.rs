//! What people at the forge are told of an event and its runs (spec sections 4.9, 4.11 and 4.14). Pure: a
//! [`forge::Report`] comes out, and somebody else carries it there.
//!
//! ```text
//! event ─▶ pending_approval │ failed_to_validate │ rejected
//! run   ─▶ not_started │ queued ─▶ started ─▶ finished ◀── tasks, failures (logs, masked), console
//!                                                │
//!                                             comment, where the forge has no check runs
//! ```

pub mod comment;
pub mod console;
pub mod failure;
pub mod mask;
pub mod tasks;

use fleet::ObjectKey;
use forge::{Annotation, Report, Verdict, markdown};
use jiff::Timestamp;

use self::failure::Failure;
use self::tasks::Task;

/// What a report is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// `application-name` of the settings.
    pub application: &'a str,
    /// Name of the run in `.tekton/`. `None`: the event as a whole.
    pub original: Option<&'a str>,
    /// The run, once it has a name.
    pub run: Option<&'a ObjectKey>,
    /// Where a person sees it.
    pub details_url: Option<&'a str>,
    /// GitHub: the check run that is continued.
    pub check_run: Option<u64>,
    /// Context of an earlier report that this one takes the place of.
    pub replaces: Option<&'a str>,
    /// GitLab: number of the project that a merge request comes from.
    pub source_project: Option<u64>,
}

impl Subject<'_> {
    /// Under which it stands at the commit: `Konflux / app-on-push`.
    pub fn context(&self) -> String {
        context(self.application, self.original)
    }

    fn report(&self, verdict: Verdict, title: &str, summary: &str, text: String) -> Report {
        let context = self.context();
        Report {
            summary: format!("{context} {summary}"),
            context,
            verdict,
            title: title.to_owned(),
            text,
            details_url: self.details_url.map(str::to_owned),
            external_id: self.run.map(|run| run.name.clone()).unwrap_or_default(),
            check_run: self.check_run,
            replaces: self.replaces.map(str::to_owned),
            source_project: self.source_project,
            started_at: None,
            completed_at: None,
            annotations: Vec::new(),
        }
    }
}

/// Under which a report stands at the commit, among those of others.
pub fn context(application: &str, original: Option<&str>) -> String {
    original.map_or_else(|| application.to_owned(), |original| format!("{application} / {original}"))
}

/// The run goes on.
pub fn started(subject: &Subject<'_>, started_at: Option<Timestamp>) -> Report {
    let report = subject.report(Verdict::InProgress, "CI has Started", "is running.", whereabouts(subject));
    Report { started_at, ..report }
}

/// The run waits until another run of the Repository has ended.
pub fn queued(subject: &Subject<'_>) -> Report {
    let text = format!(
        "{}\nAs many runs of this repository go on as are allowed at once; this one starts when its turn comes.",
        whereabouts(subject)
    );
    subject.report(Verdict::Queued, "Pending", "is waiting for its turn.", text)
}

/// Somebody has to approve first. `user` caused the event, which `trigger` names (`pull request`).
pub fn pending_approval(subject: &Subject<'_>, user: &str, trigger: &str) -> Report {
    let text = format!(
        "User **{}** may not start runs of this repository by a {}. Somebody who may can approve by a comment \
         `/ok-to-test` on the pull request.",
        markdown::escape(user),
        markdown::escape(trigger),
    );
    subject.report(Verdict::Queued, "Pending approval", "is waiting for approval.", text)
}

/// What is in `.tekton/` cannot be used: each problem is a path, maybe a line, and what is wrong there.
pub fn rejected<'a>(
    subject: &Subject<'_>,
    problems: impl IntoIterator<Item = (&'a str, Option<u32>, &'a str)>,
) -> Report {
    let mut text = "The definitions of this repository cannot be used:\n".to_owned();
    let mut annotations = Vec::new();
    for (path, line, what) in problems {
        let place = line.map_or_else(|| path.to_owned(), |line| format!("{path}:{line}"));
        let row = format!("\n- {}: {}", markdown::code(&place), markdown::escape(what));
        text.push_str(&row);
        annotations.push(Annotation {
            path: path.to_owned(),
            line: line.unwrap_or(1),
            message: what.to_owned(),
        });
    }
    let report = subject.report(Verdict::Failure, "Failed", "could not be started.", text);
    Report { annotations, ..report }
}

/// A run could not be made. `error` is what the API server said.
pub fn not_started(subject: &Subject<'_>, error: &str) -> Report {
    let text = format!("The run could not be created:\n\n{}", markdown::block(&fleet::redact(error)));
    subject.report(Verdict::Failure, "Failed", "could not be started.", text)
}

/// Something else went wrong with an event after its Repository was found (spec section 8).
pub fn failed_to_validate(subject: &Subject<'_>, error: &str) -> Report {
    let text =
        format!("There was an issue validating the commit: {}", markdown::escape(&fleet::redact(error)));
    subject.report(Verdict::Failure, "Failed", "could not be started.", text)
}

/// How a run has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End<'a> {
    /// One that is final.
    pub verdict: Verdict,
    /// What the run itself says of it.
    pub message: &'a str,
    pub tasks: &'a [Task],
    /// Of the tasks that failed, in their order.
    pub failures: &'a [Failure],
    /// Places in files that the logs name.
    pub annotations: Vec<Annotation>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// The run has ended, in one way or the other.
pub fn finished(subject: &Subject<'_>, end: End<'_>) -> Report {
    let (title, summary) = match end.verdict {
        Verdict::Success => ("Success", "has successfully validated your commit."),
        Verdict::Failure | Verdict::Error => ("Failed", "has failed."),
        Verdict::Cancelled | Verdict::Deleted => ("Cancelled", "was cancelled."),
        Verdict::Neutral | Verdict::Queued | Verdict::InProgress => {
            ("Unknown", "has ended without a result.")
        }
    };
    let report = subject.report(end.verdict, title, summary, text(subject, &end));
    Report {
        annotations: end.annotations,
        started_at: end.started_at,
        completed_at: end.completed_at,
        ..report
    }
}

/// Task table, then what is known of the first failure.
fn text(subject: &Subject<'_>, end: &End<'_>) -> String {
    let mut parts = vec![whereabouts(subject)];
    if end.tasks.is_empty() {
        parts.push("No task has run.".to_owned());
    } else {
        parts.push(tasks::table(end.tasks));
    }
    if let Some(failure) = end.failures.first() {
        parts.push(failure.text());
    } else if end.verdict != Verdict::Success && !end.message.is_empty() {
        parts.push(markdown::block(&fleet::redact(end.message)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// Where the run is, for a browser and for a terminal.
fn whereabouts(subject: &Subject<'_>) -> String {
    let Some(ObjectKey { namespace, name }) = subject.run else { return String::new() };
    let shown = subject.details_url.map_or_else(|| markdown::code(name), |url| markdown::link(name, url));
    format!(
        "PipelineRun {shown} of namespace `{namespace}`. In a terminal: `tkn pipelinerun logs {name} -n {namespace} -f`"
    )
}

#[cfg(test)]
mod tests;
