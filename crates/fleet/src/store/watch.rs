//! What a watch asks for, which part of the cluster it covers, and what is counted about it.

use k8s_openapi::NamespaceResourceScope;
use kube::api::{ListParams, WatchParams};
use kube::core::{Selector, SelectorExt as _};
use kube::{Api, Client, Resource, ResourceExt as _};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::sync::watch as signal;

use crate::key::ObjectKey;

/// Objects of one page, from API servers without streaming lists.
const PAGE: u32 = 500;

/// The part of the cluster that one watch covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    All,
    Namespace(String),
}

impl Scope {
    pub(crate) fn contains(&self, key: &ObjectKey) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(namespace) => key.namespace == *namespace,
        }
    }

    pub(crate) fn api<K>(&self, client: Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::All => Api::all(client),
            Self::Namespace(namespace) => Api::namespaced(client, namespace),
        }
    }
}

/// What one watch asks the API server for.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Empty selects all.
    pub labels: Selector,
    /// Field selector; empty selects all.
    pub fields: String,
}

impl Watch {
    /// Of a watch that begins with all that is there, or else goes on from a version.
    pub(super) fn watch_params(&self, begins_with_a_list: bool) -> WatchParams {
        WatchParams {
            label_selector: selector(&self.labels.to_string()),
            field_selector: selector(&self.fields),
            send_initial_events: begins_with_a_list,
            ..WatchParams::default()
        }
    }

    /// Of the page of a list that follows the one which gave `continue_token`.
    pub(super) fn page_params(&self, continue_token: Option<String>) -> ListParams {
        ListParams {
            label_selector: selector(&self.labels.to_string()),
            field_selector: selector(&self.fields),
            limit: Some(PAGE),
            continue_token,
            ..ListParams::default()
        }
    }
}

/// What of a kind a store keeps: that of its scopes which its watch asks for.
#[derive(Debug)]
pub(super) struct Kept {
    /// What follows the watches is told when they become others.
    pub(super) scopes: signal::Sender<Vec<Scope>>,
    /// Whether they do. What is in none of them now is missed by nobody, so the store counts as synced from the start.
    pub(super) is_told: bool,
    pub(super) watch: Watch,
}

impl Kept {
    pub(super) fn of(scopes: Vec<Scope>, watch: Watch) -> Self {
        Self { scopes: signal::Sender::new(scopes), is_told: false, watch }
    }

    /// What is in namespaces that are still to be told.
    pub(super) fn told(watch: Watch) -> Self {
        Self { is_told: true, ..Self::of(Vec::new(), watch) }
    }

    pub(super) fn covers(&self, key: &ObjectKey) -> bool {
        self.scopes.borrow().iter().any(|scope| scope.contains(key))
    }

    pub(super) fn all() -> Self {
        Self::of(vec![Scope::All], Watch::default())
    }

    /// Whether an object belongs into the store; `None` where only the API server can tell.
    pub(super) fn includes(&self, key: &ObjectKey, object: &impl Resource) -> Option<bool> {
        if !self.covers(key) || !self.watch.labels.matches(object.labels()) {
            return Some(false);
        }
        self.watch.fields.is_empty().then_some(true)
    }
}

fn selector(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Counts of what watches went through.
#[derive(Clone, Debug)]
pub struct WatchMetrics {
    pub(super) lists: IntCounterVec,
    pub(super) errors: IntCounterVec,
    pub(super) served: IntGaugeVec,
}

impl WatchMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let label = &["kind"];
        let metrics = Self {
            lists: IntCounterVec::new(
                Opts::new("fleet_watch_lists_total", "Full lists that watches began with."),
                label,
            )?,
            errors: IntCounterVec::new(
                Opts::new("fleet_watch_errors_total", "Watches that failed or fell silent."),
                label,
            )?,
            served: IntGaugeVec::new(
                Opts::new("fleet_kind_served", "1 while the API server serves a kind that is read, else 0."),
                label,
            )?,
        };
        registry.register(Box::new(metrics.lists.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.served.clone()))?;
        Ok(metrics)
    }
}
