//! Brings the stores up to date with what a Release depends on, before a verdict that cannot be taken back.
//!
//! A Release is often made in the same moment as its plan, or as the admission is let take it: the watch of that kind may be behind
//! the one that brought the Release.

use std::sync::Arc;

use fleet::{ObjectKey, Store, patience};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use release_service_api::{
    ReleasePlan, ReleasePlanAdmission, ReleaseServiceConfig, ReleaseServiceConfigSpec,
};

use super::{Seen, get, target};
use crate::service::Context;
use crate::stores::{BY_ORIGIN, pair};

/// Reads live what is read from stores otherwise, and puts it there.
pub(in crate::release) async fn refresh(context: &Context, seen: &Seen) -> Result<(), kube::Error> {
    let (stores, client) = (&context.stores, &context.client);
    let config = ObjectKey::new(&seen.service_namespace, ReleaseServiceConfigSpec::NAME);
    put(&stores.configs, &config, get::<ReleaseServiceConfig>(client, &config).await?);
    let key = ObjectKey::of(&*seen.release).sibling(&seen.release.spec.release_plan);
    let plan = get::<ReleasePlan>(client, &key).await?;
    put(&stores.plans, &key, plan.clone());
    let Some(target) = plan.as_deref().and_then(target) else { return Ok(()) };

    let known = stores.admissions.indexed(BY_ORIGIN, &pair(seen.tenant(), target));
    let everything = ListParams::default();
    let api: Api<ReleasePlanAdmission> = Api::namespaced(client.clone(), target);
    let found = patience::read(|| api.list(&everything)).await?.items;
    for gone in known.iter().filter(|known| found.iter().all(|found| found.uid() != known.uid())) {
        stores.admissions.delete(gone);
    }
    for admission in found {
        stores.admissions.apply(admission);
    }
    Ok(())
}

/// A deletion goes by the version that the store has: what is newer stays.
fn put<K: fleet::Stored>(store: &Store<K>, key: &ObjectKey, found: Option<Arc<K>>) {
    match (found, store.get(key)) {
        (Some(found), _) => store.apply(Arc::unwrap_or_clone(found)),
        (None, Some(known)) => store.delete(&known),
        (None, None) => {}
    }
}
