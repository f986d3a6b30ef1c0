//! Which task waits for which (section 1.1): `runAfter`, and references to results.

use std::collections::{BTreeSet, HashMap};

use pipelines_engine_api::PipelineTask;

use crate::substitution::references::{self, ResultRef, Section};

/// The tasks of a Pipeline, by their positions in `spec.tasks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    parents: Vec<BTreeSet<usize>>,
    /// Every task after all that it waits for, otherwise in the order of the Pipeline.
    order: Vec<usize>,
}

/// Tasks that cannot be put into an order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("cycle detected; task {task:?} depends on {on:?}")]
    Cycle { task: String, on: String },
    #[error("task {task} depends on {on} but {on} wasn't present in Pipeline")]
    Missing { task: String, on: String },
    #[error("duplicate pipeline task {0}")]
    Duplicate(String),
}

impl Graph {
    pub fn new(tasks: &[PipelineTask]) -> Result<Self, Invalid> {
        let mut positions = HashMap::new();
        for (position, task) in tasks.iter().enumerate() {
            if positions.insert(task.name.as_str(), position).is_some() {
                return Err(Invalid::Duplicate(task.name.clone()));
            }
        }
        let mut parents = Vec::with_capacity(tasks.len());
        for task in tasks {
            let mut waits_for = BTreeSet::new();
            for on in dependencies(task) {
                let Some(parent) = positions.get(on.as_str()) else {
                    return Err(Invalid::Missing { task: task.name.clone(), on });
                };
                waits_for.insert(*parent);
            }
            parents.push(waits_for);
        }
        let order = order(&parents).map_err(|(task, on)| Invalid::Cycle {
            task: tasks[task].name.clone(),
            on: tasks[on].name.clone(),
        })?;
        Ok(Self { parents, order })
    }

    /// Positions of the tasks that the one at `position` waits for.
    pub fn parents(&self, position: usize) -> impl Iterator<Item = usize> {
        self.parents[position].iter().copied()
    }

    /// Positions of all tasks, each after its parents.
    pub fn order(&self) -> &[usize] {
        &self.order
    }
}

/// Names of the tasks that `task` waits for.
fn dependencies(task: &PipelineTask) -> Vec<String> {
    let mut names = task.run_after.clone();
    names.extend(
        result_references(task)
            .into_iter()
            .filter(|reference| reference.section == Section::Tasks)
            .map(|reference| reference.task),
    );
    names
}

