//! Who may call a remote now: few calls of one host, not many for one namespace, and namespaces in turn.
//!
//! ```text
//! look-ups ──▶ a queue for each namespace ──▶ the next namespace whose turn it is, and its first whose host has room
//! ```
//! So a remote that is slow holds what is its own, and a namespace with thousands of requests delays nobody's one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How many at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) together: usize,
    pub(super) per_host: usize,
    pub(super) per_namespace: usize,
}

/// Hands out turns. Cheap to clone.
#[derive(Clone)]
pub(super) struct Turns {
    limits: Limits,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    together: usize,
    hosts: HashMap<String, usize>,
    namespaces: HashMap<String, usize>,
    /// In the order of their turns; none is empty.
    queues: VecDeque<(String, VecDeque<Waiting>)>,
}

struct Waiting {
    host: String,
    granted: oneshot::Sender<Turn>,
}

/// The right to call, as long as it lives.
pub(super) struct Turn {
    turns: Turns,
    namespace: String,
    host: String,
}

impl Turns {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Arc::default() }
    }

    /// Waits for a turn, for so long. `None` if there was none.
    pub(super) async fn take(&self, namespace: &str, host: &str, patience: Duration) -> Option<Turn> {
        let (granted, turn) = oneshot::channel();
        {
            let mut state = self.state.lock();
            let waiting = Waiting { host: host.to_owned(), granted };
            match state.queues.iter_mut().find(|(name, _)| name == namespace) {
                Some((_, queue)) => {
                    // Of those who have given up nothing may pile up.
                    queue.retain(|waiting| !waiting.granted.is_closed());
                    queue.push_back(waiting);
                }
                None => state.queues.push_back((namespace.to_owned(), [waiting].into())),
            }
        }
        self.grant();
        timeout(patience, turn).await.ok()?.ok()
    }

    fn grant(&self) {
        loop {
            let next = self.state.lock().next(self.limits);
            let Some((namespace, Waiting { host, granted })) = next else { return };
            // Who has given up gives it back by dropping it.
            drop(granted.send(Turn { turns: self.clone(), namespace, host }));
        }
    }
}

impl State {
    /// Takes the next who may call out of its queue, and counts it.
    fn next(&mut self, limits: Limits) -> Option<(String, Waiting)> {
        let count = |counts: &HashMap<String, usize>, name: &str| counts.get(name).copied().unwrap_or(0);
        if self.together >= limits.together {
            return None;
        }
        let has_room = |host: &str| count(&self.hosts, host) < limits.per_host;
        let (at, place) = self.queues.iter().enumerate().find_map(|(at, (namespace, queue))| {
            if count(&self.namespaces, namespace) >= limits.per_namespace {
                return None;
            }
            queue.iter().position(|waiting| has_room(&waiting.host)).map(|place| (at, place))
        })?;
        let (namespace, mut queue) = self.queues.remove(at)?;
        let waiting = queue.remove(place)?;
        if !queue.is_empty() {
            self.queues.push_back((namespace.clone(), queue));
        }
        self.together += 1;
        *self.hosts.entry(waiting.host.clone()).or_default() += 1;
        *self.namespaces.entry(namespace.clone()).or_default() += 1;
        Some((namespace, waiting))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Self { turns, namespace, host } = self;
        {
            let mut state = turns.state.lock();
            let State { together, hosts, namespaces, .. } = &mut *state;
            *together -= 1;
            for (counts, name) in [(hosts, &*host), (namespaces, &*namespace)] {
                if let Some(count) = counts.get_mut(name) {
                    *count -= 1;
                    if *count == 0 {
                        counts.remove(name);
                    }
                }
            }
        }
        turns.grant();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn turns(together: usize, per_host: usize, per_namespace: usize) -> Turns {
        Turns::new(Limits { together, per_host, per_namespace })
    }

    async fn may(turns: &Turns, namespace: &str, host: &str) -> Option<Turn> {
        turns.take(namespace, host, Duration::ZERO).await
    }

    #[tokio::test]
    async fn limits_hosts_namespaces_and_all_together() {
        let turns = turns(4, 2, 3);
        let first = may(&turns, "a", "slow").await.unwrap();
        let second = may(&turns, "b", "slow").await.unwrap();
        assert!(may(&turns, "c", "slow").await.is_none(), "the host has no room");
        let third = may(&turns, "a", "other").await.unwrap();
        let fourth = may(&turns, "a", "third").await.unwrap();
        assert!(may(&turns, "c", "fifth").await.is_none(), "all are taken");
        drop(second);
        assert!(may(&turns, "a", "fifth").await.is_none(), "the namespace has had its share");
        assert!(may(&turns, "c", "slow").await.is_some());
        drop((first, third, fourth));
        let state = turns.state.lock();
        assert_eq!((state.together, state.hosts.len(), state.namespaces.len()), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn namespaces_take_turns_and_a_slow_host_delays_no_other() {
        let turns = turns(1, 1, 1);
        let held = may(&turns, "many", "git").await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut asked = Vec::new();
        for (namespace, host) in [("many", "git"), ("many", "git"), ("many", "git"), ("one", "git")] {
            let (turns, order) = (turns.clone(), Arc::clone(&order));
            asked.push(tokio::spawn(async move {
                let turn = turns.take(namespace, host, PATIENCE).await;
                order.lock().push(namespace);
                drop(turn);
            }));
            tokio::task::yield_now().await;
        }
        drop(held);
        for asked in asked {
            asked.await.unwrap();
        }
        assert_eq!(*order.lock(), ["many", "one", "many", "many"]);

        let turns = self::turns(2, 1, 2);
        let slow = may(&turns, "a", "slow").await.unwrap();
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take("a", "slow", PATIENCE).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(may(&turns, "a", "quick").await.is_some(), "the first in the queue waits for its host alone");
        drop(slow);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_takes_nobodys_turn() {
        let turns = turns(1, 1, 1);
        let held = may(&turns, "a", "git").await.unwrap();
        assert!(turns.take("b", "git", PATIENCE).await.is_none());
        drop(held);
        assert!(may(&turns, "c", "git").await.is_some());
        assert!(turns.state.lock().queues.is_empty());
    }
}
