//! Feeds a store from the watches of all its scopes, and notices when its kind comes or goes.
//!
//! ```text
//! follow every scope ──404──▶ discovery: served? ──no──▶ absent: look again every few seconds
//!        ▲                        └─yes, by now─┐              │
//!        └──────────────────────────────────────┴──────────────┘ it appeared
//! ```
//! Nothing is asked about a kind that is there. One that is not costs a few discovery documents every five seconds, shared by
//! all stores of its group, and no right beyond what every account has (docs/decisions/0016-own-watch-loop.md).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::{AbortHandle, abortable};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use kube::{Client, Resource};
use tracing::{info, warn};

use super::delays::{RetryDelays, jittered};
use super::discovery::{Discovery, Lack};
use super::follow::Follower;
use super::watch::{Kept, WatchMetrics};
use super::{Scope, Store, Stored};

/// How often to look for a kind that is absent.
const LOOK: Duration = Duration::from_secs(4);

/// A kind that was followed for so long was there; its next 404 is not one more of the same trouble.
const LASTING: Duration = Duration::from_secs(10);

/// All that keeps one store fresh.
pub(crate) struct Feed<K> {
    pub(crate) client: Client,
    pub(crate) discovery: Discovery,
    pub(crate) store: Store<K>,
    /// Whether the service works without this kind.
    pub(crate) is_optional: bool,
    pub(crate) metrics: WatchMetrics,
}

impl<K> Feed<K>
where
    K: Stored + Resource<Scope = NamespaceResourceScope>,
{
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let served = self.metrics.served.with_label_values(&[&*K::kind(&())]);
        let mut delays = RetryDelays::new();
        loop {
            served.set(1);
            let began = Instant::now();
            self.follow().await;
            if began.elapsed() > LASTING {
                delays.reset();
            }
            self.appear(&mut delays, || served.set(0)).await;
        }
    }

    /// Follows every scope until the API server says for one of them that there is no such kind. Scopes come and go.
    async fn follow(&self) {
        let Kept { scopes, is_told, watch } = &self.store.0.kept;
        let mut scopes = scopes.subscribe();
        if *is_told {
            // One that is forbidden or missing holds up none of the others.
            self.store.mark_synced();
        }
        let missing = AtomicUsize::new(scopes.borrow().len());
        let mut handles: Vec<(Scope, AbortHandle)> = Vec::new();
        let mut followers = FuturesUnordered::new();
        loop {
            let wanted = scopes.borrow_and_update().clone();
            handles.retain(|(scope, handle)| {
                let is_wanted = wanted.contains(scope);
                if !is_wanted {
                    handle.abort();
                }
                is_wanted
            });
            // Also what a follower brought since the scopes changed: it is not polled any more.
            self.store.forget_uncovered();
            for scope in wanted {
                if handles.iter().any(|(other, _)| *other == scope) {
                    continue;
                }
                let api = scope.api(self.client.clone());
                let listed = || {
                    if !is_told && missing.fetch_sub(1, Ordering::SeqCst) == 1 {
                        self.store.mark_synced();
                    }
                };
                let follower = Follower::new(api, &self.store, scope.clone(), watch, &self.metrics);
                let (follower, handle) = abortable(follower.run(listed));
                handles.push((scope, handle));
                followers.push(follower.boxed());
            }
            loop {
                tokio::select! {
                    // Only a follower that was not aborted says something by its end.
                    Some(ended) = followers.next(), if !followers.is_empty() => if ended.is_ok() { return },
                    // The sender lives in the store.
                    _ = scopes.changed() => break,
                }
            }
        }
    }

    /// Resolves when it is worth asking for the kind again. `is_absent` is called once it is known not to be served.
    async fn appear(&self, delays: &mut RetryDelays, is_absent: impl Fn()) {
        let mut told = None;
        loop {
            match self.discovery.lack::<K>().await {
                // Served, though a request was answered 404: its definition is just being made or changed.
                Ok(None) if told.is_none() => {
                    tokio::time::sleep(delays.next_delay()).await;
                    return;
                }
                Ok(None) => {
                    info!(kind = %K::kind(&()), "Kind is served now");
                    return;
                }
                Ok(Some(lack)) => {
                    is_absent();
                    if self.is_optional {
                        self.store.set_absent();
                    }
                    if told.as_ref() != Some(&lack) {
                        self.tell(&lack);
                        told = Some(lack);
                    }
                    tokio::time::sleep(jittered(LOOK)).await;
                }
                // Not even discovery is granted: the 404 is all that can be known.
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    is_absent();
                    if self.is_optional {
                        self.store.set_absent();
                    }
                    tokio::time::sleep(jittered(LOOK)).await;
                    return;
                }
                Err(error) => {
                    warn!(kind = %K::kind(&()), error = %error, "Cannot find out whether the kind is served; trying again");
                    tokio::time::sleep(delays.next_delay()).await;
                }
            }
        }
    }

    fn tell(&self, lack: &Lack) {
        let name = format!("{}.{}", K::plural(&()), K::group(&()));
        if !self.is_optional {
            self.store.set_trouble(Some(lack.to_string()));
            warn!(kind = %K::kind(&()), error = %format_args!("{name}: {lack}"), "A kind that is needed is not served");
        } else if matches!(lack, Lack::Version { .. }) {
            warn!(kind = %K::kind(&()), error = %format_args!("{name}: {lack}"), "Working without a kind");
        } else {
            info!(kind = %K::kind(&()), reason = %format_args!("{name}: {lack}"), "Working without a kind");
        }
    }
}
