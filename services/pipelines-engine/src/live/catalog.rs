//! The catalog of what this cluster has, and of what resolvers have found.
//!
//! ```text
//! decide ─▶ named ─▶ store ─▶ found
//!             └─ not there: remembered ─▶ ask ─▶ found ─▶ decide again
//!                                          └─ not there either: the decision stands
//! ```

use std::collections::BTreeMap;

use base64::Engine as _;
use fleet::{ObjectKey, Store, WriteError};
use k8s_openapi::NamespaceResourceScope;
use kube::api::ObjectMeta;
use kube::{Api, Client, Resource, ResourceExt as _};
use parking_lot::Mutex;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{
    Param, Pipeline, PipelineRef, PipelineSpec, ResolutionRequest, ResolutionRequestSpec, StepAction,
    StepActionSpec, Task, TaskRef, TaskSpec, labels,
};
use serde::de::DeserializeOwned;
use tekton::decode;

use crate::catalog::{Asker, Catalog, Failure, Found, Lookup};
use crate::names;
use crate::stores::Stores;

/// The catalog of one reconcile.
///
/// A store may be a moment behind another: a Task and its run that are applied together arrive by different watches. So
/// before a run fails because it names something that does not exist, the API server is asked.
pub struct LiveCatalog<'a> {
    stores: &'a Stores,
    pipelines: Named<Pipeline>,
    tasks: Named<Task>,
    step_actions: Named<StepAction>,
}

impl<'a> LiveCatalog<'a> {
    pub fn new(stores: &'a Stores) -> Self {
        Self { stores, pipelines: Named::default(), tasks: Named::default(), step_actions: Named::default() }
    }

    /// Asks the API server for what was missing since this was last called. Whether there is any of it: then what was
    /// decided without it is to be decided again.
    pub async fn ask(&self, client: &Client, namespace: &str) -> Result<bool, WriteError> {
        let pipelines = self.pipelines.ask(client, namespace).await?;
        let tasks = self.tasks.ask(client, namespace).await?;
        let step_actions = self.step_actions.ask(client, namespace).await?;
        Ok(pipelines || tasks || step_actions)
    }
}

/// What a store did not have, by name.
struct Named<K>(Mutex<BTreeMap<String, Asked<K>>>);

enum Asked<K> {
    NotYet,
    /// What there was.
    For(Option<K>),
}

impl<K> Default for Named<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K> Named<K>
where
    K: fleet::Stored + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    async fn ask(&self, client: &Client, namespace: &str) -> Result<bool, WriteError> {
        let is_new =
            |(name, asked): (&String, &Asked<K>)| matches!(asked, Asked::NotYet).then(|| name.clone());
        let names: Vec<_> = self.0.lock().iter().filter_map(is_new).collect();
        let api: Api<K> = Api::namespaced(client.clone(), namespace);
        let mut found_any = false;
        for name in names {
            let found = api.get_opt(&name).await.map_err(|source| WriteError::Refused {
                write: format!("look for {} {namespace}/{name}", K::kind(&())),
                source,
            })?;
            found_any |= found.is_some();
            self.0.lock().insert(name, Asked::For(found));
        }
        Ok(found_any)
    }

    /// An object of the same namespace.
    fn find<T>(&self, store: &Store<K>, namespace: &str, name: &str, spec: impl Fn(&K) -> T) -> Lookup<T> {
        let found = |object: &K| {
            Lookup::Found(Box::new(Found {
                spec: spec(object),
                name: name.to_owned(),
                labels: object.labels().clone(),
                annotations: object.annotations().clone(),
                source: None,
            }))
        };
        if let Some(object) = store.get(&ObjectKey::new(namespace, name)) {
            return found(&object);
        }
        if let Asked::For(Some(object)) = self.0.lock().entry(name.to_owned()).or_insert(Asked::NotYet) {
            return found(object);
        }
        Lookup::Failed(Failure::NotFound(format!(
            "{}.{} {name:?} not found in namespace {namespace:?}",
            K::plural(&()),
            K::group(&())
        )))
    }
}

impl Catalog for LiveCatalog<'_> {
    fn pipeline(&self, asker: Asker<'_>, reference: &PipelineRef) -> Lookup<PipelineSpec> {
        if reference.resolver.is_empty() {
            self.pipelines.find(&self.stores.pipelines, asker.namespace, &reference.name, |pipeline| {
                pipeline.spec.clone()
            })
        } else {
            let find = |pipeline: Pipeline| (pipeline.metadata, pipeline.spec);
            resolved(&self.stores.requests, asker, &reference.resolver, &reference.params, find)
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
            self.tasks.find(&self.stores.tasks, asker.namespace, &reference.name, |task| task.spec.clone())
        } else {
            let find = |task: Task| (task.metadata, task.spec);
            resolved(&self.stores.requests, asker, &reference.resolver, &reference.params, find)
        }
    }

    fn step_action(&self, asker: Asker<'_>, reference: &TaskRef) -> Lookup<StepActionSpec> {
        if reference.resolver.is_empty() {
            self.step_actions.find(&self.stores.step_actions, asker.namespace, &reference.name, |action| {
                action.spec.clone()
            })
        } else {
            let find = |action: StepAction| (action.metadata, action.spec);
            resolved(&self.stores.requests, asker, &reference.resolver, &reference.params, find)
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    use http::{Request, Response, StatusCode};
    use kube::client::Body;
    use serde_json::json;

    /// An API server that has one Task, `late`.
    fn api() -> Client {
        let answer = |request: Request<Body>| {
            let (status, body) = if request.uri().path().ends_with("/namespaces/n/tasks/late") {
                let task = json!({"metadata": {"name": "late", "namespace": "n"}, "spec": {"steps": [{"image": "i"}]}});
                (StatusCode::OK, task)
            } else {
                (StatusCode::NOT_FOUND, json!({"kind": "Status", "code": 404, "reason": "NotFound"}))
            };
            let body = Body::from(body.to_string().into_bytes());
            Response::builder().status(status).body(body)
        };
        let service = tower::service_fn(move |request| {
            std::future::ready(Ok::<_, Infallible>(answer(request).expect("a response")))
        });
        Client::new(service, "n")
    }

    #[tokio::test]
    async fn what_no_watch_has_brought_is_asked_for_once() {
        let (named, store, client) = (Named::<Task>::default(), Store::new(|_| {}, Vec::new()), api());
        let find = |name: &str| named.find(&store, "n", name, |task| task.spec.clone());
        let is_found = |name: &str| matches!(find(name), Lookup::Found(_));
        assert!(!is_found("late") && !is_found("none"));
        assert!(named.ask(&client, "n").await.unwrap(), "decide again");
        assert!(is_found("late") && !is_found("none"));
        assert!(!named.ask(&client, "n").await.unwrap(), "nothing is left to ask for");
    }
}
