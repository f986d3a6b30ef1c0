//! Links Secrets to the `ServiceAccount`s that use them: those that push to `secrets`, those that pull to `imagePullSecrets`.
//!
//! One pass for each account puts in what all `ImageRepository`s of its namespace want, and takes out what those want no more that
//! go; so a thousand new ones are a few writes. Others write these lists at the same time: only own entries are changed. Links of `RemoteSecret`s are the business of who delivers them.

mod decide;

use std::sync::Arc;
use std::time::Duration;

use fleet::{Fleet, ObjectKey, Presence, Runner, Wake, WriteError};

use crate::Context;
use crate::stores::BY_ACCOUNT;

pub(crate) use decide::{Entry, List, accounts_of, change, has_all, has_any, verify};
use decide::{Observed, decide};

/// How long after a change its account is looked at: many change together.
const TOGETHER: Duration = Duration::from_millis(200);

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let accounts = context.args.build_service_account;
    fleet
        .controller("links")
        .of(&context.stores.accounts)
        .reads_changes_after(&context.stores.image_repositories, TOGETHER, move |change| {
            let objects = change.old.iter().chain(&change.new);
            let keys: std::collections::BTreeSet<ObjectKey> =
                objects.flat_map(|object| accounts_of(object, accounts)).collect();
            keys.into_iter().collect()
        })
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    if context.stores.accounts.presence() != Presence::Listed {
        return Ok(Wake::OnChange);
    }
    let seen = Observed {
        account: context.stores.accounts.get(&key),
        image_repositories: context.stores.image_repositories.indexed(BY_ACCOUNT, &key),
        build_accounts: context.args.build_service_account,
        key,
    };
    context.writer.apply(decide(&seen).as_slice()).await?;
    Ok(Wake::OnChange)
}
