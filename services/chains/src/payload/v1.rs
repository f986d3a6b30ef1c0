//! SLSA provenance v1 (specification, section 4.5).

use std::collections::{BTreeMap, HashSet};

use attest::slsa::v1::{
    BuildDefinition, Builder, Metadata, PREDICATE_TYPE, Provenance, ResourceDescriptor, RunDetails,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pipelines_engine_api::{PipelineRun, RefSource, TaskRun};
use serde::Serialize;
use serde_json::Value;

use super::children::executed;
use super::facts::Facts;
use super::format::{BuildType, Draft};
use super::hints::Hint;
use super::run::{Run, Tampering};
use super::{Described, PayloadError, Settings, object, steps, v1beta1};

const JSON: &str = "application/json";
/// Of dependencies that hints told of.
const HINTED: &str = "inputs/result";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalParameters {
    run_spec: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_config_source: Option<BuildConfigSource>,
}

/// Where the Task or Pipeline came from, if a resolver fetched it from outside the cluster.
#[derive(Serialize)]
struct BuildConfigSource {
    #[serde(rename = "ref")]
    reference: String,
    repository: String,
    path: String,
}

#[derive(Serialize)]
struct InternalParameters<'a> {
    #[serde(rename = "tekton-pipelines-feature-flags", skip_serializing_if = "Option::is_none")]
    feature_flags: Option<&'a Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tampered: Vec<Tampering>,
}

/// A TaskRun as the content of a dependency has it: without what changes while it is signed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WholeTaskRun<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: WholeMetadata<'a>,
    spec: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    status: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WholeMetadata<'a> {
    name: Option<&'a str>,
    namespace: Option<&'a str>,
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_timestamp: Option<&'a Time>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
}

pub(super) fn task_run(run: &TaskRun, draft: Draft, settings: &Settings) -> Result<Described, PayloadError> {
    let seen = Run::of_task(run);
    let facts = if draft == Draft::Alpha4 { Facts::of_steps(&seen) } else { Facts::of_task(&seen) };
    let facts = chosen(facts, draft);

    let mut dependencies: Vec<_> =
        seen.source().map(|source| dependency("task", source)).into_iter().collect();
    dependencies.extend(images(run)?);
    dependencies.extend(inputs(&facts));

    let mut spec = serde_json::to_value(&run.spec)?;
    if draft == Draft::Alpha2 {
        v1beta1::task_run_spec(&mut spec);
    }
    let resolver = run.spec.task_ref.as_ref().map(|reference| reference.resolver.as_str());
    let tampered = seen.tampering().into_iter().collect();
    let mut byproducts = byproducts("taskRunResults", &seen.results, &facts, draft)?;
    if draft == Draft::Alpha4 {
        byproducts.extend(self::byproducts("stepResults", &seen.step_results, &facts, draft)?);
    }
    let definition = definition(&seen, spec, resolver, tampered, dependencies, settings)?;
    let predicate =
        Provenance { build_definition: definition, run_details: details(&seen, byproducts, settings) };
    Described::new(PREDICATE_TYPE, &predicate, facts)
}

pub(super) fn pipeline_run(
    run: &PipelineRun,
    task_runs: &[TaskRun],
    draft: Draft,
    settings: &Settings,
) -> Result<Described, PayloadError> {
    let seen = Run::of_pipeline(run);
    let executed = executed(run, task_runs);
    let children: Vec<Run<'_>> = executed.iter().map(|task| Run::of_task(task.run)).collect();
    let deep = settings.deep_inspection;
    let facts = if draft == Draft::Alpha4 {
        Facts::of_pipeline_and_steps(&seen, &children, deep)
    } else {
        Facts::of_pipeline(&seen, &children, deep)
    };
    let facts = chosen(facts, draft);

    let mut dependencies: Vec<_> =
        seen.source().map(|source| dependency("pipeline", source)).into_iter().collect();
    for (task, child) in executed.iter().zip(&children) {
        dependencies.extend(pipeline_task(task.run, child, draft, settings.build_type)?);
        dependencies.extend(images(task.run)?);
    }
    dependencies.extend(inputs(&facts));

    let mut spec = serde_json::to_value(&run.spec)?;
    if draft == Draft::Alpha2 {
        v1beta1::pipeline_run_spec(&mut spec);
    }
    let resolver = run.spec.pipeline_ref.as_ref().map(|reference| reference.resolver.as_str());
    let tampered =
        seen.tampering().into_iter().chain(task_runs.iter().filter_map(|run| Run::of_task(run).tampering()));
    let byproducts = byproducts("pipelineRunResults", &seen.results, &facts, draft)?;
    let definition = definition(&seen, spec, resolver, tampered.collect(), dependencies, settings)?;
    let predicate =
        Provenance { build_definition: definition, run_details: details(&seen, byproducts, settings) };
    Described::new(PREDICATE_TYPE, &predicate, facts)
}

/// Without the outputs that are no subjects in this draft.
fn chosen(mut facts: Facts, draft: Draft) -> Facts {
    if draft == Draft::Alpha4 {
        facts.outputs.retain(|output| output.is_build_artifact);
    }
    facts
}

