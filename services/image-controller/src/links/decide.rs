//! Which entries an account lacks, and which it has no longer to have.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleet::write::PatchKind;
use fleet::{ObjectKey, Write};
use image_controller_api::ImageRepository;
use image_controller_api::names::{
    COMPONENT_SERVICE_ACCOUNT_PREFIX, PULL_SERVICE_ACCOUNT, PUSH_SERVICE_ACCOUNT,
};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::args::BuildAccounts;
use crate::delivery::Delivery;
use crate::image_repository::shape;

/// Where an account has a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum List {
    Secrets,
    ImagePullSecrets,
}

/// A Secret in a list.
pub(crate) type Entry = (List, String);

/// One Secret in one list of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    account: ObjectKey,
    list: List,
    secret: String,
}

/// What the decision looks at.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) key: ObjectKey,
    pub(super) account: Option<Arc<ServiceAccount>>,
    /// Those with a Secret for it.
    pub(super) image_repositories: Vec<Arc<ImageRepository>>,
    pub(super) build_accounts: BuildAccounts,
}

/// The links of an `ImageRepository` that is made, whether it stays or goes.
fn links(object: &ImageRepository, build_accounts: BuildAccounts) -> Vec<Link> {
    // Nothing is linked for a copy from a backup, and what it lists may be another one's.
    if Delivery::of(object) != Some(Delivery::Secret) || shape::is_restored(object) {
        return Vec::new();
    }
    let Some(credentials) = shape::credentials(object) else { return Vec::new() };
    let key = ObjectKey::of(object);
    let link = |account: String, list: List, secret: &Option<String>| {
        Some(Link { account: key.sibling(account), list, secret: secret.clone()? })
    };
    let mut all = Vec::new();
    match build_accounts {
        BuildAccounts::Tenant => {
            all.extend(link(PUSH_SERVICE_ACCOUNT.to_owned(), List::Secrets, &credentials.push_secret));
            let pull =
                link(PULL_SERVICE_ACCOUNT.to_owned(), List::ImagePullSecrets, &credentials.pull_secret);
            all.extend(pull);
        }
        // What pulls is linked once for all of an Application.
        BuildAccounts::PerComponent => all.extend(shape::component(object).and_then(|component| {
            let account = format!("{COMPONENT_SERVICE_ACCOUNT_PREFIX}{}", component.name);
            link(account, List::Secrets, &credentials.push_secret)
        })),
    }
    all
}

/// The accounts that its Secrets are linked to.
pub(crate) fn accounts_of(object: &ImageRepository, build_accounts: BuildAccounts) -> Vec<ObjectKey> {
    links(object, build_accounts).into_iter().map(|link| link.account).collect()
}

/// Whether all its Secrets are linked.
pub(crate) fn has_all(
    object: &ImageRepository,
    accounts: &[Arc<ServiceAccount>],
    build_accounts: BuildAccounts,
) -> bool {
    links(object, build_accounts).iter().all(|link| is_there(link, accounts))
}

/// Whether one of them is.
pub(crate) fn has_any(
    object: &ImageRepository,
    accounts: &[Arc<ServiceAccount>],
    build_accounts: BuildAccounts,
) -> bool {
    links(object, build_accounts).iter().any(|link| is_there(link, accounts))
}

fn is_there(link: &Link, accounts: &[Arc<ServiceAccount>]) -> bool {
    let account = accounts.iter().find(|account| ObjectKey::of(&***account) == link.account);
    account.is_some_and(|account| entries(account, link.list).contains(&link.secret.as_str()))
}

/// The names in a list, with repetitions.
fn entries(account: &ServiceAccount, list: List) -> Vec<&str> {
    match list {
        List::Secrets => {
            account.secrets.iter().flatten().filter_map(|secret| secret.name.as_deref()).collect()
        }
        List::ImagePullSecrets => {
            account.image_pull_secrets.iter().flatten().map(|secret| secret.name.as_str()).collect()
        }
    }
}

