//! Asks Pipelines-as-Code for a build of the newest commit (section 4.8).

use std::sync::Arc;
use std::time::Duration;

use build_service_api::ErrorId;
use bytes::Bytes;
use fleet::Write;
use fleet::outbound::{Request, Url};
use http::{HeaderName, HeaderValue, Method};
use kube::ResourceExt as _;
use pipelines_as_code_api::annotations::INCOMING;
use pipelines_as_code_api::{IncomingRequest, Repository};
use serde_json::json;

use super::repository::required;
use super::{entry, incoming, secrets};
use crate::args::TriggerMode;
use crate::definition::Event;
use crate::failure::Failure;
use crate::request::{Stop, Task};
use crate::status::Outcome;

/// After what changed about the Repository: Pipelines-as-Code has seen it by then.
const SEEN: Duration = Duration::from_secs(2);

/// Under which id the request is repeated.
const DELIVERY: HeaderName = HeaderName::from_static("x-konflux-delivery");

/// Only its status counts.
const LONGEST_ANSWER: u64 = 64 * 1024;

pub(crate) async fn trigger(task: &Task<'_>) -> Result<Outcome, Stop> {
    let repository = required(task)?;
    let secret = secrets::of_incoming(task.context, &repository).await?;
    let branch = branch(task).await?;
    let is_by_object = task.context.args.pac_trigger == TriggerMode::Object;
    let has_changed = write(task, &repository, &branch, is_by_object).await?;
    if !is_by_object {
        if has_changed {
            let detail = "Pipelines-as-Code has to see the changed Repository first".to_owned();
            return Err(Failure::Transient { detail, retry_after: Some(SEEN) }.into());
        }
        call(task, &repository, &branch, &secret).await?;
    }
    Ok(Outcome::Triggered)
}

/// The branch that is built. The forge is asked only where the Component does not say.
async fn branch(task: &Task<'_>) -> Result<String, Stop> {
    if let Some(revision) = &task.source.revision {
        return Ok(revision.clone());
    }
    let access = task.context.gits.access(&task.key.namespace, &task.source).await?;
    Ok(access.branch(&task.source).await?)
}

/// Brings the Repository into the state in which a build can be asked for, and asks, if that is how. Returns whether it changed.
async fn write(
    task: &Task<'_>,
    repository: &Arc<Repository>,
    branch: &str,
    asks: bool,
) -> Result<bool, Stop> {
    let name = secrets::incoming_name(repository);
    let entries = entry::with(&repository.spec.spec.incoming, &name, branch);
    let mut body = json!({});
    if let Some(entries) = &entries {
        body["spec"]["incoming"] = json!(entries);
    }
    if asks {
        let request = IncomingRequest {
            id: task.claim.to_string(),
            branch: branch.to_owned(),
            pipeline_run: Event::Push.run(&task.key.name),
            ..IncomingRequest::default()
        };
        let annotation = incoming::with(repository, &request)
            .map_err(|wrong| Failure::permanent(ErrorId::Unknown, wrong))?;
        if let Some(annotation) = annotation {
            body["metadata"]["annotations"][INCOMING.as_str()] = json!(annotation);
        }
    }
    if body.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(false);
    }
    let written = task.context.write(&[Write::merge(&**repository, body)]).await;
    written.map_err(|error| Stop::of_write(&error))?;
    Ok(true)
}

/// The way of the original. The address holds the secret: no error of the client tells of it.
async fn call(
    task: &Task<'_>,
    repository: &Repository,
    branch: &str,
    secret: &fleet::Secret<String>,
) -> Result<(), Stop> {
    let target = task.context.webhooks.target(&task.source).await?;
    let mut url = Url::parse(&format!("{target}/incoming"))
        .map_err(|error| Failure::permanent(ErrorId::PacRouteDoesNotExist, format!("{target}: {error}")))?;
    url.query_pairs_mut()
        .append_pair("secret", secret.expose())
        .append_pair("repository", &repository.name_any())
        .append_pair("namespace", &task.key.namespace)
        .append_pair("branch", branch)
        .append_pair("pipelinerun", &Event::Push.run(&task.key.name));
    let id = HeaderValue::from_str(&task.claim.to_string())
        .map_err(|error| Failure::permanent(ErrorId::Unknown, error.to_string()))?;
    let request = Request::new(Method::POST, url)
        .header(DELIVERY, id)
        .body(HeaderValue::from_static("application/json"), Bytes::new())
        .limit(LONGEST_ANSWER);
    let answer = task.context.outbound.fetch(request).await;
    let answer = answer.map_err(|error| Failure::transient(format!("Pipelines-as-Code: {error}")))?;
    match answer.status().as_u16() {
        200 | 202 => Ok(()),
        status => Err(Failure::transient(format!("Pipelines-as-Code answers HTTP {status}")).into()),
    }
}
