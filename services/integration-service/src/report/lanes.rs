//! Who may talk to a forge now: one at a time for each repository, a few for each namespace. A repository that hangs holds up nobody
//! but itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use fleet::ObjectKey;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Repositories of one namespace that are talked to at once.
const PER_NAMESPACE: usize = 4;

/// Lanes that are remembered though nobody is in them.
const REMEMBERED: usize = 1024;

/// Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Lanes {
    repositories: Turns<ObjectKey>,
    namespaces: Turns<String>,
}

/// The right to talk to a repository, as long as it lives.
pub(crate) struct Lane {
    _repository: OwnedSemaphorePermit,
    _namespace: OwnedSemaphorePermit,
}

impl Lanes {
    /// Waits for one's turn, in the order of asking. `None` never happens while the process runs.
    pub(crate) async fn take(&self, repository: ObjectKey) -> Option<Lane> {
        let namespace = repository.namespace.clone();
        let turn = self.repositories.of(repository, 1).acquire_owned().await.ok()?;
        let room = self.namespaces.of(namespace, PER_NAMESPACE).acquire_owned().await.ok()?;
        Some(Lane { _repository: turn, _namespace: room })
    }
}

#[derive(Clone)]
struct Turns<K>(Arc<Mutex<HashMap<K, Arc<Semaphore>>>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash> Turns<K> {
    fn of(&self, key: K, places: usize) -> Arc<Semaphore> {
        let mut turns = self.0.lock();
        if turns.len() >= REMEMBERED {
            // Whoever waits or is in holds another reference.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(key).or_insert_with(|| Arc::new(Semaphore::new(places))))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn key(namespace: &str, name: impl std::fmt::Display) -> ObjectKey {
        ObjectKey::new(namespace, name.to_string())
    }

    #[tokio::test]
    async fn one_at_a_time_for_each_repository() {
        let lanes = Lanes::default();
        let first = lanes.take(key("a", 1)).await.unwrap();
        let mut second = Box::pin(lanes.take(key("a", 1)));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(lanes.take(key("a", 2)).await.is_some());
        assert!(lanes.take(key("b", 1)).await.is_some(), "of another namespace");
        drop(first);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn a_namespace_leaves_room_for_others() {
        let lanes = Lanes::default();
        let mut taken = Vec::new();
        for number in 0..PER_NAMESPACE {
            taken.push(lanes.take(key("a", number)).await);
        }
        assert!(Box::pin(lanes.take(key("a", "more"))).now_or_never().is_none());
        assert!(lanes.take(key("b", 1)).await.is_some());
    }

    #[tokio::test]
    async fn remembers_a_bounded_number() {
        let lanes = Lanes::default();
        let held = lanes.take(key("a", "held")).await;
        for number in 0..3 * REMEMBERED {
            lanes.take(key(&format!("n{number}"), number)).await;
        }
        assert!(lanes.repositories.0.lock().len() <= REMEMBERED + 1);
        assert!(Box::pin(lanes.take(key("a", "held"))).now_or_never().is_none(), "it is still held");
        drop(held);
    }
}
