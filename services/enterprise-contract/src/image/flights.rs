//! Things that several ask for and one fetches.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// Answers by key. Who asks while another fetches waits for that. Errors are answers, too: what did not work is not tried
/// again within a run, since the client below has tried more than once.
pub(crate) struct Flights<K, V> {
    inner: Mutex<Inner<K, V>>,
    /// Weight of the answers that are kept, together.
    limit: usize,
}

struct Inner<K, V> {
    cells: HashMap<K, Arc<OnceCell<V>>>,
    weight: usize,
}

impl<K: Eq + Hash, V: Clone> Flights<K, V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { inner: Mutex::new(Inner { cells: HashMap::new(), weight: 0 }), limit }
    }

    /// The answer for `key`, by `fetch` if it is not known. `weigh` says what it weighs.
    pub(crate) async fn get(
        &self,
        key: K,
        fetch: impl Future<Output = V>,
        weigh: impl FnOnce(&V) -> usize,
    ) -> V {
        let cell = self.inner.lock().cells.entry(key).or_default().clone();
        let mut is_new = false;
        let noticed = &mut is_new;
        let fetch = || async move {
            *noticed = true;
            fetch.await
        };
        let answer = cell.get_or_init(fetch).await.clone();
        if is_new {
            let mut inner = self.inner.lock();
            inner.weight = inner.weight.saturating_add(weigh(&answer));
            if inner.weight > self.limit {
                // Answers are cheap to get again, and there is no order in which they are needed.
                inner.cells.clear();
                inner.weight = 0;
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_ask_and_one_fetches() {
        let (flights, fetched) = (Flights::new(100), AtomicUsize::new(0));
        let ask = || {
            let fetch = async {
                tokio::task::yield_now().await;
                fetched.fetch_add(1, Ordering::Relaxed)
            };
            flights.get("key", fetch, |_| 1)
        };
        assert_eq!(futures::join!(ask(), ask(), ask()), (0, 0, 0));
        assert_eq!(fetched.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn forgets_when_it_holds_too_much() {
        let flights = Flights::new(10);
        for weight in [5, 6] {
            flights.get(weight, async { weight }, |weight| *weight).await;
        }
        assert_eq!(flights.get(6, async { 7 }, |_| 1).await, 7);
        assert_eq!(flights.get(6, async { 8 }, |_| 1).await, 7);
    }
}
