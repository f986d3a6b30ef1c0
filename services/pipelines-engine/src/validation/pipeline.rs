//! Pipelines, wherever they are (specification of the API, section 5.2, "PipelineSpec").

use std::collections::BTreeSet;

use pipelines_engine_api::{ParamValue, PipelineSpec, PipelineTask};

use super::errors::Errors;
use super::variables::{self, Declared, Place, Text};
use super::{params, pipeline_task, task};
use crate::config::Config;
use crate::pipeline_run::graph::{self, Graph};
use crate::substitution::references::{self, ResultRef};

/// What all Pipelines have to keep to.
pub(super) fn spec(spec: &PipelineSpec, config: &Config) -> Errors {
    if *spec == PipelineSpec::default() {
        let paths = ["description", "params", "resources", "tasks", "workspaces"];
        return Errors::message("expected at least one, got none", &paths);
    }
    let mut errors = Errors::none();
    let mut names = BTreeSet::new();
    for (list, index, given) in all(spec) {
        let mut wrong = pipeline_task::pipeline_task(given, config);
        wrong.add_if(!names.insert(given.name.as_str()), || Errors::multiple_one_of(&["name"]));
        wrong.add(variables::context(&texts(given), "context.pipelineRun.", &["name", "namespace", "uid"]));
        wrong.add(variables::context(&texts(given), "context.pipeline.", &["name"]));
        wrong.add(variables::context(&texts(given), "context.pipelineTask.", &["retries"]));
        errors.add(wrong.via_index(list, index));
    }
    match Graph::new(&spec.tasks) {
        // Said of the name already.
        Ok(_) | Err(graph::Invalid::Duplicate(_)) => {}
        Err(error) => errors.add(Errors::invalid(error, "tasks")),
    }
    errors.add(params::declarations(&spec.params, config));
    errors.add(workspaces(spec));
    errors.add(statuses(spec));
    errors.add(results(spec));
    errors.add(finally(spec));
    errors.add(matrixed_results(spec));
    errors
}

/// That all references to parameters are to `declared` ones, in the Pipeline and its inline Tasks.
pub(super) fn references(spec: &PipelineSpec, declared: &Declared) -> Errors {
    let mut declared = declared.clone();
    declared.add_specs(&spec.params);
    let mut errors = Errors::none();
    for (list, index, given) in all(spec) {
        let mut wrong = variables::params(&texts(given), &declared);
        if let Some(embedded) = given.task_spec.as_ref().filter(|embedded| !embedded.is_custom()) {
            let mut declared = declared.clone();
            declared.add_given(&given.params);
            wrong.add(task::references(&embedded.task, &declared).via_field("taskSpec"));
        }
        errors.add(wrong.via_index(list, index));
    }
    errors
}

/// That tasks bind workspaces of the Pipeline only, and each of theirs once. For stored Pipelines: a run may bring more.
pub(super) fn workspaces_are_declared(spec: &PipelineSpec) -> Errors {
    let declared: BTreeSet<&str> = spec.workspaces.iter().map(|workspace| workspace.name.as_str()).collect();
    let mut errors = Errors::none();
    for (list, index, given) in all(spec) {
        for (position, binding) in given.workspaces.iter().enumerate() {
            let name = if binding.workspace.is_empty() { &binding.name } else { &binding.workspace };
            errors.add_if(!declared.contains(name.as_str()) && !name.contains("$("), || {
                let message = format!(
                    "pipeline task {:?} expects workspace with name {name:?} but none exists in pipeline spec",
                    given.name
                );
                Errors::invalid(message, "").via_index("workspaces", position).via_index(list, index)
            });
        }
    }
    errors
}

/// All tasks, with the list that each is in.
fn all(spec: &PipelineSpec) -> impl Iterator<Item = (&'static str, usize, &PipelineTask)> {
    let tasks = spec.tasks.iter().enumerate().map(|(index, task)| ("tasks", index, task));
    tasks.chain(spec.finally.iter().enumerate().map(|(index, task)| ("finally", index, task)))
}

