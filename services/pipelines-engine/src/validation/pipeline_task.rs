//! One task of a Pipeline.

use std::collections::BTreeSet;

use pipelines_engine_api::{EmbeddedTask, Matrix, ParamValue, PipelineTask, WhenExpression};

use super::errors::Errors;
use super::{gates, names, params, pipeline, reference, step, task};
use crate::cel;
use crate::config::{Config, Stability};
use crate::substitution::references;

pub(super) fn pipeline_task(given: &PipelineTask, config: &Config) -> Errors {
    let mut errors = Errors::none();
    errors.add_if(!names::is_dns_label(&given.name), || {
        Errors::detailed(
            format!("invalid value {:?}", given.name),
            &["name"],
            "Pipeline Task name must be a valid DNS Label. For more info refer to https://kubernetes.io/docs/concepts/\
             overview/working-with-objects/names/#names",
        )
    });
    errors.add(what_to_run(given, config));
    errors.add(params::given(&given.params));
    for (index, expression) in given.when.iter().enumerate() {
        errors.add(when(expression, config).via_index("when", index));
    }
    if let Some(matrix) = &given.matrix {
        errors.add(matrix_of(matrix, given, config));
    }
    let mut bound = BTreeSet::new();
    for (index, binding) in given.workspaces.iter().enumerate() {
        errors.add_if(!bound.insert(&binding.name), || {
            Errors::multiple_one_of(&["name"]).via_index("workspaces", index)
        });
    }
    errors.add_if(given.retries < 0, || {
        Errors::invalid(format_args!("{} should be >= 0", given.retries), "retries")
    });
    if let Some(timeout) = given.timeout.as_ref().filter(|timeout| !timeout.contains("$(")) {
        errors.add(step::timeout_of(timeout, "timeout", "should be >= 0"));
    }
    errors.add(on_error(given, config));
    errors
}

fn on_error(given: &PipelineTask, config: &Config) -> Errors {
    if given.on_error.is_empty() {
        return Errors::none();
    }
    let mut errors = gates::stability(config, "OnError", Stability::Alpha, "onError");
    let is_valid =
        ["continue", "stopAndFail"].contains(&given.on_error.as_str()) || given.on_error.contains("$(params");
    errors.add_if(!is_valid, || {
        Errors::detailed(
            format!("invalid value: {}", given.on_error),
            &["onError"],
            "PipelineTask OnError must be either \"continue\" or \"stopAndFail\"",
        )
    });
    errors.add_if(given.continues_on_error() && given.retries > 0, || {
        Errors::message(
            "PipelineTask OnError cannot be set to \"continue\" when Retries is greater than 0",
            &[""],
        )
    });
    errors
}

/// Exactly one of the references and inline specifications, and that one valid.
fn what_to_run(given: &PipelineTask, config: &Config) -> Errors {
    let all = [
        ("taskRef", given.task_ref.is_some()),
        ("taskSpec", given.task_spec.is_some()),
        ("pipelineRef", given.pipeline_ref.is_some()),
        ("pipelineSpec", given.pipeline_spec.is_some()),
    ];
    let set: Vec<&str> = all.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
    let mut errors = Errors::none();
    match set.as_slice() {
        [] if config.features.stability == Stability::Alpha => {
            errors.add(Errors::missing_one_of(&["taskRef", "taskSpec", "pipelineRef", "pipelineSpec"]));
        }
        [] => errors.add(Errors::missing_one_of(&["taskRef", "taskSpec"])),
        [_] => {}
        several => errors.add(Errors::message("expected exactly one, got multiple", several)),
    }
    let no_inline = config.features.disable_inline_spec.contains("pipeline");
    if let Some(reference) = &given.task_ref {
        errors.add(if is_custom(&reference.api_version, &reference.kind) {
            custom(&reference.api_version, &reference.kind).via_field("taskRef")
        } else {
            reference::task(reference, config).via_field("taskRef")
        });
    }
    if let Some(embedded) = &given.task_spec {
        errors.add_if(no_inline, || Errors::disallowed("taskSpec"));
        errors.add(inline(embedded, config).via_field("taskSpec"));
    }
    if let Some(reference) = &given.pipeline_ref {
        errors.add(gates::stability(config, "pipelineRef", Stability::Alpha, "pipelineRef"));
        errors.add(reference::pipeline(reference, config).via_field("pipelineRef"));
    }
    if let Some(spec) = &given.pipeline_spec {
        errors.add_if(no_inline, || Errors::disallowed("pipelineSpec"));
        errors.add(gates::stability(config, "pipelineSpec", Stability::Alpha, "pipelineSpec"));
        errors.add(pipeline::spec(spec, config).via_field("pipelineSpec"));
    }
    errors
}

