//! What the stand-ins for other programs have in common: each looks at an object and does the one thing that comes
//! next about it, until nothing does.
//!
//! ```text
//! watches ──▶ Part::note ──▶ names to look at ──▶ Part::act: at most one write each ──▶ watches ──▶ …
//! ```
//! They remember nothing: what comes next follows from what is stored and from the script that is played. So a script
//! can be changed at any time, a stand-in be stopped and another one go on, and every state between two writes is one
//! that others can see. Nothing depends on time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures::{Stream, StreamExt as _};
use kube::api::ResourceExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Error, Resource};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::wait::DEADLINE;

/// How long after a write that failed it is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// How many events are taken note of before anything is done about them.
const AT_ONCE: usize = 100;

/// Which objects a script is for.
pub struct Choice<K>(Arc<dyn Fn(&K) -> bool + Send + Sync>);

impl<K: Resource> Choice<K> {
    pub fn any() -> Self {
        Self::matching(|_| true)
    }

    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        Self::matching(move |object| object.name_any() == name)
    }

    pub fn labelled(key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        Self::matching(move |object| object.labels().get(&key) == Some(&value))
    }

    pub fn matching(predicate: impl Fn(&K) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(predicate))
    }

    pub(crate) fn holds(&self, object: &K) -> bool {
        self.0(object)
    }
}

impl<K> Clone for Choice<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Debug for Choice<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Choice(..)")
    }
}

type Rules<K, S> = Arc<Mutex<Vec<(Choice<K>, S)>>>;

/// The scripts that are played. Of those that are for an object, the one that was added last is.
#[derive(Debug)]
pub(crate) struct Scripts<K, S> {
    rules: Rules<K, S>,
    changed: Arc<Notify>,
}

impl<K: Resource, S: Clone + Default> Scripts<K, S> {
    /// One script for all.
    pub(crate) fn new(default: S) -> Self {
        Self { rules: Arc::new(Mutex::new(vec![(Choice::any(), default)])), changed: Arc::default() }
    }

    /// Scripts of another sort for the same stand-in, which is told of a change of either.
    pub(crate) fn beside<T>(&self, default: T) -> Scripts<K, T> {
        let rules = Arc::new(Mutex::new(vec![(Choice::any(), default)]));
        Scripts { rules, changed: Arc::clone(&self.changed) }
    }

    /// Also for objects that exist.
    pub(crate) fn add(&self, choice: Choice<K>, script: S) {
        self.rules.lock().push((choice, script));
        self.changed.notify_one();
    }

    pub(crate) fn of(&self, object: &K) -> S {
        let rules = self.rules.lock();
        let last = rules.iter().rev().find(|(choice, _)| choice.holds(object));
        last.map(|(_, script)| script.clone()).unwrap_or_default()
    }

    pub(crate) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}

impl<K, S> Clone for Scripts<K, S> {
    fn clone(&self) -> Self {
        Self { rules: Arc::clone(&self.rules), changed: Arc::clone(&self.changed) }
    }
}

/// The objects of one kind and namespace, by name, as a watch tells of them.
#[derive(Debug)]
pub(crate) struct Store<K> {
    objects: BTreeMap<String, K>,
    is_complete: bool,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), is_complete: false }
    }
}

impl<K: Resource> Store<K> {
    /// Takes note of an event. Returns what `name` makes of the object that it is about, if there is one.
    pub(crate) fn note(&mut self, event: Event<K>, name: impl Fn(&K) -> Option<String>) -> Option<String> {
        match event {
            Event::Init => {
                *self = Self::default();
                None
            }
            Event::InitDone => {
                self.is_complete = true;
                None
            }
            Event::Apply(object) | Event::InitApply(object) => {
                let about = name(&object);
                self.objects.insert(object.name_any(), object);
                about
            }
            Event::Delete(object) => {
                self.objects.remove(&object.name_any());
                name(&object)
            }
        }
    }

    /// Whether the watch has told of all that there was when it began: until then, what is not here may yet exist.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(crate) fn get(&self, name: &str) -> Option<&K> {
        self.objects.get(name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &K> {
        self.objects.values()
    }
}

/// What a stand-in does.
pub(crate) trait Part: Send + 'static {
    type Event: Send;

    /// Takes note of what happened; returns the name of the object to look at.
    fn note(&mut self, event: Self::Event) -> Option<String>;

    /// Whether enough is known to act.
    fn is_ready(&self) -> bool;

    /// All that can be looked at.
    fn names(&self) -> Vec<String>;

    /// Does what comes next about one object; nothing if that waits for somebody else.
    fn act(&mut self, name: &str) -> impl Future<Output = kube::Result<()>> + Send;
}