fn workspaces(spec: &PipelineSpec) -> Errors {
    let mut errors = Errors::none();
    let mut names = BTreeSet::new();
    for (index, workspace) in spec.workspaces.iter().enumerate() {
        let name = &workspace.name;
        let mut wrong = Errors::none();
        wrong.add_if(name.is_empty(), || {
            Errors::invalid(format_args!("workspace {index} has empty name"), "")
        });
        wrong.add_if(!names.insert(name), || {
            Errors::invalid(format_args!("workspace with name {name:?} appears more than once"), "")
        });
        errors.add(wrong.via_index("workspaces", index));
    }
    errors
}

/// `$(tasks.<task>.status)` is known when all tasks are done: to `finally`.
fn statuses(spec: &PipelineSpec) -> Errors {
    let mut errors = Errors::none();
    for (list, index, given) in all(spec) {
        for text in texts(given) {
            let tasks = references::in_text(text.content).filter_map(|reference| {
                if reference == "tasks.status" {
                    return Some(None);
                }
                let task = reference.strip_prefix("tasks.")?.strip_suffix(".status")?;
                (!task.contains(".results.")).then_some(Some(task))
            });
            for task in tasks {
                let error = match task {
                    _ if list == "tasks" => {
                        "pipeline tasks can not refer to execution status of any other pipeline task or aggregate \
                         status of tasks"
                            .to_owned()
                    }
                    Some(task) if !spec.tasks.iter().any(|known| known.name == task) => {
                        format!("pipeline task {task} is not defined in the pipeline")
                    }
                    _ => continue,
                };
                errors.add(Errors::invalid(error, &value_path(&text)).via_index(list, index));
            }
        }
    }
    errors
}

/// Where a value is that refers to tasks: `params[a].value`.
fn value_path(text: &Text<'_>) -> String {
    let is_value = text.path.starts_with("params[") && text.path.ends_with(']') && text.place == Place::Value;
    if is_value { format!("{}.value", text.path) } else { text.path.clone() }
}

fn results(spec: &PipelineSpec) -> Errors {
    let mut errors = Errors::none();
    let mut names = BTreeSet::new();
    for (index, result) in spec.results.iter().enumerate() {
        let mut wrong = Errors::none();
        wrong.add_if(!names.insert(&result.name), || Errors::multiple_one_of(&["name"]));
        wrong.add(result_value(&result.value, spec));
        errors.add(wrong.via_index("results", index));
    }
    errors
}

fn result_value(value: &ParamValue, spec: &PipelineSpec) -> Errors {
    let found = references::in_value(value);
    if found.is_empty() {
        let message = "expected pipeline results to be task result expressions but no expressions were found";
        return Errors::invalid(message, "value");
    }
    let results: Vec<ResultRef> = found.iter().filter_map(|reference| ResultRef::parse(reference)).collect();
    if results.is_empty() {
        let message =
            "expected pipeline results to be task result expressions but an invalid expressions was found";
        return Errors::invalid(message, "value");
    }
    // Parameters and contexts have values when the results are put together, too.
    let others = found.iter().filter(|reference| {
        ResultRef::parse(reference).is_none()
            && !reference.starts_with("params")
            && !reference.starts_with("context.")
    });
    let mut errors = Errors::none();
    errors.add_if(others.count() > 0, || {
        let message = format!(
            "expected all of the expressions [{}] to be result expressions but only {} were",
            found.join(" "),
            results.len()
        );
        Errors::invalid(message, "value")
    });
    let exists = |reference: &ResultRef| {
        let tasks = match reference.section {
            references::Section::Tasks => &spec.tasks,
            references::Section::Finally => &spec.finally,
        };
        tasks.iter().any(|task| task.name == reference.task)
    };
    errors.add_if(!results.iter().all(exists), || Errors::invalid("referencing a nonexistent task", "value"));
    errors
}

