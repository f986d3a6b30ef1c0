//! What the engine reads, and which part of it.

use fleet::{Fleet, Index, ObjectKey, Store};
use k8s_openapi::api::core::v1::{ConfigMap, EphemeralContainer, LimitRange, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::core::Expression;
use pipelines_engine_api::{
    Pipeline, PipelineRun, ResolutionRequest, StepAction, Task, TaskRun, annotations, labels,
};

use crate::live::keeper;
use crate::{condition, config};

/// Objects by the run that controls them: its namespace and uid.
pub const BY_OWNER: Index = Index("owner");

/// Pods by the claims that they use.
pub const BY_CLAIM: Index = Index("claim");

/// LimitRanges and ConfigMaps by their namespace (with an empty name).
pub const BY_NAMESPACE: Index = Index("namespace");

/// TaskRuns by their namespace and by whether they have ended.
pub const BY_LIFE: Index = Index("life");

/// The objects that the engine reads.
#[derive(Clone)]
pub struct Stores {
    pub pipeline_runs: Store<PipelineRun>,
    pub task_runs: Store<TaskRun>,
    pub pods: Store<Pod>,
    pub pipelines: Store<Pipeline>,
    pub tasks: Store<Task>,
    pub step_actions: Store<StepAction>,
    pub requests: Store<ResolutionRequest>,
    pub limit_ranges: Store<LimitRange>,
    /// The engine's own, of its namespace.
    pub configuration: Store<ConfigMap>,
}

impl Stores {
    /// `namespace` is the engine's own.
    pub fn new(fleet: &mut Fleet, namespace: &str) -> Self {
        Self {
            pipeline_runs: fleet.store().trim(trim_pipeline_run).build(),
            task_runs: fleet
                .store()
                .trim(trim_task_run)
                .index(BY_OWNER, |run: &TaskRun| owned(run))
                .index(BY_LIFE, keeper::filed_under)
                .build(),
            pods: fleet
                .store()
                .labels(Expression::Exists(labels::TASK_RUN.into()))
                .trim(trim_pod)
                .index(BY_OWNER, |pod: &Pod| owned(pod))
                .index(BY_CLAIM, claims)
                .build(),
            pipelines: fleet.store().trim(|object: &mut Pipeline| trim(&mut object.metadata)).build(),
            tasks: fleet.store().trim(|object: &mut Task| trim(&mut object.metadata)).build(),
            step_actions: fleet.store().trim(|object: &mut StepAction| trim(&mut object.metadata)).build(),
            requests: requests(fleet),
            limit_ranges: fleet
                .store()
                .trim(|range: &mut LimitRange| trim(&mut range.metadata))
                .index(BY_NAMESPACE, |range: &LimitRange| {
                    vec![owner_key(range.metadata.namespace.as_deref().unwrap_or_default(), "")]
                })
                .build(),
            configuration: configuration(fleet, namespace),
        }
    }
}

/// ResolutionRequests.
pub fn requests(fleet: &mut Fleet) -> Store<ResolutionRequest> {
    fleet.store().trim(|request: &mut ResolutionRequest| trim(&mut request.metadata)).build()
}

/// The ConfigMaps of the engine and of its resolvers, whose own namespace this is.
pub fn configuration(fleet: &mut Fleet, namespace: &str) -> Store<ConfigMap> {
    let ours = Expression::Equal(labels::PART_OF.into(), config::PART_OF.to_owned());
    fleet.store().only_in(namespace).labels(ours).build()
}

/// The key of everything that the object with this uid controls.
pub fn owner_key(namespace: &str, uid: &str) -> ObjectKey {
    ObjectKey::new(namespace, uid)
}

fn owned<K: kube::Resource>(object: &K) -> Vec<ObjectKey> {
    let namespace = object.meta().namespace.clone().unwrap_or_default();
    let controller = object.owner_references().iter().find(|owner| owner.controller == Some(true));
    controller.map(|owner| owner_key(&namespace, &owner.uid)).into_iter().collect()
}

fn claims(pod: &Pod) -> Vec<ObjectKey> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
    claims.map(|claim| ObjectKey::new(namespace, &claim.claim_name)).collect()
}

/// What kubectl applied last is as large as the object itself.
fn trim(metadata: &mut ObjectMeta) {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(annotations::LAST_APPLIED.as_str());
    }
}

/// Keeps what decisions about a run depend on. Once the Pipeline is in the status, with everything put in, the one that the run
/// came with is not read again; nor is either when it is over. Nothing is written from what is left out: a status is written by
/// what has changed since it was read.
fn trim_pipeline_run(run: &mut PipelineRun) {
    trim(&mut run.metadata);
    let Some(status) = &mut run.status else { return };
    status.provenance = None;
    if status.pipeline_spec.is_some() {
        run.spec.pipeline_spec = None;
    }
    if condition::is_final(&status.conditions) {
        run.spec.pipeline_spec = None;
        status.pipeline_spec = None;
    }
    *run = without_slack(run);
}

/// As [`trim_pipeline_run`], with the Task.
fn trim_task_run(run: &mut TaskRun) {
    trim(&mut run.metadata);
    let Some(status) = &mut run.status else { return };
    status.provenance = None;
    if status.task_spec.is_some() {
        run.spec.task_spec = None;
    }
    if condition::is_final(&status.conditions) {
        run.spec.task_spec = None;
        status.task_spec = None;
    }
    *run = without_slack(run);
}