/// A stand-in at work. Its work ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    ends: watch::Sender<bool>,
    work: JoinHandle<()>,
}

impl Stage {
    /// Puts `part` to work on `events`, also whenever `changed` tells that a script is another one. Returns when it
    /// knows what there was before: from then on it hears of things in the order in which they happen.
    ///
    /// `who` begins the lines about what fails; they go to standard error, which a failed test shows.
    pub(crate) async fn open<P: Part>(
        who: String,
        part: P,
        events: impl Stream<Item = Result<P::Event, watcher::Error>> + Send + 'static,
        changed: Arc<Notify>,
    ) -> anyhow::Result<Self> {
        let (ends, ended) = watch::channel(false);
        let (up, is_up) = oneshot::channel();
        let work = tokio::spawn(perform(who.clone(), part, events, changed, up, ended));
        let stage = Self { ends, work };
        match timeout(DEADLINE, is_up).await {
            Ok(Ok(())) => Ok(stage),
            _ => bail!("{who}: cannot watch within {DEADLINE:?}; why stands in the output above"),
        }
    }

    /// Lets the write in hand end, and no other begin.
    pub(crate) async fn close(mut self) {
        self.ends.send_replace(true);
        // An error means that it ended by itself.
        drop((&mut self.work).await);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn perform<P: Part>(
    who: String,
    mut part: P,
    events: impl Stream<Item = Result<P::Event, watcher::Error>>,
    changed: Arc<Notify>,
    up: oneshot::Sender<()>,
    mut ended: watch::Receiver<bool>,
) {
    let mut up = Some(up);
    let mut events = std::pin::pin!(events.ready_chunks(AT_ONCE));
    let (mut due, mut failed) = (BTreeSet::<String>::new(), BTreeSet::<String>::new());
    loop {
        if part.is_ready()
            && let Some(up) = up.take()
        {
            // Nobody listens when the start was given up.
            _ = up.send(());
        }
        while part.is_ready() && !is_set(&ended) {
            let Some(name) = due.pop_first() else { break };
            match part.act(&name).await {
                Ok(()) => {}
                // Somebody else was faster: the event that tells what they did is on its way.
                Err(Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => {
                    eprintln!("{who}: {name}: {:#}; trying again", anyhow::Error::new(error));
                    failed.insert(name);
                }
            }
        }
        tokio::select! {
            _ = ended.wait_for(|ended| *ended) => return,
            next = events.next() => {
                let Some(events) = next else { return };
                for event in events {
                    match event {
                        Ok(event) => due.extend(part.note(event)),
                        Err(error) => eprintln!("{who}: {:#}; watching again", anyhow::Error::new(error)),
                    }
                }
            }
            () = changed.notified() => due.extend(part.names()),
            () = sleep(PAUSE), if !failed.is_empty() => due.append(&mut failed),
        }
    }
}

fn is_set(flag: &watch::Receiver<bool>) -> bool {
    *flag.borrow()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builders::{self, Build as _};
    use k8s_openapi::api::core::v1::ConfigMap;

    fn map(name: &str) -> ConfigMap {
        builders::config_map("a", name, []).label("kind", "test")
    }

    #[test]
    fn the_script_that_was_added_last_is_played() {
        let scripts = Scripts::new(0);
        scripts.add(Choice::labelled("kind", "test"), 1);
        scripts.add(Choice::named("x"), 2);
        scripts.add(Choice::named("y"), 3);
        scripts.add(Choice::matching(|map: &ConfigMap| map.data.is_none()), 4);
        let bare = ConfigMap { data: None, ..map("x") };
        let found = [map("x"), map("y"), map("z"), bare].map(|map| scripts.of(&map));
        assert_eq!(found, [2, 3, 1, 4]);
        assert_eq!(scripts.of(&builders::config_map("a", "z", [])), 0);
    }

    #[test]
    fn a_store_is_complete_once_all_was_told() {
        let name = |map: &ConfigMap| Some(map.name_any());
        let mut store = Store::default();
        store.note(Event::Init, name);
        assert_eq!(store.note(Event::InitApply(map("x")), name).as_deref(), Some("x"));
        assert!(!store.is_complete());
        store.note(Event::InitDone, name);
        assert!(store.is_complete());
        assert_eq!(store.note(Event::Delete(map("x")), name).as_deref(), Some("x"));
        store.note(Event::Apply(map("y")), name);
        assert_eq!(store.names(), ["y"]);
        store.note(Event::Init, name);
        assert!(!store.is_complete() && store.get("y").is_none());
    }
}