fn definition(
    run: &Run<'_>,
    run_spec: Value,
    resolver: Option<&str>,
    tampered: Vec<Tampering>,
    dependencies: Vec<ResourceDescriptor>,
    settings: &Settings,
) -> Result<BuildDefinition, PayloadError> {
    let is_remote = resolver.is_some_and(|name| !name.is_empty() && !name.eq_ignore_ascii_case("cluster"));
    let build_config_source = run.source().filter(|_| is_remote).map(|source| BuildConfigSource {
        reference: source
            .digest
            .iter()
            .next()
            .map(|(algorithm, hex)| format!("{algorithm}:{hex}"))
            .unwrap_or_default(),
        repository: source.uri.clone(),
        path: source.entry_point.clone(),
    });
    let is_whole = settings.build_type == BuildType::SlsaTekton;
    let internal = InternalParameters {
        feature_flags: run.provenance.and_then(|provenance| provenance.feature_flags.as_ref()),
        labels: if is_whole { run.labels() } else { BTreeMap::new() },
        annotations: if is_whole { run.annotations() } else { BTreeMap::new() },
        tampered,
    };
    Ok(BuildDefinition {
        build_type: settings.build_type.uri().to_owned(),
        external_parameters: object(&ExternalParameters { run_spec, build_config_source })?,
        internal_parameters: object(&internal)?,
        resolved_dependencies: once(dependencies),
    })
}

fn details(run: &Run<'_>, byproducts: Vec<ResourceDescriptor>, settings: &Settings) -> RunDetails {
    RunDetails {
        builder: Builder { id: settings.builder.id.clone(), version: settings.builder.version.clone() },
        metadata: Metadata {
            invocation_id: run.meta.uid.clone().unwrap_or_default(),
            started_on: run.started.map(|time| time.0),
            finished_on: run.finished.map(|time| time.0),
        },
        byproducts,
    }
}

fn dependency(name: &str, source: &RefSource) -> ResourceDescriptor {
    ResourceDescriptor {
        name: name.to_owned(),
        uri: source.uri.clone(),
        digest: source.digest.clone(),
        ..ResourceDescriptor::default()
    }
}

/// The task of a Pipeline: where it came from, and with [`BuildType::SlsaTekton`] how it ran.
fn pipeline_task(
    run: &TaskRun,
    seen: &Run<'_>,
    draft: Draft,
    build_type: BuildType,
) -> Result<Option<ResourceDescriptor>, PayloadError> {
    let source = seen.source().map(|source| dependency("pipelineTask", source));
    if build_type == BuildType::Slsa {
        return Ok(source);
    }
    let mut spec = serde_json::to_value(&run.spec)?;
    let mut status = serde_json::to_value(&run.status)?;
    if draft == Draft::Alpha2 {
        v1beta1::task_run_spec(&mut spec);
        v1beta1::task_run_status(&mut status);
    }
    let whole = WholeTaskRun {
        api_version: if draft == Draft::Alpha2 { "tekton.dev/v1beta1" } else { "tekton.dev/v1" },
        kind: seen.kind,
        metadata: WholeMetadata {
            name: seen.meta.name.as_deref(),
            namespace: seen.meta.namespace.as_deref(),
            uid: seen.meta.uid.as_deref(),
            creation_timestamp: seen.meta.creation_timestamp.as_ref(),
            labels: seen.labels(),
            annotations: seen.annotations(),
        },
        spec,
        status,
    };
    let named = || ResourceDescriptor { name: "pipelineTask".to_owned(), ..ResourceDescriptor::default() };
    let content = serde_json::to_vec(&whole)?;
    Ok(Some(ResourceDescriptor { content, ..source.unwrap_or_else(named) }))
}

fn images(run: &TaskRun) -> Result<impl Iterator<Item = ResourceDescriptor>, PayloadError> {
    Ok(steps::images(run)?.into_iter().map(|image| ResourceDescriptor {
        uri: image.uri,
        digest: image.digest,
        ..ResourceDescriptor::default()
    }))
}

fn inputs(facts: &Facts) -> impl Iterator<Item = ResourceDescriptor> {
    facts.inputs.iter().map(|input| ResourceDescriptor {
        name: HINTED.to_owned(),
        uri: input.name.clone(),
        digest: input.digest.clone(),
        ..ResourceDescriptor::default()
    })
}

/// Results of a run; in the last draft only those that are no subjects.
fn byproducts(
    prefix: &str,
    results: &[Hint<'_>],
    facts: &Facts,
    draft: Draft,
) -> Result<Vec<ResourceDescriptor>, PayloadError> {
    let is_subject = |result: &&Hint<'_>| {
        draft == Draft::Alpha4
            && facts.outputs.iter().any(|output| output.results.iter().any(|name| name == result.name))
    };
    let left = results.iter().filter(|result| !is_subject(result));
    left.map(|result| {
        Ok(ResourceDescriptor {
            name: format!("{prefix}/{}", result.name),
            content: serde_json::to_vec(result.value)?,
            media_type: JSON.to_owned(),
            ..ResourceDescriptor::default()
        })
    })
    .collect()
}

/// Each dependency once. Where the run itself came from stays whatever else is the same.
fn once(mut dependencies: Vec<ResourceDescriptor>) -> Vec<ResourceDescriptor> {
    let mut seen = HashSet::new();
    let is_first: Vec<bool> = dependencies
        .iter()
        .map(|one| {
            let is_top = matches!(one.name.as_str(), "task" | "pipeline");
            is_top || seen.insert((&one.uri, &one.digest, &one.content))
        })
        .collect();
    let mut is_first = is_first.into_iter();
    dependencies.retain(|_| is_first.next().unwrap_or(true));
    dependencies
}
