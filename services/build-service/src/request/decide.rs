//! The next step with a Component, from what stands in it.

use application_service_api::Component;
use build_service_api::{BuildStatus, Request, annotations, finalizers};
use fleet_api::keys::{RECORDED_UID, VELERO_RESTORE};
use serde_json::{Map, Value, json};

use crate::claim::Claim;
use crate::failure::{Failure, cut};
use crate::status::{self, Outcome};
use crate::{image, stores};

/// The next step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Hold(Hold),
    /// Annotations are set, or removed (null), and that is all.
    Write(Map<String, Value>),
    /// The request is claimed, before anything is done about it.
    Claim(Request),
    /// The request is over before anything was done about it.
    Finish(Outcome),
    /// The request is dealt with under this claim.
    Handle(Request, Claim),
    /// The Component goes, and Pipelines-as-Code was set up for it.
    Leave,
}

/// Why nothing happens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    BeingDeleted,
    /// Nothing is asked for.
    Idle,
    /// What is asked for is no word at all.
    EmptyRequest,
    /// It is an image made elsewhere.
    NoSource,
    /// It has not all that it is built from; who waits for something has been told.
    Waiting,
}

impl fleet::Hold for Hold {}

/// Bytes of an unknown request that are shown: all annotations together may have 256 KiB.
const LONGEST_WORD: usize = 200;

/// `message` while application-service has not made the model.
const WAITS_FOR_MODEL: &str =
    "waiting for the Component's model (status.devfile), which application-service makes";

/// `message` of a Component that came back from a backup.
const RESTORED: &str = "restored from a backup: nothing is done for it until it is asked for by the annotation \
     build.appstudio.openshift.io/request";

/// `initial` is what is done with a Component that nothing has been asked for yet.
pub(super) fn decide(component: &Component, initial: Request) -> Step {
    let metadata = &component.metadata;
    if metadata.deletion_timestamp.is_some() {
        let is_set_up = finalizers::PAC.is_in(metadata.finalizers.as_ref());
        return if is_set_up { Step::Leave } else { Step::Hold(Hold::BeingDeleted) };
    }
    if is_restored(component) {
        return acknowledge(component);
    }
    let asked = annotations::REQUEST.of(&metadata.annotations).map(str::trim);
    let claim = annotations::CLAIM.of(&metadata.annotations);
    let request = match asked {
        Some("") => return Step::Hold(Hold::EmptyRequest),
        Some(word) => {
            let Ok(request) = word.parse::<Request>() else {
                let word = cut(word, LONGEST_WORD);
                return Step::Finish(Outcome::Refused(format!("unexpected build request: {word}")));
            };
            request
        }
        None if annotations::STATUS.of(&metadata.annotations).is_none() => initial,
        // Its request was taken back, and the next one is another.
        None if claim.is_some() => {
            return Step::Write([(annotations::CLAIM.to_string(), Value::Null)].into_iter().collect());
        }
        None => return Step::Hold(Hold::Idle),
    };
    let tell =
        |message: &str| if asked.is_some() { tell(component, message) } else { Step::Hold(Hold::Waiting) };
    match image::repository(component) {
        Ok(Some(_)) => {}
        Ok(None) => return tell(BuildStatus::WAITS_FOR_IMAGE),
        // Whoever asks for nothing is not told: image-controller will mend it.
        Err(_) if asked.is_none() => return Step::Hold(Hold::Waiting),
        Err(failure) => return Step::Finish(failed(request, failure)),
    }
    if stores::source_url(component).is_none() {
        return Step::Hold(Hold::NoSource);
    }
    let devfile = component.status.as_ref().and_then(|status| status.devfile.as_deref());
    if devfile.is_none_or(str::is_empty) {
        return tell(WAITS_FOR_MODEL);
    }
    if request == Request::TriggerPacBuild && !status::is_enabled(component) {
        let refused = "Pipelines-as-Code is not set up for this Component: request configure-pac first";
        return Step::Finish(Outcome::Refused(refused.to_owned()));
    }
    // Without a request the claim may be of one that was taken back.
    let claim = claim.filter(|_| asked.is_some()).and_then(|claim| claim.parse().ok());
    claim.map_or(Step::Claim(request), |claim| Step::Handle(request, claim))
}

/// What the failure of a request is in the status.
pub(super) fn failed(request: Request, failure: Failure) -> Outcome {
    let (id, detail) = match failure {
        Failure::Permanent { id, detail } => (id, detail),
        Failure::Transient { detail, .. } => (build_service_api::ErrorId::Unknown, detail),
    };
    match request {
        Request::TriggerSimpleBuild => Outcome::NotBuilt(id, detail),
        Request::TriggerPacBuild => Outcome::NotTriggered(id, detail),
        Request::ConfigurePac | Request::ConfigurePacNoMr | Request::UnconfigurePac => {
            Outcome::PacFailed(id, detail)
        }
    }
}

/// The annotations at the end of a request.
pub(super) fn ended(status: &BuildStatus) -> Map<String, Value> {
    let entries = [
        (annotations::STATUS.to_string(), json!(status::text(status))),
        (annotations::REQUEST.to_string(), Value::Null),
        (annotations::CLAIM.to_string(), Value::Null),
    ];
    entries.into_iter().collect()
}

/// The status with another message; nothing if it says so already.
pub(super) fn tell(component: &Component, message: &str) -> Step {
    let mut status = status::of(component);
    if status.message.as_deref() == Some(message) {
        return Step::Hold(Hold::Waiting);
    }
    status.message = Some(message.to_owned());
    Step::Write([(annotations::STATUS.to_string(), json!(status::text(&status)))].into_iter().collect())
}

/// Whether it is a copy of another object, and has not been looked at as such.
pub(super) fn is_restored(component: &Component) -> bool {
    let metadata = &component.metadata;
    match RECORDED_UID.of(&metadata.annotations) {
        Some(recorded) => Some(recorded) != metadata.uid.as_deref(),
        None => VELERO_RESTORE.of(&metadata.labels).is_some(),
    }
}

/// What it was asked for is of another time; what is asked from now on counts.
fn acknowledge(component: &Component) -> Step {
    let mut status = status::of(component);
    status.message = Some(RESTORED.to_owned());
    let mut changes = ended(&status);
    changes.insert(RECORDED_UID.to_string(), json!(component.metadata.uid));
    Step::Write(changes)
}

#[cfg(test)]
mod tests;
