//! Whom a Component belongs to, its model, and what stands in the way.

use std::sync::Arc;
use std::time::Duration;

use application_service_api::conditions::{Created, Subject, Updated};
use application_service_api::{Application, Component, ComponentStatus, GROUP, finalizers};
use fleet::{Decision, FieldManager, MetadataPatch, StatusPatch, Wake, Write};
use fleet_api::ConditionState as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource as _, ResourceExt as _};

use super::SecretState;
use crate::model;
use crate::stores::is_tracked;

const MANAGER: FieldManager = FieldManager::new("application-service/component");

/// How long after its creation a Component may lack its Application or Secret without a word: both usually come from
/// the same `kubectl apply`. The original's three attempts took about as long.
const GRACE: SignedDuration = SignedDuration::from_secs(3);

/// How soon a missing Secret is asked for again; it is not watched.
const SECRET_RETRY: Duration = Duration::from_secs(30);

/// All that the decision looks at.
#[derive(Clone, Debug)]
pub struct Observed {
    pub now: Timestamp,
    pub component: Arc<Component>,
    /// The one that `spec.application` names.
    pub application: Option<Arc<Application>>,
    pub secret: SecretState,
}

/// Why nothing is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nothing of a Component outlives it here.
    BeingDeleted,
    /// Its Application or Secret may come in a moment.
    JustCreated,
    /// The status says everything already.
    UpToDate,
}

impl fleet::Hold for Hold {}

/// What stands in the way of a Component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error(
        "Application {0} (spec.application) does not exist in this namespace; create it, and the Component goes on by \
         itself"
    )]
    NoApplication(String),
    #[error("Application {0} (spec.application) is being deleted")]
    ApplicationGoes(String),
    #[error(
        "Secret {0} (spec.secret) does not exist in this namespace; create it, and the Component goes on by itself"
    )]
    NoSecret(String),
    #[error("Secret {0} (spec.secret) cannot be looked up: {1}")]
    SecretUnknown(String, String),
    #[error("spec.env: variable {0} has valueFrom, which is not supported; give a literal value")]
    ValueFrom(String),
    #[error(transparent)]
    Model(#[from] model::Error),
}

impl Problem {
    /// Whether another object may solve it in a moment.
    fn may_pass(&self) -> bool {
        matches!(self, Self::NoApplication(_) | Self::NoSecret(_) | Self::SecretUnknown(..))
    }

    /// When to look again though nothing that we watch changes.
    fn wake(&self) -> Wake {
        match self {
            Self::NoSecret(_) | Self::SecretUnknown(..) => Wake::After(SECRET_RETRY),
            _ => Wake::OnChange,
        }
    }
}

/// Ties the Component to its Application, so that it goes with it, and writes its model.
pub fn decide(seen: &Observed) -> Decision<Hold> {
    let component = &*seen.component;
    if component.metadata.deletion_timestamp.is_some() {
        let mut decision = Decision::from(Hold::BeingDeleted);
        // Put there by the original, or in a time when GitOps repositories were kept: nothing here needs it.
        decision.push(MetadataPatch::of(component).without_finalizer(finalizers::COMPONENT).into_write());
        return decision;
    }
    let model = model(seen);
    let mut decision = Decision::default();
    decision.push(ownership(component, seen.application.as_deref()));
    if let Err(problem) = &model {
        decision.wake = problem.wake();
        if let Some(until) = still_in_grace(seen, problem) {
            decision.wake = Wake::At(until);
            decision.hold = Some(Hold::JustCreated);
            return decision;
        }
    }
    decision.push(status(seen, model));
    if decision.writes.is_empty() {
        decision.hold = Some(Hold::UpToDate);
    }
    decision
}

fn still_in_grace(seen: &Observed, problem: &Problem) -> Option<Timestamp> {
    let created = seen.component.creation_timestamp()?.0;
    let until = created.checked_add(GRACE).ok()?;
    let is_untold = seen.component.status.as_ref().is_none_or(|status| status.conditions.is_empty());
    (problem.may_pass() && is_untold && seen.now < until).then_some(until)
}

/// The Component's model, or the first problem in the order in which a user would mend them.
fn model(seen: &Observed) -> Result<String, Problem> {
    let spec = &seen.component.spec;
    match &seen.application {
        None => return Err(Problem::NoApplication(spec.application.clone())),
        Some(application) if application.metadata.deletion_timestamp.is_some() => {
            return Err(Problem::ApplicationGoes(spec.application.clone()));
        }
        Some(_) => {}
    }
    let secret = spec.secret.clone().unwrap_or_default();
    match &seen.secret {
        SecretState::NotAsked | SecretState::Present => {}
        SecretState::Missing => return Err(Problem::NoSecret(secret)),
        SecretState::Unknown(why) => return Err(Problem::SecretUnknown(secret, why.clone())),
    }
    if let Some(variable) = spec.env.iter().find(|variable| variable.value_from.is_some()) {
        return Err(Problem::ValueFrom(variable.name.clone()));
    }
    Ok(model::of_component(&seen.component)?)
}

/// An ownerReference to the Application as it is now. One of an earlier Application of the same name goes, or the
/// garbage collector would take the Component.
fn ownership(component: &Component, application: Option<&Application>) -> Option<Write> {
    let application = application.filter(|application| application.metadata.deletion_timestamp.is_none())?;
    if is_tracked(component) || is_tracked(application) {
        return None;
    }
    let owner = OwnerReference {
        api_version: Application::api_version(&()).into_owned(),
        kind: Application::kind(&()).into_owned(),
        name: application.name_any(),
        uid: application.uid()?,
        ..OwnerReference::default()
    };
    let is_stale = |other: &OwnerReference| {
        other.kind == owner.kind
            && other.api_version.starts_with(GROUP)
            && other.name == owner.name
            && other.uid != owner.uid
    };
    MetadataPatch::of(component).without_owners(is_stale).owner(owner.clone()).into_write()
}

fn status(seen: &Observed, model: Result<String, Problem>) -> Option<Write> {
    let component = &*seen.component;
    let before = component.status.clone().unwrap_or_default();
    let old_model = before.devfile.clone().filter(|text| !text.is_empty());
    let image = component.spec.container_image.clone().filter(|image| !image.is_empty());
    let status = StatusPatch::of(component, MANAGER, seen.now);
    let of = Subject::Component;
    let status = match (model, old_model) {
        (Ok(model), None) => status
            .field("devfile", model)
            .field("containerImage", image)
            .condition(&Created::Ok(of))
            .keep::<Updated>(),
        (Ok(model), Some(old)) => {
            let is_update = was_updated(&before) || model != old || image != before.container_image;
            let status =
                status.field("devfile", model).field("containerImage", image).condition(&Created::Ok(of));
            if is_update { status.condition(&Updated::Ok(of)) } else { status }
        }
        (Err(problem), None) => status.condition(&Created::Error { of, cause: problem.to_string() }),
        // What was made before stays in effect, and the other services go on with it.
        (Err(problem), Some(old)) => status
            .field("devfile", old)
            .field("containerImage", before.container_image)
            .keep::<Created>()
            .condition(&Updated::Error { of, cause: problem.to_string() }),
    };
    status.into_write()
}

fn was_updated(status: &ComponentStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == Updated::TYPE)
}

#[cfg(test)]
mod tests;
