//! Sets Pipelines-as-Code up for a Component (section 4.4).

use std::sync::Arc;

use build_service_api::ErrorId;
use build_service_api::events::EventReason;

use super::{repository, secrets};
use crate::accounts;
use crate::definition::Proposed;
use crate::failure::Failure;
use crate::git::{Access, Mode};
use crate::onboarding::{Proposal, file_exists, propose};
use crate::pipeline::Selected;
use crate::pipeline::bundle::Resolved;
use crate::request::{Stop, Task, hold};
use crate::status::Outcome;

/// What was found out before anything is made.
struct Ready {
    access: Access,
    branch: String,
    selected: Selected,
    pipeline: Arc<Resolved>,
    dockerfile_outside: Option<String>,
}

/// `proposes`: whether the pipelines are proposed to the repository, or only all around them is set up.
pub(crate) async fn configure(task: &Task<'_>, proposes: bool) -> Result<Outcome, Stop> {
    let ready = prepare(task, proposes).await?;
    hold(task.context, task.component).await?;
    accounts::ensure(task.context, task.component).await?;
    set_up(task, &ready.access).await?;
    if !proposes {
        return Ok(Outcome::Enabled { url: None, note: None });
    }
    let files = files(task, &ready)?;
    let component = &task.key.name;
    let proposal = propose(&ready.access, &task.source, &ready.branch, &files, component).await?;
    Ok(match proposal {
        None => Outcome::Enabled { url: None, note: None },
        Some(Proposal { url, replaced }) => Outcome::Enabled { note: note(&replaced), url: Some(url) },
    })
}

/// What the user should know of files that are there with other content: perhaps they have changed them.
fn note(replaced: &[String]) -> Option<String> {
    (!replaced.is_empty()).then(|| {
        format!(
            "the pull request replaces what is in {}: look at the difference before you merge it, or close it to keep what is \
             there",
            replaced.join(" and ")
        )
    })
}

/// All that can be wrong is found here, while nothing is made yet.
async fn prepare(task: &Task<'_>, proposes: bool) -> Result<Ready, Stop> {
    let context = task.context;
    let selected = task.select().await?;
    let access = context.gits.access(&task.key.namespace, &task.source).await?;
    if matches!(access.mode, Mode::Token(_)) && !context.webhooks.is_system(&task.source) {
        context.webhooks.target(&task.source).await?;
    }
    let pipeline = context.bundles.pipeline(&selected.bundle, &selected.name).await;
    let pipeline = pipeline
        .map_err(|failure| Stop::from(failure).told_as(EventReason::ErrorGettingPipelineFromBundle))?;
    let branch = access.branch(&task.source).await?;
    let mut dockerfile_outside = None;
    if proposes {
        // It has to be there; a default branch that was renamed is found by its new name.
        access.head(&task.source, &branch).await?;
        dockerfile_outside = self::dockerfile_outside(task, &selected, &access, &branch).await?;
    }
    Ok(Ready { access, branch, selected, pipeline, dockerfile_outside })
}

/// Path of the Dockerfile, if the context that is built does not have it.
async fn dockerfile_outside(
    task: &Task<'_>,
    selected: &Selected,
    access: &Access,
    branch: &str,
) -> Result<Option<String>, Failure> {
    let built = task.built(selected);
    let context = built.context.trim_start_matches("./").trim_matches('/');
    let Some(dockerfile) = built.dockerfile.filter(|dockerfile| !dockerfile.uri.contains("://")) else {
        return Ok(None);
    };
    if matches!(context, "" | ".") {
        return Ok(None);
    }
    let uri = dockerfile.uri.trim_start_matches('/');
    let inside = crate::path::clean(&format!("{context}/{uri}"));
    let is_inside = file_exists(access, &task.source, branch, &inside).await?;
    Ok((!is_inside).then(|| uri.to_owned()))
}

/// The webhook, where there is no App, and the Repository.
async fn set_up(task: &Task<'_>, access: &Access) -> Result<(), Stop> {
    let context = task.context;
    let secret = match &access.mode {
        Mode::App(_) => None,
        Mode::Token(secret) => {
            let signed = secrets::of_webhook(context, &task.key.namespace, &task.source.url).await?;
            context.webhooks.ensure(access, &task.source, &signed).await?;
            Some(secret)
        }
    };
    repository::ensure(task, secret).await?;
    Ok(())
}

fn files(task: &Task<'_>, ready: &Ready) -> Result<Vec<(String, String)>, Stop> {
    let link = task.source.browse_url("{{revision}}");
    let proposed = Proposed {
        built: task.built(&ready.selected),
        branch: &ready.branch,
        link: &link,
        dockerfile_outside: ready.dockerfile_outside.as_deref(),
        pipeline: &ready.pipeline,
        copied: &ready.selected.copied,
        expiration: task.context.args.expiration(),
    };
    let files = proposed.files().map_err(|error| {
        Failure::permanent(ErrorId::Unknown, format!("the pipelines cannot be written: {error}"))
    });
    Ok(files?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_of_users_are_named() {
        assert_eq!(note(&[]), None);
        let note = note(&[".tekton/a-push.yaml".into(), ".tekton/a-pull-request.yaml".into()]).unwrap();
        assert!(note.contains(".tekton/a-push.yaml and .tekton/a-pull-request.yaml"), "{note}");
    }
}
