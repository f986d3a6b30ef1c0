//! What a request by annotation becomes, and what is answered.

use std::sync::Arc;

use application_service_api::Component;
use fleet::{Decision, MetadataPatch, Write};
use fleet_api::Open;
use fleet_api::keys::VELERO_RESTORE;
use image_controller_api::component_image::{ComponentImage, GenerateRequest, messages};
use image_controller_api::image_repository::{ImageParameters, ImageRepositorySpec};
use image_controller_api::names::LEGACY_PREFIX;
use image_controller_api::{
    ImageRepository, ImageRepositoryStatus, Visibility, annotations, finalizers, labels,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use crate::image_repository::{PLAN_LIMIT_MESSAGES, shape};
use crate::names::{RepositoryName, legacy_robot};
use crate::stores::is_tracked;

/// How many parts an image's URL has at least: host, organization and repository.
const PARTS: usize = 3;

pub(super) struct Observed {
    pub(super) component: Arc<Component>,
    /// The one that does the work, if there is one.
    pub(super) image_repository: Option<Arc<ImageRepository>>,
    /// Whether an `ImageRepository`, going or not, has the repository that the original made.
    pub(super) is_shared: bool,
    /// Whether robots of this name may be another Component's.
    pub(super) is_ambiguous: bool,
    /// From then on a Component that goes waits for the registry no more.
    pub(super) give_up_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing is asked for, and nothing is to be answered.
    NothingAsked,
    BeingDeleted,
    /// It comes from a backup.
    Restored,
    /// Until the Component has been processed.
    NoModel,
    /// Until the `ImageRepository` is ready, or has failed.
    UnderWay,
}

impl fleet::Hold for Hold {}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    Settle(Decision<Hold>),
    CleanUp(CleanUp),
}

/// What the original made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CleanUp {
    pub(super) robots: Vec<String>,
    pub(super) repository: Option<RepositoryName>,
}

impl From<Hold> for Next {
    fn from(hold: Hold) -> Self {
        Self::Settle(hold.into())
    }
}

fn settle(writes: impl IntoIterator<Item = Write>) -> Next {
    Next::Settle(Decision { writes: writes.into_iter().collect(), ..Decision::default() })
}

/// The repository that the original makes for a Component.
pub(super) fn repository(component: &Component) -> Option<RepositoryName> {
    let namespace = component.namespace()?;
    let path = format!("{namespace}/{}/{}", component.spec.application, component.name_any());
    RepositoryName::parse(&namespace, &path)
}

/// Its robot to push with.
pub(super) fn robot(component: &Component) -> String {
    let namespace = component.namespace().unwrap_or_default();
    legacy_robot(&namespace, &component.spec.application, &component.name_any())
}

/// That which was made for a request, or else the first.
pub(super) fn choose(
    component: &Component,
    mut all: Vec<Arc<ImageRepository>>,
) -> Option<Arc<ImageRepository>> {
    let name = name(component);
    all.sort_by_key(|object| (object.name_any() != name, object.name_any()));
    all.into_iter().next()
}

fn name(component: &Component) -> String {
    let base = format!("{LEGACY_PREFIX}{}-{}", component.spec.application, component.name_any());
    fleet::names::fit(253, &base, "")
}

pub(super) fn decide(seen: &Observed) -> Next {
    let component = &*seen.component;
    let is_legacy = finalizers::COMPONENT.is_in(component.metadata.finalizers.as_ref());
    if component.metadata.deletion_timestamp.is_some() {
        return if is_legacy { clean_up(seen) } else { Hold::BeingDeleted.into() };
    }
    if VELERO_RESTORE.of(&component.metadata.labels).is_some() {
        return Hold::Restored.into();
    }
    let notes = &component.metadata.annotations;
    let answer = annotations::IMAGE.of(notes).map(serde_json::from_str::<ComponentImage>);
    match annotations::GENERATE.of(notes) {
        Some(request) => take_up(seen, request, answer),
        None => match (&seen.image_repository, answer) {
            (Some(object), answer) => {
                let has_answer =
                    answer.is_some_and(|answer| answer.is_ok_and(|answer| !answer.image.is_empty()));
                if has_answer || object.name_any() == name(component) {
                    tell(component, object)
                } else {
                    Hold::NothingAsked.into()
                }
            }
            // Made by the original, perhaps with a robot to push only.
            (None, Some(Ok(answer))) if is_legacy && is_complete(&answer) => {
                let visibility = answer.visibility.as_ref().and_then(|word| word.known().copied());
                settle([Write::create(&image_repository(component, visibility.unwrap_or_default(), false))])
            }
            (None, _) => Hold::NothingAsked.into(),
        },
    }
}

fn is_complete(answer: &ComponentImage) -> bool {
    !answer.image.is_empty() && !answer.secret.is_empty()
}

