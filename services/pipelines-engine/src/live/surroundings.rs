//! What pods need of the cluster: accounts with their Secrets, claims and where they are, the entrypoint, images.

use std::collections::HashMap;
use std::sync::Arc;

use fleet::controller::Waker;
use fleet::{ObjectKey, Store, Writer};
use k8s_openapi::api::core::v1::{LimitRange, Pod, Secret, ServiceAccount};
use kube::{Api, Client, ResourceExt as _};
use parking_lot::Mutex;
use pipelines_engine_api::TaskRun;
use tokio::sync::OwnedMutexGuard;

use super::delivery::Delivery;
use crate::background::Wake;
use crate::config::Config;
use crate::image::Images;
use crate::stores::{BY_CLAIM, Stores, owner_key};
use crate::task_run::decide::{Awaited, Place, Surroundings};
use crate::task_run::pod::Node;
use crate::task_run::pod::containers::Image;
use crate::task_run::pod::credentials::Credential;
use crate::task_run::pod::volumes::Entrypoint;

/// Account that a namespace always has.
const DEFAULT_ACCOUNT: &str = "default";

/// Answers what [`Surroundings`] asks.
pub struct Live {
    client: Client,
    writer: Writer,
    stores: Stores,
    delivery: Delivery,
    /// Held while a pod is made that shares claims, so that of two at once the second sees where the first goes.
    placing: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    images: Images,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Live {
    pub fn new(
        client: Client,
        writer: Writer,
        stores: Stores,
        delivery: Delivery,
        registry: registry::Client,
    ) -> Self {
        let waker = Arc::<Mutex<Option<Waker>>>::default();
        let woken = Arc::clone(&waker);
        let wake: Wake = Arc::new(move |run| {
            if let Some(waker) = &*woken.lock() {
                waker.wake(run);
            }
        });
        let images = Images::new(registry, client.clone(), wake);
        Self { client, writer, stores, delivery, placing: Mutex::default(), images, waker }
    }

    /// What wakes a run when something is there that it waits for.
    pub fn wakes(&self, waker: Waker) {
        *self.waker.lock() = Some(waker);
    }

    /// All that the pod of `run` needs, as it is now.
    pub async fn around(&self, run: &TaskRun, config: &Config) -> Snapshot<'_> {
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let shares = run.spec.workspaces.iter().any(|binding| {
            binding.persistent_volume_claim.is_some() || binding.volume_claim_template.is_some()
        });
        let placing = if shares && config.features.coschedule {
            let lock = Arc::clone(self.placing.lock().entry(namespace.to_owned()).or_default());
            Some(lock.lock_owned().await)
        } else {
            None
        };
        let entrypoint = self.delivery.ensure(&self.writer, namespace, config).await;
        let named = &run.spec.service_account_name;
        let may_fall_back = *named == config.defaults.service_account && named != DEFAULT_ACCOUNT;
        let (account, credentials) =
            match self.account(namespace, named, may_fall_back, config.features.disable_credentials).await {
                Ok((account, credentials)) => (account, Awaited::Ready(credentials)),
                Err(Failed::NoAccount) => (None, Awaited::Ready(Vec::new())),
                Err(Failed::Api(error)) => {
                    tracing::warn!(namespace, account = named, error = %error, "Account could not be read");
                    (None, Awaited::Later)
                }
            };
        Snapshot { live: self, account, credentials, entrypoint, _placing: placing }
    }

