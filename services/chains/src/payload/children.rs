//! The TaskRuns of a PipelineRun, in the order of its Pipeline.

use std::collections::BTreeMap;

use pipelines_engine_api::{PipelineRun, PipelineTask, TaskRun};

/// A task of a Pipeline that was run to its end.
pub(super) struct Executed<'a> {
    /// Name of the task in the Pipeline.
    pub(super) name: &'a str,
    /// `None` if the Pipeline, as status has it, knows no such task.
    pub(super) task: Option<&'a PipelineTask>,
    pub(super) is_finally: bool,
    pub(super) run: &'a TaskRun,
}

/// TaskRuns that are done, in the order of the Pipeline: its tasks, then `finally`, then what it does not know.
///
/// Which task a TaskRun is of is read from `status.childReferences` and not from its label: only the engine writes status,
/// while a label that a tenant has changed would hide a task, or bring in one that never was part of the run. A task with
/// a matrix has several, in the order of the references.
pub(super) fn executed<'a>(pipeline_run: &'a PipelineRun, task_runs: &'a [TaskRun]) -> Vec<Executed<'a>> {
    let Some(status) = &pipeline_run.status else {
        return Vec::new();
    };
    let by_name: BTreeMap<&str, &TaskRun> =
        task_runs.iter().filter_map(|run| Some((run.metadata.name.as_deref()?, run))).collect();
    let pipeline = status.pipeline_spec.as_ref().or(pipeline_run.spec.pipeline_spec.as_ref());
    let tasks = pipeline.map_or(&[][..], |pipeline| &pipeline.tasks);
    let finally = pipeline.map_or(&[][..], |pipeline| &pipeline.finally);
    let known: Vec<_> =
        tasks.iter().map(|task| (task, false)).chain(finally.iter().map(|task| (task, true))).collect();
    let place = |name: &str| known.iter().position(|(task, _)| task.name == name);

    let references =
        status.child_references.iter().filter(|child| child.kind.is_empty() || child.kind == "TaskRun");
    let mut found: Vec<(usize, Executed<'a>)> = references
        .filter_map(|child| {
            let run = *by_name.get(child.name.as_str())?;
            run.status.as_ref()?.completion_time.as_ref()?;
            let place = place(&child.pipeline_task_name);
            let known = place.and_then(|place| known.get(place));
            let executed = Executed {
                name: &child.pipeline_task_name,
                task: known.map(|(task, _)| *task),
                is_finally: known.is_some_and(|(_, is_finally)| *is_finally),
                run,
            };
            Some((place.unwrap_or(usize::MAX), executed))
        })
        .collect();
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, executed)| executed).collect()
}

/// Tasks that have to be done before `task`: what it says, and those whose results it uses.
pub(super) fn after(task: &PipelineTask) -> Vec<String> {
    let mut after = task.run_after.clone();
    // Parameters, conditions and matrix, wherever in them: references look the same in all.
    let places = [
        serde_json::to_string(&task.params),
        serde_json::to_string(&task.matrix),
        serde_json::to_string(&task.when),
    ];
    for text in places.into_iter().flatten() {
        for name in referred(&text) {
            if !after.iter().any(|known| known == name) {
                after.push(name.to_owned());
            }
        }
    }
    after
}

/// Tasks of all `$(tasks.<task>.results.…)` in a text.
fn referred(text: &str) -> impl Iterator<Item = &str> {
    text.split("$(tasks.").skip(1).filter_map(|rest| {
        let (reference, _) = rest.split_once(')')?;
        let (task, what) = reference.split_once('.')?;
        what.starts_with("results").then_some(task)
    })
}