fn take_up(seen: &Observed, request: &str, answer: Option<serde_json::Result<ComponentImage>>) -> Next {
    let component = &*seen.component;
    let has_model = component.status.as_ref().is_some_and(|status| status.devfile.is_some());
    if !has_model {
        return Hold::NoModel.into();
    }
    let refuse = |message: String, before: ComponentImage| {
        settle(answered(component, &ComponentImage { message, ..before }))
    };
    let visibility = match request.parse::<GenerateRequest>() {
        Ok(request) => request.visibility,
        Err(error) => return refuse(error.to_string(), ComponentImage::default()),
    };
    match answer {
        Some(Err(_)) => return refuse(messages::INVALID_STATUS.to_owned(), ComponentImage::default()),
        Some(Ok(before)) if is_complete(&before) => {
            if before.visibility == Some(Open::Known(visibility)) {
                return settle(without_request(component));
            }
            if before.image.split('/').count() < PARTS {
                return refuse(messages::INVALID_URL.to_owned(), before);
            }
        }
        _ => {}
    }
    let Some(object) = &seen.image_repository else {
        let is_new = !finalizers::COMPONENT.is_in(component.metadata.finalizers.as_ref());
        let made = Write::create(&image_repository(component, visibility, is_new));
        return settle([Some(made), without_request(component)].into_iter().flatten());
    };
    if shape::wanted_visibility(object) != visibility {
        let body = json!({"spec": {"image": {"visibility": visibility}}});
        return settle(
            [Some(Write::merge(&**object, body)), without_request(component)].into_iter().flatten(),
        );
    }
    match told(object) {
        Some(answer) => settle(answered(component, &answer)),
        // That of a request tells of itself later.
        None if object.name_any() == name(component) => settle(without_request(component)),
        None => Hold::UnderWay.into(),
    }
}

/// The answer that the state of an `ImageRepository` is; `None` while it is under way.
fn told(object: &ImageRepository) -> Option<ComponentImage> {
    let is_plan_limit = PLAN_LIMIT_MESSAGES.contains(&shape::message(object));
    match shape::state(object)? {
        ImageRepositoryStatus::READY => Some(ComponentImage {
            image: shape::url(object)?.to_owned(),
            visibility: shape::visibility(object).map(Open::Known),
            secret: shape::credentials(object)?.push_secret.clone()?,
            message: if is_plan_limit { messages::NO_PRIVATE_REPOSITORIES.to_owned() } else { String::new() },
        }),
        ImageRepositoryStatus::FAILED => Some(ComponentImage {
            message: if is_plan_limit { messages::NO_PRIVATE_REPOSITORIES } else { messages::FAILED }
                .to_owned(),
            ..ComponentImage::default()
        }),
        _ => None,
    }
}

fn tell(component: &Component, object: &ImageRepository) -> Next {
    match told(object) {
        Some(answer) => settle(answered(component, &answer)),
        None => Hold::UnderWay.into(),
    }
}

/// Writes the answer, and takes the request away.
fn answered(component: &Component, answer: &ComponentImage) -> Option<Write> {
    let is_said = annotations::IMAGE
        .of(&component.metadata.annotations)
        .and_then(|text| serde_json::from_str::<ComponentImage>(text).ok())
        .is_some_and(|before| before == *answer);
    let patch = MetadataPatch::of(component).annotation(annotations::GENERATE, None);
    if is_said {
        return patch.into_write();
    }
    patch.annotation(annotations::IMAGE, Some(&json!(answer).to_string())).into_write()
}

fn without_request(component: &Component) -> Option<Write> {
    MetadataPatch::of(component).annotation(annotations::GENERATE, None).into_write()
}

/// That which does the work. One for a Component that has an image already leaves it alone.
fn image_repository(component: &Component, visibility: Visibility, updates_image: bool) -> ImageRepository {
    let owner = OwnerReference {
        api_version: Component::api_version(&()).into_owned(),
        kind: Component::kind(&()).into_owned(),
        name: component.name_any(),
        uid: component.uid().unwrap_or_default(),
        ..OwnerReference::default()
    };
    let update = (annotations::UPDATE_COMPONENT_IMAGE.into(), "true".to_owned());
    ImageRepository {
        metadata: ObjectMeta {
            name: Some(name(component)),
            namespace: component.namespace(),
            labels: Some(
                [
                    (labels::APPLICATION.into(), component.spec.application.clone()),
                    (labels::COMPONENT.into(), component.name_any()),
                ]
                .into(),
            ),
            annotations: updates_image.then(|| [update].into()),
            owner_references: (!is_tracked(component)).then(|| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: ImageRepositorySpec {
            image: Some(ImageParameters { name: None, visibility: Some(visibility.into()) }),
            ..ImageRepositorySpec::default()
        },
        status: None,
    }
}

fn clean_up(seen: &Observed) -> Next {
    let robot = robot(&seen.component);
    Next::CleanUp(CleanUp {
        robots: if seen.is_ambiguous { Vec::new() } else { vec![format!("{robot}-pull"), robot] },
        repository: repository(&seen.component).filter(|_| !seen.is_shared),
    })
}

#[cfg(test)]
mod tests;
