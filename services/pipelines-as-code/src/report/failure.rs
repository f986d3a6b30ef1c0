//! Why tasks failed: what has to be looked up, and what is said of it (spec section 4.11).
//!
//! ```text
//! run, its TaskRuns ─▶ failed ─▶ Failed: containers whose logs tell why, Secrets that must not be seen
//!                                  │  (logs and Secrets are read)
//!                                  ▼
//!                               explain ─▶ Failure: the last lines, masked ─▶ report, history of the Repository
//!                                  └─▶ places: what compilers and linters say of files
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use forge::{Annotation, markdown};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar};
use pipelines_engine_api::reasons::{TaskRunReason, TerminationReason};
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::task_run::StepState;
use pipelines_engine_api::{PipelineRun, TaskRun};
use regex::Regex;

use super::mask::Values;

/// Failed tasks of a run that are looked into.
const MAX_FAILURES: usize = 10;

/// Bytes of a log that a report shows: what fits, with the rest, into the 64 KiB that forges take.
const MAX_SNIPPET: usize = 8 * 1024;

/// Annotations of one run.
const MAX_PLACES: usize = 50;

/// A task that failed, before anybody has looked at its logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// Name in the pipeline.
    pub task: String,
    /// For people. May be empty.
    pub display_name: String,
    /// Of its condition.
    pub reason: String,
    pub message: String,
    pub completed_at: Option<Timestamp>,
    pub pod: String,
    /// Containers of the pod whose logs tell why. Empty where the message says it all.
    pub containers: Vec<String>,
    /// What the logs may contain and nobody may read.
    pub secrets: BTreeSet<SecretValue>,
}

/// A value of a Secret that a step gets as a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretValue {
    pub secret: String,
    /// `None`: all of its values.
    pub key: Option<String>,
    /// The step runs without it too.
    pub is_optional: bool,
}

/// Why a task failed, ready to be read by anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    pub task: String,
    pub display_name: String,
    pub reason: String,
    pub message: String,
    /// Last lines of the log, without secrets.
    pub log: Option<String>,
    pub completed_at: Option<Timestamp>,
}

/// The tasks of a run that failed, those first that come first in the pipeline.
pub fn failed(run: &PipelineRun, task_run: &dyn Fn(&str) -> Option<Arc<TaskRun>>) -> Vec<Failed> {
    let children = run.status.iter().flat_map(|status| &status.child_references);
    let failed = children.filter_map(|child| {
        let task_run = task_run(&child.name)?;
        let status = task_run.status.as_ref()?;
        let condition = succeeded(&status.conditions).filter(|condition| condition.status == "False")?;
        let containers: Vec<String> = if tells_by_log(&condition.reason) {
            status.steps.iter().filter(|step| has_failed(step)).map(container).collect()
        } else {
            Vec::new()
        };
        Some(Failed {
            task: child.pipeline_task_name.clone(),
            display_name: child.display_name.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            completed_at: status.completion_time.as_ref().map(|time| time.0),
            pod: status.pod_name.clone(),
            secrets: if containers.is_empty() { BTreeSet::new() } else { secrets(&task_run) },
            containers,
        })
    });
    failed.take(MAX_FAILURES).collect()
}

/// Whether the log says more than the condition of a task that failed for this reason.
fn tells_by_log(reason: &str) -> bool {
    use TaskRunReason as R;
    matches!(
        reason.parse(),
        Ok(R::Failed
            | R::StepFailed
            | R::StepOom
            | R::SidecarFailed
            | R::SidecarOom
            | R::InitContainerFailed
            | R::InitContainerOom
            | R::PodEvicted)
    )
}

/// Steps that came after it did not run, and have an exit code of their own all the same.
fn has_failed(step: &StepState) -> bool {
    use TerminationReason as R;
    let is_of_another = matches!(step.termination_reason.parse(), Ok(R::Skipped | R::Continued));
    !is_of_another && step.terminated.as_ref().is_some_and(|terminated| terminated.exit_code != 0)
}

fn container(step: &StepState) -> String {
    if step.container.is_empty() { format!("step-{}", step.name) } else { step.container.clone() }
}