/// The write that brings the account's lists to what is wanted; `None` if they are.
pub(super) fn decide(seen: &Observed) -> Option<Write> {
    let mut wanted: BTreeSet<Entry> = BTreeSet::new();
    let mut unwanted: BTreeSet<Entry> = BTreeSet::new();
    for object in &seen.image_repositories {
        let of_this = links(object, seen.build_accounts).into_iter().filter(|link| link.account == seen.key);
        let set = if shape::is_going(object) { &mut unwanted } else { &mut wanted };
        set.extend(of_this.map(|link| (link.list, link.secret)));
    }
    let Some(account) = &seen.account else {
        // The one that builds run as is also made by others; all make it bare.
        return (seen.key.name == PUSH_SERVICE_ACCOUNT && !wanted.is_empty())
            .then(|| Write::create(&bare(&seen.key)));
    };
    if account.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let unwanted: Vec<_> = unwanted.difference(&wanted).cloned().collect();
    change(account, &Vec::from_iter(wanted), &unwanted)
}

/// Adds entries that are missing and drops those that are left; `None` if there are none of either.
///
/// `secrets` are merged by name, so only own entries are written. `imagePullSecrets` can be written as a whole only, and are if the
/// account is still as it was read.
pub(crate) fn change(account: &ServiceAccount, wanted: &[Entry], unwanted: &[Entry]) -> Option<Write> {
    let is_there = |(list, secret): &Entry| entries(account, *list).contains(&secret.as_str());
    let missing: Vec<_> = wanted.iter().filter(|entry| !is_there(entry)).collect();
    let left: Vec<_> = unwanted.iter().filter(|entry| is_there(entry)).collect();
    let of = |all: &[&Entry], list: List| -> Vec<String> {
        all.iter().filter(|(of, _)| *of == list).map(|(_, name)| name.clone()).collect()
    };
    let mut body = json!({});
    let added = of(&missing, List::Secrets).into_iter().map(|name| json!({ "name": name }));
    let dropped = of(&left, List::Secrets).into_iter().map(|name| json!({"$patch": "delete", "name": name}));
    let secrets: Vec<Value> = added.chain(dropped).collect();
    if !secrets.is_empty() {
        body["secrets"] = secrets.into();
    }
    let (added, dropped) = (of(&missing, List::ImagePullSecrets), of(&left, List::ImagePullSecrets));
    if !added.is_empty() || !dropped.is_empty() {
        let present = entries(account, List::ImagePullSecrets);
        let kept = present.into_iter().filter(|name| !dropped.iter().any(|dropped| dropped == name));
        let all = kept.chain(added.iter().map(String::as_str)).map(|name| json!({ "name": name }));
        body["imagePullSecrets"] = all.collect();
        body["metadata"] = json!({"resourceVersion": account.metadata.resource_version});
    }
    let is_change = body.as_object().is_some_and(|body| !body.is_empty());
    is_change.then(|| Write::patch(account, PatchKind::Strategic, body))
}

fn bare(key: &ObjectKey) -> ServiceAccount {
    ServiceAccount {
        metadata: ObjectMeta {
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    }
}

/// Has the account list each Secret of `object` once, and none that pushes as one to pull with. `None` if it does.
pub(crate) fn verify(
    account: &ServiceAccount,
    object: &ImageRepository,
    build_accounts: BuildAccounts,
) -> Option<Write> {
    let key = ObjectKey::of(account);
    let wanted: Vec<Link> =
        links(object, build_accounts).into_iter().filter(|link| link.account == key).collect();
    let push = shape::credentials(object).and_then(|credentials| credentials.push_secret.as_deref());
    let mut body = json!({});
    for (name, list) in [("secrets", List::Secrets), ("imagePullSecrets", List::ImagePullSecrets)] {
        let before = entries(account, list);
        let mut after: Vec<&str> = Vec::new();
        for entry in &before {
            let is_own = wanted.iter().any(|link| link.secret == *entry);
            let is_repeated = is_own && after.contains(entry);
            let is_wrong = list == List::ImagePullSecrets && push == Some(*entry);
            if !is_repeated && !is_wrong {
                after.push(entry);
            }
        }
        for link in wanted.iter().filter(|link| link.list == list) {
            if !after.contains(&link.secret.as_str()) {
                after.push(&link.secret);
            }
        }
        if before != after {
            body[name] = after.iter().map(|name| json!({ "name": name })).collect();
        }
    }
    // The whole list, because a repetition cannot be named; so only if it is still as it was.
    body.as_object().is_some_and(|body| !body.is_empty()).then(|| Write::merge(account, body))
}

#[cfg(test)]
mod tests;
