//! Runs and members for tests.

use std::sync::Arc;

use pipelines_engine_api::{PipelineTask, RunCondition, TaskRun, TaskRunResult, TaskRunSpec, TaskRunStatus};

use super::progress::{Child, Member, Section};

/// A task without runs.
pub(crate) fn member(name: &str) -> Member {
    Member {
        task: PipelineTask { name: name.to_owned(), ..PipelineTask::default() },
        section: Section::Tasks,
        children: Vec::new(),
    }
}

/// As a manifest has it.
pub(crate) fn task(value: serde_json::Value) -> Member {
    Member {
        task: serde_json::from_value(value).expect("a task"),
        section: Section::Tasks,
        children: Vec::new(),
    }
}

/// A TaskRun that has just been made.
pub(crate) fn run(name: &str) -> TaskRun {
    TaskRun::new(name, TaskRunSpec::default())
}

/// The run with a condition.
pub(crate) fn ended(run: TaskRun, status: &str, reason: &str) -> Child {
    ended_with(run, status, reason, &[])
}

/// The run with a condition and results.
pub(crate) fn ended_with(mut run: TaskRun, status: &str, reason: &str, results: &[(&str, &str)]) -> Child {
    run.status = Some(TaskRunStatus {
        conditions: vec![RunCondition {
            type_: "Succeeded".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            ..RunCondition::default()
        }],
        results: results
            .iter()
            .map(|(name, value)| TaskRunResult {
                name: (*name).to_owned(),
                type_: None,
                value: (*value).into(),
            })
            .collect(),
        ..TaskRunStatus::default()
    });
    Child::TaskRun(Arc::new(run))
}

/// A task with one run that ended so.
pub(crate) fn done(value: serde_json::Value, status: &str, results: &[(&str, &str)]) -> Member {
    let mut member = task(value);
    let name = member.task.name.clone();
    let reason = if status == "True" { "Succeeded" } else { "Failed" };
    member.children = vec![ended_with(run(&name), status, reason, results)];
    member
}
