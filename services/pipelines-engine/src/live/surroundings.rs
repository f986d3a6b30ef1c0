//! What pods need of the cluster: accounts with their Secrets, claims and where they are, the entrypoint, images.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fleet::controller::{Controller, Waker};
use fleet::{ObjectKey, Store, Writer};
use k8s_openapi::api::core::v1::{LimitRange, PersistentVolumeClaim, Pod, Secret, ServiceAccount};
use kube::{Api, Client};
use parking_lot::Mutex;
use pipelines_engine_api::TaskRun;
use tokio::sync::OwnedMutexGuard;

use super::delivery::Delivery;
use super::logs::Logs;
use crate::background::Wake;
use crate::config::Config;
use crate::image::Images;
use crate::pipeline_run::workspaces;
use crate::stores::{BY_CLAIM, Stores, owner_key};
use crate::task_run::decide::{Awaited, Place, Surroundings};
use crate::task_run::pod::Node;
use crate::task_run::pod::containers::Image;
use crate::task_run::pod::credentials::{Account, Credential};
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
    logs: Logs,
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
        let logs = Logs::new(client.clone(), Arc::clone(&wake));
        let images = Images::new(registry, client.clone(), wake);
        Self { client, writer, stores, delivery, placing: Mutex::default(), images, logs, waker }
    }

    /// Has a controller begin only when everything is known that this answers from.
    pub fn consulted_by(&self, controller: Controller) -> Controller {
        controller.consults(&self.stores.limit_ranges).consults(self.delivery.config_maps())
    }

    /// What wakes a run when something is there that it waits for.
    pub fn wakes(&self, waker: Waker) {
        *self.waker.lock() = Some(waker);
    }

    /// All that the pod of `run` needs, as it is now.
    pub async fn around(&self, run: &TaskRun, config: &Config) -> Snapshot<'_> {
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let claims = if config.features.coschedule { claims(run) } else { BTreeSet::new() };
        let mut placing = None;
        let mut on_any_node = BTreeSet::new();
        if !claims.is_empty() {
            let lock = Arc::clone(self.placing.lock().entry(namespace.to_owned()).or_default());
            placing = Some(lock.lock_owned().await);
            for claim in claims {
                if self.is_for_many_nodes(namespace, &claim).await {
                    on_any_node.insert(claim);
                }
            }
        }
        let entrypoint = self.delivery.ensure(&self.writer, namespace, config).await;
        let named = &run.spec.service_account_name;
        let may_fall_back = *named == config.defaults.service_account && named != DEFAULT_ACCOUNT;
        let found = self.account(namespace, named, may_fall_back, config.features.disable_credentials).await;
        let account = match found {
            Ok(account) => Awaited::Ready(account),
            Err(error) => {
                tracing::warn!(namespace, account = named, error = %error, "Account could not be read");
                Awaited::Again(format!("account {named:?} could not be read"))
            }
        };
        Snapshot { live: self, account, entrypoint, on_any_node, _placing: placing }
    }

    /// Whether pods on several nodes may use a claim at once. Asked only where there are other pods that use it. If nobody
    /// answers, they stay together: that is right for every claim.
    async fn is_for_many_nodes(&self, namespace: &str, claim: &str) -> bool {
        if self.stores.pods.indexed(BY_CLAIM, &owner_key(namespace, claim)).is_empty() {
            return false;
        }
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let found = claims.get_opt(claim).await.unwrap_or_else(|error| {
            tracing::warn!(namespace, claim, error = %error, "Claim could not be read");
            None
        });
        let modes = found.and_then(|claim| claim.spec?.access_modes).unwrap_or_default();
        modes.iter().any(|mode| ["ReadWriteMany", "ReadOnlyMany"].contains(&mode.as_str()))
    }

    /// The account of a pod, with what its Secrets are good for. One that does not exist is left as it is: the API server
    /// refuses the pod, and says why.
    async fn account(
        &self,
        namespace: &str,
        name: &str,
        may_fall_back: bool,
        without_credentials: bool,
    ) -> Result<Account, kube::Error> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let name = if name.is_empty() { DEFAULT_ACCOUNT } else { name };
        let mut account = Account::default();
        let mut found = accounts.get_opt(name).await?;
        if found.is_none() && may_fall_back {
            found = accounts.get_opt(DEFAULT_ACCOUNT).await?;
            account.instead = found.is_some().then(|| DEFAULT_ACCOUNT.to_owned());
        }
        let Some(found) = found.filter(|_| !without_credentials) else { return Ok(account) };
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let names: BTreeSet<_> =
            found.secrets.iter().flatten().filter_map(|secret| secret.name.clone()).collect();
        for name in names {
            match secrets.get_opt(&name).await? {
                Some(secret) => account.credentials.extend(Credential::of(&secret)),
                None => account.missing.push(name),
            }
        }
        Ok(account)
    }
}

