//! Events on an `ImageRepository`.

use fleet::Event;
use image_controller_api::ImageRepository;
use image_controller_api::events::EventReason;

pub(crate) fn provisioned(object: &ImageRepository, url: &str) -> Event {
    let note = format!("{url} can be used");
    Event::normal(object, EventReason::ImageRepositoryProvisioned.into(), "Provision", note)
}

pub(crate) fn failed(object: &ImageRepository, message: &str) -> Event {
    let note = format!("{message}. It is tried again when the spec changes");
    Event::warning(object, EventReason::ImageRepositoryFailed.into(), "Provision", note)
}

/// `left` names what is left at the registry, and why.
pub(crate) fn clean_up_incomplete(object: &ImageRepository, left: &str) -> Event {
    let note = format!("left at the registry, for an operator to delete: {left}");
    Event::warning(object, EventReason::ImageRepositoryCleanupIncomplete.into(), "CleanUp", note)
}

pub(crate) fn rotated(object: &ImageRepository) -> Event {
    let note = "The tokens are new ones; those from before are dead";
    Event::normal(object, EventReason::CredentialsRotated.into(), "Rotate", note)
}