/// The Secrets that steps get values of as variables.
fn secrets(task_run: &TaskRun) -> BTreeSet<SecretValue> {
    let resolved = task_run.status.as_ref().and_then(|status| status.task_spec.as_ref());
    let Some(task) = resolved.or(task_run.spec.task_spec.as_ref()) else { return BTreeSet::new() };
    let template = task.step_template.iter().map(|template| (&template.env, &template.env_from));
    let steps = task.steps.iter().map(|step| (&step.env, &step.env_from));
    let mut found = BTreeSet::new();
    for (env, env_from) in template.chain(steps) {
        found.extend(env.iter().filter_map(of_variable));
        found.extend(env_from.iter().filter_map(of_source));
    }
    found
}

fn of_variable(variable: &EnvVar) -> Option<SecretValue> {
    let selector = variable.value_from.as_ref()?.secret_key_ref.as_ref()?;
    Some(SecretValue {
        secret: selector.name.clone(),
        key: Some(selector.key.clone()),
        is_optional: selector.optional.unwrap_or_default(),
    })
}

fn of_source(source: &EnvFromSource) -> Option<SecretValue> {
    let secret = source.secret_ref.as_ref()?;
    Some(SecretValue {
        secret: secret.name.clone(),
        key: None,
        is_optional: secret.optional.unwrap_or_default(),
    })
}

/// What is said of a failed task. `log` is what its containers wrote last, as it came. `None` if it could not be read, or
/// if not all Secrets are known that might be in it: nothing of it is shown then.
pub fn explain(failed: Failed, log: Option<&str>, secrets: &Values, lines: usize) -> Failure {
    let log = log.map(|log| last_lines(&secrets.hide(log), lines)).filter(|log| !log.is_empty());
    Failure {
        task: failed.task,
        display_name: failed.display_name,
        reason: failed.reason,
        message: secrets.hide(&failed.message),
        log,
        completed_at: failed.completed_at,
    }
}

/// Those that say something.
fn last_lines(log: &str, count: usize) -> String {
    let mut lines: Vec<&str> = log.lines().rev().filter(|line| !line.trim().is_empty()).take(count).collect();
    lines.reverse();
    let text: String =
        lines.join("\n").chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let too_long = text.len().saturating_sub(MAX_SNIPPET);
    let begin = (too_long..=text.len()).find(|begin| text.is_char_boundary(*begin)).unwrap_or_default();
    text[begin..].to_owned()
}

impl Failure {
    /// For the report.
    pub(super) fn text(&self) -> String {
        let name = if self.display_name.is_empty() { &self.task } else { &self.display_name };
        let said = self.log.as_deref().unwrap_or(&self.message);
        let reason = if self.reason.is_empty() { "Failed" } else { &self.reason };
        let head = format!("Task **{}** failed: {}", markdown::escape(name), markdown::escape(reason));
        if said.is_empty() { head } else { format!("{head}\n\n{}", markdown::block(said)) }
    }
}

/// Places in files that the lines of a log name, by an expression with the groups `filename`, `line` and `error`.
pub fn places(log: &str, secrets: &Values, expression: &Regex, lines: Option<usize>) -> Vec<Annotation> {
    let shown = secrets.hide(log);
    let count = shown.lines().count();
    let skipped = lines.map_or(0, |lines| count.saturating_sub(lines));
    shown.lines().skip(skipped).filter_map(|line| place(line, expression)).take(MAX_PLACES).collect()
}

fn place(line: &str, expression: &Regex) -> Option<Annotation> {
    let found = expression.captures(line)?;
    let path = found.name("filename")?.as_str().trim();
    let path = path.strip_prefix("./").unwrap_or(path);
    let line = found.name("line")?.as_str().parse().ok().filter(|line| *line > 0)?;
    // The expression that is there by default leaves the colon after a column in it.
    let message = found.name("error")?.as_str().trim_start_matches([':', ' ']).trim();
    // GitHub refuses all of a report for one empty message.
    if path.is_empty() || message.is_empty() {
        return None;
    }
    Some(Annotation { path: path.to_owned(), line, message: message.to_owned() })
}

#[cfg(test)]
mod tests;
