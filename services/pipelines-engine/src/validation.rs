//! Whether objects are valid (specification of the API, section 5.2): asked by the webhook when they are written, and by
//! the controllers of what they resolve, for the webhook may have been away.
//!
//! ```text
//! kinds       task, pipeline, task_run, pipeline_run, others
//! parts       step, pipeline_task, reference, params, workspace, run, names
//! variables   whether $(…) can stand for something where it is
//! gates       what of the API the configuration opens
//! errors      upstream's words and paths
//! ```
//! What this version of the engine does not run (custom tasks, matrices, Pipelines as tasks) is valid all the same: the
//! controller says so, run by run.

mod errors;
mod gates;
mod names;
mod others;
mod params;
mod pipeline;
mod pipeline_run;
mod pipeline_task;
mod reference;
mod run;
mod step;
mod task;
mod task_run;
mod variables;
mod workspace;

pub use errors::Errors;
use pipelines_engine_api::{
    CustomRun, Pipeline, PipelineRun, PipelineSpec, ResolutionRequest, StepAction, StepActionSpec, Task,
    TaskRun, TaskSpec, VerificationPolicy,
};

use self::variables::Declared;
use crate::config::Config;

/// A Task. `before` is the stored one on an update: what it was allowed to have it may keep.
pub fn task(task: &Task, before: Option<&Task>, config: &Config) -> Errors {
    let mut errors = names::metadata(&task.metadata);
    errors.add(stored_task(&task.spec, before.map(|before| &before.spec), config).via_field("spec"));
    errors
}

/// A Pipeline.
pub fn pipeline(pipeline: &Pipeline, config: &Config) -> Errors {
    let mut errors = names::metadata(&pipeline.metadata);
    errors.add(stored_pipeline(&pipeline.spec, config).via_field("spec"));
    errors
}

/// A TaskRun. `before` is the stored one on an update.
pub fn task_run(run: &TaskRun, before: Option<&TaskRun>, config: &Config) -> Errors {
    let mut errors = of_new(before, &run.metadata);
    errors.add(task_run::run(run, before, config));
    errors
}

/// A PipelineRun. `before` is the stored one on an update.
pub fn pipeline_run(run: &PipelineRun, before: Option<&PipelineRun>, config: &Config) -> Errors {
    let mut errors = of_new(before, &run.metadata);
    errors.add(pipeline_run::run(run, before, config));
    errors
}

/// A StepAction.
pub fn step_action(action: &StepAction, config: &Config) -> Errors {
    let mut errors = names::metadata(&action.metadata);
    errors.add(others::step_action(&action.spec, config).via_field("spec"));
    errors
}

/// A CustomRun.
pub fn custom_run(run: &CustomRun) -> Errors {
    let mut errors = names::metadata(&run.metadata);
    errors.add(others::custom_run(&run.spec).via_field("spec"));
    errors
}

/// A ResolutionRequest, whose name is longer than others: it is a hash.
pub fn resolution_request(request: &ResolutionRequest) -> Errors {
    others::resolution_request(request)
}

/// A VerificationPolicy.
pub fn verification_policy(policy: &VerificationPolicy) -> Errors {
    let mut errors = names::metadata(&policy.metadata);
    errors.add(others::verification_policy(&policy.spec).via_field("spec"));
    errors
}

/// The content of a Task that stands alone, as one that was resolved: all it refers to is declared in it.
pub fn stored_task(spec: &TaskSpec, before: Option<&TaskSpec>, config: &Config) -> Errors {
    let mut errors = task::spec(spec, before, config);
    errors.add(task::references(spec, &Declared::default()));
    errors
}

/// The content of a Pipeline that stands alone, as one that was resolved: all it refers to is declared in it.
pub fn stored_pipeline(spec: &PipelineSpec, config: &Config) -> Errors {
    let mut errors = pipeline::spec(spec, config);
    errors.add(pipeline::references(spec, &Declared::default()));
    errors.add(pipeline::workspaces_are_declared(spec));
    errors
}

/// The content of a StepAction, as one that was resolved.
pub fn stored_step_action(spec: &StepActionSpec, config: &Config) -> Errors {
    others::step_action(spec, config)
}

/// Names never change: those of stored objects are not looked at again.
fn of_new<K>(before: Option<&K>, metadata: &kube::core::ObjectMeta) -> Errors {
    if before.is_some() { Errors::none() } else { names::metadata(metadata) }
}

#[cfg(test)]
mod tests;
