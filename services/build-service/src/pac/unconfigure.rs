//! Takes down what was set up for a Component (section 4.7).

use application_service_api::Component;
use fleet::Write;
use kube::ResourceExt as _;
use pipelines_as_code_api::Repository;
use serde_json::json;

use super::{entry, paths, repository, secrets};
use crate::Context;
use crate::failure::Failure;
use crate::git::{Access, Mode, Source};
use crate::onboarding::withdraw;
use crate::request::{Stop, Task};
use crate::status::{self, Outcome};

/// On request, the Component stays.
pub(crate) async fn unconfigure(task: &Task<'_>) -> Result<Outcome, Stop> {
    let (context, component) = (task.context, task.component);
    let access = context.gits.access(&task.key.namespace, &task.source).await?;
    let branch = access.branch(&task.source).await?;
    let others = others(context, component, &task.source);
    let url = at_forge(context, component, &task.source, &access, &branch, &others, true).await?;
    let uses_branch = uses(&access, &task.source, &branch, &others).await?;
    in_cluster(context, &task.key.namespace, &task.source, &branch, &others, uses_branch).await?;
    Ok(Outcome::Disabled { url })
}

/// With the Component. The first thing that fails is told; what does not need it is done all the same.
pub(crate) async fn leave(context: &Context, component: &Component) -> Result<Option<String>, Failure> {
    let Some(source) = Source::of(component) else { return Ok(None) };
    let source = source?;
    let namespace = component.namespace().unwrap_or_default();
    let others = others(context, component, &source);
    let proposes = component.spec.skip_offboarding_pr != Some(true);
    let outside = async {
        let access = context.gits.access(&namespace, &source).await.map_err(|none| none.failure)?;
        let branch = access.branch(&source).await?;
        let uses_branch = uses(&access, &source, &branch, &others).await?;
        let url = at_forge(context, component, &source, &access, &branch, &others, proposes).await?;
        Ok::<_, Failure>((url, branch, uses_branch))
    };
    let (url, branch, uses_branch) = match outside.await {
        Ok((url, branch, uses_branch)) => (Ok(url), Some(branch), uses_branch),
        // Without the forge the default branch is not known.
        Err(failure) => {
            let uses_branch = others.iter().any(|other| revision(other) == source.revision.as_deref());
            (Err(failure), source.revision.clone(), uses_branch)
        }
    };
    if let Some(branch) = branch {
        let cleaned = in_cluster(context, &namespace, &source, &branch, &others, uses_branch).await;
        cleaned.map_err(|stop| stop.failure)?;
    }
    url
}

/// Other Components of the namespace with this repository for which Pipelines-as-Code is set up.
fn others(context: &Context, component: &Component, source: &Source) -> Vec<std::sync::Arc<Component>> {
    let namespace = component.namespace().unwrap_or_default();
    let mut others = context.stores.built_from(&namespace, &source.url);
    others.retain(|other| other.metadata.uid != component.metadata.uid && status::is_enabled(other));
    others
}

fn revision(component: &Component) -> Option<&str> {
    let git = component.spec.source.as_ref()?.git.as_ref()?;
    git.revision.as_deref().map(str::trim).filter(|revision| !revision.is_empty())
}

/// Whether another of them is built from this branch.
async fn uses(
    access: &Access,
    source: &Source,
    branch: &str,
    others: &[std::sync::Arc<Component>],
) -> Result<bool, Failure> {
    let is_named = others.iter().any(|other| revision(other) == Some(branch));
    let on_default = others.iter().any(|other| revision(other).is_none());
    if is_named || !on_default {
        return Ok(is_named);
    }
    let mut default = source.clone();
    default.revision = None;
    Ok(access.branch(&default).await? == branch)
}

async fn at_forge(
    context: &Context,
    component: &Component,
    source: &Source,
    access: &Access,
    branch: &str,
    others: &[std::sync::Arc<Component>],
    proposes: bool,
) -> Result<Option<String>, Failure> {
    if others.is_empty() && matches!(access.mode, Mode::Token(_)) {
        context.webhooks.remove(access, source).await?;
    }
    if !proposes {
        return Ok(None);
    }
    let name = component.name_any();
    withdraw(access, source, branch, &paths(&name), &name).await
}

/// Nobody outside can ask for builds of the branch any more, unless for another Component.
async fn in_cluster(
    context: &Context,
    namespace: &str,
    source: &Source,
    branch: &str,
    others: &[std::sync::Arc<Component>],
    uses_branch: bool,
) -> Result<(), Stop> {
    // Without the kind there is nothing to clean.
    let Ok(Some(found)) = repository::find(context, namespace, &source.url) else { return Ok(()) };
    let repository: &Repository = &found;
    let name = secrets::incoming_name(repository);
    let entries = &repository.spec.spec.incoming;
    let changed = if uses_branch { None } else { entry::without(entries, &name, branch) };
    if let Some(left) = changed {
        let left = if left.is_empty() { json!(null) } else { json!(left) };
        let write = Write::merge(repository, json!({"spec": {"incoming": left}}));
        context.write(&[write]).await.map_err(|error| Stop::of_write(&error))?;
    }
    if others.is_empty() {
        secrets::delete_incoming(context, repository).await?;
    }
    Ok(())
}
