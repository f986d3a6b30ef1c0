//! What the controllers read of runs, and which part of it: runs are kept for weeks, and most are over.

use std::collections::BTreeMap;

use fleet::{Fleet, Index, ObjectKey, Store};
use fleet_api::keys;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, EnvFromSource, EnvVar};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::Expression;
use pipelines_as_code_api::{annotations, labels};
use pipelines_engine_api::labels as tekton;
use pipelines_engine_api::pipeline_run::{ChildStatusReference, PipelineRunSpec};
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::step::{Step, StepTemplate};
use pipelines_engine_api::task::TaskSpec;
use pipelines_engine_api::task_run::{StepState, TaskRunSpec};
use pipelines_engine_api::{PipelineRun, PipelineRunStatus, TaskRun, TaskRunStatus};

use super::run;

/// `PipelineRun`s by their Repository.
pub const BY_REPOSITORY: Index = Index("repository");

/// The runs that were started for Repositories.
pub fn pipeline_runs(fleet: &mut Fleet) -> Store<PipelineRun> {
    fleet
        .store()
        .labels(Expression::Exists(labels::REPOSITORY.into()))
        .optional()
        .trim(trim_pipeline_run)
        .index(BY_REPOSITORY, |run: &PipelineRun| run::repository(run).into_iter().collect())
        .build()
}

/// The runs of their tasks, which carry their labels.
pub fn task_runs(fleet: &mut Fleet) -> Store<TaskRun> {
    let label = Expression::Exists(labels::REPOSITORY.into());
    fleet.store().labels(label).optional().trim(trim_task_run).build()
}

/// The run that a task belongs to.
pub(super) fn run_of(task_run: &TaskRun) -> Vec<ObjectKey> {
    let name = tekton::PIPELINE_RUN.of(&task_run.metadata.labels);
    name.map(|name| ObjectKey::of(task_run).sibling(name)).into_iter().collect()
}

/// Keeps what is reported and decided by.
pub(super) fn trim_pipeline_run(run: &mut PipelineRun) {
    trim_metadata(&mut run.metadata);
    run.spec = PipelineRunSpec { status: std::mem::take(&mut run.spec.status), ..PipelineRunSpec::default() };
    let is_over = run::state(run).is_some_and(run::is_final);
    if let Some(status) = run.status.take() {
        run.status = Some(PipelineRunStatus {
            observed_generation: status.observed_generation,
            conditions: status.conditions,
            start_time: status.start_time,
            completion_time: status.completion_time,
            child_references: if is_over {
                Vec::new()
            } else {
                status.child_references.into_iter().map(trim_child).collect()
            },
            ..PipelineRunStatus::default()
        });
    }
}

fn trim_child(child: ChildStatusReference) -> ChildStatusReference {
    ChildStatusReference { when_expressions: Vec::new(), ..child }
}

/// Keeps how it does, and of one that may have failed where to look for the reason.
pub(super) fn trim_task_run(task_run: &mut TaskRun) {
    let metadata = &mut task_run.metadata;
    metadata.annotations = None;
    metadata.owner_references = None;
    keep(&mut metadata.labels, |key| key == tekton::PIPELINE_RUN.as_str());
    let spec = std::mem::take(&mut task_run.spec);
    let Some(status) = task_run.status.take() else { return };
    let has_succeeded = succeeded(&status.conditions).is_some_and(|condition| condition.status == "True");
    let task = status.task_spec.or(spec.task_spec);
    task_run.spec = TaskRunSpec::default();
    task_run.status = Some(TaskRunStatus {
        conditions: status.conditions,
        pod_name: status.pod_name,
        start_time: status.start_time,
        completion_time: status.completion_time,
        steps: if has_succeeded { Vec::new() } else { status.steps.into_iter().map(trim_step).collect() },
        task_spec: task.filter(|_| !has_succeeded).map(only_secrets),
        ..TaskRunStatus::default()
    });
}

fn trim_step(step: StepState) -> StepState {
    let exit_code = step.terminated.map(|terminated| terminated.exit_code);
    StepState {
        name: step.name,
        container: step.container,
        terminated: exit_code
            .map(|exit_code| ContainerStateTerminated { exit_code, ..ContainerStateTerminated::default() }),
        termination_reason: step.termination_reason,
        ..StepState::default()
    }
}

