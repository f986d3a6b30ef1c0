//! What every Task and Pipeline of ours keeps to.
use std::collections::{BTreeMap, BTreeSet};

use pipelines_engine::{config::Config, validation};
use pipelines_engine_api::{PipelineSpec, PipelineTask, TaskSpec};
use serde_json::Value;

use super::catalog::{Catalog, Pipeline, Task, comes_with_the_run, refers_to};
use crate::images::REPOSITORY;

/// Label of a Task: the version of what it takes and gives.
const VERSION: &str = "app.kubernetes.io/version";
/// What the version before a new one needs a word on: a param that is gone, or a result.
const MIGRATION: &str = "MIGRATION.md";
/// Begins the description of a param that is kept for those who give it.
const UNUSED: [&str; 2] = ["Of no effect", "Deprecated and of no effect"];
/// Bytes of a container's termination message, which results have to share.
const RESULTS_LIMIT: usize = 4096;

/// All that is wrong, a line each.
pub fn faults(catalog: &Catalog) -> Vec<String> {
    let mut faults = Vec::new();
    for task in &catalog.tasks {
        let name = task.folder.id();
        faults.extend(of_task(task).into_iter().map(|fault| format!("task {name}: {fault}")));
    }
    faults.extend(lost_between_versions(catalog));
    for pipeline in &catalog.pipelines {
        let name = &pipeline.folder.name;
        faults.extend(
            of_pipeline(pipeline, catalog).into_iter().map(|fault| format!("pipeline {name}: {fault}")),
        );
    }
    faults
}

fn of_task(task: &Task) -> Vec<String> {
    let mut faults = Vec::new();
    let errors = validation::task(&task.object, None, &Config::default());
    if !errors.is_empty() {
        faults.push(errors.to_string());
    }
    let metadata = &task.object.metadata;
    if metadata.name.as_deref() != Some(&task.folder.name) {
        faults.push("metadata.name is not that of its folder".to_owned());
    }
    let version = metadata.labels.as_ref().and_then(|labels| labels.get(VERSION));
    if version != Some(&task.version) {
        faults.push(format!("label {VERSION} is not the version of its folder"));
    }
    let spec = &task.object.spec;
    let text = task.content.to_string();
    for param in &spec.params {
        let is_said_unused = UNUSED.iter().any(|words| param.description.starts_with(words));
        let is_used = uses(&text, "params", &param.name);
        if is_used == is_said_unused {
            let words = if is_used { "is used, and said to be of no effect" } else { "is used nowhere" };
            faults.push(format!("param {} {words}", param.name));
        }
    }
    for result in &spec.results {
        if !text.contains(&format!("$(results.{}.path)", result.name)) {
            faults.push(format!("result {} is written by no step", result.name));
        }
    }
    faults.extend(images_of(spec).into_iter().filter_map(|image| {
        let name = image.strip_prefix(REPOSITORY).and_then(|rest| rest.strip_prefix('/'));
        let is_ours = name.is_some_and(|name| !name.contains([':', '@', '/']));
        (!is_ours).then(|| {
            format!(
                "image {image}: steps run {REPOSITORY}/<name>, which `cargo xtask images` puts a digest to"
            )
        })
    }));
    let takes_artifacts = |name: &str| name.ends_with("_ARTIFACT");
    let has_artifacts = spec.params.iter().any(|param| takes_artifacts(&param.name))
        || spec.results.iter().any(|result| takes_artifacts(&result.name));
    let shared = spec.workspaces.iter().find(|workspace| !workspace.optional);
    if let Some(workspace) = shared.filter(|_| has_artifacts) {
        faults.push(format!(
            "workspace {} beside an artifact: others could write to it, so the artifact proves nothing",
            workspace.name
        ));
    }
    let size: usize = spec.results.iter().map(|result| estimate(&result.name)).sum();
    if size > RESULTS_LIMIT {
        faults.push(format!("its results have about {size} bytes, and all of a task {RESULTS_LIMIT}"));
    }
    faults
}

/// Whether `$(params.x)` stands somewhere, also as a list or by index.
fn uses(text: &str, what: &str, name: &str) -> bool {
    [")", "[", "."].iter().any(|end| text.contains(&format!("$({what}.{name}{end}")))
}

fn images_of(spec: &TaskSpec) -> Vec<&str> {
    let template = spec.step_template.as_ref().map_or("", |template| template.image.as_str());
    let steps =
        spec.steps.iter().map(|step| if step.image.is_empty() { template } else { step.image.as_str() });
    steps.chain(spec.sidecars.iter().map(|sidecar| sidecar.image.as_str())).collect()
}

/// About how many bytes a result has when there is much to say, with what the engine writes around it.
fn estimate(result: &str) -> usize {
    40 + result.len()
        + match result {
            "TEST_OUTPUT" => 400,
            // Two digests and an image name.
            "IMAGES_PROCESSED" | "BUILD_RESULT" | "JAVA_COMMUNITY_DEPENDENCIES" => 600,
            // Eight stages.
            "BASE_IMAGES_DIGESTS" => 1400,
            "IMAGES" => 800,
            name if name.ends_with("DIGEST") => 71,
            name if name.ends_with("_URL") || name.ends_with("_REF") || name.ends_with("_ARTIFACT") => 256,
            _ => 160,
        }
}

