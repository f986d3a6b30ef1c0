//! What the engine reads, and which part of it.

use fleet::{Fleet, Index, ObjectKey, Store};
use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::core::Expression;
use pipelines_engine_api::{
    Pipeline, PipelineRun, ResolutionRequest, StepAction, Task, TaskRun, annotations, labels,
};

use crate::config;

/// Objects by the run that controls them: its namespace and uid.
pub const BY_OWNER: Index = Index("owner");

/// Pods by the claims that they use.
pub const BY_CLAIM: Index = Index("claim");

/// LimitRanges by their namespace (with an empty name).
pub const BY_NAMESPACE: Index = Index("namespace");

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
            pipeline_runs: fleet.store().trim(|run: &mut PipelineRun| trim(&mut run.metadata)).build(),
            task_runs: fleet
                .store()
                .trim(|run: &mut TaskRun| trim(&mut run.metadata))
                .index(BY_OWNER, |run: &TaskRun| owned(run))
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
            requests: fleet
                .store()
                .trim(|request: &mut ResolutionRequest| trim(&mut request.metadata))
                .build(),
            limit_ranges: fleet
                .store()
                .trim(|range: &mut LimitRange| trim(&mut range.metadata))
                .index(BY_NAMESPACE, |range: &LimitRange| {
                    vec![owner_key(range.metadata.namespace.as_deref().unwrap_or_default(), "")]
                })
                .build(),
            configuration: fleet
                .store()
                .only_in(namespace)
                .labels(Expression::Equal(labels::PART_OF.into(), config::PART_OF.to_owned()))
                .build(),
        }
    }
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

/// Keeps what the state of a run is read from, and where its claims are.
fn trim_pod(pod: &mut Pod) {
    let annotations = &mut pod.metadata.annotations;
    if let Some(annotations) = annotations {
        annotations.retain(|key, _| key == annotations::READY.as_str());
    }
    if let Some(labels) = &mut pod.metadata.labels {
        labels.retain(|key, _| key == labels::TASK_RUN.as_str());
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
        volumes: spec.volumes.map(|volumes| volumes.into_iter().filter(of_claims).collect()),
        node_name: spec.node_name,
        ..Default::default()
    });
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
        assert_eq!(pod.metadata.annotations.unwrap().len(), 1);
    }
}
