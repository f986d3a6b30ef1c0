//! The TaskRun that is made for a task (section 1.9).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use pipelines_engine_api::pipeline_run::PipelineTaskRunSpec;
use pipelines_engine_api::{
    Param, ParamSpec, PipelineRun, PipelineTask, PodTemplate, TaskRun, TaskRunSpec, WorkspaceBinding,
    annotations, labels,
};

use super::progress::Section;
use crate::{family, pod_template};

/// What the TaskRuns of one PipelineRun have in common.
pub struct Parent<'a> {
    pub run: &'a PipelineRun,
    pub owner: &'a OwnerReference,
    /// Labels and annotations of the PipelineRun, with those that its Pipeline brought.
    pub labels: &'a BTreeMap<String, String>,
    pub annotations: &'a BTreeMap<String, String>,
    pub managed_by: &'a str,
    /// How long what is left of the run may take, as a Go duration, where a task says nothing.
    pub timeout: &'a str,
}

/// The run of `task` by `name`, with values put in.
pub fn task_run(
    parent: &Parent<'_>,
    task: &PipelineTask,
    section: Section,
    name: &str,
    params: Vec<Param>,
    workspaces: Vec<WorkspaceBinding>,
) -> TaskRun {
    let overrides = parent.run.spec.task_run_specs.iter().find(|spec| spec.pipeline_task_name == task.name);
    let template = &parent.run.spec.task_run_template;
    let service_account = overrides
        .map(|spec| spec.service_account_name.as_str())
        .filter(|name| !name.is_empty())
        .unwrap_or(&template.service_account_name);
    let spec = TaskRunSpec {
        params,
        service_account_name: service_account.to_owned(),
        task_ref: task.task_ref.clone(),
        task_spec: task.task_spec.as_ref().map(|embedded| embedded.task.clone()),
        retries: task.retries,
        timeout: overrides
            .and_then(|spec| spec.timeout.clone())
            .or_else(|| task.timeout.clone())
            .or_else(|| Some(parent.timeout.to_owned())),
        pod_template: merged(overrides, template.pod_template.as_ref()),
        workspaces,
        step_specs: overrides.map(|spec| spec.step_specs.clone()).unwrap_or_default(),
        sidecar_specs: overrides.map(|spec| spec.sidecar_specs.clone()).unwrap_or_default(),
        compute_resources: overrides.and_then(|spec| spec.compute_resources.clone()),
        ..TaskRunSpec::default()
    };
    let mut run = TaskRun::new(name, spec);
    run.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: parent.run.metadata.namespace.clone(),
        labels: Some(labels_of(parent, task, section, overrides)),
        annotations: Some(annotations_of(parent, task, overrides)),
        owner_references: Some(vec![parent.owner.clone()]),
        ..ObjectMeta::default()
    };
    run
}

fn merged(overrides: Option<&PipelineTaskRunSpec>, template: Option<&PodTemplate>) -> Option<PodTemplate> {
    pod_template::merge(overrides.and_then(|spec| spec.pod_template.as_ref()), template)
}

/// Of the inline Task, over them those of the PipelineRun, over them those for this task, over all the engine's own.
fn labels_of(
    parent: &Parent<'_>,
    task: &PipelineTask,
    section: Section,
    overrides: Option<&PipelineTaskRunSpec>,
) -> BTreeMap<String, String> {
    let mut all = task.task_spec.as_ref().map(|inline| inline.metadata.labels.clone()).unwrap_or_default();
    all.extend(parent.labels.clone());
    if let Some(metadata) = overrides.and_then(|spec| spec.metadata.as_ref()) {
        all.extend(metadata.labels.clone());
    }
    let member_of = match section {
        Section::Tasks => labels::MEMBER_OF_TASKS,
        Section::Finally => labels::MEMBER_OF_FINALLY,
    };
    let run_name = parent.run.metadata.name.clone().unwrap_or_default();
    all.insert(labels::PIPELINE_RUN.into(), run_name);
    all.insert(labels::PIPELINE_TASK.into(), task.name.clone());
    all.insert(labels::MEMBER_OF.into(), member_of.to_owned());
    all.entry(labels::MANAGED_BY.into()).or_insert_with(|| parent.managed_by.to_owned());
    if let Some(reference) = task.task_ref.as_ref().filter(|reference| !reference.name.is_empty()) {
        all.insert(labels::TASK.into(), reference.name.clone());
    }
    all
}

