//! Puts what the decision looks at into one struct.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fleet::{ObjectKey, Presence};
use image_controller_api::{ImageRepository, annotations};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::decide::{ComponentSeen, Observed};
use super::shape;
use crate::Context;
use crate::delivery::Delivery;
use crate::legacy;
use crate::links;
use crate::stores::{BY_NAMESPACE, BY_REPOSITORY, namespace_of};

pub(super) fn observe(object: Arc<ImageRepository>, context: &Context) -> Observed {
    let (stores, args) = (&context.stores, &context.args);
    let now = context.clock.now();
    let accounts: Vec<_> = links::accounts_of(&object, args.build_service_account)
        .iter()
        .filter_map(|key| stores.accounts.get(key))
        .collect();
    let (is_linked, is_link_left) = match Delivery::of(&object) {
        Some(Delivery::RemoteSecret) => (is_deployed(&object, context), false),
        _ => (
            links::has_all(&object, &accounts, args.build_service_account),
            links::has_any(&object, &accounts, args.build_service_account),
        ),
    };
    Observed {
        now,
        component: component(&object, context),
        delivery: Delivery::of(&object)
            .or_else(|| Delivery::now(args.credentials_mode, stores.remote_secrets.presence())),
        accounts,
        is_linked,
        is_link_left,
        is_shared: is_shared(&object, context),
        is_last: stores
            .image_repositories
            .indexed(BY_NAMESPACE, &namespace_of(&object))
            .iter()
            .all(|other| shape::is_going(other)),
        look_up_at: context.look_ups.next(&object, now),
        build_accounts: args.build_service_account,
        clean_up_limit: SignedDuration::try_from(args.clean_up_limit).unwrap_or(SignedDuration::MAX),
        image_repository: object,
    }
}

/// Whether a change of its accounts can matter to one that stays.
pub(super) fn waits_for_links(object: &ImageRepository) -> bool {
    annotations::UPDATE_COMPONENT_IMAGE.of(&object.metadata.annotations).is_some()
}

fn component(object: &ImageRepository, context: &Context) -> ComponentSeen {
    let Some(key) = shape::component(object) else { return ComponentSeen::NotAsked };
    match context.stores.components.get(&key) {
        Some(component) => ComponentSeen::Found(component),
        None if context.stores.components.presence() == Presence::Unknown => ComponentSeen::Unknown,
        None => ComponentSeen::Missing,
    }
}

fn is_deployed(object: &ImageRepository, context: &Context) -> bool {
    let Some(credentials) = shape::credentials(object) else { return false };
    let names = [&credentials.push_remote_secret, &credentials.pull_remote_secret];
    names.into_iter().flatten().all(|name| {
        let found = context.stores.remote_secrets.get(&ObjectKey::of(object).sibling(name));
        found.is_some_and(|remote_secret| remote_secret.is_deployed())
    })
}

/// Whether the repository would be missed if it went with this object.
fn is_shared(object: &ImageRepository, context: &Context) -> bool {
    let Some(repository) = shape::repository(object) else { return false };
    let key = ObjectKey::of(object).sibling(repository.as_str());
    let others = context.stores.image_repositories.indexed(BY_REPOSITORY, &key);
    let is_used = |other: &Arc<ImageRepository>| {
        other.metadata.uid != object.metadata.uid && !shape::is_going(other) && !shape::is_restored(other)
    };
    others.iter().any(is_used) || legacy::uses(&context.stores, object, &repository)
}

/// When the registry is asked about each repository: so that a start over twenty thousand of them is no storm, the first time
/// is somewhere within the interval.
#[derive(Clone, Debug)]
pub(crate) struct LookUps {
    interval: Duration,
    next: Arc<Mutex<HashMap<ObjectKey, Timestamp>>>,
}

impl LookUps {
    pub(crate) fn every(interval: Duration) -> Self {
        Self { interval, next: Arc::default() }
    }

    fn next(&self, object: &ImageRepository, now: Timestamp) -> Timestamp {
        let first = || {
            let part = self.interval.mul_f64(rand::random_range(0.0..1.0));
            now.checked_add(part).unwrap_or(now)
        };
        *self.next.lock().entry(ObjectKey::of(object)).or_insert_with(first)
    }

    /// It was just seen there, or not.
    pub(super) fn done(&self, object: &ImageRepository, now: Timestamp) {
        let at = now.checked_add(self.interval).unwrap_or(now);
        self.next.lock().insert(ObjectKey::of(object), at);
    }

    pub(super) fn forget(&self, key: &ObjectKey) {
        self.next.lock().remove(key);
    }
}