/// What was read from JSON has lists with room for more, a quarter of all in what is kept of a run. A copy has none.
fn without_slack<K: Clone>(object: &K) -> K {
    object.clone()
}

/// Keeps what the state of a run is read from, who has been let in, and where its claims are.
fn trim_pod(pod: &mut Pod) {
    let annotations = &mut pod.metadata.annotations;
    if let Some(annotations) = annotations {
        annotations.retain(|key, _| key == annotations::READY.as_str());
    }
    if let Some(labels) = &mut pod.metadata.labels {
        labels.retain(|key, _| [labels::TASK_RUN.as_str(), labels::TASK.as_str()].contains(&key.as_str()));
    }
    let Some(spec) = pod.spec.take() else { return };
    let of_claims = |volume: &k8s_openapi::api::core::v1::Volume| volume.persistent_volume_claim.is_some();
    pod.spec = Some(k8s_openapi::api::core::v1::PodSpec {
        containers: spec
            .containers
            .into_iter()
            .map(|container| k8s_openapi::api::core::v1::Container {
                name: container.name,
                ..Default::default()
            })
            .collect(),
        ephemeral_containers: spec.ephemeral_containers.map(|containers| {
            let names = containers.into_iter().map(|container| container.name);
            names.map(|name| EphemeralContainer { name, ..Default::default() }).collect()
        }),
        volumes: spec.volumes.map(|volumes| volumes.into_iter().filter(of_claims).collect()),
        node_name: spec.node_name,
        ..Default::default()
    });
    let statuses = pod.status.iter_mut().flat_map(|status| {
        [&mut status.init_container_statuses, &mut status.container_statuses].into_iter().flatten().flatten()
    });
    for status in statuses {
        status.volume_mounts = None;
        status.resources = None;
        status.allocated_resources = None;
        status.allocated_resources_status = None;
        status.user = None;
    }
    *pod = without_slack(pod);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_keeps_what_is_read() {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": "p", "namespace": "n", "labels": {"tekton.dev/taskRun": "r", "x": "y"},
                "annotations": {"tekton.dev/ready": "READY", "fleet.konflux-ci.dev/script-0-1": "long"},
                "ownerReferences": [{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "r", "uid": "u", "controller": true}],
            },
            "spec": {
                "nodeName": "node", "containers": [{"name": "step-a", "image": "i", "args": ["x"]}],
                "ephemeralContainers": [{"name": "debug", "image": "i"}],
                "volumes": [{"name": "w", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "e", "emptyDir": {}}],
            },
            "status": {"phase": "Running"},
        }))
        .unwrap();
        trim_pod(&mut pod);
        assert_eq!(owned(&pod), [ObjectKey::new("n", "u")]);
        assert_eq!(claims(&pod), [ObjectKey::new("n", "c")]);
        let spec = pod.spec.unwrap();
        assert_eq!(
            (spec.node_name.as_deref(), &*spec.containers[0].name, &spec.containers[0].args),
            (Some("node"), "step-a", &None)
        );
        assert_eq!(spec.volumes.unwrap().len(), 1);
        let debug = &spec.ephemeral_containers.unwrap()[0];
        assert_eq!((&*debug.name, &debug.image), ("debug", &None));
        assert_eq!(pod.metadata.annotations.unwrap().len(), 1);
    }

    #[test]
    fn a_run_keeps_one_pipeline_until_it_is_over() {
        let run = |condition: &str, has_begun: bool| {
            let pipeline = json!({"tasks": [{"name": "a", "taskRef": {"name": "t"}}]});
            let mut status = json!({
                "conditions": [{"type": "Succeeded", "status": condition}],
                "provenance": {"featureFlags": {"x": true}},
            });
            if has_begun {
                status["pipelineSpec"] = pipeline.clone();
            }
            let mut run: PipelineRun = serde_json::from_value(json!({
                "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": "r"},
                "spec": {"pipelineSpec": pipeline, "params": [{"name": "p", "value": "v"}]}, "status": status,
            }))
            .unwrap();
            trim_pipeline_run(&mut run);
            let status = run.status.unwrap();
            assert_eq!((status.provenance, run.spec.params.len()), (None, 1));
            (run.spec.pipeline_spec.is_some(), status.pipeline_spec.is_some())
        };
        assert_eq!(run("Unknown", false), (true, false), "it waits for something");
        assert_eq!(run("Unknown", true), (false, true));
        assert_eq!(run("True", true), (false, false));
    }

    #[test]
    fn a_task_run_keeps_one_task_until_it_is_over() {
        let run = |condition: &str, has_begun: bool| {
            let task = json!({"steps": [{"name": "a", "image": "i"}]});
            let mut status = json!({
                "conditions": [{"type": "Succeeded", "status": condition}],
                "results": [{"name": "r", "type": "string", "value": "v"}],
            });
            if has_begun {
                status["taskSpec"] = task.clone();
            }
            let mut run: TaskRun = serde_json::from_value(json!({
                "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": "r"},
                "spec": {"taskSpec": task}, "status": status,
            }))
            .unwrap();
            trim_task_run(&mut run);
            let status = run.status.unwrap();
            assert_eq!(status.results.len(), 1);
            (run.spec.task_spec.is_some(), status.task_spec.is_some())
        };
        assert_eq!(run("Unknown", false), (true, false), "it waits for something");
        assert_eq!(run("Unknown", true), (false, true));
        assert_eq!(run("True", true), (false, false));
    }
}
