//! Local copies of objects, kept fresh by one watch per kind and shared by every reader in the process.
//!
//! ```text
//! API server ─watch─▶ Store ─Change─▶ queue of each controller that reads the kind
//! Writer ─response──▶   (read-your-writes: a controller never decides from before its own write)
//! ```
//!
//! kube's shared reflector streams are not used: they do not broadcast deletions, and a subscriber that is handed the
//! reference of an object already gone is never woken again, which stops the whole service. Here subscribers are
//! plain functions called while the change is made; they only put keys into queues and cannot block.

mod watch;

pub(crate) use watch::feed;
pub use watch::{Scope, Watch, WatchMetrics};

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::{Resource, ResourceExt};
use parking_lot::RwLock;
use tokio::sync::watch as signal;

use crate::key::ObjectKey;

/// What a store needs of a kind; every type made by `kube::CustomResource` with `PartialEq` has it.
pub trait Stored:
    Resource<DynamicType = ()> + Clone + Debug + PartialEq + serde::de::DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Stored for K where
    K: Resource<DynamicType = ()>
        + Clone
        + Debug
        + PartialEq
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Names an index of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Index(pub &'static str);

/// Computes under which keys an object is found in an index; a key's `name` may be any text.
pub(crate) type IndexFn<K> = Arc<dyn Fn(&K) -> Vec<ObjectKey> + Send + Sync>;

/// Called with each change, while the store is not locked.
type Subscriber<K> = Arc<dyn Fn(&Change<K>) + Send + Sync>;

/// One object that appeared, changed or went.
#[derive(Debug)]
pub struct Change<K> {
    pub key: ObjectKey,
    pub old: Option<Arc<K>>,
    pub new: Option<Arc<K>>,
}

/// How long a deleted object's version is remembered, so that the late answer to an earlier write does not revive it.
const TOMBSTONE_AGE: Duration = Duration::from_mins(2);

/// The objects of one kind that this process reads. Cheap to clone.
pub struct Store<K>(Arc<Inner<K>>);

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<K> {
    state: RwLock<State<K>>,
    indexers: Vec<(Index, IndexFn<K>)>,
    subscribers: RwLock<Vec<Subscriber<K>>>,
    trim: fn(&mut K),
    synced: signal::Sender<bool>,
}

struct State<K> {
    objects: HashMap<ObjectKey, Entry<K>>,
    indexes: HashMap<Index, HashMap<ObjectKey, BTreeSet<ObjectKey>>>,
    tombstones: HashMap<ObjectKey, (u64, Instant)>,
}

struct Entry<K> {
    object: Arc<K>,
    /// Put here by the answer to a write, and not yet seen by the watch: since when.
    unconfirmed: Option<Instant>,
}

impl<K: Stored> Store<K> {
    /// An empty store. `trim` drops the fields that no reader of this store uses.
    pub fn new(trim: fn(&mut K), indexers: Vec<(Index, IndexFn<K>)>) -> Self {
        let empty = indexers.iter().map(|(index, _)| (*index, HashMap::new())).collect();
        Self(Arc::new(Inner {
            state: RwLock::new(State { objects: HashMap::new(), indexes: empty, tombstones: HashMap::new() }),
            indexers,
            subscribers: RwLock::new(Vec::new()),
            trim,
            synced: signal::Sender::new(false),
        }))
    }

    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.0.state.read().objects.get(key).map(|entry| Arc::clone(&entry.object))
    }

    /// The objects that the index files under `key`, in the order of their keys.
    ///
    /// # Panics
    /// When the store was built without `index`: a mistake in the program.
    pub fn indexed(&self, index: Index, key: &ObjectKey) -> Vec<Arc<K>> {
        let state = self.0.state.read();
        let entries = state.indexes.get(&index).expect("the store was built with this index");
        let keys = entries.get(key).into_iter().flatten();
        keys.filter_map(|key| state.objects.get(key)).map(|entry| Arc::clone(&entry.object)).collect()
    }

    pub fn len(&self) -> usize {
        self.0.state.read().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the first full list has arrived. Before that, a missing object proves nothing.
    pub fn is_synced(&self) -> bool {
        *self.0.synced.borrow()
    }

    /// Resolves once the first full list has arrived.
    pub async fn synced(&self) {
        // The sender lives in the store itself, so waiting cannot fail.
        let _ = self.0.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Calls `subscriber` with every later change.
    pub fn subscribe(&self, subscriber: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.0.subscribers.write().push(Arc::new(subscriber));
    }

    /// Takes in an object that the watch reports.
    pub fn apply(&self, object: K) {
        self.put(object, None);
    }

    /// Takes in the answer to a write, so that the next decision sees it before the watch does.
    pub fn written(&self, object: K) {
        let meta = object.meta();
        let is_gone = meta.deletion_timestamp.is_some() && meta.finalizers.as_ref().is_none_or(Vec::is_empty);
        if is_gone {
            self.remove(&ObjectKey::of(&object), version_of(&object));
        } else if self.is_synced() {
            self.put(object, Some(Instant::now()));
        }
    }

    /// Takes in a deletion that the watch reports, or that a write brought about.
    pub fn delete(&self, object: &K) {
        self.remove(&ObjectKey::of(object), version_of(object));
    }

    fn put(&self, mut object: K, unconfirmed: Option<Instant>) {
        object.managed_fields_mut().clear();
        object.meta_mut().managed_fields = None;
        (self.0.trim)(&mut object);
        let key = ObjectKey::of(&object);
        let version = version_of(&object);

        let change = {
            let mut state = self.0.state.write();
            if state.tombstones.get(&key).is_some_and(|(deleted, _)| *deleted >= version) {
                return;
            }
            let old = match state.objects.get_mut(&key) {
                Some(entry) if version_of(&*entry.object) > version => return,
                Some(entry) if version_of(&*entry.object) == version => {
                    if unconfirmed.is_none() {
                        entry.unconfirmed = None;
                    }
                    return;
                }
                Some(entry) => Some(Arc::clone(&entry.object)),
                None => None,
            };
            let is_same = old.as_deref().is_some_and(|old| differs_only_in_version(old, &mut object));
            let new = Arc::new(object);
            state.objects.insert(key.clone(), Entry { object: Arc::clone(&new), unconfirmed });
            if is_same {
                return;
            }
            state.reindex(&self.0.indexers, &key, old.as_deref(), Some(&new));
            Change { key, old, new: Some(new) }
        };
        self.notify(&change);
    }

    fn remove(&self, key: &ObjectKey, version: u64) {
        let change = {
            let mut state = self.0.state.write();
            let now = Instant::now();
            state.tombstones.retain(|_, (_, since)| now.duration_since(*since) < TOMBSTONE_AGE);
            if state.tombstones.get(key).is_none_or(|(deleted, _)| *deleted < version) {
                state.tombstones.insert(key.clone(), (version, now));
            }
            // A newer object of the same name may be here already.
            if state.objects.get(key).is_none_or(|entry| version_of(&*entry.object) > version) {
                return;
            }
            state.take(&self.0.indexers, key)
        };
        if let Some(change) = change {
            self.notify(&change);
        }
    }

    /// Ends a full list that began at `began` and saw `listed`: what is in `scope` and was not listed is gone.
    pub(crate) fn finish_list(&self, scope: &Scope, listed: &HashSet<ObjectKey>, began: Instant) {
        let changes: Vec<_> = {
            let mut state = self.0.state.write();
            let gone: Vec<_> = state
                .objects
                .iter()
                .filter(|(key, entry)| {
                    scope.contains(key)
                        && !listed.contains(key)
                        // Created by ourselves while the list was made: it may be younger than the list.
                        && entry.unconfirmed.is_none_or(|since| since < began)
                })
                .map(|(key, _)| key.clone())
                .collect();
            gone.iter().filter_map(|key| state.take(&self.0.indexers, key)).collect()
        };
        for change in &changes {
            self.notify(change);
        }
    }

    /// Declares the first list complete. Watches do so themselves; stores without one, in tests, are told.
    pub fn mark_synced(&self) {
        self.0.synced.send_replace(true);
    }

    fn notify(&self, change: &Change<K>) {
        for subscriber in self.0.subscribers.read().iter() {
            subscriber(change);
        }
    }
}

impl<K: Stored> State<K> {
    fn take(&mut self, indexers: &[(Index, IndexFn<K>)], key: &ObjectKey) -> Option<Change<K>> {
        let old = self.objects.remove(key)?.object;
        self.reindex(indexers, key, Some(&old), None);
        Some(Change { key: key.clone(), old: Some(old), new: None })
    }

    fn reindex(
        &mut self,
        indexers: &[(Index, IndexFn<K>)],
        key: &ObjectKey,
        old: Option<&K>,
        new: Option<&K>,
    ) {
        for (index, keys_of) in indexers {
            let (before, after) = (old.map(|o| keys_of(o)), new.map(|o| keys_of(o)));
            if before == after {
                continue;
            }
            let entries = self.indexes.entry(*index).or_default();
            for gone in before.into_iter().flatten() {
                if let Some(set) = entries.get_mut(&gone) {
                    set.remove(key);
                    if set.is_empty() {
                        entries.remove(&gone);
                    }
                }
            }
            for added in after.into_iter().flatten() {
                entries.entry(added).or_default().insert(key.clone());
            }
        }
    }
}

/// The version as a number. Kubernetes promises order only since 1.35, but every etcd-backed server has it; a server
/// without it gives 0 for all, and then the last one to arrive wins.
fn version_of(object: &impl Resource) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// Whether nothing that a reader can see has changed, as after a heartbeat or an edit of trimmed fields.
fn differs_only_in_version<K: Stored>(old: &K, new: &mut K) -> bool {
    let version =
        std::mem::replace(&mut new.meta_mut().resource_version, old.meta().resource_version.clone());
    let is_same = old == new;
    new.meta_mut().resource_version = version;
    is_same
}

#[cfg(test)]
mod tests;
