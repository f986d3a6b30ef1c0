//! What is next for one that was made: its spec may have changed, or something is asked for once.

use fleet::{MetadataPatch, Write};
use image_controller_api::{ImageRepository, ImageRepositoryStatus, annotations};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use serde_json::json;

use super::{ComponentSeen, Hold, Next, Observed, hold_until, settle};
use crate::args::BuildAccounts;
use crate::image_repository::rotation::{Account, Recorded};
use crate::image_repository::{messages, notifications, shape, status};
use crate::links;
use crate::names::{RepositoryName, repository_of};

/// How long the Component's image waits for Secrets to be linked.
const LINK: SignedDuration = SignedDuration::from_mins(2);

/// It was made: keeps it as its spec has it.
pub(super) fn keep(seen: &Observed) -> Next {
    let object = &*seen.image_repository;
    let credentials = shape::credentials(object);
    let is_whole = credentials.is_some_and(|credentials| {
        credentials.push_robot_account.is_some() && credentials.push_secret.is_some()
    });
    let Some(repository) = shape::url(object).and(shape::repository(object)).filter(|_| is_whole) else {
        let damaged = Some(ImageRepositoryStatus::DAMAGED);
        return settle(status::set(object, damaged, messages::DAMAGED), Hold::Damaged);
    };
    let is_due = seen.now >= seen.look_up_at;
    if !shape::is_ready(object) {
        // Damaged no more, or perhaps still missing.
        let is_missing = shape::state(object) == Some(ImageRepositoryStatus::MISSING);
        if is_missing && !is_due {
            return hold_until(Hold::Missing, seen.look_up_at);
        }
        return Next::LookUp(repository);
    }
    // While the links are waited for, the rest goes on.
    let linked_until = match component_image(seen) {
        Some(Ok(next)) => return next,
        Some(Err(until)) => Some(until),
        None => None,
    };
    if let Some(write) = revert_name(object, &repository) {
        return settle([write], Hold::UpToDate);
    }
    let wanted = shape::wanted_visibility(object);
    if shape::visibility(object) != Some(wanted) {
        return Next::SetVisibility { repository, to: wanted };
    }
    if let Some(next) = rotate(seen) {
        return next;
    }
    if shape::actions(object).verify_linking == Some(true) {
        return settle(verify_linking(seen), Hold::UpToDate);
    }
    let is_joined =
        annotations::NAMESPACE_PULL_SECRET_ENSURED.of(&object.metadata.annotations) == Some("true");
    if seen.build_accounts == BuildAccounts::PerComponent && !is_joined {
        return Next::JoinNamespace(repository);
    }
    if let Some((hash, known)) = notifications::outstanding(object) {
        return Next::Notify { repository, known, hash };
    }
    match linked_until {
        _ if is_due => Next::LookUp(repository),
        Some(until) => hold_until(Hold::NotLinked, until.min(seen.look_up_at)),
        None => hold_until(Hold::UpToDate, seen.look_up_at),
    }
}

/// The Component takes the repository as its image, once, when runs can push to it. An error is when it does so whether they
/// can or not.
fn component_image(seen: &Observed) -> Option<Result<Next, Timestamp>> {
    let object = &*seen.image_repository;
    if annotations::UPDATE_COMPONENT_IMAGE.of(&object.metadata.annotations) != Some("true") {
        return None;
    }
    let (ComponentSeen::Found(component), Some(url)) = (&seen.component, shape::url(object)) else {
        return None;
    };
    let mut writes = Vec::new();
    if !seen.is_linked {
        let made =
            shape::credentials(object).and_then(|credentials| credentials.generation_timestamp.as_ref());
        let until = made.and_then(|made| made.0.checked_add(LINK).ok()).unwrap_or(seen.now);
        if seen.now < until {
            return Some(Err(until));
        }
        writes.extend(status::say(object, messages::NOT_LINKED));
    }
    let present = component.spec.container_image.as_deref().unwrap_or_default();
    // A tag or digest of the same repository is a build's result.
    if repository_of(present) != url {
        writes.push(Write::merge(&**component, json!({"spec": {"containerImage": url}})));
    }
    writes
        .extend(MetadataPatch::of(object).annotation(annotations::UPDATE_COMPONENT_IMAGE, None).into_write());
    Some(Ok(settle(writes, Hold::UpToDate)))
}

/// The name never changes. One that means the same stays as it is, or a tool that keeps it in sync would write it again and
/// again.
fn revert_name(object: &ImageRepository, repository: &RepositoryName) -> Option<Write> {
    let namespace = object.namespace().unwrap_or_default();
    let wanted = object.spec.image.as_ref().and_then(|image| image.name.as_deref());
    let means = wanted.and_then(|name| RepositoryName::wanted(&namespace, name));
    (means.as_ref() != Some(repository))
        .then(|| Write::merge(object, json!({"spec": {"image": {"name": repository.as_str()}}})))
}

fn rotate(seen: &Observed) -> Option<Next> {
    let object = &*seen.image_repository;
    let actions = shape::actions(object);
    let mut accounts = Vec::new();
    if actions.regenerate_token == Some(true) {
        accounts.push(Account::Push);
        accounts.extend(shape::has_pull_account(object).then_some(Account::Pull));
    }
    if actions.regenerate_namespace_pull_token == Some(true)
        && seen.build_accounts == BuildAccounts::PerComponent
    {
        accounts.push(Account::Namespace);
    }
    let recorded = annotations::ROTATED.of(&object.metadata.annotations);
    match (accounts.is_empty(), recorded) {
        (true, None) => None,
        (true, Some(_)) => {
            let forgotten = MetadataPatch::of(object).annotation(annotations::ROTATED, None).into_write();
            Some(settle(forgotten, Hold::UpToDate))
        }
        (false, recorded) => {
            let recorded = Recorded::parse(recorded.unwrap_or_default());
            let unnoted = accounts.iter().any(|account| !recorded.has(*account));
            Some(if unnoted { Next::BeginRotation(accounts) } else { Next::Rotate(recorded) })
        }
    }
}

/// Each account has each Secret where it belongs, once; and it is no longer asked for.
fn verify_linking(seen: &Observed) -> Vec<Write> {
    let object = &*seen.image_repository;
    let mut writes: Vec<Write> = seen
        .accounts
        .iter()
        .filter_map(|account| links::verify(account, object, seen.build_accounts))
        .collect();
    writes.push(status::without_action(object, &["verify-linking"], &[]));
    writes
}
