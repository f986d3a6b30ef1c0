//! SLSA provenance v0.2 (specification, section 4.4).

use std::collections::BTreeMap;

use attest::slsa::v02::{
    Builder, Completeness, ConfigSource, Invocation, Material, Metadata, PREDICATE_TYPE, Provenance,
};
use jiff::Timestamp;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{ParamValue, PipelineRun, RunCondition, TaskRef, TaskRun, TaskRunResult};
use serde::Serialize;

use super::artifact::{self, Artifact};
use super::children::{Executed, after, executed};
use super::facts::Facts;
use super::run::{Run, Tampering};
use super::steps::{self, StepAttestation};
use super::{Described, PayloadError, Settings, object};

/// Label of runs that give the same again, as whoever made them says.
const REPRODUCIBLE: &str = "chains.tekton.dev/reproducible";

/// Kinds keep the names of their first version: policies know no others.
const TASK_RUN: &str = "tekton.dev/v1beta1/TaskRun";
const PIPELINE_RUN: &str = "tekton.dev/v1beta1/PipelineRun";

#[derive(Serialize)]
struct TaskRunConfig<'a> {
    steps: Vec<StepAttestation<'a>>,
}

#[derive(Serialize)]
struct PipelineRunConfig<'a> {
    tasks: Vec<TaskAttestation<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskAttestation<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    after: Vec<String>,
    /// Empty for a task that is written into the Pipeline.
    #[serde(rename = "ref")]
    reference: TaskRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_on: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_on: Option<Timestamp>,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<StepAttestation<'a>>,
    invocation: Invocation,
    #[serde(skip_serializing_if = "<[TaskRunResult]>::is_empty")]
    results: &'a [TaskRunResult],
}

/// What was around a run. Left out where there is nothing to say.
#[derive(Serialize)]
struct Environment<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tampered: Vec<Tampering>,
}

pub(super) fn task_run(run: &TaskRun, settings: &Settings) -> Result<Described, PayloadError> {
    let seen = Run::of_task(run);
    let facts = Facts::of_task(&seen);
    let mut materials = steps::images(run)?;
    materials.extend(facts.inputs.iter().map(input));
    let config = TaskRunConfig { steps: steps::steps(run) };
    let tampered = seen.tampering().into_iter().collect();
    let predicate = predicate(&seen, TASK_RUN, &config, tampered, materials, settings)?;
    Described::new(PREDICATE_TYPE, &predicate, facts)
}

pub(super) fn pipeline_run(
    run: &PipelineRun,
    task_runs: &[TaskRun],
    settings: &Settings,
) -> Result<Described, PayloadError> {
    let seen = Run::of_pipeline(run);
    let executed = executed(run, task_runs);
    let children: Vec<Run<'_>> = executed.iter().map(|task| Run::of_task(task.run)).collect();
    let facts = Facts::of_pipeline(&seen, &children, settings.deep_inspection);

    let mut materials: Vec<Material> = source(&seen).into_iter().collect();
    for (task, child) in executed.iter().zip(&children) {
        materials.extend(steps::images(task.run)?);
        materials.extend(source(child));
    }
    materials.extend(facts.inputs.iter().map(input));

    let config = PipelineRunConfig { tasks: tasks(&executed)? };
    let tampered =
        seen.tampering().into_iter().chain(task_runs.iter().filter_map(|run| Run::of_task(run).tampering()));
    let predicate = predicate(&seen, PIPELINE_RUN, &config, tampered.collect(), materials, settings)?;
    Described::new(PREDICATE_TYPE, &predicate, facts)
}

fn predicate(
    run: &Run<'_>,
    build_type: &str,
    config: &impl Serialize,
    tampered: Vec<Tampering>,
    materials: Vec<Material>,
    settings: &Settings,
) -> Result<Provenance, PayloadError> {
    Ok(Provenance {
        builder: Builder { id: settings.builder.id.clone() },
        build_type: build_type.to_owned(),
        invocation: invocation(run, tampered)?,
        build_config: Some(serde_json::to_value(config)?),
        metadata: Metadata {
            build_started_on: run.started.map(|time| time.0),
            build_finished_on: run.finished.map(|time| time.0),
            completeness: Completeness { parameters: false, environment: false, materials: false },
            reproducible: run.labels().get(REPRODUCIBLE) == Some(&"true"),
        },
        materials: once(materials),
    })
}

fn invocation(run: &Run<'_>, tampered: Vec<Tampering>) -> Result<Invocation, PayloadError> {
    let parameters: BTreeMap<&str, &ParamValue> = run.parameters();
    let environment = Environment { annotations: run.annotations(), labels: run.labels(), tampered };
    Ok(Invocation {
        config_source: run.source().map_or_else(ConfigSource::default, |source| ConfigSource {
            uri: source.uri.clone(),
            digest: source.digest.clone(),
            entry_point: source.entry_point.clone(),
        }),
        parameters: object(&parameters)?,
        environment: object(&environment)?,
    })
}

fn tasks<'a>(executed: &[Executed<'a>]) -> Result<Vec<TaskAttestation<'a>>, PayloadError> {
    let last = executed.iter().rfind(|task| task.task.is_some() && !task.is_finally).map(|task| task.name);
    executed
        .iter()
        .map(|task| {
            let run = Run::of_task(task.run);
            let mut after = task.task.map(after).unwrap_or_default();
            if after.is_empty() && task.is_finally {
                after.extend(last.map(str::to_owned));
            }
            Ok(TaskAttestation {
                name: task.name,
                after,
                reference: task.task.and_then(|task| task.task_ref.clone()).unwrap_or_default(),
                started_on: run.started.map(|time| time.0),
                finished_on: run.finished.map(|time| time.0),
                status: status(run.conditions),
                steps: steps::steps(task.run),
                invocation: invocation(&run, run.tampering().into_iter().collect())?,
                results: task.run.status.as_ref().map_or(&[], |status| &status.results),
            })
        })
        .collect()
}

fn status(conditions: &[RunCondition]) -> &'static str {
    match succeeded(conditions).map(|condition| condition.status.as_str()) {
        Some("True") => "Succeeded",
        Some("False") => "Failed",
        _ => "Running",
    }
}

fn source(run: &Run<'_>) -> Option<Material> {
    run.source().map(|source| Material { uri: source.uri.clone(), digest: source.digest.clone() })
}

fn input(artifact: &Artifact) -> Material {
    Material { uri: artifact.name.clone(), digest: artifact.digest.clone() }
}

/// Each material once.
fn once(materials: Vec<Material>) -> Vec<Material> {
    let artifacts =
        materials.into_iter().map(|material| Artifact { name: material.uri, digest: material.digest });
    let merged = artifact::merge(artifacts).into_iter();
    merged.map(|artifact| Material { uri: artifact.name, digest: artifact.digest }).collect()
}
