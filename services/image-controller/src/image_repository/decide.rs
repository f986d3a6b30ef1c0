//! What is next for an `ImageRepository` (spec sections 4.1 to 4.5).

mod keep;

use std::sync::Arc;

use application_service_api::Component;
use fleet::{Decision, MetadataPatch, Wake, Write};
use image_controller_api::image_repository::NotificationStatus;
use image_controller_api::{ImageRepository, ImageRepositoryStatus, Visibility, annotations, finalizers};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::ResourceExt as _;

use super::rotation::{Account, Recorded};
use super::{claim, events, messages, shape, status};
use crate::args::BuildAccounts;
use crate::delivery::Delivery;
use crate::names::RepositoryName;

/// How long a missing Component is a matter of moments.
const SOON: SignedDuration = SignedDuration::from_mins(2);
/// How long it is waited for in all.
const WAIT: SignedDuration = SignedDuration::from_hours(1);

/// All that the decision looks at.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Observed {
    pub(crate) now: Timestamp,
    pub(crate) image_repository: Arc<ImageRepository>,
    pub(crate) component: ComponentSeen,
    /// How credentials of one that is made now would be delivered; `None` while nobody can tell.
    pub(crate) delivery: Option<Delivery>,
    /// The accounts that its Secrets are to be linked to, as far as they exist.
    pub(crate) accounts: Vec<Arc<ServiceAccount>>,
    /// Whether all its Secrets are linked.
    pub(crate) is_linked: bool,
    /// Whether an account is linked to one of them.
    pub(crate) is_link_left: bool,
    /// Whether another one that stays, or a Component, has the same repository.
    pub(crate) is_shared: bool,
    /// Whether no other of its namespace stays.
    pub(crate) is_last: bool,
    /// When the registry is to be asked whether it is still there.
    pub(crate) look_up_at: Timestamp,
    pub(crate) build_accounts: BuildAccounts,
    pub(crate) clean_up_limit: SignedDuration,
}

/// The Component that it is labelled with.
#[derive(Clone, Debug)]
pub(crate) enum ComponentSeen {
    /// It is labelled with none.
    NotAsked,
    /// No list of Components has arrived.
    Unknown,
    Missing,
    Found(Arc<Component>),
}

/// Why nothing happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It goes, and nothing of it was made.
    NothingToCleanUp,
    /// It goes, when no account names its Secrets any more.
    Unlinking,
    Restored,
    /// Until its spec changes.
    Failed,
    /// What is installed beside this service, and whether there is a Component, is not known yet.
    NotListed,
    /// Until its Component is created.
    NoComponent,
    Damaged,
    Missing,
    /// Its Secrets are about to be linked.
    NotLinked,
    UpToDate,
}

impl fleet::Hold for Hold {}

/// What is done next. Each but the first is work at the registry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// Writes to the API server, or nothing.
    Settle(Decision<Hold>),
    /// Make repository, robots and Secrets.
    Provision(Provision),
    SetVisibility {
        repository: RepositoryName,
        to: Visibility,
    },
    /// Note which tokens are replaced.
    BeginRotation(Vec<Account>),
    /// Replace those that are not replaced yet.
    Rotate(Recorded),
    /// Let the account that pulls all of the namespace pull this one.
    JoinNamespace(RepositoryName),
    /// Have the registry's notifications be those of the spec.
    Notify {
        repository: RepositoryName,
        known: Vec<NotificationStatus>,
        hash: String,
    },
    /// Ask whether the repository is still there.
    LookUp(RepositoryName),
    CleanUp(CleanUp),
}

/// What is to be made at the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provision {
    pub(crate) repository: RepositoryName,
    pub(crate) visibility: Visibility,
    pub(crate) push: String,
    /// Only for a Component.
    pub(crate) pull: Option<String>,
    pub(crate) delivery: Delivery,
}

/// What is to be deleted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CleanUp {
    pub(crate) robots: Vec<String>,
    /// Absent where it is to be kept.
    pub(crate) repository: Option<RepositoryName>,
    /// Whether the account goes that pulls all of the namespace.
    pub(crate) is_last: bool,
    /// From then on the object goes whatever is left.
    pub(crate) give_up_at: Timestamp,
}

impl From<Hold> for Next {
    fn from(hold: Hold) -> Self {
        Self::Settle(hold.into())
    }
}

fn hold_until(hold: Hold, at: Timestamp) -> Next {
    let mut decision = Decision::from(hold);
    decision.wake = Wake::At(at);
    Next::Settle(decision)
}

/// Writes, or the hold where they would change nothing.
fn settle(writes: impl IntoIterator<Item = Write>, hold: Hold) -> Next {
    let writes: Vec<Write> = writes.into_iter().collect();
    if writes.is_empty() { hold.into() } else { Next::Settle(Decision { writes, ..Decision::default() }) }
}

