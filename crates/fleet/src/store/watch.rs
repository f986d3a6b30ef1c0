//! Feeds a store from a watch, for ever.

use std::collections::HashSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, utils::Backoff};
use kube::{Api, Client, Resource};
use prometheus::{IntCounterVec, Opts, Registry};
use rand::Rng as _;
use tracing::{debug, warn};

use super::{Store, Stored};
use crate::key::ObjectKey;

/// The part of the cluster that one watch covers.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Label selector; empty selects all.
    pub labels: String,
    /// Field selector; empty selects all.
    pub fields: String,
}

/// Counts of what watches went through.
#[derive(Clone, Debug)]
pub struct WatchMetrics {
    lists: IntCounterVec,
    errors: IntCounterVec,
}

impl WatchMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let lists = IntCounterVec::new(
            Opts::new("fleet_watch_lists_total", "Full lists that watches began with, by kind."),
            &["kind"],
        )?;
        let errors = IntCounterVec::new(
            Opts::new("fleet_watch_errors_total", "Watches that ended with an error, by kind."),
            &["kind"],
        )?;
        registry.register(Box::new(lists.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        Ok(Self { lists, errors })
    }
}

/// Watches `api`, which covers `scope`, into `store` until the future is dropped. `listed` is called after the first
/// full list.
pub(crate) async fn feed<K: Stored>(
    api: Api<K>,
    store: Store<K>,
    scope: Scope,
    watch: Watch,
    metrics: WatchMetrics,
    listed: impl FnOnce(),
) {
    let kind = K::kind(&());
    let mut config = watcher::Config::default().streaming_lists();
    if !watch.labels.is_empty() {
        config = config.labels(&watch.labels);
    }
    if !watch.fields.is_empty() {
        config = config.fields(&watch.fields);
    }
    let mut listed = Some(listed);
    let mut until_next_list = RetryDelays::default();
    loop {
        let mut events = pin!(watcher(api.clone(), config.clone()).backoff(RetryDelays::default()));
        let mut list: Option<(HashSet<ObjectKey>, Instant)> = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => list = Some((HashSet::new(), Instant::now())),
                Ok(Event::InitApply(object)) => {
                    if let Some((keys, _)) = &mut list {
                        keys.insert(ObjectKey::of(&object));
                    }
                    store.apply(object);
                }
                Ok(Event::InitDone) => {
                    if let Some((keys, began)) = list.take() {
                        store.finish_list(&scope, &keys, began);
                    }
                    metrics.lists.with_label_values(&[&*kind]).inc();
                    debug!(kind = %kind, objects = store.len(), "Watch is synced");
                    if let Some(listed) = listed.take() {
                        listed();
                    }
                }
                Ok(Event::Apply(object)) => {
                    until_next_list.reset();
                    store.apply(object);
                }
                Ok(Event::Delete(object)) => {
                    until_next_list.reset();
                    store.delete(&object);
                }
                Err(error) if lacks_streaming_lists(&error, &config) => {
                    debug!(kind = %kind, "API server has no streaming lists; listing by pages");
                    config.initial_list_strategy = watcher::InitialListStrategy::ListWatch;
                    config.page_size = Some(500);
                    break;
                }
                Err(error) if is_expired(&error) => {
                    metrics.errors.with_label_values(&[&*kind]).inc();
                    debug!(kind = %kind, "The version to watch from is too old; listing anew");
                    tokio::time::sleep(until_next_list.next_delay()).await;
                    break;
                }
                Err(error) => {
                    metrics.errors.with_label_values(&[&*kind]).inc();
                    warn!(kind = %kind, error = %error, "Watch failed; trying again");
                }
            }
        }
    }
}

/// API servers without the feature refuse the parameter as invalid.
fn lacks_streaming_lists(error: &watcher::Error, config: &watcher::Config) -> bool {
    config.initial_list_strategy == watcher::InitialListStrategy::StreamingList
        && matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 422 || status.code == 400)
}

/// The server refuses to go on from the version that we know. The watcher itself starts over only if it is told so within
/// a watch, and would ask for this version for ever.
fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 410)
}

/// Delays between attempts of a broken watch: doubling with jitter, from 0.2 s to 30 s. A watch that worked for a
/// while begins anew.
#[derive(Debug)]
struct RetryDelays {
    next: Duration,
}

impl RetryDelays {
    const FIRST: Duration = Duration::from_millis(200);
    const LAST: Duration = Duration::from_secs(30);

    fn next_delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(Self::LAST);
        delay.mul_f64(rand::rng().random_range(0.75..1.25))
    }
}

impl Default for RetryDelays {
    fn default() -> Self {
        Self { next: Self::FIRST }
    }
}

impl Iterator for RetryDelays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.next_delay())
    }
}

impl Backoff for RetryDelays {
    fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_begin_anew() {
        let mut delays = RetryDelays::default();
        let first = delays.next().unwrap();
        assert!(first < Duration::from_millis(260), "{first:?}");
        let last = delays.by_ref().nth(20).unwrap();
        assert!(last >= RetryDelays::LAST.mul_f64(0.75), "{last:?}");
        delays.reset();
        assert!(delays.next().unwrap() < Duration::from_millis(260));
    }
}
