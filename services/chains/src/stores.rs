//! What this service reads, and which part of it.
//!
//! A payload is made of a whole run, so a run is kept whole from its end until it is signed: for moments. Before and after it
//! is a skeleton: a fleet of ten thousand finished runs costs little more than their names.

use std::collections::BTreeMap;

use fleet::{Fleet, ObjectKey, Store};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Resource;
use pipelines_engine_api::{
    PipelineRun, PipelineRunSpec, PipelineRunStatus, TaskRun, TaskRunSpec, TaskRunStatus,
};

use crate::keys;
use crate::run::Run as _;

/// The objects that this service reads.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) pipeline_runs: Store<PipelineRun>,
    pub(crate) task_runs: Store<TaskRun>,
    /// The one ConfigMap with the settings.
    pub(crate) configuration: Store<ConfigMap>,
}

impl Stores {
    /// `configuration` is the name of the ConfigMap.
    pub(crate) fn new(fleet: &mut Fleet, configuration: &str) -> Self {
        let namespace = fleet.namespace().to_owned();
        Self {
            pipeline_runs: fleet.store().optional().trim(trim_pipeline_run).build(),
            task_runs: fleet.store().optional().trim(trim_task_run).build(),
            configuration: fleet
                .store()
                .only_in(namespace)
                .fields(format!("metadata.name={configuration}"))
                .build(),
        }
    }
}

/// The TaskRuns of a PipelineRun, by its status.
pub(crate) fn children(run: &PipelineRun) -> Vec<ObjectKey> {
    let key = ObjectKey::of(run);
    let references = run.status.iter().flat_map(|status| &status.child_references);
    let task_runs = references.filter(|child| child.kind == TaskRun::kind(&()) && !child.name.is_empty());
    task_runs.map(|child| key.sibling(&child.name)).collect()
}

fn trim_pipeline_run(run: &mut PipelineRun) {
    drop_stored_payloads(&mut run.metadata.annotations);
    if run.is_done() && run.signed().is_none() {
        *run = without_slack(run);
        return;
    }
    run.spec = PipelineRunSpec { managed_by: run.spec.managed_by.take(), ..PipelineRunSpec::default() };
    run.status = run
        .status
        .take()
        .map(|status| PipelineRunStatus { conditions: status.conditions, ..PipelineRunStatus::default() });
    *run = without_slack(run);
}

fn trim_task_run(run: &mut TaskRun) {
    drop_stored_payloads(&mut run.metadata.annotations);
    if run.is_done() && run.signed().is_none() {
        *run = without_slack(run);
        return;
    }
    run.spec = TaskRunSpec { managed_by: run.spec.managed_by.take(), ..TaskRunSpec::default() };
    run.status = run
        .status
        .take()
        .map(|status| TaskRunStatus { conditions: status.conditions, ..TaskRunStatus::default() });
    *run = without_slack(run);
}

/// What the back end `tekton` has written is as large as all the rest.
fn drop_stored_payloads(annotations: &mut Option<BTreeMap<String, String>>) {
    let prefixes =
        [keys::tekton::PAYLOAD, keys::tekton::SIGNATURE, keys::tekton::CERTIFICATE, keys::tekton::CHAIN];
    if let Some(annotations) = annotations {
        annotations.retain(|key, _| !prefixes.iter().any(|prefix| key.starts_with(prefix)));
    }
}

/// What was read from JSON has lists with room for more. A copy has none.
fn without_slack<K: Clone>(object: &K) -> K {
    object.clone()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn task_run(condition: &str, annotations: &Value) -> TaskRun {
        let mut run = serde_json::from_value(json!({
            "metadata": {"name": "t", "namespace": "n", "annotations": annotations},
            "spec": {"taskRef": {"name": "build"}},
            "status": {"conditions": [{"type": "Succeeded", "status": condition}], "results": [{"name": "r", "value": "v"}]},
        }))
        .unwrap();
        trim_task_run(&mut run);
        run
    }

    fn is_whole(run: &TaskRun) -> bool {
        run.spec.task_ref.is_some() && !run.status.as_ref().unwrap().results.is_empty()
    }

    #[test]
    fn a_run_is_whole_between_its_end_and_its_signature() {
        assert!(!is_whole(&task_run("Unknown", &json!({}))));
        assert!(is_whole(&task_run("False", &json!({}))));
        assert!(!is_whole(&task_run("True", &json!({"chains.tekton.dev/signed": "true"}))));
    }

    #[test]
    fn stored_payloads_are_not_kept() {
        let annotations =
            json!({"chains.tekton.dev/payload-taskrun-1": "long", "chains.tekton.dev/retries": "1"});
        let run = task_run("True", &annotations);
        assert_eq!(
            run.metadata.annotations.unwrap().into_keys().collect::<Vec<_>>(),
            ["chains.tekton.dev/retries"]
        );
    }

    #[test]
    fn task_runs_of_a_pipeline_run_are_read_from_its_status() {
        let mut run: PipelineRun = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n"},
            "spec": {"pipelineRef": {"name": "build"}},
            "status": {
                "conditions": [{"type": "Succeeded", "status": "Unknown"}],
                "childReferences": [
                    {"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "p-build", "pipelineTaskName": "build"},
                    {"apiVersion": "tekton.dev/v1beta1", "kind": "CustomRun", "name": "p-wait", "pipelineTaskName": "wait"},
                ],
            },
        }))
        .unwrap();
        assert_eq!(children(&run), [ObjectKey::new("n", "p-build")]);
        trim_pipeline_run(&mut run);
        assert_eq!(
            (&run.spec, children(&run)),
            (&PipelineRunSpec::default(), Vec::new()),
            "it has not ended"
        );
    }
}
