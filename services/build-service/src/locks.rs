//! One at a time for each of many things.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use fleet::ObjectKey;
use parking_lot::Mutex;
use tokio::sync::{Mutex as Lock, OwnedMutexGuard};

/// Locks that are kept while somebody has them.
#[derive(Default)]
pub(crate) struct Locks(Mutex<HashMap<ObjectKey, Weak<Lock<()>>>>);

impl Locks {
    /// Waits until nobody else has the lock of `key`.
    pub(crate) async fn lock(&self, key: &ObjectKey) -> OwnedMutexGuard<()> {
        let lock = self.of(key);
        lock.lock_owned().await
    }

    fn of(&self, key: &ObjectKey) -> Arc<Lock<()>> {
        let mut locks = self.0.lock();
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        locks.insert(key.clone(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left() {
        let (locks, a, b) = (Locks::default(), ObjectKey::new("n", "a"), ObjectKey::new("n", "b"));
        let held = locks.lock(&a).await;
        assert!(locks.lock(&a).now_or_never().is_none());
        let _other = locks.lock(&b).now_or_never().unwrap();
        drop(held);
        let _again = locks.lock(&a).now_or_never().unwrap();
        assert_eq!(locks.0.lock().len(), 2);
    }
}
