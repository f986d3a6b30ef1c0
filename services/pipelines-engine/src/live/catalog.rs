//! The catalog of what this cluster has, and of what resolvers have found.

use std::collections::BTreeMap;

use base64::Engine as _;
use fleet::{ObjectKey, Store};
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt as _};
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{
    Param, Pipeline, PipelineRef, PipelineSpec, ResolutionRequest, ResolutionRequestSpec, StepAction,
    StepActionSpec, Task, TaskRef, TaskSpec, labels,
};
use serde::de::DeserializeOwned;

use crate::catalog::{Asker, Catalog, Failure, Found, Lookup};
use crate::stores::Stores;
use crate::{decode, names};

impl Catalog for Stores {
    fn pipeline(&self, asker: Asker<'_>, reference: &PipelineRef) -> Lookup<PipelineSpec> {
        if reference.resolver.is_empty() {
            named(&self.pipelines, asker.namespace, &reference.name, |pipeline: &Pipeline| {
                pipeline.spec.clone()
            })
        } else {
            let find = |pipeline: Pipeline| (pipeline.metadata, pipeline.spec);
            resolved(&self.requests, asker, &reference.resolver, &reference.params, find)
        }
    }

    fn task(&self, asker: Asker<'_>, reference: &TaskRef) -> Lookup<TaskSpec> {
        if reference.resolver.is_empty() {
            if reference.kind == "ClusterTask" {
                return Lookup::Failed(Failure::NotFound(format!(
                    "ClusterTask {:?}: this engine has no ClusterTasks; refer to a Task by the resolver `cluster`",
                    reference.name
                )));
            }
            named(&self.tasks, asker.namespace, &reference.name, |task: &Task| task.spec.clone())
        } else {
            let find = |task: Task| (task.metadata, task.spec);
            resolved(&self.requests, asker, &reference.resolver, &reference.params, find)
        }
    }

    fn step_action(&self, asker: Asker<'_>, reference: &TaskRef) -> Lookup<StepActionSpec> {
        if reference.resolver.is_empty() {
            named(&self.step_actions, asker.namespace, &reference.name, |action: &StepAction| {
                action.spec.clone()
            })
        } else {
            let find = |action: StepAction| (action.metadata, action.spec);
            resolved(&self.requests, asker, &reference.resolver, &reference.params, find)
        }
    }
}

/// An object of the same namespace.
fn named<K, T>(store: &Store<K>, namespace: &str, name: &str, spec: impl Fn(&K) -> T) -> Lookup<T>
where
    K: fleet::Stored,
{
    let Some(object) = store.get(&ObjectKey::new(namespace, name)) else {
        return Lookup::Failed(Failure::NotFound(format!(
            "{}.{} {name:?} not found in namespace {namespace:?}",
            K::plural(&()),
            K::group(&())
        )));
    };
    Lookup::Found(Box::new(Found {
        spec: spec(&object),
        name: name.to_owned(),
        labels: object.labels().clone(),
        annotations: object.annotations().clone(),
        source: None,
    }))
}

/// What a resolver has found, or the request for it.
fn resolved<K, T>(
    requests: &Store<ResolutionRequest>,
    asker: Asker<'_>,
    resolver: &str,
    params: &[Param],
    find: impl Fn(K) -> (ObjectMeta, T),
) -> Lookup<T>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let request = request(asker, resolver, params);
    let Some(known) = requests.get(&ObjectKey::of(&request)) else {
        return Lookup::Wanted(Box::new(request));
    };
    let absent = Default::default();
    let status = known.status.as_ref().unwrap_or(&absent);
    match succeeded(&status.conditions) {
        Some(condition) if condition.status == "False" => {
            Lookup::Failed(Failure::Resolution(format!("{}: {}", condition.reason, condition.message)))
        }
        Some(condition) if condition.status == "True" => match decoded::<K>(&status.data) {
            Ok(object) => {
                let (metadata, spec) = find(object);
                Lookup::Found(Box::new(Found {
                    spec,
                    name: metadata.name.unwrap_or_default(),
                    labels: metadata.labels.unwrap_or_default(),
                    annotations: metadata.annotations.unwrap_or_default(),
                    source: status.ref_source.clone(),
                }))
            }
            Err(error) => Lookup::Failed(Failure::Invalid(format!("resolver {resolver:?} found {error}"))),
        },
        _ => Lookup::InProgress,
    }
}

fn decoded<K: Resource<DynamicType = ()> + DeserializeOwned>(data: &str) -> Result<K, String> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(data)
        .map_err(|error| format!("data that is no base64: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "data that is no text".to_owned())?;
    decode::lenient(&text).map_err(|error| error.to_string())
}

fn request(asker: Asker<'_>, resolver: &str, params: &[Param]) -> ResolutionRequest {
    let for_name: Vec<_> = params
        .iter()
        .map(|param| (param.name.clone(), serde_json::to_string(&param.value).unwrap_or_default()))
        .collect();
    let name = names::resolution_request(resolver, asker.namespace, asker.name, &for_name);
    let spec = ResolutionRequestSpec { params: params.to_vec(), ..ResolutionRequestSpec::default() };
    let mut request = ResolutionRequest::new(&name, spec);
    request.metadata.namespace = Some(asker.namespace.to_owned());
    request.metadata.labels = Some(BTreeMap::from([(labels::RESOLVER_TYPE.into(), resolver.to_owned())]));
    request.metadata.owner_references = Some(vec![asker.owner.clone()]);
    request
}