fn finally(spec: &PipelineSpec) -> Errors {
    if !spec.finally.is_empty() && spec.tasks.is_empty() {
        let message = format!("spec.tasks is empty but spec.finally has {} tasks", spec.finally.len());
        return Errors::invalid(message, "finally");
    }
    let mut errors = Errors::none();
    for (index, given) in spec.finally.iter().enumerate() {
        errors.add_if(!given.run_after.is_empty(), || {
            let message = format!(
                "no runAfter allowed under spec.finally, final task {} has runAfter specified",
                given.name
            );
            Errors::invalid(message, "").via_index("finally", index)
        });
        for text in texts(given) {
            for reference in references::results_in_text(text.content) {
                let is_task = spec.tasks.iter().any(|task| task.name == reference.task);
                let is_final = spec.finally.iter().any(|task| task.name == reference.task);
                let message = if is_final {
                    format!(
                        "invalid task result reference, final task has task result reference from a final task {}",
                        reference.task
                    )
                } else if !is_task {
                    format!(
                        "invalid task result reference, final task has task result reference from a task {} which is \
                         not defined in the pipeline",
                        reference.task
                    )
                } else {
                    continue;
                };
                errors.add(Errors::invalid(message, &value_path(&text)).via_index("finally", index));
            }
        }
    }
    errors
}

/// Of a task with a matrix there are as many values as combinations: only all of them can be had.
fn matrixed_results(spec: &PipelineSpec) -> Errors {
    let has_matrix = |name: &str| spec.tasks.iter().any(|task| task.name == name && task.matrix.is_some());
    let mut errors = Errors::none();
    for (list, index, given) in all(spec) {
        for text in texts(given) {
            let single = references::results_in_text(text.content)
                .find(|reference| has_matrix(&reference.task) && reference.part != references::Part::All);
            if single.is_some() {
                let message = format!(
                    "A matrixed pipelineTask can only be consumed in aggregate using [*] notation, but is currently set \
                     to {}",
                    text.content
                );
                errors.add(Errors::message(message, &[&value_path(&text)]).via_index(list, index));
            }
        }
    }
    errors
}

/// All texts of a task that the Pipeline itself puts values into.
fn texts(task: &PipelineTask) -> Vec<Text<'_>> {
    let mut texts = vec![Text::new("displayName", &task.display_name, Place::Text)];
    for param in &task.params {
        texts.extend(variables::of_value(&format!("params[{}]", param.name), &param.value));
    }
    let references = task.task_ref.iter().map(|reference| ("taskRef", &reference.params));
    let references =
        references.chain(task.pipeline_ref.iter().map(|reference| ("pipelineRef", &reference.params)));
    for (field, params) in references {
        for param in params {
            texts.extend(variables::of_value(&format!("{field}.params[{}]", param.name), &param.value));
        }
    }
    if let Some(matrix) = &task.matrix {
        for param in &matrix.params {
            texts.extend(variables::of_value(&format!("matrix.params[{}]", param.name), &param.value));
        }
        for (index, include) in matrix.include.iter().enumerate() {
            for param in &include.params {
                let path = format!("matrix.include[{index}].params[{}]", param.name);
                texts.extend(variables::of_value(&path, &param.value));
            }
        }
    }
    for (index, when) in task.when.iter().enumerate() {
        texts.push(Text::new(format!("when[{index}].input"), &when.input, Place::Text));
        texts.push(Text::new(format!("when[{index}].cel"), &when.cel, Place::Text));
        for (position, value) in when.values.iter().enumerate() {
            texts.push(Text::new(format!("when[{index}].values[{position}]"), value, Place::Element));
        }
    }
    for (index, workspace) in task.workspaces.iter().enumerate() {
        texts.push(Text::new(format!("workspaces[{index}].subPath"), &workspace.sub_path, Place::Text));
    }
    texts
}
