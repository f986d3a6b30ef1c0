//! What the accounts of a namespace's Components have in common: Secrets that users label so, and the rights of runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use application_service_api::Component;
use build_service_api::labels;
use fleet::{ObjectKey, Wake, Write};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use super::{Error, binding, link};
use crate::definition::component_account;
use crate::stores::BY_NAMESPACE;
use crate::{Context, owner};

/// How often Secrets are looked for: none is watched.
const AGAIN: Duration = Duration::from_mins(10);

pub(super) async fn reconcile(namespace: String, context: Arc<Context>) -> Result<Wake, Error> {
    let mut components = context.stores.components.indexed(BY_NAMESPACE, &ObjectKey::new(&*namespace, ""));
    components.retain(|component| component.metadata.deletion_timestamp.is_none());
    let binding = binding::read(&context, &namespace).await?;
    if components.is_empty() {
        let write = binding::with_accounts(binding.as_ref(), &namespace, &[], |_| false);
        context.write(&write.into_iter().collect::<Vec<_>>()).await?;
        return Ok(Wake::OnChange);
    }
    let secrets = common_secrets(&context, &namespace).await?;
    let accounts = accounts(&context, &namespace).await?;
    let mut writes = Vec::new();
    let mut names = Vec::new();
    for component in &components {
        let name = component_account(&component.name_any());
        match accounts.get(&name) {
            Some(account) => writes.extend(linked(account, &secrets)),
            None => writes.push(Write::create(&new(component, &name, &secrets))),
        }
        names.push(name);
    }
    let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let bound = binding::with_accounts(binding.as_ref(), &namespace, &names, |name| wanted.contains(name));
    writes.extend(bound);
    context.write(&writes).await?;
    Ok(Wake::After(AGAIN))
}

/// The account of a Component, with these Secrets.
fn new(component: &Component, name: &str, secrets: &[String]) -> ServiceAccount {
    let (mut own, mut pull) = (Vec::new(), Vec::new());
    for secret in secrets {
        link::add(&mut own, &mut pull, secret);
    }
    let mut account =
        ServiceAccount { secrets: Some(own), image_pull_secrets: Some(pull), ..ServiceAccount::default() };
    account.metadata.name = Some(name.to_owned());
    account.metadata.namespace = component.namespace();
    account.metadata.owner_references = Some(vec![owner::of(component)]);
    account
}

fn linked(account: &ServiceAccount, names: &[String]) -> Option<Write> {
    let mut secrets = account.secrets.clone().unwrap_or_default();
    let mut pull_secrets = account.image_pull_secrets.clone().unwrap_or_default();
    for name in names {
        link::add(&mut secrets, &mut pull_secrets, name);
    }
    link::changed(account, &secrets, &pull_secrets)
}

/// Names only: what is in them is nobody's business here.
async fn common_secrets(context: &Context, namespace: &str) -> Result<Vec<String>, Error> {
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let labelled = ListParams::default().labels(&format!("{}=true", labels::COMMON_SECRET));
    let found = secrets.list_metadata(&labelled).await.map_err(|source| {
        let what = format!("list Secrets of {namespace} with the label {}", labels::COMMON_SECRET);
        Error::Read { what, source }
    })?;
    let alive = found.items.iter().filter(|secret| secret.metadata.deletion_timestamp.is_none());
    Ok(alive.map(kube::ResourceExt::name_any).collect())
}

async fn accounts(context: &Context, namespace: &str) -> Result<BTreeMap<String, ServiceAccount>, Error> {
    let accounts: Api<ServiceAccount> = Api::namespaced(context.client.clone(), namespace);
    let what = || format!("list ServiceAccounts of {namespace}");
    let found =
        accounts.list(&ListParams::default()).await.map_err(|source| Error::Read { what: what(), source })?;
    Ok(found.items.into_iter().map(|account| (account.name_any(), account)).collect())
}
