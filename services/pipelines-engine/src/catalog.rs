//! Where Tasks, Pipelines and StepActions come from: the cluster, or a resolver.
//!
//! A lookup never waits. What is not there yet is asked for by a ResolutionRequest, and the run is looked at again when
//! that has an answer.

use std::collections::BTreeMap;

use pipelines_engine_api::{
    PipelineRef, PipelineSpec, RefSource, ResolutionRequest, StepActionSpec, TaskRef, TaskSpec,
};

use crate::config::Config;
use crate::defaults;
use crate::validation::{self, Errors};

/// What a lookup has found.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup<T> {
    Found(Box<Found<T>>),
    /// Somebody works on it.
    InProgress,
    /// Nobody does yet: this has to be created.
    Wanted(Box<ResolutionRequest>),
    /// There is no such thing, or it cannot be had; for ever.
    Failed(Failure),
}

/// A specification and where it came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found<T> {
    pub spec: T,
    /// `metadata.name`.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Absent for objects of the same namespace.
    pub source: Option<RefSource>,
}

/// Why something cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    NotFound(String),
    /// It was found, and is no valid object of its kind.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Resolution(String),
}

/// The run that asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asker<'a> {
    pub namespace: &'a str,
    /// Goes into the name of the request: the TaskRun's, also when its PipelineRun asks, so that both share one; or the
    /// PipelineRun's, for its Pipeline.
    pub name: &'a str,
    /// Owns the request.
    pub owner: &'a k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference,
}

/// As [`Catalog::pipeline`], filled in and checked as the webhook does it with what is written: a resolver's find was never
/// shown to the webhook, and it may have been away when an object was stored.
pub fn pipeline(
    catalog: &dyn Catalog,
    asker: Asker<'_>,
    reference: &PipelineRef,
    config: &Config,
) -> Lookup<PipelineSpec> {
    checked(catalog.pipeline(asker, reference), "Pipeline", |spec| {
        defaults::pipeline_spec(spec, config);
        // Of the graph the run itself tells.
        Errors::none()
    })
}

/// As [`Catalog::task`], filled in and checked like a [`pipeline`].
pub fn task(
    catalog: &dyn Catalog,
    asker: Asker<'_>,
    reference: &TaskRef,
    config: &Config,
) -> Lookup<TaskSpec> {
    checked(catalog.task(asker, reference), "Task", |spec| {
        defaults::task_spec(spec, config);
        validation::stored_task(spec, None, config)
    })
}

/// As [`Catalog::step_action`], checked like a [`pipeline`].
pub fn step_action(
    catalog: &dyn Catalog,
    asker: Asker<'_>,
    reference: &TaskRef,
    config: &Config,
) -> Lookup<StepActionSpec> {
    checked(catalog.step_action(asker, reference), "StepAction", |spec| {
        validation::stored_step_action(spec, config)
    })
}

fn checked<T>(lookup: Lookup<T>, kind: &str, check: impl FnOnce(&mut T) -> Errors) -> Lookup<T> {
    let Lookup::Found(mut found) = lookup else { return lookup };
    match check(&mut found.spec).into_result() {
        Ok(()) => Lookup::Found(found),
        Err(errors) => {
            Lookup::Failed(Failure::Invalid(format!("{kind} {:?} is not valid: {errors}", found.name)))
        }
    }
}

/// What is known at this moment.
pub trait Catalog {
    fn pipeline(&self, asker: Asker<'_>, reference: &PipelineRef) -> Lookup<PipelineSpec>;
    fn task(&self, asker: Asker<'_>, reference: &TaskRef) -> Lookup<TaskSpec>;
    fn step_action(&self, asker: Asker<'_>, reference: &TaskRef) -> Lookup<StepActionSpec>;
}
