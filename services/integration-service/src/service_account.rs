//! The account that runs of tests run as, one for each namespace (annex, L8): so that they can do less than builds, and pull the images
//! that were built. A switch; without it they run as the engine's default account.

mod decide;

use std::sync::Arc;

use fleet::{Fleet, ObjectKey, Runner, Store, Wake, WriteError};
use image_controller_api::names::INTEGRATION_RUNNER;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;

use crate::service::Context;
use crate::stores::BY_RUNNER;
use decide::{Observed, decide};

/// The accounts, and what they may do.
pub(crate) struct Accounts {
    accounts: Store<ServiceAccount>,
    bindings: Store<RoleBinding>,
}

impl Accounts {
    /// None but those of this name.
    pub(crate) fn new(fleet: &mut Fleet) -> Self {
        let named = format!("metadata.name={INTEGRATION_RUNNER}");
        Self {
            accounts: fleet.store().fields(named.clone()).build(),
            bindings: fleet.store().fields(named).build(),
        }
    }
}

/// The queue's key is the account.
pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>, accounts: Accounts) -> Runner {
    let context = Arc::clone(context);
    let accounts = Arc::new(accounts);
    fleet
        .controller("runner-account")
        .of(&accounts.accounts)
        .reads(&accounts.bindings, |binding| vec![ObjectKey::of(binding)])
        .reads(&context.stores.applications, |application| {
            vec![ObjectKey::of(application).sibling(INTEGRATION_RUNNER)]
        })
        .reconcile(move |key| reconcile(key, Arc::clone(&context), Arc::clone(&accounts)))
}

async fn reconcile(
    key: ObjectKey,
    context: Arc<Context>,
    accounts: Arc<Accounts>,
) -> Result<Wake, WriteError> {
    let applications = context.stores.applications.indexed(BY_RUNNER, &key);
    let seen = Observed {
        has_applications: applications
            .iter()
            .any(|application| application.metadata.deletion_timestamp.is_none()),
        account: accounts.accounts.get(&key),
        binding: accounts.bindings.get(&key),
        key,
    };
    context.writer.apply(&decide(&seen)).await?;
    Ok(Wake::OnChange)
}
