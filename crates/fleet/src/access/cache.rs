//! Remembers answers for a moment, and asks each question once at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a yes is good for (security.md 5.2): as long a revoked right goes on working.
const ALLOWED_FOR: Duration = Duration::from_secs(10);
/// How long a no is good for: as long a right that was just granted is not seen.
const DENIED_FOR: Duration = Duration::from_secs(5);

/// A SHA-256: no token is kept.
pub(super) type Key = [u8; 32];

/// The question could not be answered. Was logged where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed;

/// Yes, with what is known then; or no; or no answer.
type Answer<V> = Result<Option<V>, Failed>;
type Flight<V> = Shared<BoxFuture<'static, Answer<V>>>;

enum Slot<V: Clone> {
    Known {
        answer: Option<V>,
        until: Instant,
    },
    /// Weak: an answer that nobody waits for any more would only grow old.
    Asked(WeakShared<BoxFuture<'static, Answer<V>>>),
}

/// Answers to questions that are named by a hash.
pub(super) struct Cache<V: Clone> {
    slots: Mutex<HashMap<Key, Slot<V>>>,
    capacity: usize,
}

impl<V: Clone + Send + Sync + 'static> Cache<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slots: Mutex::default(), capacity }
    }

    /// What is remembered, else what `ask` finds out, alone for all who want to know at the same time. `hit` is called
    /// when nobody had to be asked for this.
    pub(super) async fn get<F>(
        self: &Arc<Self>,
        key: Key,
        hit: impl FnOnce(),
        ask: impl FnOnce() -> F,
    ) -> Answer<V>
    where
        F: Future<Output = Answer<V>> + Send + 'static,
    {
        let flight = {
            let mut slots = self.slots.lock();
            let in_flight = match slots.get(&key) {
                Some(Slot::Known { answer, until }) if Instant::now() < *until => {
                    hit();
                    return Ok(answer.clone());
                }
                Some(Slot::Asked(flight)) => flight.upgrade(),
                Some(Slot::Known { .. }) | None => None,
            };
            if let Some(flight) = in_flight {
                hit();
                flight
            } else {
                if !slots.contains_key(&key) && !make_room(&mut slots, self.capacity) {
                    tracing::warn!(
                        capacity = self.capacity,
                        "Too many callers at once: some are turned away"
                    );
                    return Err(Failed);
                }
                let flight: Flight<V> = Arc::clone(self).ask(key, ask()).boxed().shared();
                if let Some(weak) = flight.downgrade() {
                    slots.insert(key, Slot::Asked(weak));
                }
                flight
            }
        };
        flight.await
    }

    async fn ask(self: Arc<Self>, key: Key, question: impl Future<Output = Answer<V>>) -> Answer<V> {
        // Counted from before the question: the answer may be as old as that when it arrives.
        let asked = Instant::now();
        let answer = question.await;
        let mut slots = self.slots.lock();
        if let Ok(answer) = &answer {
            let until = asked + if answer.is_some() { ALLOWED_FOR } else { DENIED_FOR };
            slots.insert(key, Slot::Known { answer: answer.clone(), until });
        } else {
            slots.remove(&key);
        }
        answer
    }
}

/// Forgets what is stale, then what is worth least: every no (a stranger can cause any number of them), then the older
/// half. False if all of it is being asked right now.
fn make_room<V: Clone>(slots: &mut HashMap<Key, Slot<V>>, capacity: usize) -> bool {
    if slots.len() < capacity {
        return true;
    }
    let now = Instant::now();
    let is_asked = |slot: &Slot<V>| matches!(slot, Slot::Asked(flight) if flight.upgrade().is_some());
    slots.retain(|_, slot| is_asked(slot) || matches!(slot, Slot::Known { until, .. } if now < *until));
    if slots.len() >= capacity {
        slots.retain(|_, slot| !matches!(slot, Slot::Known { answer: None, .. }));
    }
    if slots.len() >= capacity {
        let mut ends: Vec<Instant> = slots.values().filter_map(known_until).collect();
        let middle = ends.len() / 2;
        if let Some(middle) = ends.get(middle).is_some().then(|| *ends.select_nth_unstable(middle).1) {
            slots.retain(|_, slot| known_until(slot).is_none_or(|until| until > middle));
        }
    }
    slots.len() < capacity
}

