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

mod delays;
mod discovery;
mod feed;
mod follow;
mod watch;

pub(crate) use discovery::Discovery;
pub(crate) use feed::Feed;
use watch::Kept;
pub use watch::{Scope, Watch, WatchMetrics};

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kube::Resource;
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

/// Called when a store's presence has changed.
type PresenceSubscriber = Arc<dyn Fn(Presence) + Send + Sync>;

/// What a store can say about an object that it does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing: no full list has arrived yet, since the start or since the kind appeared.
    Unknown,
    /// That there is none: the API server does not serve the kind. Only of stores that are
    /// [optional](crate::StoreBuilder::optional).
    Absent,
    /// That it does not exist, but for what happened in the last moment.
    Listed,
}

/// One object that appeared, changed or went.
#[derive(Debug)]
pub struct Change<K> {
    pub key: ObjectKey,
    pub old: Option<Arc<K>>,
    pub new: Option<Arc<K>>,
}

/// How long a deleted object's version is remembered, so that the late answer to an earlier write does not revive it.
const TOMBSTONE_AGE: Duration = Duration::from_mins(2);

/// How often old tombstones are looked for: not at each of ten thousand deletions.
const TOMBSTONE_SWEEP: Duration = Duration::from_secs(10);

/// Numbers the full lists of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListId(u32);

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
    presence_subscribers: RwLock<Vec<PresenceSubscriber>>,
    trim: fn(&mut K),
    kept: Kept,
    presence: signal::Sender<Presence>,
    /// Stays true once presence was known.
    synced: AtomicBool,
    /// Why there is no list, where somebody has to do something about it.
    trouble: RwLock<Option<String>>,
    lists: AtomicU32,
}

struct State<K> {
    objects: HashMap<Arc<ObjectKey>, Entry<K>>,
    indexes: HashMap<Index, HashMap<ObjectKey, BTreeSet<Arc<ObjectKey>>>>,
    tombstones: HashMap<ObjectKey, (u64, Instant)>,
    swept: Instant,
}

struct Entry<K> {
    object: Arc<K>,
    /// The last list that had it.
    list: ListId,
}

impl<K: Stored> Store<K> {
    /// An empty store. `trim` drops the fields that no reader of this store uses.
    pub fn new(trim: fn(&mut K), indexers: Vec<(Index, IndexFn<K>)>) -> Self {
        Self::keeping(Kept::all(), trim, indexers)
    }

    /// One that keeps only what `watch` asks for in `scopes`.
    pub(crate) fn of_watch(
        scopes: Vec<Scope>,
        watch: Watch,
        trim: fn(&mut K),
        indexers: Vec<(Index, IndexFn<K>)>,
    ) -> Self {
        Self::keeping(Kept::of(scopes, watch), trim, indexers)
    }

    /// One that keeps what `watch` asks for in the namespaces of [`Self::tell_namespaces`].
    pub(crate) fn of_told_namespaces(
        watch: Watch,
        trim: fn(&mut K),
        indexers: Vec<(Index, IndexFn<K>)>,
    ) -> Self {
        Self::keeping(Kept::told(watch), trim, indexers)
    }

    fn keeping(kept: Kept, trim: fn(&mut K), indexers: Vec<(Index, IndexFn<K>)>) -> Self {
        let empty = indexers.iter().map(|(index, _)| (*index, HashMap::new())).collect();
        Self(Arc::new(Inner {
            state: RwLock::new(State {
                objects: HashMap::new(),
                indexes: empty,
                tombstones: HashMap::new(),
                swept: Instant::now(),
            }),
            indexers,
            subscribers: RwLock::default(),
            presence_subscribers: RwLock::default(),
            trim,
            kept,
            presence: signal::Sender::new(Presence::Unknown),
            synced: AtomicBool::new(false),
            trouble: RwLock::default(),
            lists: AtomicU32::new(0),
        }))
    }

    /// Of a store [in told namespaces](crate::StoreBuilder::in_told_namespaces): from now on it is these that are watched, each by
    /// itself. What is in others goes from the store.
    pub fn tell_namespaces(&self, namespaces: impl IntoIterator<Item = impl Into<String>>) {
        let mut told: Vec<_> =
            namespaces.into_iter().map(|namespace| Scope::Namespace(namespace.into())).collect();
        told.sort_unstable();
        told.dedup();
        let is_news = self.0.kept.scopes.send_if_modified(|scopes| {
            let is_news = *scopes != told;
            *scopes = told;
            is_news
        });
        if is_news {
            self.forget_uncovered();
        }
    }

