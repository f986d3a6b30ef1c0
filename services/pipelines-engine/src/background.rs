//! Looks things up outside reconciles: each once at a time, for all that ask, and remembered for a while.
//!
//! ```text
//! reconcile ── ask ──▶ Lookups ── not known ──▶ a task of its own: registry, forge, API server
//!     ▲ None, or the answer                              │
//!     └───────────── Wake: look at the key again ◀───────┘
//! ```
//! A reconcile never waits: what is slow or dead costs none of the workers that others need.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use fleet::ObjectKey;
use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

/// How long an answer waits for those who asked for it.
const COLLECT: Duration = Duration::from_mins(1);
/// After the first failure; doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_secs(30);

/// Has a controller look at a key again.
pub type Wake = Arc<dyn Fn(ObjectKey) + Send + Sync>;

/// What a look-up has come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Looked<A> {
    /// Good for those who have asked, and for everybody else for this long.
    Known { answer: A, fresh: Duration },
    /// For now; looked up again by itself, after this long at the earliest.
    NotNow { answer: A, after: Duration },
}

/// Answers to questions `Q`. Cheap to clone.
pub struct Lookups<Q, A> {
    state: Arc<Mutex<State<Q, A>>>,
    wake: Wake,
}

impl<Q, A> Clone for Lookups<Q, A> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), wake: Arc::clone(&self.wake) }
    }
}

struct State<Q, A> {
    entries: HashMap<Q, Entry<A>>,
    /// Questions whose answers are remembered.
    capacity: usize,
}

struct Entry<A> {
    /// Absent while it is looked up for the first time.
    answer: Option<A>,
    at: Instant,
    /// Until when everybody gets it. In the past while it is looked up again.
    fresh_until: Instant,
    is_looking: bool,
    /// In a row.
    failures: u32,
    askers: HashSet<ObjectKey>,
}

impl<A> Entry<A> {
    fn new(now: Instant) -> Self {
        Self {
            answer: None,
            at: now,
            fresh_until: now,
            is_looking: false,
            failures: 0,
            askers: HashSet::new(),
        }
    }

    /// Whether `asker` gets what is remembered.
    fn serves(&self, asker: &ObjectKey, now: Instant) -> bool {
        let was_waited_for = self.failures == 0 && self.askers.contains(asker) && now < self.at + COLLECT;
        !self.is_looking && (now < self.fresh_until || was_waited_for)
    }

    fn is_over(&self, now: Instant) -> bool {
        !self.is_looking && now >= self.fresh_until.max(self.at + COLLECT)
    }
}

impl<Q, A> Lookups<Q, A>
where
    Q: Clone + Eq + Hash + Send + Sync + 'static,
    A: Clone + Send + 'static,
{
    pub fn new(capacity: usize, wake: Wake) -> Self {
        Self { state: Arc::new(Mutex::new(State { entries: HashMap::new(), capacity })), wake }
    }

    /// What is known. If that is nothing, `look` begins to find out unless somebody does already, and `asker` is woken
    /// when there is something.
    pub fn ask<F>(&self, question: &Q, asker: &ObjectKey, look: impl FnOnce() -> F) -> Option<A>
    where
        F: Future<Output = Looked<A>> + Send + 'static,
    {
        {
            let now = Instant::now();
            let mut state = self.state.lock();
            let entry = state.entries.entry(question.clone()).or_insert_with(|| Entry::new(now));
            let is_served = entry.serves(asker, now);
            if is_served && entry.failures == 0 {
                return entry.answer.clone();
            }
            entry.askers.insert(asker.clone());
            if is_served {
                return entry.answer.clone();
            }
            if entry.is_looking {
                return None;
            }
            entry.is_looking = true;
            entry.askers = [asker.clone()].into();
            state.make_room(now);
        }
        let (lookups, question, looked) = (self.clone(), question.clone(), look());
        tokio::spawn(async move {
            let looked = AssertUnwindSafe(looked).catch_unwind().await;
            lookups.finish(&question, looked.ok()).await;
        });
        None
    }

    async fn finish(&self, question: &Q, looked: Option<Looked<A>>) {
        let (askers, again) = {
            let now = Instant::now();
            let mut state = self.state.lock();
            let Some(entry) = state.entries.get_mut(question) else { return };
            let Some(looked) = looked else {
                tracing::error!("A look-up panicked");
                // Those who wait are looked at again in their own time, so that this cannot spin.
                state.entries.remove(question);
                return;
            };
            entry.is_looking = false;
            entry.at = now;
            let again = match looked {
                Looked::Known { answer, fresh } => {
                    entry.answer = Some(answer);
                    entry.failures = 0;
                    entry.fresh_until = now + fresh;
                    None
                }
                Looked::NotNow { answer, after } => {
                    entry.answer = Some(answer);
                    let delay = delay(entry.failures).max(after.min(LAST_DELAY));
                    entry.failures = entry.failures.saturating_add(1);
                    entry.fresh_until = now + delay;
                    Some(delay)
                }
            };
            (entry.askers.clone(), again)
        };
        self.wake_all(askers);
        let Some(delay) = again else { return };
        sleep(delay).await;
        let askers = {
            let mut state = self.state.lock();
            let entry = state.entries.get_mut(question).filter(|entry| !entry.is_looking);
            entry.map(|entry| std::mem::take(&mut entry.askers)).unwrap_or_default()
        };
        self.wake_all(askers);
    }

    fn wake_all(&self, askers: HashSet<ObjectKey>) {
        for asker in askers {
            (self.wake)(asker);
        }
    }
}

impl<Q: Clone + Eq + Hash, A> State<Q, A> {
    /// Forgets what is over, and the oldest if that is not enough. What is being looked up stays.
    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| !entry.is_over(now));
        while self.entries.len() > self.capacity {
            let known = self.entries.iter().filter(|(_, entry)| !entry.is_looking);
            let Some(oldest) = known.min_by_key(|(_, entry)| entry.at).map(|(question, _)| question.clone())
            else {
                return;
            };
            self.entries.remove(&oldest);
        }
    }
}

fn delay(failures: u32) -> Duration {
    FIRST_DELAY.saturating_mul(1 << failures.min(10)).min(LAST_DELAY)
}

#[cfg(test)]
mod tests;
