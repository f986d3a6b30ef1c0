//! Gives each `ImageRepository` its repository, robots and Secrets, keeps them as its spec has them, and deletes them in the end.
//!
//! ```text
//! claim ──▶ provision ──▶ ready ─┬─ the Component's image, once
//!   │        robots named         ├─ visibility, tokens, notifications
//!   │        after the uid        └─ missing, damaged
//!   └─ finalizer and names before anything is made ──▶ clean_up
//! ```

mod act;
mod claim;
mod clean_up;
mod decide;
mod error;
mod events;
mod messages;
mod notifications;
mod observe;
mod provision;
mod rotate;
mod rotation;
pub(crate) mod shape;
mod status;

use std::sync::Arc;
use std::time::Duration;

use fleet::store::Change;
use fleet::{Fleet, ObjectKey, Runner, Wake};
use image_controller_api::ImageRepository;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::ResourceExt as _;

use crate::Context;
use crate::stores::{BY_ACCOUNT, BY_COMPONENT, Stores};
pub(crate) use error::Error;
pub(crate) use observe::LookUps;

/// What `status.message` says where the organization may have no further private repository.
pub(crate) const PLAN_LIMIT_MESSAGES: [&str; 2] = [messages::PLAN_LIMIT, messages::NO_MORE_PRIVATE];

/// How long after its Component one is looked at: what a `kubectl apply` brings is then all there.
const AFTER_COMPONENT: Duration = Duration::from_millis(100);

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let of_component = context.stores.clone();
    let of_account = context.stores.clone();
    let waiting = context.stores.clone();
    let look_ups = context.look_ups.clone();
    context.stores.image_repositories.subscribe(move |change| {
        if change.new.is_none() {
            look_ups.forget(&change.key);
        }
    });
    fleet
        .controller("image-repository")
        .of(&context.stores.image_repositories)
        .reads_changes_after(&context.stores.components, AFTER_COMPONENT, move |change| {
            keys(&of_component.image_repositories.indexed(BY_COMPONENT, &change.key))
        })
        .reads_changes(&context.stores.accounts, move |change| linked_to(change, &of_account))
        .reads_changes(&context.stores.remote_secrets, |change| {
            let owners = change.new.iter().chain(&change.old).flat_map(|secret| secret.owner_references());
            owners
                .filter(|owner| owner.kind == "ImageRepository")
                .map(|owner| change.key.sibling(&owner.name))
                .collect()
        })
        .reads_presence(&context.stores.components, move || waiting.unmade())
        .reads_presence(&context.stores.remote_secrets, {
            let stores = context.stores.clone();
            move || stores.unmade()
        })
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

fn keys(objects: &[Arc<ImageRepository>]) -> Vec<ObjectKey> {
    objects.iter().map(|object| ObjectKey::of(&**object)).collect()
}

/// Those that wait for an account's links to change.
fn linked_to(change: &Change<ServiceAccount>, stores: &Stores) -> Vec<ObjectKey> {
    let mut all = stores.image_repositories.indexed(BY_ACCOUNT, &change.key);
    all.retain(|object| shape::is_going(object) || observe::waits_for_links(object));
    keys(&all)
}

impl Stores {
    /// Those that nothing was made for yet.
    fn unmade(&self) -> Vec<ObjectKey> {
        let mut all = self.image_repositories.keys();
        all.retain(|key| self.image_repositories.get(key).is_some_and(|object| !shape::is_ready(&object)));
        all
    }
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some(object) = context.stores.image_repositories.get(&key) else { return Ok(Wake::OnChange) };
    let seen = observe::observe(object, &context);
    let next = decide::decide(&seen);
    tracing::debug!(next = ?next, "Decided");
    Box::pin(act::act(&context, &seen, next)).await
}
