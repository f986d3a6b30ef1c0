//! A build without Pipelines-as-Code (section 4.2).

use build_service_api::ErrorId;
use fleet::{Write, patience};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::{Stop, Task};
use crate::accounts;
use crate::definition::Simple;
use crate::failure::Failure;
use crate::onboarding::{Looked, look};
use crate::status::Outcome;

/// Starts the build, once for each claim.
pub(super) async fn build(task: &Task<'_>) -> Result<Outcome, Stop> {
    let context = task.context;
    let selected = task.select().await?;
    let looked = {
        let access = context.gits.reading(&task.key.namespace, &task.source).await?;
        look(&access, &task.source).await?
    };
    let Looked { is_private, commit } = looked;
    let git_secret = if is_private { Some(git_secret(task).await?) } else { None };
    accounts::ensure(context, task.component).await?;
    let link = commit.as_deref().map(|commit| task.source.browse_url(commit));
    let simple = Simple {
        component: task.component,
        built: task.built(&selected),
        claim: task.claim,
        selected: &selected,
        url: &task.source.url,
        revision: task.source.revision.as_deref(),
        commit: commit.as_deref(),
        link: link.as_deref(),
        git_secret: git_secret.as_deref(),
    };
    let run = simple.run().map_err(|error| Failure::permanent(ErrorId::Unknown, error.to_string()))?;
    let write = Write::create(&run).or_named(simple.names().1);
    context.write(&[write]).await.map_err(|error| Stop::of_write(&error))?;
    Ok(Outcome::Built)
}

/// The Secret with which a private repository is cloned.
async fn git_secret(task: &Task<'_>) -> Result<String, Stop> {
    let name = task.component.spec.secret.as_deref().filter(|name| !name.is_empty());
    let Some(name) = name else {
        let detail = format!("{} is private or does not exist, and spec.secret is empty", task.source.name());
        return Err(Failure::permanent(ErrorId::ComponentGitSecretNotSpecified, detail).into());
    };
    let secrets: Api<Secret> = Api::namespaced(task.context.client.clone(), &task.key.namespace);
    let found = patience::read(|| secrets.get_metadata_opt(name)).await;
    let found = found.map_err(|error| Failure::of_api(&format!("read Secret {name}"), &error))?;
    if found.is_none() {
        let detail =
            format!("Secret {name} (spec.secret) does not exist in namespace {}", task.key.namespace);
        return Err(Failure::permanent(ErrorId::ComponentGitSecretMissing, detail).into());
    }
    Ok(name.to_owned())
}
