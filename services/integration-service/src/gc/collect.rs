//! One tenant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use application_service_api::{Component, Snapshot, SnapshotEnvironmentBinding};
use fleet::Clock;
use integration_service_api::labels;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, ListParams, ObjectList, Preconditions};
use kube::{Api, Client, Resource, ResourceExt as _};
use release_service_api::Release;
use serde::de::DeserializeOwned;

use super::args::Limits;
use super::choose::{Needed, choose};
use super::entry::Entry;
use super::metrics::Metrics;
use crate::conditions::Says as _;
use crate::content::{candidates, content_hash};

/// Objects that one answer of the API server holds.
const PAGE: u32 = 250;

/// Why a tenant was skipped.
#[derive(Debug, thiserror::Error)]
#[error("list {kind} of namespace {namespace}")]
pub(super) struct Error {
    kind: &'static str,
    namespace: String,
    source: kube::Error,
}

/// Why a Snapshot beyond the limit stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
enum Spared {
    /// Its tests have not ended, or are to run again.
    StillTested,
    /// Its images are those of a candidate list, and no newer Snapshot's are.
    Candidate,
    /// Somebody wrote to it just now.
    Changed,
}

/// Deletes the surplus of one tenant at a time.
pub(super) struct Collector {
    pub(super) client: Client,
    pub(super) limits: Limits,
    pub(super) dry_run: bool,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
}

impl Collector {
    pub(super) async fn collect(&self, namespace: &str) -> Result<(), Error> {
        let now = self.clock.now();
        // Before the Releases: one that is made meanwhile for any of these is seen.
        let snapshots: Api<Snapshot> = Api::namespaced(self.client.clone(), namespace);
        let mut entries = Vec::new();
        pages(
            async |page| snapshots.list_metadata(&page).await,
            |snapshot| entries.extend(Entry::of(&snapshot, now)),
        )
        .await
        .map_err(failed("Snapshots", namespace))?;
        self.metrics.snapshots.inc_by(entries.len() as u64);
        let needed = self.needed(namespace).await?;
        let mut found: BTreeSet<String> = entries.iter().filter_map(|entry| entry.content.clone()).collect();
        let total = entries.len();
        let surplus = choose(entries, &needed, self.limits);
        let mut deleted = 0;
        for entry in &surplus {
            match self.delete(&snapshots, entry, &needed, &mut found).await {
                Ok(None) => {
                    deleted += 1;
                    self.metrics.deleted.inc();
                }
                Ok(Some(spared)) => {
                    self.metrics.spared.inc();
                    let reason: &str = spared.into();
                    tracing::debug!(namespace, name = entry.name, reason, "Spared a Snapshot");
                }
                Err(error) => {
                    self.metrics.errors.inc();
                    tracing::error!(namespace, name = entry.name, error = %error, "Snapshot not deleted");
                }
            }
        }
        self.metrics.namespaces.inc();
        tracing::info!(
            namespace,
            snapshots = total,
            surplus = surplus.len(),
            deleted,
            "Looked at a tenant's Snapshots"
        );
        Ok(())
    }

    async fn needed(&self, namespace: &str) -> Result<Needed, Error> {
        let mut needed = Needed::default();
        self.each::<Release>("Releases", namespace, |release| {
            needed.bound.insert(release.spec.snapshot);
        })
        .await?;
        self.each::<SnapshotEnvironmentBinding>("SnapshotEnvironmentBindings", namespace, |binding| {
            needed.bound.insert(binding.spec.snapshot);
        })
        .await?;
        let mut applications: BTreeMap<String, Vec<Arc<Component>>> = BTreeMap::new();
        self.each::<Component>("Components", namespace, |component| {
            applications.entry(component.spec.application.clone()).or_default().push(Arc::new(component));
        })
        .await?;
        let lists = applications.values().map(|components| candidates(components).entries);
        needed.candidates = lists.filter(|list| !list.is_empty()).map(|list| content_hash(&list)).collect();
        Ok(needed)
    }

    /// All objects of a kind in the namespace; none of a kind that is not installed.
    async fn each<K>(&self, kind: &'static str, namespace: &str, each: impl FnMut(K)) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        match pages(async |page| api.list(&page).await, each).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            listed => listed.map_err(failed(kind, namespace)),
        }
    }

    /// Deletes the very object that it has looked at, if nothing speaks against it. `found` are the contents of which there is a newer
    /// Snapshot, and gets this one's.
    async fn delete(
        &self,
        snapshots: &Api<Snapshot>,
        entry: &Entry,
        needed: &Needed,
        found: &mut BTreeSet<String>,
    ) -> Result<Option<Spared>, kube::Error> {
        // Gone already is as good.
        let Some(snapshot) = snapshots.get_opt(&entry.name).await? else { return Ok(None) };
        if is_still_tested(&snapshot) {
            return Ok(Some(Spared::StillTested));
        }
        // Made by hand or by another program: it does not say what it holds.
        if entry.content.is_none() {
            let content = content_hash(&snapshot.spec.components);
            if needed.candidates.contains(&content) && found.insert(content) {
                return Ok(Some(Spared::Candidate));
            }
        }
        if self.dry_run {
            tracing::info!(namespace = snapshot.namespace(), name = entry.name, "Would delete Snapshot");
            return Ok(None);
        }
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: snapshot.uid(),
                resource_version: snapshot.resource_version(),
            }),
            ..DeleteParams::background()
        };
        match snapshots.delete(&entry.name, &parameters).await {
            Ok(_) => {
                tracing::info!(
                    audit = true,
                    action = "DELETE",
                    namespace = snapshot.namespace(),
                    name = entry.name,
                    "Deleted Snapshot"
                );
                Ok(None)
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Some(Spared::Changed)),
            Err(error) => Err(error),
        }
    }
}

/// Without a verdict it is, unless it can never get one.
fn is_still_tested(snapshot: &Snapshot) -> bool {
    let is_asked_again = labels::RUN.of(&snapshot.metadata.labels).is_some();
    !snapshot.is_out() && (is_asked_again || snapshot.passed().is_none())
}

fn failed(kind: &'static str, namespace: &str) -> impl FnOnce(kube::Error) -> Error {
    let namespace = namespace.to_owned();
    move |source| Error { kind, namespace, source }
}

/// Lists page by page, so that only one is in memory.
pub(super) async fn pages<K: Clone>(
    list: impl AsyncFn(ListParams) -> Result<ObjectList<K>, kube::Error>,
    mut each: impl FnMut(K),
) -> Result<(), kube::Error> {
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = list(parameters.clone()).await?;
        let next = page.metadata.continue_.clone().filter(|token| !token.is_empty());
        page.items.into_iter().for_each(&mut each);
        let Some(token) = next else { return Ok(()) };
        parameters = parameters.continue_token(&token);
    }
}

#[cfg(test)]
mod tests;
