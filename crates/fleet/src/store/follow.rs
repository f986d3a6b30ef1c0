//! One list and the watch that follows it, for ever.
//!
//! ```text
//! list ──version──▶ watch ──closed or silent──▶ watch from the last version seen
//!   ▲                 │
//!   └── version too old (410) ──────────────────▶ 404: the caller finds out whether the kind is served at all
//! ```
//! kube's `watcher` is not used: it tells neither the version of a list, without which a list cannot be told from one that is
//! older than what the store knows, nor bookmarks, without which silence cannot be told from a dead connection
//! (docs/decisions/0016-own-watch-loop.md).

use std::pin::pin;
use std::time::{Duration, Instant};

use futures::{Stream, TryStreamExt as _};
use kube::Api;
use kube::api::WatchEvent;
use tokio::time::timeout;
use tracing::{debug, error, warn};

use super::delays::RetryDelays;
use super::watch::{Scope, Watch, WatchMetrics};
use super::{ListId, Store, Stored, version_number};

/// API servers send a bookmark about once a minute. A connection that is silent for longer is dead, or its kind has no
/// watch cache; then asking again costs little.
pub(super) const SILENCE: Duration = Duration::from_secs(90);

/// A watch that ends sooner than this, though without an error, is not asked for again at once.
const BRIEF: Duration = Duration::from_secs(1);

/// Marks the bookmark after which all that is there has been sent.
const END_OF_LIST: &str = "k8s.io/initial-events-end";

/// Keeps the objects of one scope in a store.
pub(super) struct Follower<'a, K> {
    api: Api<K>,
    store: &'a Store<K>,
    scope: Scope,
    watch: &'a Watch,
    metrics: &'a WatchMetrics,
    /// Until the API server turns out not to have them.
    streams_lists: bool,
    /// The version to go on from; before the first list there is none.
    version: Option<String>,
    delays: RetryDelays,
}

/// What to do after an error.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    NotServed,
    /// The version to go on from is too old.
    Expired,
    LacksStreamingLists,
    Forbidden,
    Other,
}

impl<'a, K: Stored> Follower<'a, K> {
    pub(super) fn new(
        api: Api<K>,
        store: &'a Store<K>,
        scope: Scope,
        watch: &'a Watch,
        metrics: &'a WatchMetrics,
    ) -> Self {
        let delays = RetryDelays::new();
        Self { api, store, scope, watch, metrics, streams_lists: true, version: None, delays }
    }

    /// Ends when the API server says that there is no such kind. `listed` is called after the first full list.
    pub(super) async fn run(mut self, listed: impl FnOnce()) {
        let kind = K::kind(&());
        let mut listed = Some(listed);
        loop {
            let began = Instant::now();
            let Err(error) = self.advance(&mut listed).await else {
                if began.elapsed() < BRIEF && self.version.is_some() {
                    tokio::time::sleep(self.delays.next_delay()).await;
                }
                continue;
            };
            let trouble = self.trouble(&error);
            if trouble == Trouble::LacksStreamingLists {
                debug!(kind = %kind, "API server has no streaming lists; listing by pages");
                self.streams_lists = false;
                continue;
            }
            self.metrics.errors.with_label_values(&[&*kind]).inc();
            match trouble {
                Trouble::NotServed => return,
                Trouble::Expired => {
                    debug!(kind = %kind, "The version to watch from is too old; listing anew");
                    self.version = None;
                }
                Trouble::Forbidden => self.tell_missing_right(),
                Trouble::LacksStreamingLists | Trouble::Other => {
                    warn!(kind = %kind, error = %error, "Watch failed; trying again");
                }
            }
            tokio::time::sleep(self.delays.next_delay()).await;
        }
    }

    /// One request and what it brings: a list, a watch, or both. Ends without an error where the server ends a watch.
    async fn advance(&mut self, listed: &mut Option<impl FnOnce()>) -> Result<(), kube::Error> {
        match self.version.clone() {
            Some(version) => {
                let events = in_time(self.api.watch(&self.watch.watch_params(false), &version)).await?;
                self.follow(events, None, listed).await
            }
            None if self.streams_lists => {
                // No version: as new as the API server has it, not whatever its cache holds.
                let events = in_time(self.api.watch(&self.watch.watch_params(true), "")).await?;
                let list = self.store.begin_list();
                self.follow(events, Some(list), listed).await
            }
            None => {
                let version = self.list_by_pages().await?;
                self.is_listed(version, listed);
                Ok(())
            }
        }
    }