    /// The account that a pod gets instead, if any, and what its Secrets are good for.
    async fn account(
        &self,
        namespace: &str,
        name: &str,
        may_fall_back: bool,
        without_credentials: bool,
    ) -> Result<(Option<String>, Vec<Credential>), Failed> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let name = if name.is_empty() { DEFAULT_ACCOUNT } else { name };
        let mut instead = None;
        let mut account = accounts.get_opt(name).await?;
        if account.is_none() && may_fall_back {
            account = accounts.get_opt(DEFAULT_ACCOUNT).await?;
            instead = account.is_some().then(|| DEFAULT_ACCOUNT.to_owned());
        }
        // The API server refuses the pod, and says why.
        let account = account.ok_or(Failed::NoAccount)?;
        if without_credentials {
            return Ok((instead, Vec::new()));
        }
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let mut names: Vec<_> =
            account.secrets.iter().flatten().filter_map(|secret| secret.name.clone()).collect();
        names.sort();
        names.dedup();
        let mut credentials = Vec::new();
        for name in names {
            if let Some(secret) = secrets.get_opt(&name).await? {
                credentials.extend(Credential::of(&secret));
            } else {
                let account = account.name_any();
                tracing::info!(
                    namespace,
                    account,
                    secret = name,
                    "The account names a Secret that does not exist"
                );
            }
        }
        Ok((instead, credentials))
    }
}

enum Failed {
    NoAccount,
    Api(kube::Error),
}

impl From<kube::Error> for Failed {
    fn from(error: kube::Error) -> Self {
        Self::Api(error)
    }
}

/// The surroundings at one moment.
pub struct Snapshot<'a> {
    live: &'a Live,
    /// What the pod's account is instead of the one that the run names.
    pub account: Option<String>,
    credentials: Awaited<Vec<Credential>>,
    entrypoint: Awaited<Entrypoint>,
    /// Until the pod is made.
    _placing: Option<OwnedMutexGuard<()>>,
}

impl<'a> Snapshot<'a> {
    /// For runs that need no pod.
    pub fn nothing(live: &'a Live) -> Self {
        Self { live, account: None, credentials: Awaited::Later, entrypoint: Awaited::Later, _placing: None }
    }
}

impl Surroundings for Snapshot<'_> {
    fn image(&self, run: &TaskRun, reference: &str) -> Awaited<Image> {
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let named = Some(run.spec.service_account_name.as_str()).filter(|name| !name.is_empty());
        let account = self.account.as_deref().or(named).unwrap_or(DEFAULT_ACCOUNT);
        let template = run.spec.pod_template.iter().flat_map(|template| &template.image_pull_secrets);
        let secrets: Vec<_> = template.map(|secret| secret.name.clone()).collect();
        self.live.images.get(&ObjectKey::of(run), namespace, account, &secrets, reference)
    }

    fn credentials(&self, _namespace: &str, _account: &str) -> Awaited<Vec<Credential>> {
        self.credentials.clone()
    }

    fn limit_ranges(&self, namespace: &str) -> Vec<LimitRange> {
        let ranges =
            self.live.stores.limit_ranges.indexed(crate::stores::BY_NAMESPACE, &owner_key(namespace, ""));
        ranges.iter().map(|range| LimitRange::clone(range)).collect()
    }

    fn entrypoint(&self, _namespace: &str) -> Awaited<Entrypoint> {
        self.entrypoint.clone()
    }

    fn place(&self, namespace: &str, claim: &str) -> Place {
        place(&self.live.stores.pods, namespace, claim)
    }
}

/// Where pods that use a claim are: a live one binds all later ones to its node, or has them wait until it has one.
fn place(pods: &Store<Pod>, namespace: &str, claim: &str) -> Place {
    let users = pods.indexed(BY_CLAIM, &owner_key(namespace, claim));
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let (live, ended): (Vec<_>, Vec<_>) =
        users.iter().partition(|pod| !["Succeeded", "Failed"].contains(&phase(pod).as_str()));
    if let Some(hostname) = live.iter().find_map(|pod| node(pod)) {
        return Place::On(Node { hostname, is_required: true });
    }
    if !live.is_empty() {
        return Place::Undecided;
    }
    ended
        .iter()
        .find_map(|pod| node(pod))
        .map_or(Place::Anywhere, |hostname| Place::On(Node { hostname, is_required: false }))
}
