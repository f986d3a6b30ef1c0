//! What a process knows of the places that it writes to.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Repositories that are remembered.
const MAX_REPOSITORIES: usize = 4096;
/// From here on, tags that nobody writes to are forgotten.
const MANY_TAGS: usize = 1024;

/// Turns at tags, and where the configuration is that all manifests share.
#[derive(Debug, Default)]
pub(super) struct Places {
    turns: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
    configured: Mutex<HashSet<String>>,
}

impl Places {
    /// Waits until nobody else of this process writes to the tag: two that add a layer at once would not see each other's.
    pub(super) async fn turn(&self, tag: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock();
            if turns.len() >= MANY_TAGS {
                turns.retain(|_, turn| turn.strong_count() > 0);
            }
            if let Some(turn) = turns.get(tag).and_then(Weak::upgrade) {
                turn
            } else {
                let turn = Arc::new(AsyncMutex::new(()));
                turns.insert(tag.to_owned(), Arc::downgrade(&turn));
                turn
            }
        };
        turn.lock_owned().await
    }

    /// Whether the configuration was seen in a repository.
    pub(super) fn is_configured(&self, repository: &str) -> bool {
        self.configured.lock().contains(repository)
    }

    pub(super) fn remember_configured(&self, repository: String) {
        let mut configured = self.configured.lock();
        if configured.len() >= MAX_REPOSITORIES {
            configured.clear();
        }
        configured.insert(repository);
    }

    /// A registry deletes what no manifest refers to.
    pub(super) fn forget_configured(&self, repository: &str) {
        self.configured.lock().remove(repository);
    }
}