    async fn list_by_pages(&mut self) -> Result<String, kube::Error> {
        let list = self.store.begin_list();
        let mut continue_token = None;
        loop {
            let page = in_time(self.api.list(&self.watch.page_params(continue_token))).await?;
            for object in page.items {
                self.store.list(object, list);
            }
            continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if continue_token.is_none() {
                let version = page.metadata.resource_version.unwrap_or_default();
                self.store.finish_list(&self.scope, list, version_number(&version));
                return Ok(version);
            }
        }
    }

    /// Takes in events until the server closes the watch or falls silent. The first ones belong to `list`, if there is one.
    async fn follow(
        &mut self,
        events: impl Stream<Item = Result<WatchEvent<K>, kube::Error>>,
        mut list: Option<ListId>,
        listed: &mut Option<impl FnOnce()>,
    ) -> Result<(), kube::Error> {
        let mut events = pin!(events);
        loop {
            let event = match timeout(SILENCE, events.try_next()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => return Ok(()),
                // One object that we cannot read does not stop the others.
                Ok(Err(error)) if is_unreadable(&error) => {
                    self.metrics.errors.with_label_values(&[&*K::kind(&())]).inc();
                    warn!(kind = %K::kind(&()), error = %error, "An object cannot be read; it is left out");
                    continue;
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    self.metrics.errors.with_label_values(&[&*K::kind(&())]).inc();
                    debug!(kind = %K::kind(&()), "Watch is silent; asking again");
                    return Ok(());
                }
            };
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    if let Some(list) = list {
                        self.store.list(object, list);
                    } else {
                        self.version.clone_from(&object.meta().resource_version);
                        self.store.apply(object);
                    }
                }
                WatchEvent::Deleted(object) => {
                    if list.is_none() {
                        self.version.clone_from(&object.meta().resource_version);
                    }
                    self.store.delete(&object);
                }
                WatchEvent::Bookmark(bookmark) => {
                    let version = bookmark.metadata.resource_version;
                    if list.is_none() {
                        self.version = Some(version);
                    } else if bookmark.metadata.annotations.contains_key(END_OF_LIST)
                        && let Some(list) = list.take()
                    {
                        self.store.finish_list(&self.scope, list, version_number(&version));
                        self.is_listed(version, listed);
                    }
                }
                WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
            }
            self.delays.reset();
        }
    }

    fn is_listed(&mut self, version: String, listed: &mut Option<impl FnOnce()>) {
        let kind = K::kind(&());
        self.version = Some(version);
        self.metrics.lists.with_label_values(&[&*kind]).inc();
        debug!(kind = %kind, objects = self.store.len(), "Watch is synced");
        self.store.set_trouble(None);
        if let Some(listed) = listed.take() {
            listed();
        }
    }

    /// For the log once, and for /readyz as long as it lasts.
    fn tell_missing_right(&self) {
        self.store.set_unknown();
        let (group, plural) = (K::group(&()), K::plural(&()));
        let place = match &self.scope {
            Scope::All => "a ClusterRole, bound in the whole cluster".to_owned(),
            Scope::Namespace(namespace) => format!("a Role in namespace {namespace}"),
        };
        let advice = format!(
            "forbidden; grant apiGroups [\"{group}\"], resources [\"{plural}\"], verbs [\"list\", \"watch\"] by {place}"
        );
        if self.store.set_trouble(Some(advice.clone())) {
            error!(kind = %K::kind(&()), error = advice, "Objects cannot be read");
        }
    }

    fn trouble(&self, error: &kube::Error) -> Trouble {
        let kube::Error::Api(status) = error else { return Trouble::Other };
        match status.code {
            404 => Trouble::NotServed,
            410 => Trouble::Expired,
            403 => Trouble::Forbidden,
            // Those without the feature refuse the parameter as invalid.
            400 | 422 if self.streams_lists && self.version.is_none() => Trouble::LacksStreamingLists,
            _ => Trouble::Other,
        }
    }
}

/// Whether an event does not parse. kube first tries to read it as a `Status`, of which no field is required; a real one
/// has a code.
fn is_unreadable(error: &kube::Error) -> bool {
    match error {
        kube::Error::SerdeError(_) => true,
        kube::Error::Api(status) => status.code == 0,
        _ => false,
    }
}

/// A request that gets no answer at all must not stop the watch for ever.
async fn in_time<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    timeout(SILENCE, request)
        .await
        .unwrap_or_else(|_| Err(kube::Error::Service(format!("no answer within {SILENCE:?}").into())))
}

#[cfg(test)]
mod tests;