/// What is next. One thing at a time: what it writes brings about the next pass.
pub(crate) fn decide(seen: &Observed) -> Next {
    let object = &*seen.image_repository;
    if shape::is_going(object) {
        return leave(seen);
    }
    if shape::is_restored(object) {
        return settle(status::say(object, messages::RESTORED), Hold::Restored);
    }
    match shape::state(object) {
        Some(ImageRepositoryStatus::FAILED) if !has_new_spec(object) => Hold::Failed.into(),
        Some(
            ImageRepositoryStatus::READY | ImageRepositoryStatus::MISSING | ImageRepositoryStatus::DAMAGED,
        ) if shape::is_claimed(object) => keep::keep(seen),
        // Somebody took the finalizer away, to have it made again.
        Some(
            ImageRepositoryStatus::READY | ImageRepositoryStatus::MISSING | ImageRepositoryStatus::DAMAGED,
        ) => settle(status::set(object, None, ""), Hold::UpToDate),
        _ => make(seen),
    }
}

/// Whether the spec has changed since it failed. What the original let fail stays so.
fn has_new_spec(object: &ImageRepository) -> bool {
    let failed = annotations::FAILED_GENERATION.of(&object.metadata.annotations);
    let failed = failed.and_then(|generation| generation.parse::<i64>().ok());
    failed.is_some() && failed != object.metadata.generation
}

/// It cannot be made; the spec has to change.
pub(crate) fn fail(object: &ImageRepository, message: &str) -> Vec<Write> {
    let generation = object.metadata.generation.unwrap_or_default().to_string();
    let mut writes = Vec::new();
    // First, or a crash in between would leave it failed for good.
    writes.extend(
        MetadataPatch::of(object).annotation(annotations::FAILED_GENERATION, Some(&generation)).into_write(),
    );
    writes.extend(status::set(object, Some(ImageRepositoryStatus::FAILED), message));
    writes.push(events::failed(object, message).into());
    writes
}

fn make(seen: &Observed) -> Next {
    let object = &*seen.image_repository;
    let component = match &seen.component {
        ComponentSeen::NotAsked => None,
        ComponentSeen::Unknown => return Hold::NotListed.into(),
        ComponentSeen::Missing => return wait_for_component(seen),
        ComponentSeen::Found(component) if component.metadata.deletion_timestamp.is_some() => {
            return wait_for_component(seen);
        }
        ComponentSeen::Found(component) => Some(&**component),
    };
    let Some(delivery) = seen.delivery else { return Hold::NotListed.into() };
    let name = match claim::name(object, component) {
        Ok(name) => name,
        Err(unusable) => return settle(fail(object, &unusable.to_string()), Hold::Failed),
    };
    // Of one that failed nothing was made under the name from before.
    let is_renamed = shape::state(object) == Some(ImageRepositoryStatus::FAILED)
        && shape::repository(object).as_ref() != Some(&name);
    if !shape::is_claimed(object) || is_renamed {
        return settle([claim::claim(object, component, &name)], Hold::UpToDate);
    }
    // What was claimed counts, whatever the spec says since.
    let repository = shape::repository(object).unwrap_or(name);
    let (push, pull) = shape::robots(object, &repository);
    Next::Provision(Provision {
        visibility: shape::wanted_visibility(object),
        push,
        pull: component.map(|_| pull),
        delivery,
        repository,
    })
}

fn wait_for_component(seen: &Observed) -> Next {
    let object = &*seen.image_repository;
    let component = shape::component(object).map(|key| key.name).unwrap_or_default();
    let message = format!("Component '{component}' does not exist");
    let created = object.creation_timestamp().map_or(seen.now, |time| time.0);
    let age = seen.now.duration_since(created);
    if age >= WAIT {
        return settle(fail(object, &message), Hold::Failed);
    }
    let (state, until) = if age < SOON { (None, SOON) } else { (Some(ImageRepositoryStatus::WAITING), WAIT) };
    let mut decision = Decision::from(Hold::NoComponent);
    decision.push(status::set(object, state, &message));
    decision.wake = Wake::At(created.saturating_add(until).unwrap_or(seen.now));
    Next::Settle(decision)
}

/// It goes: first the links, then what is at the registry, then the finalizer.
fn leave(seen: &Observed) -> Next {
    let object = &*seen.image_repository;
    if !shape::is_claimed(object) {
        return Hold::NothingToCleanUp.into();
    }
    if shape::is_restored(object) {
        // What it names belongs to another object, here or in another cluster.
        return settle(
            MetadataPatch::of(object).without_finalizer(finalizers::IMAGE_REPOSITORY).into_write(),
            Hold::Restored,
        );
    }
    let deleted = object.metadata.deletion_timestamp.as_ref().map_or(seen.now, |time| time.0);
    let give_up_at = deleted.saturating_add(seen.clean_up_limit).unwrap_or(seen.now);
    if seen.is_link_left && seen.now < give_up_at {
        return hold_until(Hold::Unlinking, give_up_at);
    }
    let repository = shape::repository(object);
    let robots = repository.as_ref().map_or_else(Vec::new, |repository| {
        let (push, pull) = shape::robots(object, repository);
        // Also while its status does not say so yet.
        let has_pull = shape::has_pull_account(object) || shape::component(object).is_some();
        [Some(push), has_pull.then_some(pull)].into_iter().flatten().collect()
    });
    let is_kept = seen.is_shared
        || annotations::SKIP_REPOSITORY_DELETION.of(&object.metadata.annotations) == Some("true");
    Next::CleanUp(CleanUp {
        robots,
        repository: repository.filter(|_| !is_kept),
        is_last: seen.is_last && seen.build_accounts == BuildAccounts::PerComponent,
        give_up_at,
    })
}

#[cfg(test)]
mod tests;
