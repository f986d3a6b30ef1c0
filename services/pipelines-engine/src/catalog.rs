//! Where Tasks, Pipelines and StepActions come from: the cluster, or a resolver.
//!
//! A lookup never waits. What is not there yet is asked for by a ResolutionRequest, and the run is looked at again when
//! that has an answer.

use std::collections::BTreeMap;

use pipelines_engine_api::{
    PipelineRef, PipelineSpec, RefSource, ResolutionRequest, StepActionSpec, TaskRef, TaskSpec,
};

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

/// What is known at this moment.
pub trait Catalog {
    fn pipeline(&self, asker: Asker<'_>, reference: &PipelineRef) -> Lookup<PipelineSpec>;
    fn task(&self, asker: Asker<'_>, reference: &TaskRef) -> Lookup<TaskSpec>;
    fn step_action(&self, asker: Asker<'_>, reference: &TaskRef) -> Lookup<StepActionSpec>;
}