/// Which Secrets its steps see as variables.
fn only_secrets(task: TaskSpec) -> TaskSpec {
    let of_secrets = |env: Vec<EnvVar>| -> Vec<EnvVar> {
        let has_secret = |variable: &EnvVar| {
            variable.value_from.as_ref().is_some_and(|source| source.secret_key_ref.is_some())
        };
        env.into_iter().filter(has_secret).collect()
    };
    let from_secrets = |sources: Vec<EnvFromSource>| -> Vec<EnvFromSource> {
        sources.into_iter().filter(|source| source.secret_ref.is_some()).collect()
    };
    TaskSpec {
        step_template: task.step_template.map(|template| StepTemplate {
            env: of_secrets(template.env),
            env_from: from_secrets(template.env_from),
            ..StepTemplate::default()
        }),
        steps: task
            .steps
            .into_iter()
            .map(|step| Step {
                env: of_secrets(step.env),
                env_from: from_secrets(step.env_from),
                ..Step::default()
            })
            .collect(),
        ..TaskSpec::default()
    }
}

fn trim_metadata(metadata: &mut ObjectMeta) {
    metadata.owner_references = None;
    let ours = |key: &str| key.starts_with(annotations::PREFIX) || key.starts_with("fleet.konflux-ci.dev/");
    keep(&mut metadata.annotations, |key| ours(key) || key == "tekton.dev/pipelinerunSpanContext");
    keep(&mut metadata.labels, |key| ours(key) || key == keys::VELERO_RESTORE.as_str());
}

fn keep(entries: &mut Option<BTreeMap<String, String>>, is_kept: impl Fn(&str) -> bool) {
    if let Some(entries) = entries {
        entries.retain(|key, _| is_kept(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::report::failure;

    #[test]
    fn a_run_keeps_its_tasks_until_it_is_reported() {
        let trimmed = |state: &str| {
            let mut run: PipelineRun = serde_json::from_value(json!({
                "metadata": {
                    "name": "r", "namespace": "n", "finalizers": ["f"],
                    "labels": {"pipelinesascode.tekton.dev/repository": "app", "x": "y"},
                    "annotations": {"pipelinesascode.tekton.dev/state": state, "note": "long"},
                },
                "spec": {"status": "PipelineRunPending", "params": [{"name": "p", "value": "v"}]},
                "status": {"childReferences": [{"name": "r-a", "pipelineTaskName": "a"}]},
            }))
            .unwrap();
            trim_pipeline_run(&mut run);
            assert_eq!((run.spec.status.as_str(), run.spec.params.len()), ("PipelineRunPending", 0));
            assert_eq!(run.metadata.finalizers, Some(vec!["f".to_owned()]));
            assert_eq!(run.metadata.labels.as_ref().map(BTreeMap::len), Some(1));
            assert_eq!(run.metadata.annotations.as_ref().map(BTreeMap::len), Some(1));
            run.status.unwrap().child_references.len()
        };
        assert_eq!((trimmed("started"), trimmed("completed")), (1, 0));
    }

    #[test]
    fn a_failed_task_keeps_what_its_failure_is_found_by() {
        let trimmed = |status: &str| {
            let mut task_run: TaskRun = serde_json::from_value(json!({
                "metadata": {"name": "r-a", "namespace": "n", "labels": {"tekton.dev/pipelineRun": "r", "x": "y"}},
                "spec": {},
                "status": {
                    "conditions": [{"type": "Succeeded", "status": status, "reason": "Failed"}],
                    "podName": "p", "results": [{"name": "r", "value": "v"}],
                    "steps": [{"name": "make", "container": "step-make", "terminated": {"exitCode": 1}}],
                    "taskSpec": {"steps": [{"name": "make", "image": "i", "env": [
                        {"name": "A", "value": "1"},
                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    ]}]},
                },
            }))
            .unwrap();
            trim_task_run(&mut task_run);
            assert_eq!(run_of(&task_run), [ObjectKey::new("n", "r")]);
            task_run
        };
        assert_eq!(trimmed("True").status.unwrap().task_spec, None);
        let run: PipelineRun = serde_json::from_value(json!({
            "metadata": {"name": "r"}, "spec": {},
            "status": {"childReferences": [{"name": "r-a", "pipelineTaskName": "a"}]},
        }))
        .unwrap();
        let task_run = std::sync::Arc::new(trimmed("False"));
        let found = failure::failed(&run, &|_| Some(task_run.clone()));
        assert_eq!(
            (found[0].pod.as_str(), found[0].containers.as_slice()),
            ("p", &["step-make".to_owned()][..])
        );
        assert_eq!(found[0].secrets.len(), 1);
    }
}