fn known_until<V: Clone>(slot: &Slot<V>) -> Option<Instant> {
    match slot {
        Slot::Known { until, .. } => Some(*until),
        Slot::Asked(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rstest::rstest;
    use tokio::sync::oneshot;
    use tokio::time::advance;

    use super::*;

    /// A cache whose questions are all answered the same way, and counted.
    struct Asked {
        cache: Arc<Cache<u8>>,
        count: Arc<AtomicUsize>,
    }

    impl Asked {
        fn new(capacity: usize) -> Self {
            Self { cache: Arc::new(Cache::new(capacity)), count: Arc::default() }
        }

        async fn get(&self, key: u8, answer: Answer<u8>) -> Answer<u8> {
            let count = self.count.clone();
            let ask = move || async move {
                count.fetch_add(1, Ordering::SeqCst);
                answer
            };
            self.cache.get([key; 32], || {}, ask).await
        }

        fn count(&self) -> usize {
            self.count.load(Ordering::SeqCst)
        }
    }

    #[rstest]
    #[case::allowed(Some(1), 10)]
    #[case::denied(None, 5)]
    #[tokio::test(start_paused = true)]
    async fn forgets_after(#[case] answer: Option<u8>, #[case] seconds: u64) {
        let asked = Asked::new(8);
        assert_eq!(asked.get(1, Ok(answer)).await, Ok(answer));
        advance(Duration::from_millis(seconds * 1000 - 1)).await;
        assert_eq!(asked.get(1, Ok(Some(9))).await, Ok(answer), "remembered");
        assert_eq!(asked.count(), 1);
        advance(Duration::from_millis(1)).await;
        assert_eq!(asked.get(1, Ok(Some(9))).await, Ok(Some(9)), "asked again");
        assert_eq!(asked.count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn remembers_no_failure() {
        let asked = Asked::new(8);
        assert_eq!(asked.get(1, Err(Failed)).await, Err(Failed));
        assert_eq!(asked.get(1, Ok(Some(1))).await, Ok(Some(1)));
        assert_eq!(asked.count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_the_question_counts() {
        let asked = Asked::new(8);
        let slow = async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            Ok(Some(1))
        };
        assert_eq!(asked.cache.get([1; 32], || {}, || slow).await, Ok(Some(1)));
        advance(Duration::from_secs(1)).await;
        asked.get(1, Ok(Some(2))).await.unwrap();
        assert_eq!(asked.count(), 1, "ten seconds after the question it is asked again");
    }

    #[tokio::test(start_paused = true)]
    async fn asks_once_for_many() {
        let asked = Asked::new(8);
        let (answer, answered) = oneshot::channel();
        let first = asked.cache.get([1; 32], || {}, || async { answered.await.map_err(|_| Failed) });
        let others = futures::future::join_all((0..100).map(|_| asked.get(1, Ok(Some(9)))));
        let answers = async {
            tokio::task::yield_now().await;
            answer.send(Some(1)).unwrap();
        };
        let (first, others, ()) = tokio::join!(first, others, answers);
        assert_eq!(first, Ok(Some(1)));
        assert!(others.iter().all(|answer| *answer == Ok(Some(1))), "{others:?}");
        assert_eq!(asked.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_nobody_waits_for_is_asked_anew() {
        let asked = Asked::new(8);
        let hangs = asked.cache.get([1; 32], || {}, std::future::pending);
        assert!(tokio::time::timeout(Duration::from_secs(1), hangs).await.is_err());
        assert_eq!(asked.get(1, Ok(Some(1))).await, Ok(Some(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn is_bounded_and_forgets_strangers_first() {
        let asked = Asked::new(8);
        asked.get(0, Ok(Some(1))).await.unwrap();
        for stranger in 1..=200 {
            asked.get(stranger, Ok(None)).await.unwrap();
            assert!(asked.cache.slots.lock().len() <= 8);
        }
        let before = asked.count();
        asked.get(0, Ok(Some(1))).await.unwrap();
        assert_eq!(asked.count(), before, "who is known stays known");
        for known in 201..=255 {
            asked.get(known, Ok(Some(1))).await.unwrap();
            assert!(asked.cache.slots.lock().len() <= 8);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn turns_away_when_all_room_is_taken_by_questions() {
        let asked = Asked::new(2);
        let mut waiting = futures::stream::FuturesUnordered::new();
        for key in [1, 2] {
            waiting.push(asked.cache.get([key; 32], || {}, std::future::pending));
        }
        assert!(futures::poll!(futures::StreamExt::next(&mut waiting)).is_pending());
        assert_eq!(asked.get(3, Ok(Some(1))).await, Err(Failed));
        drop(waiting);
        assert_eq!(asked.get(3, Ok(Some(1))).await, Ok(Some(1)));
    }
}
