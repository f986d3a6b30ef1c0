//! The tasks of a run, as its report lists them.

use std::sync::Arc;

use forge::markdown;
use jiff::Timestamp;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, TaskRun};

/// Rows of a table. Longer ones would not fit into what forges take.
const MAX_ROWS: usize = 150;

/// A task of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// In the pipeline.
    pub name: String,
    /// For people. May be empty.
    pub display_name: String,
    pub state: State,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    /// Where a person sees its log.
    pub url: Option<String>,
}

/// How far a task has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Succeeded,
    /// With the reason of its condition.
    Failed(String),
    Running,
    /// Nothing is known: it is none of Tekton's own.
    Unknown,
}

/// The tasks that ran, in the order of the pipeline. `task_run` finds one by its name, `url` where a person sees it.
pub fn of(
    run: &PipelineRun,
    task_run: &dyn Fn(&str) -> Option<Arc<TaskRun>>,
    url: &dyn Fn(&str, &TaskRun) -> Option<String>,
) -> Vec<Task> {
    let children = run.status.iter().flat_map(|status| &status.child_references);
    let tasks = children.map(|child| {
        let task_run = task_run(&child.name);
        let status = task_run.as_ref().and_then(|task_run| task_run.status.as_ref());
        let state = status.map_or(State::Unknown, |status| match succeeded(&status.conditions) {
            None => State::Running,
            Some(condition) => match condition.status.as_str() {
                "True" => State::Succeeded,
                "False" => State::Failed(condition.reason.clone()),
                _ => State::Running,
            },
        });
        Task {
            name: child.pipeline_task_name.clone(),
            display_name: child.display_name.clone(),
            state,
            started_at: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0),
            completed_at: status.and_then(|status| status.completion_time.as_ref()).map(|time| time.0),
            url: task_run.and_then(|task_run| url(&child.pipeline_task_name, &task_run)),
        }
    });
    tasks.collect()
}

/// As Markdown.
pub(super) fn table(tasks: &[Task]) -> String {
    let mut table = "| Status | Duration | Name |\n| --- | --- | --- |".to_owned();
    for task in tasks.iter().take(MAX_ROWS) {
        let name = if task.display_name.is_empty() { &task.name } else { &task.display_name };
        let name = task.url.as_ref().map_or_else(|| markdown::escape(name), |url| markdown::link(name, url));
        let duration = match (task.started_at, task.completed_at) {
            (Some(from), Some(to)) => duration(to.duration_since(from).as_secs()),
            _ => "---".to_owned(),
        };
        let row = format!("\n| {} | {duration} | {name} |", shown(&task.state));
        table.push_str(&row);
    }
    if let Some(left) = tasks.len().checked_sub(MAX_ROWS).filter(|left| *left > 0) {
        let rest = format!("\n\n… and {left} more.");
        table.push_str(&rest);
    }
    table
}

fn shown(state: &State) -> String {
    match state {
        State::Succeeded => "✅ Succeeded".to_owned(),
        State::Failed(reason) if reason.is_empty() => "❌ Failed".to_owned(),
        State::Failed(reason) => format!("❌ {}", markdown::escape(reason)),
        State::Running => "▶ Running".to_owned(),
        State::Unknown => "---".to_owned(),
    }
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
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "0s")]
    #[case(-5, "0s")]
    #[case(59, "59s")]
    #[case(60, "1m")]
    #[case(3723, "1h 2m 3s")]
    fn says_how_long(#[case] seconds: i64, #[case] text: &str) {
        assert_eq!(duration(seconds), text);
    }

    #[test]
    fn a_long_table_is_cut() {
        let task = Task {
            name: "a".to_owned(),
            display_name: String::new(),
            state: State::Unknown,
            started_at: None,
            completed_at: None,
            url: None,
        };
        let table = table(&vec![task; MAX_ROWS + 2]);
        assert_eq!(table.matches("| --- | --- | a |").count(), MAX_ROWS);
        assert!(table.ends_with("… and 2 more."));
    }
}
