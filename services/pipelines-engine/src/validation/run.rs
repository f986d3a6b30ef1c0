//! What PipelineRuns and TaskRuns have in common: overrides, pod templates, and what may still change once they began.

use std::collections::BTreeSet;

use pipelines_engine_api::task_run::ContainerOverride;
use pipelines_engine_api::{PodTemplate, RunCondition, status};

use super::errors::Errors;
use super::gates;
use crate::config::{Config, Stability};

/// `stepSpecs` or `sidecarSpecs`.
pub(super) fn overrides(overrides: &[ContainerOverride], field: &str, config: &Config) -> Errors {
    if overrides.is_empty() {
        return Errors::none();
    }
    let mut errors = gates::stability(config, field, Stability::Alpha, field);
    let mut names = BTreeSet::new();
    for (index, given) in overrides.iter().enumerate() {
        let mut wrong = Errors::none();
        wrong.add_if(given.name.is_empty(), || Errors::missing("name"));
        wrong.add_if(!given.name.is_empty() && !names.insert(&given.name), || {
            Errors::multiple_one_of(&["name"])
        });
        errors.add(wrong.via_index(field, index));
    }
    errors
}

/// `computeResources` of a whole Task; a pod has either these or those of its steps.
pub(super) fn resources(of_task: bool, of_steps: &[ContainerOverride], config: &Config) -> Errors {
    if !of_task {
        return Errors::none();
    }
    let mut errors = gates::stability(config, "computeResources", Stability::Beta, "computeResources");
    let is_set = |given: &ContainerOverride| given.compute_resources != Default::default();
    errors.add_if(of_steps.iter().any(is_set), || {
        Errors::multiple_one_of(&["stepSpecs.resources", "computeResources"])
    });
    errors
}

/// Variables that the administrator keeps to himself.
pub(super) fn pod_template(template: Option<&PodTemplate>, config: &Config) -> Errors {
    let forbidden = &config.defaults.forbidden_env;
    let mut errors = Errors::none();
    for variable in template.into_iter().flat_map(|template| &template.env) {
        errors.add_if(forbidden.contains(&variable.name), || {
            let message = format!("PodTemplate cannot update a forbidden env: {}", variable.name);
            Errors::invalid(message, "podTemplate.env")
        });
    }
    errors
}

/// How far the stored run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Started,
    Done,
}

impl Stage {
    pub(super) fn of(has_start: bool, conditions: &[RunCondition]) -> Self {
        let is_done = status::succeeded(conditions)
            .is_some_and(|condition| ["True", "False"].contains(&&*condition.status));
        if is_done {
            Self::Done
        } else if has_start {
            Self::Started
        } else {
            Self::Waiting
        }
    }
}

/// What a change of the spec is refused with, if it is. `allowed` are the fields that may change as long as the run is
/// not done, which are the only ones that differ if `is_allowed`.
pub(super) fn change(stage: Stage, kind: &str, is_allowed: bool, allowed: &str) -> Errors {
    match stage {
        Stage::Started if !is_allowed => Errors::invalid(
            format_args!("Once the {kind} has started, only {allowed} updates are allowed"),
            "spec",
        ),
        Stage::Done => {
            Errors::invalid(format_args!("Once the {kind} is complete, no updates are allowed"), "spec")
        }
        Stage::Waiting | Stage::Started => Errors::none(),
    }
}