/// The results of other tasks that `task` refers to: in parameters, matrix, conditions, reference, workspaces, and
/// anywhere in an inline specification.
pub fn result_references(task: &PipelineTask) -> Vec<ResultRef> {
    let mut found: Vec<ResultRef> = Vec::new();
    let mut look = |text: &str| found.extend(references::results_in_text(text));
    look(&task.display_name);
    for expression in &task.when {
        look(&expression.input);
        look(&expression.cel);
        expression.values.iter().for_each(|value| look(value));
    }
    for workspace in &task.workspaces {
        look(&workspace.sub_path);
        look(&workspace.workspace);
    }
    let params = task.params.iter();
    let params = params.chain(task.task_ref.iter().flat_map(|reference| &reference.params));
    let params = params.chain(task.pipeline_ref.iter().flat_map(|reference| &reference.params));
    let matrix = task.matrix.iter().flat_map(|matrix| {
        matrix.params.iter().chain(matrix.include.iter().flat_map(|include| &include.params))
    });
    for param in params.chain(matrix) {
        found.extend(references::results_in_value(&param.value));
    }
    if let Some(embedded) = &task.task_spec {
        let spec = &embedded.task;
        if let Ok(text) = serde_json::to_string(&(&spec.steps, &spec.sidecars, &spec.step_template)) {
            // Quotes of the bracket notation are escaped in JSON.
            found.extend(references::results_in_text(&text.replace("\\\"", "\"")));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Every position after its parents; or one that waits for itself, with a parent of it on the way.
fn order(parents: &[BTreeSet<usize>]) -> Result<Vec<usize>, (usize, usize)> {
    let mut order = Vec::with_capacity(parents.len());
    let mut placed = vec![false; parents.len()];
    while order.len() < parents.len() {
        let before = order.len();
        for (position, waits_for) in parents.iter().enumerate() {
            if !placed[position] && waits_for.iter().all(|parent| placed[*parent]) {
                placed[position] = true;
                order.push(position);
            }
        }
        if order.len() == before {
            // All that are left wait for one that is left: walking from parent to parent ends in a cycle.
            let left = |position: usize| parents[position].iter().copied().find(|parent| !placed[*parent]);
            let mut seen = BTreeSet::new();
            let mut at = placed.iter().position(|placed| !placed).unwrap_or_default();
            while seen.insert(at) {
                at = left(at).unwrap_or(at);
            }
            return Err((at, left(at).unwrap_or(at)));
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn tasks(value: Value) -> Vec<PipelineTask> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn orders_by_run_after_and_results() {
        let tasks = tasks(json!([
            {"name": "c", "params": [{"name": "p", "value": "$(tasks.b.results.r)"}]},
            {"name": "b", "runAfter": ["a"]},
            {"name": "a"},
            {"name": "d"},
        ]));
        let graph = Graph::new(&tasks).unwrap();
        assert_eq!(graph.order(), [2, 3, 1, 0]);
        assert_eq!(graph.parents(0).collect::<Vec<_>>(), [1]);
    }

    #[rstest]
    #[case::when(json!({"name": "b", "when": [{"input": "$(tasks.a.results.r)", "operator": "in", "values": ["x"]}]}))]
    #[case::when_value(json!({"name": "b", "when": [{"input": "x", "operator": "in", "values": ["$(tasks.a.results.r[*])"]}]}))]
    #[case::matrix(json!({"name": "b", "matrix": {"params": [{"name": "p", "value": "$(tasks.a.results.r[*])"}]}}))]
    #[case::object(json!({"name": "b", "params": [{"name": "p", "value": {"k": "$(tasks.a.results.r.key)"}}]}))]
    #[case::reference(json!({"name": "b", "taskRef": {"resolver": "git", "params": [{"name": "p", "value": "$(tasks.a.results.r)"}]}}))]
    #[case::sub_path(json!({"name": "b", "workspaces": [{"name": "w", "subPath": "$(tasks.a.results.r)"}]}))]
    #[case::inline(json!({"name": "b", "taskSpec": {"steps": [{"image": "i", "script": "echo $(tasks.a.results['r'])"}]}}))]
    #[case::inline_quotes(json!({"name": "b", "taskSpec": {"steps": [{"image": "i", "script": "echo $(tasks.a.results[\"r\"])"}]}}))]
    fn a_reference_is_an_edge(#[case] task: Value) {
        let tasks = tasks(json!([task, {"name": "a"}]));
        assert_eq!(Graph::new(&tasks).unwrap().parents(0).collect::<Vec<_>>(), [1]);
    }

    #[rstest]
    #[case(json!([{"name": "a", "runAfter": ["b"]}, {"name": "b", "runAfter": ["a"]}]), "cycle detected; task \"a\" depends on \"b\"")]
    #[case(json!([{"name": "x", "runAfter": ["a"]}, {"name": "a", "runAfter": ["a"]}]), "cycle detected; task \"a\" depends on \"a\"")]
    #[case(json!([{"name": "b", "runAfter": ["x"]}]), "task b depends on x but x wasn't present in Pipeline")]
    #[case(json!([{"name": "b"}, {"name": "b"}]), "duplicate pipeline task b")]
    fn refuses(#[case] given: Value, #[case] expected: &str) {
        assert_eq!(Graph::new(&tasks(given)).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_long_chain_is_no_recursion() {
        let chain: Vec<_> = (0..5000)
            .map(|i| PipelineTask {
                name: format!("t{i}"),
                run_after: if i == 0 { Vec::new() } else { vec![format!("t{}", i - 1)] },
                ..PipelineTask::default()
            })
            .collect();
        assert_eq!(Graph::new(&chain).unwrap().order().len(), 5000);
    }
}
