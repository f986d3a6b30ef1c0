//! From a run to the Pipeline that it runs, with everything put in that is known before tasks have results
//! (section 1, steps 8 to 10).

use std::collections::BTreeMap;

use pipelines_engine_api::reasons::PipelineRunReason;
use pipelines_engine_api::{PipelineRun, PipelineSpec, RefSource};

use super::graph::{self, Graph};
use super::workspaces;
use crate::catalog::{self, Asker, Catalog, Failure, Lookup};
use crate::config::Config;
use crate::substitution::Replacements;
use crate::substitution::pipeline::in_pipeline_task;
use crate::substitution::references::{ResultRef, results_in_value};
use crate::validation::{self, Errors};
use crate::{family, params};

/// A run that ends before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub reason: PipelineRunReason,
    pub message: String,
}

impl Fault {
    /// One that the user has caused.
    pub fn new(reason: PipelineRunReason, message: impl std::fmt::Display) -> Self {
        Self { reason, message: format!("[User error] {message}") }
    }
}

/// The Pipeline of a run as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    pub spec: PipelineSpec,
    /// Of the Pipeline; the run's own for an inline one.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub source: Option<RefSource>,
}

/// Looks the Pipeline up. `Ok(Err(lookup))` is a lookup that has no answer yet.
pub fn find(
    run: &PipelineRun,
    asker: Asker<'_>,
    catalog: &dyn Catalog,
    config: &Config,
) -> Result<Result<Resolved, Lookup<PipelineSpec>>, Fault> {
    if let Some(spec) = &run.spec.pipeline_spec {
        return Ok(Ok(Resolved {
            spec: spec.clone(),
            name: asker.name.to_owned(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            source: None,
        }));
    }
    let Some(reference) = &run.spec.pipeline_ref else {
        return Err(Fault::new(
            PipelineRunReason::PipelineValidationFailed,
            format_args!(
                "Pipeline of PipelineRun {}/{}: expected exactly one, got neither: spec.pipelineRef, spec.pipelineSpec",
                asker.namespace, asker.name
            ),
        ));
    };
    match catalog::pipeline(catalog, asker, reference, config) {
        Lookup::Found(found) => {
            let mut annotations = found.annotations;
            annotations.retain(|key, _| !family::is_private(key));
            Ok(Ok(Resolved {
                spec: found.spec,
                name: found.name,
                labels: found.labels,
                annotations,
                source: found.source,
            }))
        }
        Lookup::Failed(failure) => {
            let reason = match failure {
                Failure::Invalid(_) => PipelineRunReason::PipelineValidationFailed,
                Failure::NotFound(_) | Failure::Resolution(_) => PipelineRunReason::CouldntGetPipeline,
            };
            let (namespace, name) = (asker.namespace, asker.name);
            let message = format!("Error retrieving pipeline for pipelinerun {namespace}/{name}: {failure}");
            Err(Fault { reason, message })
        }
        pending @ (Lookup::InProgress | Lookup::Wanted(_)) => Ok(Err(pending)),
    }
}

/// Checks what the run gives to its Pipeline, and puts it in.
pub fn apply(run: &PipelineRun, resolved: Resolved, config: &Config) -> Result<PipelineSpec, Fault> {
    let mut spec = resolved.spec;
    let name = run.metadata.name.as_deref().unwrap_or_default();
    let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
    let about = format!("PipelineRun {namespace}/{name}");
    Graph::new(&spec.tasks).map_err(|error| {
        Fault::new(
            PipelineRunReason::PipelineInvalidGraph,
            format_args!("{about}'s Pipeline DAG is invalid: {error}"),
        )
    })?;
    check_valid(run, &spec, config).map_err(|errors| {
        Fault::new(
            PipelineRunReason::PipelineValidationFailed,
            format_args!("{about} is not valid: {errors}"),
        )
    })?;
    check_supported(&spec).map_err(|error| {
        Fault::new(PipelineRunReason::PipelineValidationFailed, format_args!("{about}: {error}"))
    })?;
    let given = &run.spec.params;
    params::check(&spec.params, given).map_err(|fault| {
        let reason = match fault {
            params::Fault::Missing(_) => PipelineRunReason::ParameterMissing,
            params::Fault::MissingKeys(_) => PipelineRunReason::ObjectParameterMissKeys,
            _ => PipelineRunReason::ParameterTypeMismatch,
        };
        Fault::new(
            reason,
            format_args!("{about} parameters do not fit those of Pipeline {}: {fault}", resolved.name),
        )
    })?;
    params::check_enums(&spec.params, given).map_err(|fault| {
        Fault::new(PipelineRunReason::InvalidParamValue, format_args!("{about}: {fault}"))
    })?;
    let text = serde_json::to_string(&spec).unwrap_or_default();
    params::check_indexes(&spec.params, given, &text).map_err(|fault| {
        Fault::new(PipelineRunReason::ParamArrayIndexingInvalid, format_args!("{about}: {fault}"))
    })?;
    workspaces::check(&spec, &run.spec.workspaces).map_err(|fault| {
        Fault::new(PipelineRunReason::InvalidWorkspaceBindings, format_args!("{about}: {fault}"))
    })?;
    check_task_run_specs(run, &spec)?;

    let mut with = params::replacements(&spec.params, given);
    with.extend(context(run, &resolved.name));
    with.extend(workspaces::replacements(&spec, &run.spec.workspaces));
    for task in spec.tasks.iter_mut().chain(&mut spec.finally) {
        let mut with = with.clone();
        with.set("context.pipelineTask.retries", task.retries.to_string());
        in_pipeline_task(task, &with);
    }
    for result in &mut spec.results {
        with.in_value(&mut result.value);
    }
    Ok(spec)
}

/// `$(context.…)` of Pipelines.
pub fn context(run: &PipelineRun, pipeline: &str) -> Replacements {
    let mut with = Replacements::default();
    let meta = &run.metadata;
    with.set("context.pipelineRun.name", meta.name.clone().unwrap_or_default());
    with.set("context.pipelineRun.namespace", meta.namespace.clone().unwrap_or_default());
    with.set("context.pipelineRun.uid", meta.uid.clone().unwrap_or_default());
    with.set("context.pipeline.name", pipeline);
    with
}

/// As the webhook checks both: it may have been away, and what a resolver finds it never sees.
fn check_valid(run: &PipelineRun, spec: &PipelineSpec, config: &Config) -> Result<(), Errors> {
    validation::pipeline_run(run, None, config).into_result()?;
    if run.spec.pipeline_spec.is_some() {
        return Ok(());
    }
    validation::stored_pipeline(spec, config).into_result()
}

/// What this version does not run yet is refused in words, not left undone.
fn check_supported(spec: &PipelineSpec) -> Result<(), String> {
    if spec.tasks.is_empty() {
        return Err("expected at least one, got none: spec.tasks".to_owned());
    }
    for task in spec.tasks.iter().chain(&spec.finally) {
        let unsupported = if task.matrix.is_some() {
            "matrix"
        } else if task.pipeline_ref.is_some() || task.pipeline_spec.is_some() {
            "a Pipeline as a task"
        } else if task.is_custom() {
            "a custom task"
        } else {
            continue;
        };
        return Err(format!(
            "task {:?} has {unsupported}, which this version of the engine does not run",
            task.name
        ));
    }
    Ok(())
}

fn check_task_run_specs(run: &PipelineRun, spec: &PipelineSpec) -> Result<(), Fault> {
    let exists = |name: &str| spec.tasks.iter().chain(&spec.finally).any(|task| task.name == name);
    match run.spec.task_run_specs.iter().find(|of_task| !exists(&of_task.pipeline_task_name)) {
        None => Ok(()),
        Some(unknown) => Err(Fault::new(
            PipelineRunReason::InvalidTaskRunSpecs,
            format_args!(
                "PipelineRun {}/{} doesn't define taskRunSpecs correctly: pipelineRun's taskrunSpecs defined wrong taskName: {:?}, does not exist in Pipeline",
                run.metadata.namespace.as_deref().unwrap_or_default(),
                run.metadata.name.as_deref().unwrap_or_default(),
                unknown.pipeline_task_name
            ),
        )),
    }
}

/// Names of the results that tasks and the Pipeline itself refer to, as far as nobody declares them. `declared` gives the
/// results of a task, and `None` where they are not known.
pub fn check_results(
    spec: &PipelineSpec,
    declared: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<(), Fault> {
    let is_wrong = |reference: &ResultRef| {
        let exists = spec.tasks.iter().chain(&spec.finally).any(|task| task.name == reference.task);
        !exists || declared(&reference.task).is_some_and(|names| !names.contains(&reference.result))
    };
    for task in spec.tasks.iter().chain(&spec.finally) {
        if let Some(wrong) = graph::result_references(task).into_iter().find(is_wrong) {
            return Err(Fault::new(
                PipelineRunReason::InvalidTaskResultReference,
                format_args!(
                    "invalid result reference in pipeline task {:?}: {:?} is not a named result returned by pipeline task {:?}",
                    task.name, wrong.result, wrong.task
                ),
            ));
        }
    }
    for result in &spec.results {
        let wrong = results_in_value(&result.value).find(is_wrong);
        if let Some(wrong) = wrong {
            return Err(Fault::new(
                PipelineRunReason::InvalidPipelineResultReference,
                format_args!(
                    "invalid pipeline result {:?}: {:?} is not a named result returned by pipeline task {:?}",
                    result.name, wrong.result, wrong.task
                ),
            ));
        }
    }
    Ok(())
}