/// A param with a default can come, but none can go without a word.
fn lost_between_versions(catalog: &Catalog) -> Vec<String> {
    let mut faults = Vec::new();
    let mut by_name: BTreeMap<&str, Vec<&Task>> = BTreeMap::new();
    for task in &catalog.tasks {
        by_name.entry(&task.folder.name).or_default().push(task);
    }
    for versions in by_name.values() {
        for pair in versions.windows(2) {
            let [old, new] = pair else { continue };
            let kept: BTreeSet<_> = new.object.spec.params.iter().map(|param| &param.name).collect();
            let lost: Vec<_> =
                old.object.spec.params.iter().filter(|param| !kept.contains(&param.name)).collect();
            if !lost.is_empty() && !new.folder.path.join(MIGRATION).is_file() {
                let lost: Vec<_> = lost.iter().map(|param| param.name.as_str()).collect();
                faults.push(format!(
                    "task {}: params {} of {} are gone: say in {MIGRATION} what becomes of them",
                    new.folder.id(),
                    lost.join(", "),
                    old.version
                ));
            }
        }
    }
    faults
}

fn of_pipeline(pipeline: &Pipeline, catalog: &Catalog) -> Vec<String> {
    let mut faults = Vec::new();
    let errors = validation::pipeline(&pipeline.object, &Config::default());
    if !errors.is_empty() {
        faults.push(errors.to_string());
    }
    if pipeline.object.metadata.name.as_deref() != Some(&pipeline.folder.name) {
        faults.push("metadata.name is not that of its folder".to_owned());
    }
    let spec = &pipeline.object.spec;
    let mut tasks = BTreeMap::new();
    for task in spec.tasks.iter().chain(&spec.finally) {
        match found(task, catalog) {
            Ok(definition) => {
                tasks.insert(task.name.as_str(), definition);
                let of = |fault| format!("task {}: {fault}", task.name);
                faults.extend(of_pipeline_task(task, definition, spec).into_iter().map(of));
            }
            Err(fault) => faults.push(format!("task {}: {fault}", task.name)),
        }
    }
    for (task, result) in results_in(&pipeline.content) {
        // What it says of an unknown task, the engine's own rules say, too.
        let Some(definition) = tasks.get(task.as_str()) else { continue };
        if !definition.object.spec.results.iter().any(|found| found.name == result) {
            faults.push(format!(
                "$(tasks.{task}.results.{result}): {} has no such result",
                definition.folder.id()
            ));
        }
    }
    faults
}

/// The definition that a task refers to.
fn found<'c>(task: &PipelineTask, catalog: &'c Catalog) -> Result<&'c Task, String> {
    // Its bundle comes with the run, from whoever operates the cluster: ours is what the fleet deploys.
    if let Some(name) = task.task_ref.as_ref().and_then(comes_with_the_run) {
        return catalog.newest(name).ok_or_else(|| format!("there is no task {name}"));
    }
    let reference = task.task_ref.as_ref().and_then(refers_to);
    let (name, version) =
        reference.ok_or("taskRef names no bundle of ours: resolver bundles, name, bundle, kind")?;
    catalog.task(&name, &version).ok_or_else(|| format!("there is no task {name} in version {version}"))
}

/// What a pipeline gives a task against what the task takes.
fn of_pipeline_task(task: &PipelineTask, definition: &Task, pipeline: &PipelineSpec) -> Vec<String> {
    let mut faults = Vec::new();
    let spec = &definition.object.spec;
    let id = definition.folder.id();
    let of_matrix = task.matrix.iter().flat_map(|matrix| &matrix.params);
    let given: BTreeSet<_> = task.params.iter().chain(of_matrix).map(|param| param.name.as_str()).collect();
    for name in &given {
        if !spec.params.iter().any(|param| param.name == *name) {
            faults.push(format!("param {name}: {id} has none of this name"));
        }
    }
    for param in spec.params.iter().filter(|param| param.default.is_none()) {
        if !given.contains(param.name.as_str()) {
            faults.push(format!("param {} of {id} is not given and has no default", param.name));
        }
    }
    let bound: BTreeMap<_, _> =
        task.workspaces.iter().map(|binding| (binding.name.as_str(), binding.workspace.as_str())).collect();
    for (name, workspace) in &bound {
        let declared = spec.workspaces.iter().find(|declared| declared.name == *name);
        let outer = pipeline.workspaces.iter().find(|outer| outer.name == *workspace);
        match (declared, outer) {
            (None, _) => faults.push(format!("workspace {name}: {id} has none of this name")),
            (Some(declared), Some(outer)) if outer.optional && !declared.optional => {
                faults.push(format!("workspace {name} of {id} is required, and {workspace} is optional"));
            }
            _ => {}
        }
    }
    for workspace in spec.workspaces.iter().filter(|workspace| !workspace.optional) {
        if !bound.contains_key(workspace.name.as_str()) {
            faults.push(format!("workspace {} of {id} is not bound", workspace.name));
        }
    }
    faults
}

/// All `$(tasks.<task>.results.<result>)`, as pairs.
fn results_in(content: &Value) -> BTreeSet<(String, String)> {
    let text = content.to_string();
    text.split("$(tasks.")
        .skip(1)
        .filter_map(|rest| {
            let (reference, _) = rest.split_once(')')?;
            let (task, result) = reference.split_once(".results.")?;
            let result = result.split('[').next().unwrap_or(result);
            Some((task.to_owned(), result.to_owned()))
        })
        .collect()
}
