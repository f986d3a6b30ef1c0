//! The Repository by which Pipelines-as-Code knows the repository of a Component (section 4.4, step 6). Components of one
//! repository in one namespace share it.

use std::sync::Arc;

use build_service_api::names::{PASSWORD_KEY, WEBHOOKS_SECRET, WORKSPACE_PARAM};
use build_service_api::{ErrorId, labels};
use fleet::{MetadataPatch, Presence, Write, WriteError, names, patience};
use fleet_api::keys::{CAUSE, GITOPS_TRACKING};
use forge::Provider;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use pipelines_as_code_api::Repository;
use serde_json::{Value, json};

use super::secrets::webhook_key;
use crate::failure::Failure;
use crate::git::{Source, TokenSecret};
use crate::request::{Stop, Task};
use crate::stores::{BY_URL, repository_key};
use crate::{Context, owner};

/// Words by which Pipelines-as-Code refuses a second Repository of one URL, and a URL that it does not take.
const DUPLICATE: &str = "repository already exist";
const NOT_ALLOWED: &str = "denied the request: failed to validate";

/// The Repository of this URL, if there is one: of several the oldest.
pub(super) fn find(
    context: &Context,
    namespace: &str,
    url: &str,
) -> Result<Option<Arc<Repository>>, Failure> {
    match context.stores.repositories.presence() {
        Presence::Listed => {}
        Presence::Absent => {
            return Err(Failure::transient(
                "waiting for Pipelines-as-Code: the cluster has no kind Repository of pipelinesascode.tekton.dev",
            ));
        }
        Presence::Unknown => return Err(Failure::transient("Repositories are not known yet")),
    }
    let found = context.stores.repositories.indexed(BY_URL, &repository_key(namespace, url));
    Ok(oldest(found))
}

fn oldest(found: Vec<Arc<Repository>>) -> Option<Arc<Repository>> {
    let alive = found.into_iter().filter(|repository| repository.metadata.deletion_timestamp.is_none());
    alive.min_by_key(|repository| repository.creation_timestamp().map(|time| time.0))
}

/// Has the repository watched, and the Component among the Repository's owners. `secret` is that with the token; none is the App.
pub(super) async fn ensure(task: &Task<'_>, secret: Option<&TokenSecret>) -> Result<(), Stop> {
    let context = task.context;
    let url = task.source.url.as_str();
    // Two Components of one repository would make two of them.
    let _one = context.locks.lock(&repository_key(&task.key.namespace, url)).await;
    if let Some(found) = find(context, &task.key.namespace, url)? {
        return own(task, &found).await;
    }
    let repository = wanted(task, secret).await?;
    let alternative = names::fit(253, &task.key.name, &format!("-{}", names::hash(5, &[url])));
    let write = Write::create(&repository).or_named(alternative);
    match context.write(&[write]).await {
        Ok(()) => Ok(()),
        Err(error) => refused(task, &error).await,
    }
}

/// Adds the Component to the owners, where no GitOps tool would fight over it.
async fn own(task: &Task<'_>, repository: &Repository) -> Result<(), Stop> {
    let is_tracked = GITOPS_TRACKING
        .iter()
        .any(|key| repository.annotations().contains_key(*key) || repository.labels().contains_key(*key));
    if is_tracked {
        return Ok(());
    }
    let patch = MetadataPatch::of(repository).owner(owner::of(task.component)).into_write();
    let writes: Vec<_> = patch.into_iter().collect();
    task.context.write(&writes).await.map_err(|error| Stop::of_write(&error))
}

/// What the refusal of a new Repository means. One that our own watch has not told of yet is taken instead.
async fn refused(task: &Task<'_>, error: &WriteError) -> Result<(), Stop> {
    let url = task.source.url.as_str();
    let WriteError::Refused { source: kube::Error::Api(status), .. } = error else {
        return Err(Stop::of_write(error));
    };
    let detail = || format!("{url}: {}", status.message);
    if status.message.contains(DUPLICATE) {
        if let Some(found) = look(task).await? {
            return own(task, &found).await;
        }
        return Err(Failure::permanent(ErrorId::PacDuplicateRepository, detail()).into());
    }
    if status.message.contains(NOT_ALLOWED) {
        return Err(Failure::permanent(ErrorId::PacNotAllowedRepositoryUrl, detail()).into());
    }
    Err(Stop::of_write(error))
}

