//! Who is told by the registry of what happens to a repository (spec section 4.8).

use image_controller_api::image_repository::{
    Notification, NotificationEvent, NotificationMethod, NotificationStatus,
};
use image_controller_api::{ImageRepository, annotations};
use serde_json::json;

use crate::names::RepositoryName;
use crate::registry::{Backend, Error, Registered};

/// What the registry is still to be told: the hash of what is wanted, and what it has. `None` if it has been told.
pub(crate) fn outstanding(object: &ImageRepository) -> Option<(String, Vec<NotificationStatus>)> {
    let wanted = &object.spec.notifications;
    let known = object.status.as_ref().map(|status| status.notifications.clone()).unwrap_or_default();
    if wanted.is_empty() && known.is_empty() {
        return None;
    }
    let hash = fleet::names::hash(16, &[&json!(wanted).to_string()]);
    (annotations::NOTIFIED.of(&object.metadata.annotations) != Some(&hash)).then_some((hash, known))
}

/// What became of it.
pub(crate) struct Outcome {
    /// What the registry has now.
    pub(crate) known: Vec<NotificationStatus>,
    /// What it would not take, for the user.
    pub(crate) refused: Option<String>,
}

/// Makes what is missing, changes what differs and deletes what we made and is wanted no more. Others' are left alone.
pub(crate) async fn carry_out(
    backend: &dyn Backend,
    repository: &RepositoryName,
    wanted: &[Notification],
    known: &[NotificationStatus],
) -> Result<Outcome, Error> {
    let mut outcome = Outcome { known: Vec::new(), refused: None };
    let there = match backend.notifications(repository.as_str()).await {
        Err(Error::Unsupported) => {
            outcome.refused = Some("this kind of registry sends no notifications".to_owned());
            return Ok(outcome);
        }
        there => there?,
    };
    for wanted in wanted {
        let present = there.iter().find(|other| other.title == wanted.title);
        let uuid = match present {
            Some(present) if is_same(present, wanted) => Ok(present.uuid.clone()),
            Some(present) => backend.update_notification(repository.as_str(), &present.uuid, wanted).await,
            None => backend.add_notification(repository.as_str(), wanted).await,
        };
        match uuid {
            Ok(uuid) => {
                outcome
                    .known
                    .push(NotificationStatus { title: Some(wanted.title.clone()), uuid: Some(uuid) });
            }
            Err(Error::Refused { .. }) => {
                let message = format!("Error while adding a notification ({}) to Quay", wanted.title);
                outcome.refused = Some(message);
            }
            Err(error) => return Err(error),
        }
    }
    let is_wanted = |title: &str| wanted.iter().any(|wanted| wanted.title == title);
    for old in known.iter().filter_map(|old| old.title.as_deref()).filter(|title| !is_wanted(title)) {
        for present in there.iter().filter(|present| present.title == old) {
            backend.delete_notification(repository.as_str(), &present.uuid).await?;
        }
    }
    Ok(outcome)
}

/// Has those sent again that could not be sent.
pub(crate) async fn reset(
    backend: &dyn Backend,
    repository: &RepositoryName,
    known: &[NotificationStatus],
) -> Result<(), Error> {
    if known.is_empty() {
        return Ok(());
    }
    for failing in backend.notifications(repository.as_str()).await?.iter().filter(|one| one.failures > 0) {
        if known.iter().any(|known| known.title.as_deref() == Some(&failing.title)) {
            backend.reset_notification(repository.as_str(), &failing.uuid).await?;
        }
    }
    Ok(())
}

fn is_same(present: &Registered, wanted: &Notification) -> bool {
    let event = match wanted.event.as_ref().and_then(|event| event.known()) {
        Some(NotificationEvent::RepoPush) => "repo_push",
        None => "",
    };
    let config = wanted.config.as_ref();
    let (method, target) = match wanted.method.as_ref().and_then(|method| method.known()) {
        Some(NotificationMethod::Email) => ("email", config.and_then(|config| config.email.as_deref())),
        Some(NotificationMethod::Webhook) => ("webhook", config.and_then(|config| config.url.as_deref())),
        None => ("", None),
    };
    present.event == event && present.method == method && present.target == target.unwrap_or_default()
}