    /// Takes out what lies in no scope any more.
    pub(crate) fn forget_uncovered(&self) {
        self.take_all(|key, _| !self.0.kept.covers(key));
    }

    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.0.state.read().objects.get(key).map(|entry| Arc::clone(&entry.object))
    }

    fn contains(&self, key: &ObjectKey) -> bool {
        self.0.state.read().objects.contains_key(key)
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

    /// The keys of all objects, for the few who look at all.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.0.state.read().objects.keys().map(|key| ObjectKey::clone(key)).collect()
    }

    /// What the absence of an object means now. A decision that depends on it takes it in as it takes in objects.
    pub fn presence(&self) -> Presence {
        *self.0.presence.borrow()
    }

    /// Whether the first full list has arrived, or an optional kind was found to be absent. Stays true afterwards.
    pub fn is_synced(&self) -> bool {
        self.0.synced.load(Ordering::SeqCst)
    }

    /// Resolves once the first full list has arrived, or an optional kind was found to be absent.
    pub async fn synced(&self) {
        // The sender lives in the store itself, so waiting cannot fail.
        let _ = self.0.presence.subscribe().wait_for(|presence| *presence != Presence::Unknown).await;
    }

    /// What somebody has to do before there can be a list: grant a right, install a definition.
    pub fn trouble(&self) -> Option<String> {
        self.0.trouble.read().clone()
    }

    /// Whether that is news.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) -> bool {
        let mut current = self.0.trouble.write();
        let is_news = *current != trouble;
        *current = trouble;
        is_news
    }

    /// Calls `subscriber` when the kind goes or a full list of it arrives.
    pub fn subscribe_presence(&self, subscriber: impl Fn(Presence) + Send + Sync + 'static) {
        self.0.presence_subscribers.write().push(Arc::new(subscriber));
    }

    /// Calls `subscriber` with every later change.
    pub fn subscribe(&self, subscriber: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.0.subscribers.write().push(Arc::new(subscriber));
    }

    /// Takes in an object that the watch reports.
    pub fn apply(&self, object: K) {
        self.put(object, None);
    }

    /// Takes in an object of a full list.
    pub(crate) fn list(&self, object: K, list: ListId) {
        self.put(object, Some(list));
    }

    /// Takes in the answer to a write, so that the next decision sees it before the watch does.
    pub fn written(&self, object: K) {
        let (key, meta) = (ObjectKey::of(&object), object.meta());
        let is_gone = meta.deletion_timestamp.is_some() && meta.finalizers.as_ref().is_none_or(Vec::is_empty);
        if is_gone {
            self.remove(&key, version_of(&object));
        } else if self.presence() == Presence::Listed {
            // What the watch would never report must not come in by this way: nobody would take it out again.
            match self.0.kept.includes(&key, &object) {
                Some(true) => self.put(object, None),
                Some(false) if self.contains(&key) => self.remove(&key, version_of(&object)),
                None if self.contains(&key) => self.put(object, None),
                Some(false) | None => {}
            }
        }
    }

    /// Takes in a deletion that the watch reports, or that a write brought about.
    pub fn delete(&self, object: &K) {
        self.remove(&ObjectKey::of(object), version_of(object));
    }

    fn put(&self, mut object: K, list: Option<ListId>) {
        object.meta_mut().managed_fields = None;
        (self.0.trim)(&mut object);
        let key = ObjectKey::of(&object);
        let version = version_of(&object);
        let is_known = |known: u64| version > 0 && known >= version;

        let change = {
            let mut state = self.0.state.write();
            if state.tombstones.get(&key).is_some_and(|(deleted, _)| is_known(*deleted)) {
                return;
            }
            let is_same = match state.objects.get_mut(&key) {
                Some(entry) => {
                    entry.list = list.unwrap_or(entry.list);
                    if is_known(version_of(&*entry.object)) {
                        return;
                    }
                    differs_only_in_version(&*entry.object, &mut object)
                }
                None => false,
            };
            let new = Arc::new(object);
            let old = state.insert(&key, Arc::clone(&new), list);
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
            state.bury(key, version);
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

    /// Begins a full list: the kind is there.
    pub(crate) fn begin_list(&self) -> ListId {
        self.set_unknown();
        ListId(self.0.lists.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Ends a full list that was made at `version`: what is in `scope` and not in it is gone, unless it is newer than the
    /// list, which then says nothing about it. Its deletion would come with the watch.
    pub(crate) fn finish_list(&self, scope: &Scope, list: ListId, version: u64) {
        let is_gone = |key: &ObjectKey, entry: &Entry<K>| {
            scope.contains(key) && entry.list != list && version_of(&*entry.object) <= version
        };
        self.take_all(is_gone);
    }

    fn take_all(&self, is_gone: impl Fn(&ObjectKey, &Entry<K>) -> bool) {
        let changes: Vec<_> = {
            let mut state = self.0.state.write();
            let all = state.objects.iter();
            let gone: Vec<_> =
                all.filter(|(key, entry)| is_gone(key, entry)).map(|(key, _)| Arc::clone(key)).collect();
            gone.iter().filter_map(|key| state.take(&self.0.indexers, key)).collect()
        };
        for change in &changes {
            self.notify(change);
        }
    }

    /// Declares the first list complete. Watches do so themselves; stores without one, in tests, are told.
    pub fn mark_synced(&self) {
        self.set_presence(Presence::Listed);
    }

    /// The API server does not serve the kind: all its objects are gone.
    pub(crate) fn set_absent(&self) {
        let was_absent = self.presence() == Presence::Absent;
        // First, so that whoever is told of a removal sees why.
        self.0.presence.send_replace(Presence::Absent);
        self.take_all(|_, _| true);
        if !was_absent {
            self.set_presence(Presence::Absent);
        }
    }

    /// The kind is served again, or nobody can tell.
    pub(crate) fn set_unknown(&self) {
        self.0.presence.send_if_modified(|presence| {
            let was_absent = *presence == Presence::Absent;
            if was_absent {
                *presence = Presence::Unknown;
            }
            was_absent
        });
    }

    fn set_presence(&self, presence: Presence) {
        self.0.synced.store(true, Ordering::SeqCst);
        self.0.presence.send_replace(presence);
        for subscriber in self.0.presence_subscribers.read().iter() {
            subscriber(presence);
        }
    }

    fn notify(&self, change: &Change<K>) {
        for subscriber in self.0.subscribers.read().iter() {
            subscriber(change);
        }
    }
}

impl<K: Stored> State<K> {
    /// Puts an object in the place of the one that it returns.
    fn insert(&mut self, key: &ObjectKey, object: Arc<K>, list: Option<ListId>) -> Option<Arc<K>> {
        if let Some(entry) = self.objects.get_mut(key) {
            return Some(std::mem::replace(&mut entry.object, object));
        }
        let entry = Entry { object, list: list.unwrap_or(ListId(0)) };
        self.objects.insert(Arc::new(key.clone()), entry);
        None
    }

    /// Remembers that what had this name was deleted at `version`.
    fn bury(&mut self, key: &ObjectKey, version: u64) {
        let now = Instant::now();
        if now.duration_since(self.swept) > TOMBSTONE_SWEEP {
            self.tombstones.retain(|_, (_, since)| now.duration_since(*since) < TOMBSTONE_AGE);
            self.swept = now;
        }
        if self.tombstones.get(key).is_none_or(|(deleted, _)| *deleted < version) {
            self.tombstones.insert(key.clone(), (version, now));
        }
    }

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
            // The one allocation of the key that all maps share; not there for an object that goes.
            let Some((shared, _)) = self.objects.get_key_value(key) else { continue };
            for added in after.into_iter().flatten() {
                entries.entry(added).or_default().insert(Arc::clone(shared));
            }
        }
    }
}

/// The version as a number. Kubernetes promises order only since 1.35, but every etcd-backed server has it; a server
/// without it gives 0 for all, and then the last one to arrive wins.
fn version_of(object: &impl Resource) -> u64 {
    object.meta().resource_version.as_deref().map_or(0, version_number)
}

fn version_number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
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
