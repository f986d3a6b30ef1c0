//! The ServiceAccount that runs of a Component work with, and what is linked to it.
//!
//! ```text
//! Component with image.redhat.com/image ─▶ link:   its Secret on the account, then the finalizer; the reverse on deletion
//! Component (an account for each)       ─▶ common: accounts, their RoleBinding, Secrets labelled as common to all
//! ```

mod binding;
mod common;
mod link;

use std::sync::Arc;
use std::time::Duration;

use application_service_api::Component;
use build_service_api::names;
use fleet::{Fleet, MetadataPatch, ObjectKey, Runner, Wake, Write, WriteError};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, ResourceExt as _};

use self::link::Need;
use crate::args::AccountMode;
use crate::definition::component_account;
use crate::{Context, owner};

/// Why the accounts of a Component are not as they should be.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum Error {
    #[error("{what}")]
    Read { what: String, source: kube::Error },
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl fleet::Classed for Error {
    fn class(&self) -> fleet::Class {
        match self {
            Self::Read { source, .. } => fleet::classify(source),
            Self::Write(error) => error.class(),
        }
    }

    fn label(&self) -> &'static str {
        self.into()
    }
}

/// How long after a change of a Component what all have in common is looked at: they often come many at a time.
const TOGETHER: Duration = Duration::from_secs(1);

/// The controllers of this folder.
pub(crate) fn controllers(fleet: &Fleet, context: &Arc<Context>) -> Vec<Runner> {
    let mut runners = vec![link_controller(fleet, context)];
    if context.args.service_account == AccountMode::PerComponent {
        let context = Arc::clone(context);
        let common = fleet
            .controller("accounts")
            .reads_changes_after(&context.stores.components, TOGETHER, |change| {
                // Only whether it is there: the accounts depend on nothing else of it.
                let is_news = change.old.is_some() != change.new.is_some();
                if is_news { vec![ObjectKey::new(&*change.key.namespace, "")] } else { Vec::new() }
            })
            .reconcile(move |key| common::reconcile(key.namespace, Arc::clone(&context)));
        runners.push(common);
    }
    runners
}

fn link_controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    fleet
        .controller("secret-link")
        .of(&context.stores.components)
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, Error> {
    let Some(component) = context.stores.components.get(&key) else { return Ok(Wake::OnChange) };
    let need = link::need(&component);
    if need == Need::Nothing {
        return Ok(Wake::OnChange);
    }
    let name = account_of(&context, &component);
    let account = match need {
        Need::Link { .. } => Some(ensure(&context, &component).await?),
        _ => read(&context, &key.namespace, &name).await?,
    };
    let mut writes: Vec<Write> =
        account.and_then(|account| link::write(&account, &need)).into_iter().collect();
    let finalizer = build_service_api::finalizers::SECRET_LINK;
    let patch = MetadataPatch::of(&*component);
    let patch = match need {
        Need::Link { .. } => patch.finalizer(finalizer),
        _ => patch.without_finalizer(finalizer),
    };
    // The record that it is linked, or free, comes last.
    writes.extend(patch.into_write());
    context.write(&writes).await?;
    Ok(Wake::OnChange)
}

/// Name of the account that the runs of a Component work with.
pub(crate) fn account_of(context: &Context, component: &Component) -> String {
    match context.args.service_account {
        AccountMode::Tenant => names::SERVICE_ACCOUNT.to_owned(),
        AccountMode::PerComponent => component_account(&component.name_any()),
    }
}

/// The account that the runs of a Component work with: made where it is missing, and bound to the role of runs where it is
/// the Component's own.
pub(crate) async fn ensure(context: &Context, component: &Component) -> Result<ServiceAccount, Error> {
    let namespace = component.namespace().unwrap_or_default();
    let name = account_of(context, component);
    let account = match read(context, &namespace, &name).await? {
        Some(account) => account,
        None => make(context, component, &name).await?,
    };
    if context.args.service_account == AccountMode::PerComponent {
        binding::ensure(context, &namespace, &name).await?;
    }
    Ok(account)
}

async fn make(context: &Context, component: &Component, name: &str) -> Result<ServiceAccount, Error> {
    let namespace = component.namespace().unwrap_or_default();
    let mut account = ServiceAccount::default();
    account.metadata.name = Some(name.to_owned());
    account.metadata.namespace = Some(namespace.clone());
    if context.args.service_account == AccountMode::PerComponent {
        account.metadata.owner_references = Some(vec![owner::of(component)]);
    }
    context.write(&[Write::create(&account)]).await?;
    let made = read(context, &namespace, name).await?;
    // Deleted in the same moment: the link is made with what was asked for, and fails.
    Ok(made.unwrap_or(account))
}

async fn read(context: &Context, namespace: &str, name: &str) -> Result<Option<ServiceAccount>, Error> {
    let accounts: Api<ServiceAccount> = Api::namespaced(context.client.clone(), namespace);
    let what = || format!("read ServiceAccount {namespace}/{name}");
    accounts.get_opt(name).await.map_err(|source| Error::Read { what: what(), source })
}
