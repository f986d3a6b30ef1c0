//! What the Secret of an Application has in it, and who is linked to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use application_service_api::Application;
use fleet::{MetadataPatch, Write};
use image_controller_api::names::APPLICATION_PULL_SECRET_SUFFIX;
use image_controller_api::{ImageRepository, finalizers, labels};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Map, Value, json};

use crate::credentials::{self, TYPE};
use crate::delivery::{self, Delivery};
use crate::image_repository::shape;
use crate::links::{self, List};

/// A Secret takes 1 MiB: with more than this the login of the namespace stands for all.
const MOST: usize = 900 * 1024;

pub(super) struct Observed {
    pub(super) application: Arc<Application>,
    /// Those that are labelled with it.
    pub(super) image_repositories: Vec<Arc<ImageRepository>>,
    /// What there is under the name of its Secret.
    pub(super) present: Option<Secret>,
    /// Secrets of the platform that are labelled with it.
    pub(super) parts: Vec<Secret>,
    /// The one that pulls all of the namespace.
    pub(super) of_namespace: Option<Secret>,
    /// That of integration tests.
    pub(super) account: Option<Arc<ServiceAccount>>,
}

/// Name of an Application's Secret.
pub(super) fn name(application: &Application) -> String {
    fleet::names::fit(253, &application.name_any(), APPLICATION_PULL_SECRET_SUFFIX)
}

/// Whether the account of integration tests may be linked to its Secret.
pub(super) fn is_known(application: &Application) -> bool {
    finalizers::APPLICATION.is_in(application.metadata.finalizers.as_ref())
}

pub(super) fn decide(seen: &Observed) -> Result<Vec<Write>, delivery::Error> {
    let application = &*seen.application;
    let secret = name(application);
    let wanted = wanted(seen);
    let mut writes = Vec::new();
    if application.metadata.deletion_timestamp.is_some() || wanted.is_empty() {
        writes.extend(unlink(seen, &secret));
        // That of an Application that goes is collected with it.
        let ours = seen.present.as_ref().filter(|present| is_ours(present, application));
        writes.extend(ours.map(Write::delete));
        writes.extend(MetadataPatch::of(application).without_finalizer(finalizers::APPLICATION).into_write());
        return Ok(writes);
    }
    let content = content(seen, &wanted);
    writes.extend(MetadataPatch::of(application).finalizer(finalizers::APPLICATION).into_write());
    match &seen.present {
        None => writes.push(Write::create(&Secret {
            metadata: metadata(application, &secret),
            type_: Some(TYPE.to_owned()),
            data: Some(credentials::data(&content)),
            ..Secret::default()
        })),
        Some(present) if !is_ours(present, application) => return Err(delivery::Error::Taken(secret)),
        Some(present) if !credentials::is_in(present, &content) => {
            writes.push(Write::merge(present, json!({"data": credentials::data(&content)})));
        }
        Some(_) => {}
    }
    writes.extend(link(seen, &secret));
    Ok(writes)
}

/// Names of the Secrets that are put together.
fn wanted(seen: &Observed) -> BTreeSet<&str> {
    let stays = |object: &&Arc<ImageRepository>| {
        shape::is_ready(object)
            && !shape::is_going(object)
            && !shape::is_restored(object)
            && Delivery::of(object) == Some(Delivery::Secret)
    };
    let objects = seen.image_repositories.iter().filter(stays);
    objects.filter_map(|object| shape::credentials(object)?.pull_secret.as_deref()).collect()
}

fn content(seen: &Observed, wanted: &BTreeSet<&str>) -> fleet::Secret<Vec<u8>> {
    let parts = seen.parts.iter().filter(|part| wanted.contains(part.name_any().as_str()));
    let all: Map<String, Value> = parts.flat_map(credentials::auths).collect();
    let content = credentials::of_all(&all);
    match &seen.of_namespace {
        Some(of_namespace) if content.expose().len() > MOST => {
            credentials::of_all(&credentials::auths(of_namespace))
        }
        _ => content,
    }
}

fn is_ours(secret: &Secret, application: &Application) -> bool {
    secret.owner_references().iter().any(|owner| Some(&owner.uid) == application.metadata.uid.as_ref())
}

fn metadata(application: &Application, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: application.namespace(),
        labels: Some(BTreeMap::from([(labels::INTERNAL.into(), "true".to_owned())])),
        owner_references: Some(vec![OwnerReference {
            api_version: Application::api_version(&()).into_owned(),
            kind: Application::kind(&()).into_owned(),
            name: application.name_any(),
            uid: application.uid().unwrap_or_default(),
            ..OwnerReference::default()
        }]),
        ..ObjectMeta::default()
    }
}

/// It is in both lists: tasks of integration tests use it, and their images are pulled with it.
fn entries(secret: &str) -> [links::Entry; 2] {
    [(List::Secrets, secret.to_owned()), (List::ImagePullSecrets, secret.to_owned())]
}

fn link(seen: &Observed, secret: &str) -> Option<Write> {
    links::change(account(seen)?, &entries(secret), &[])
}

fn unlink(seen: &Observed, secret: &str) -> Option<Write> {
    links::change(account(seen)?, &[], &entries(secret))
}

fn account(seen: &Observed) -> Option<&ServiceAccount> {
    seen.account.as_deref().filter(|account| account.metadata.deletion_timestamp.is_none())
}

#[cfg(test)]
mod tests;