async fn look(task: &Task<'_>) -> Result<Option<Arc<Repository>>, Stop> {
    let namespace = &task.key.namespace;
    let everything = ListParams::default();
    let repositories: Api<Repository> = Api::namespaced(task.context.client.clone(), namespace);
    let list = patience::read(|| repositories.list(&everything)).await;
    let list = list.map_err(|error| Failure::of_api(&format!("list Repositories of {namespace}"), &error))?;
    let key = repository_key(namespace, &task.source.url);
    let is_same = |repository: &Repository| {
        let url = repository.spec.spec.url.as_deref();
        url.is_some_and(|url| repository_key(namespace, url) == key)
    };
    Ok(oldest(list.items.into_iter().filter(is_same).map(Arc::new).collect()))
}

async fn wanted(task: &Task<'_>, secret: Option<&TokenSecret>) -> Result<Repository, Stop> {
    let workspace = workspace(task.context, &task.key.namespace).await?;
    let mut spec = json!({"url": task.source.url});
    if let Some(workspace) = workspace {
        spec["params"] = json!([{"name": WORKSPACE_PARAM, "value": workspace}]);
    }
    let provider = provider(&task.source, secret);
    if !provider.is_null() {
        spec["git_provider"] = provider;
    }
    let repository = serde_json::from_value(json!({
        "metadata": {
            "name": task.key.name,
            "namespace": task.key.namespace,
            // One of this name that somebody else has made is not taken for ours.
            "annotations": {CAUSE.as_str(): task.claim.to_string()},
            "ownerReferences": [owner::of(task.component)],
        },
        "spec": spec,
    }));
    Ok(repository.map_err(|error| Failure::permanent(ErrorId::Unknown, error.to_string()))?)
}

/// `git_provider`: nothing where the App does it all.
fn provider(source: &Source, secret: Option<&TokenSecret>) -> Value {
    let given = source.provider_url.as_deref();
    let Some(secret) = secret else {
        return given.map_or(Value::Null, |url| json!({"url": url}));
    };
    let url = match (given, source.provider) {
        (Some(url), _) => Some(url.to_owned()),
        (None, Provider::GitLab | Provider::Gitea) => {
            Some(source.server.as_str().trim_end_matches('/').to_owned())
        }
        // The only one that is meant where none is named.
        (None, _) if source.host == "github.com" => None,
        (None, _) => Some(source.server.as_str().trim_end_matches('/').to_owned()),
    };
    let mut provider = json!({
        "type": source.provider.to_string(),
        "secret": {"name": secret.name, "key": PASSWORD_KEY},
        "webhook_secret": {"name": WEBHOOKS_SECRET, "key": webhook_key(&source.url)},
    });
    if let Some(url) = url {
        provider["url"] = json!(url);
    }
    provider
}

/// The workspace that a namespace belongs to, if it says so.
async fn workspace(context: &Context, namespace: &str) -> Result<Option<String>, Failure> {
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let read = patience::read(|| namespaces.get_metadata_opt(namespace)).await;
    let read = read.map_err(|error| Failure::of_api(&format!("read Namespace {namespace}"), &error))?;
    let labels = read.and_then(|found| found.metadata.labels);
    Ok(labels::WORKSPACE_NAME.of(&labels).filter(|name| !name.is_empty()).map(str::to_owned))
}

/// The Repository of a Component whose builds are asked for.
pub(super) fn required(task: &Task<'_>) -> Result<Arc<Repository>, Stop> {
    let found = find(task.context, &task.key.namespace, &task.source.url)?;
    found.ok_or_else(|| {
        let detail = format!(
            "namespace {} has no Repository of {}: request configure-pac again, which makes it",
            task.key.namespace, task.source.url
        );
        Failure::permanent(ErrorId::Unknown, detail).into()
    })
}