fn annotations_of(
    parent: &Parent<'_>,
    task: &PipelineTask,
    overrides: Option<&PipelineTaskRunSpec>,
) -> BTreeMap<String, String> {
    let mut all =
        task.task_spec.as_ref().map(|inline| inline.metadata.annotations.clone()).unwrap_or_default();
    all.extend(parent.annotations.clone());
    if let Some(metadata) = overrides.and_then(|spec| spec.metadata.as_ref()) {
        all.extend(metadata.annotations.clone());
    }
    all.retain(|key, _| !family::is_private(key));
    if task.continues_on_error() {
        all.insert(annotations::PIPELINE_TASK_ON_ERROR.into(), "continue".to_owned());
    }
    all
}

/// What references to parameters in an inline Task stand for that the task itself is not given: those of the PipelineRun,
/// else the Pipeline's defaults (section 1.5). A default of the inline Task's own comes last.
pub fn propagated(given: &[Param], of_run: &[Param], of_pipeline: &[ParamSpec]) -> Vec<Param> {
    let is_in = |params: &[Param], name: &str| params.iter().any(|param| param.name == name);
    let defaults = of_pipeline
        .iter()
        .filter(|spec| !is_in(of_run, &spec.name))
        .filter_map(|spec| Some(Param { name: spec.name.clone(), value: spec.default.clone()? }));
    of_run.iter().cloned().chain(defaults).filter(|param| !is_in(given, &param.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metadata_and_overrides_come_in_their_order() {
        let run: PipelineRun = serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {"name": "run", "namespace": "n"},
            "spec": {
                "taskRunTemplate": {"serviceAccountName": "all", "podTemplate": {"nodeSelector": {"a": "b"}}},
                "taskRunSpecs": [{
                    "pipelineTaskName": "build", "serviceAccountName": "one",
                    "metadata": {"labels": {"l": "task"}}, "podTemplate": {"priorityClassName": "high"},
                }],
            },
        }))
        .unwrap();
        let owner = OwnerReference { uid: "u".into(), ..OwnerReference::default() };
        let labels = BTreeMap::from([("l".to_owned(), "run".to_owned()), ("m".to_owned(), "run".to_owned())]);
        let annotations = BTreeMap::from([("chains.tekton.dev/signed".to_owned(), "true".to_owned())]);
        let parent = Parent {
            run: &run,
            owner: &owner,
            labels: &labels,
            annotations: &annotations,
            managed_by: "tekton-pipelines",
            timeout: "1h0m0s",
        };
        let task: PipelineTask = serde_json::from_value(json!({
            "name": "build", "retries": 2, "onError": "continue",
            "taskSpec": {"metadata": {"labels": {"l": "inline", "m": "inline", "n": "inline"}}, "steps": []},
        }))
        .unwrap();
        let made = task_run(&parent, &task, Section::Finally, "run-build", Vec::new(), Vec::new());
        let labels = made.metadata.labels.unwrap();
        assert_eq!((&*labels["l"], &*labels["m"], &*labels["n"]), ("task", "run", "inline"));
        assert_eq!(labels["tekton.dev/memberOf"], "finally");
        let annotations = made.metadata.annotations.unwrap();
        assert_eq!(annotations.keys().collect::<Vec<_>>(), ["pipeline.tekton.dev/pipeline-task-on-error"]);
        assert_eq!(made.spec.service_account_name, "one");
        assert_eq!((made.spec.retries, made.spec.timeout.as_deref()), (2, Some("1h0m0s")));
        let template = made.spec.pod_template.unwrap();
        assert_eq!(template.node_selector["a"], "b");
        assert_eq!(template.priority_class_name.as_deref(), Some("high"));
    }

    #[test]
    fn inline_tasks_see_what_they_are_not_given() {
        let given = [Param::new("given", "task")];
        let run = [Param::new("given", "run"), Param::new("run", "run")];
        let pipeline: Vec<ParamSpec> = serde_json::from_value(json!([
            {"name": "pipeline", "default": "default"}, {"name": "run", "default": "default"}, {"name": "none"},
        ]))
        .unwrap();
        let passed = propagated(&given, &run, &pipeline);
        let values: Vec<_> = passed.iter().map(|param| (&*param.name, param.value.as_str())).collect();
        assert_eq!(values, [("run", Some("run")), ("pipeline", Some("default"))]);
    }
}