fn inline(embedded: &EmbeddedTask, config: &Config) -> Errors {
    if !is_custom(&embedded.api_version, &embedded.kind) {
        return task::spec(&embedded.task, None, config);
    }
    let mut errors = custom(&embedded.api_version, &embedded.kind);
    errors.add_if(!embedded.task.steps.is_empty(), || Errors::invalid("taskSpec.steps", "steps"));
    errors
}

/// Whether it is meant as a custom task, with all it needs or without.
fn is_custom(api_version: &str, kind: &str) -> bool {
    !api_version.is_empty() || !["", "Task", "ClusterTask"].contains(&kind)
}

fn custom(api_version: &str, kind: &str) -> Errors {
    let mut errors = Errors::none();
    errors.add_if(kind.is_empty(), || Errors::invalid("custom task ref must specify kind", "kind"));
    errors.add_if(api_version.is_empty(), || {
        Errors::invalid("custom task ref must specify apiVersion", "apiVersion")
    });
    errors
}

/// A condition of a task or a step.
pub(super) fn when(expression: &WhenExpression, config: &Config) -> Errors {
    if !expression.cel.is_empty() {
        let on = config.features.cel_in_when;
        let to = format!("to use CEL: {} in WhenExpression", expression.cel);
        let mut errors = gates::flag(on, "enable-cel-in-whenexpression", &to, "");
        let others =
            !expression.input.is_empty() || !expression.operator.is_empty() || !expression.values.is_empty();
        errors.add_if(others, || {
            Errors::message("cel and input+operator+values cannot be set in one WhenExpression", &[""])
        });
        if let Err(error) = cel::check(&expression.cel) {
            let message = format!("invalid cel expression: {} with err: {error}", expression.cel);
            errors.add(Errors::message(message, &["cel"]));
        }
        return errors;
    }
    let mut errors = Errors::none();
    errors.add_if(!["in", "notin"].contains(&expression.operator.as_str()), || {
        let message =
            format!("operator {:?} is not recognized. valid operators: in,notin", expression.operator);
        Errors::invalid(message, "")
    });
    errors.add_if(expression.values.is_empty(), || Errors::invalid("expecting non-empty values field", ""));
    errors
}

fn matrix_of(matrix: &Matrix, given: &PipelineTask, config: &Config) -> Errors {
    let mut errors = gates::stability(config, "matrix", Stability::Beta, "matrix");
    let mut seen = BTreeSet::new();
    let mut combinations: usize = 1;
    for param in &matrix.params {
        errors.add_if(!seen.insert(&param.name), || {
            Errors::multiple_one_of(&[&format!("matrix.params[{}]", param.name)])
        });
        errors.add_if(given.params.iter().any(|plain| plain.name == param.name), || {
            Errors::multiple_one_of(&[
                &format!("matrix.params[{}]", param.name),
                &format!("params[{}]", param.name),
            ])
        });
        match &param.value {
            ParamValue::Array(elements) => combinations = combinations.saturating_mul(elements.len().max(1)),
            // A whole array that is known later.
            ParamValue::String(text) if references::in_text(text).next().is_some() => {}
            other => {
                let message = format!(
                    "parameters of type array only are allowed, but got param type {}",
                    other.type_()
                );
                errors.add(Errors::invalid(message, "").via_key("matrix.params", &param.name));
            }
        }
    }
    for (index, include) in matrix.include.iter().enumerate() {
        errors.add(params::given(&include.params).via_index("matrix.include", index));
        for param in &include.params {
            errors.add_if(param.value.as_str().is_none(), || {
                let message = format!(
                    "parameters of type string only are allowed, but got param type {}",
                    param.value.type_()
                );
                Errors::invalid(message, "").via_key(&format!("matrix.include[{index}].params"), &param.name)
            });
            errors.add_if(given.params.iter().any(|plain| plain.name == param.name), || {
                Errors::multiple_one_of(&[
                    &format!("matrix.include[{index}].params[{}]", param.name),
                    &format!("params[{}]", param.name),
                ])
            });
        }
    }
    // Those that are included come on top where they are no part of the others.
    let total = if matrix.params.is_empty() { matrix.include.len() } else { combinations };
    let most = config.defaults.max_matrix_combinations;
    errors.add_if(total > most, || Errors::out_of_bounds(total, 0, most, "matrix"));
    errors
}
