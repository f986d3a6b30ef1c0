//! Looks from time to time for what crashes have left behind (spec, section 9.2): bindings and Roles of Releases that are gone or
//! through, and runs that our finalizer keeps though their Release is gone.
//!
//! ```text
//! every ten minutes: bindings and Roles with our label, one list each ─┐
//!                    runs of the store ────────────────────────────────┴▶ is its Release there, and in that phase? ─▶ removed
//! ```

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use fleet::{Class, Classed, Fleet, ObjectKey, Runner, Wake, patience};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::ListParams;
use kube::{Api, Resource};
use release_service_api::{Release, labels};
use serde::de::DeserializeOwned;

use crate::release::cleanup::{self, leftovers};

use crate::service::Context;
use crate::stores::release_of;
use crate::trim::is_held;

/// How far apart the looks are.
const INTERVAL: Duration = Duration::from_mins(10);

/// Objects of one answer.
const PAGE: u32 = 500;

/// Why a look was not finished.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
enum Error {
    #[error("list what may be left of Releases")]
    List { source: kube::Error },
    #[error("read Release {release}")]
    Read { release: ObjectKey, source: kube::Error },
    #[error("remove what is left of Release {release}")]
    Remove { release: ObjectKey, source: cleanup::Error },
}

impl Classed for Error {
    fn class(&self) -> Class {
        // There is no object whose change could be waited for.
        Class::Retry
    }

    fn label(&self) -> &'static str {
        self.into()
    }
}

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    let stores = &context.stores;
    let controller = fleet.controller("release-sweep").consults(&stores.releases).consults(&stores.runs);
    // One key for all.
    controller.waker().wake(ObjectKey::new("", "leftovers"));
    controller.reconcile(move |_| {
        let context = Arc::clone(&context);
        async move { Box::pin(sweep(&context)).await.map(|()| Wake::After(INTERVAL)) }
    })
}

async fn sweep(context: &Context) -> Result<(), Error> {
    let mut releases = Releases { context, read: HashMap::new() };
    for bindings in apis::<RoleBinding>(context) {
        sweep_kind(&mut releases, &bindings).await?;
    }
    for roles in apis::<Role>(context) {
        sweep_kind(&mut releases, &roles).await?;
    }
    for key in context.stores.runs.keys() {
        let run = context.stores.runs.get(&key).filter(|run| is_held(run));
        let Some((run, release)) = run.and_then(|run| release_of(&run).map(|release| (run, release))) else {
            continue;
        };
        if releases.agree(&release, |release| leftovers::is_orphaned_run(&run, release)).await? {
            let removed = Box::pin(cleanup::let_go(context, &run)).await;
            removed.map_err(|source| Error::Remove { release: release.clone(), source })?;
            tracing::info!(release = %release, pipeline_run = %key, "Let go of a run that no Release waits for");
        }
    }
    Ok(())
}

/// Where this replica works: in all namespaces, or in those that it is told.
fn apis<K>(context: &Context) -> Vec<Api<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let told = context.args.fleet.watch_namespaces.iter().map(|name| name.trim());
    let told: Vec<&str> = told.filter(|name| !name.is_empty()).collect();
    if told.is_empty() {
        return vec![Api::all(context.client.clone())];
    }
    told.into_iter().map(|namespace| Api::namespaced(context.client.clone(), namespace)).collect()
}

async fn sweep_kind<K>(releases: &mut Releases<'_>, api: &Api<K>) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let mut params = ListParams::default().labels(labels::NAME.as_str()).limit(PAGE);
    loop {
        let page = patience::read(|| api.list(&params)).await.map_err(|source| Error::List { source })?;
        for object in &page.items {
            let meta = object.meta();
            let named = (labels::NAMESPACE.of(&meta.labels), labels::NAME.of(&meta.labels));
            let (Some(namespace), Some(name)) = named else { continue };
            let release = ObjectKey::new(namespace, name);
            if releases.agree(&release, |release| leftovers::is_orphan(meta, release)).await? {
                let removed = cleanup::remove(releases.context, object).await;
                removed.map_err(|source| Error::Remove { release: release.clone(), source })?;
                tracing::info!(
                    release = %release,
                    object = %ObjectKey::of(object),
                    kind = %K::kind(&()),
                    "Removed what no Release needs"
                );
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// Releases as they are.
struct Releases<'a> {
    context: &'a Context,
    /// Those that were read live in this look.
    read: HashMap<ObjectKey, Option<Release>>,
}

impl Releases<'_> {
    /// Whether both what the store has of a Release and what the API server has say so. The store may be late, and it may not be its
    /// namespace that this replica works in.
    async fn agree(
        &mut self,
        key: &ObjectKey,
        says: impl Fn(Option<&Release>) -> bool,
    ) -> Result<bool, Error> {
        if !says(self.context.stores.releases.get(key).as_deref()) {
            return Ok(false);
        }
        if !self.read.contains_key(key) {
            let api: Api<Release> = Api::namespaced(self.context.client.clone(), &key.namespace);
            let found = patience::read(|| api.get_opt(&key.name)).await;
            let found = found.map_err(|source| Error::Read { release: key.clone(), source })?;
            self.read.insert(key.clone(), found);
        }
        Ok(says(self.read.get(key).and_then(Option::as_ref)))
    }
}
