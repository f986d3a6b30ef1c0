//! The fields of a Pipeline's tasks that values are put into.

use pipelines_engine_api::{PipelineTask, WhenExpression};

use super::Replacements;
use crate::cel;

/// Puts values into the fields of a task that the Pipeline itself reads: everything but an inline specification, whose
/// turn comes when its run is made.
pub fn in_pipeline_task(task: &mut PipelineTask, with: &Replacements) {
    with.in_string(&mut task.display_name);
    with.in_params(&mut task.params);
    if let Some(matrix) = &mut task.matrix {
        with.in_params(&mut matrix.params);
        for include in &mut matrix.include {
            with.in_params(&mut include.params);
        }
    }
    in_when(&mut task.when, with);
    for workspace in &mut task.workspaces {
        with.in_string(&mut workspace.workspace);
        with.in_string(&mut workspace.sub_path);
    }
    if let Some(reference) = &mut task.task_ref {
        with.in_string(&mut reference.name);
        with.in_params(&mut reference.params);
    }
    if let Some(reference) = &mut task.pipeline_ref {
        with.in_string(&mut reference.name);
        with.in_params(&mut reference.params);
    }
    with.in_string(&mut task.on_error);
}

/// Puts values into conditions; an array stands for its elements among `values`.
pub fn in_when(expressions: &mut [WhenExpression], with: &Replacements) {
    for expression in expressions {
        with.in_string(&mut expression.input);
        with.in_list(&mut expression.values);
        cel::in_text(&mut expression.cel, with);
    }
}