/// The surroundings at one moment.
pub struct Snapshot<'a> {
    live: &'a Live,
    account: Awaited<Account>,
    entrypoint: Awaited<Entrypoint>,
    /// Claims that bind no pod to a node.
    on_any_node: BTreeSet<String>,
    /// Until the pod is made.
    _placing: Option<OwnedMutexGuard<()>>,
}

impl<'a> Snapshot<'a> {
    /// For runs that need no pod.
    pub fn nothing(live: &'a Live) -> Self {
        Self {
            live,
            account: Awaited::Later,
            entrypoint: Awaited::Later,
            on_any_node: BTreeSet::new(),
            _placing: None,
        }
    }
}

impl Surroundings for Snapshot<'_> {
    fn image(&self, run: &TaskRun, reference: &str) -> Awaited<Image> {
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let named = Some(run.spec.service_account_name.as_str()).filter(|name| !name.is_empty());
        let instead = match &self.account {
            Awaited::Ready(account) => account.instead.as_deref(),
            _ => None,
        };
        let account = instead.or(named).unwrap_or(DEFAULT_ACCOUNT);
        let template = run.spec.pod_template.iter().flat_map(|template| &template.image_pull_secrets);
        let secrets: Vec<_> = template.map(|secret| secret.name.clone()).collect();
        self.live.images.get(&ObjectKey::of(run), namespace, account, &secrets, reference)
    }

    fn account(&self, _namespace: &str, _service_account: &str) -> Awaited<Account> {
        self.account.clone()
    }

    fn limit_ranges(&self, namespace: &str) -> Vec<LimitRange> {
        let ranges =
            self.live.stores.limit_ranges.indexed(crate::stores::BY_NAMESPACE, &owner_key(namespace, ""));
        ranges.iter().map(|range| LimitRange::clone(range)).collect()
    }

    fn entrypoint(&self, _namespace: &str) -> Awaited<Entrypoint> {
        self.entrypoint.clone()
    }

    fn result_log(&self, run: &TaskRun, pod: &Pod) -> Awaited<String> {
        self.live.logs.of_results(&ObjectKey::of(run), pod)
    }

    fn place(&self, namespace: &str, claim: &str) -> Place {
        if self.on_any_node.contains(claim) {
            return Place::Anywhere;
        }
        place(&self.live.stores.pods, namespace, claim)
    }
}

/// The claims of a run's workspaces.
fn claims(run: &TaskRun) -> BTreeSet<String> {
    let uid = run.metadata.uid.as_deref().unwrap_or_default();
    let bound = run.spec.workspaces.iter().map(|binding| workspaces::bound(binding, uid));
    bound.filter_map(|binding| Some(binding.persistent_volume_claim?.claim_name)).collect()
}

/// Where pods that use a claim are: a live one binds all later ones to its node, or has them wait until it has one.
fn place(pods: &Store<Pod>, namespace: &str, claim: &str) -> Place {
    let users = pods.indexed(BY_CLAIM, &owner_key(namespace, claim));
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let (live, ended): (Vec<_>, Vec<_>) =
        users.iter().partition(|pod| !["Succeeded", "Failed"].contains(&phase(pod).as_str()));
    if let Some(name) = live.iter().find_map(|pod| node(pod)) {
        return Place::On(Node { name, is_required: true });
    }
    if !live.is_empty() {
        return Place::Undecided;
    }
    ended
        .iter()
        .find_map(|pod| node(pod))
        .map_or(Place::Anywhere, |name| Place::On(Node { name, is_required: false }))
}
