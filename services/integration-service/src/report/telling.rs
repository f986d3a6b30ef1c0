//! What forges are being told, outside reconciles: a forge that is slow or away costs none of the workers.
//!
//! ```text
//! reconcile ── begin ──▶ a task of its own: TaskRuns, Secrets, forge
//!     ▲ of: done, retry                   │
//!     └──── Waker: look again ◀───────────┘
//! ```
//! Only the results of this process are remembered. After a restart the forge is told again what was not recorded, which continues what it
//! was told.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use fleet::controller::Waker;
use fleet::{Clock, ObjectKey};
use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::reported::Keys;

/// Pause after the first failure; each further one doubles it.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// How far the telling of one object has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Telling {
    pub(crate) is_under_way: bool,
    /// What was said, or given up, and may not be recorded yet.
    pub(crate) done: Vec<Done>,
    /// What could not be said will be tried again.
    pub(crate) retry: Option<Retry>,
}

/// One state of a scenario that needs not be said any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) keys: Keys,
    /// `lastUpdateTime` of the state.
    pub(crate) updated: String,
    /// Why it was given up.
    pub(crate) failure: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    /// Not before then.
    pub(crate) at: Timestamp,
    pub(crate) why: String,
    /// In a row.
    pub(crate) failures: u32,
}

/// By object. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tellings {
    entries: Arc<Mutex<HashMap<ObjectKey, Entry>>>,
    waker: Waker,
    clock: Clock,
}

struct Entry {
    uid: String,
    telling: Telling,
}

impl Tellings {
    pub(crate) fn new(waker: Waker, clock: Clock) -> Self {
        Self { entries: Arc::default(), waker, clock }
    }

    /// How far it has come for this very object.
    pub(crate) fn of(&self, key: &ObjectKey, uid: &str) -> Telling {
        let entries = self.entries.lock();
        entries
            .get(key)
            .filter(|entry| entry.uid == uid)
            .map(|entry| entry.telling.clone())
            .unwrap_or_default()
    }

    /// Begins to tell, unless that is under way. What was done before is recorded by now.
    pub(crate) fn begin<F>(&self, key: &ObjectKey, uid: &str, tell: impl FnOnce(Sink) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        {
            let mut entries = self.entries.lock();
            let entry = entries
                .entry(key.clone())
                .and_modify(|entry| {
                    if entry.uid != uid {
                        *entry = Entry::new(uid);
                    }
                })
                .or_insert_with(|| Entry::new(uid));
            if entry.telling.is_under_way {
                return;
            }
            entry.telling.is_under_way = true;
            entry.telling.done.clear();
        }
        let sink = Sink { tellings: self.clone(), key: key.clone(), uid: uid.to_owned() };
        let telling = tell(sink.clone());
        tokio::spawn(async move {
            let failed_before = sink.failures();
            if AssertUnwindSafe(telling).catch_unwind().await.is_err() {
                tracing::error!(object = %sink.key, "Telling the forge panicked");
                sink.later("internal error", None);
            }
            sink.end(failed_before);
        });
    }

    /// Forgets an object about which there is nothing more to say.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        let mut entries = self.entries.lock();
        if entries.get(key).is_some_and(|entry| !entry.telling.is_under_way) {
            entries.remove(key);
        }
    }
}

impl Entry {
    fn new(uid: &str) -> Self {
        Self { uid: uid.to_owned(), telling: Telling::default() }
    }
}

/// Takes what comes of a telling.
#[derive(Clone)]
pub(crate) struct Sink {
    tellings: Tellings,
    key: ObjectKey,
    uid: String,
}

impl Sink {
    /// This needs not be said any more.
    pub(crate) fn done(&self, done: Done) {
        self.change(|telling| telling.done.push(done));
        self.tellings.waker.wake(self.key.clone());
    }

    /// The rest has to wait, if the forge said so until `not_before`.
    pub(crate) fn later(&self, why: &str, not_before: Option<Timestamp>) {
        let now = self.tellings.clock.now();
        tracing::warn!(object = %self.key, error = why, "The forge could not be told; trying again");
        self.change(|telling| {
            let failures = telling.retry.as_ref().map_or(0, |retry| retry.failures).saturating_add(1);
            let at = now + pause(failures, &self.key);
            let at = not_before.map_or(at, |not_before| at.max(not_before));
            telling.retry = Some(Retry { at, why: why.to_owned(), failures });
        });
    }

    fn failures(&self) -> u32 {
        let telling = self.tellings.of(&self.key, &self.uid);
        telling.retry.map_or(0, |retry| retry.failures)
    }

    fn end(&self, failed_before: u32) {
        self.change(|telling| {
            telling.is_under_way = false;
            // All went well this time.
            telling.retry.take_if(|retry| retry.failures == failed_before);
        });
        self.tellings.waker.wake(self.key.clone());
    }

    fn change(&self, change: impl FnOnce(&mut Telling)) {
        let mut entries = self.tellings.entries.lock();
        if let Some(entry) = entries.get_mut(&self.key).filter(|entry| entry.uid == self.uid) {
            change(&mut entry.telling);
        }
    }
}

/// Somewhat different for each object, so that they do not come all at once.
fn pause(failures: u32, key: &ObjectKey) -> SignedDuration {
    let spread =
        key.name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 250;
    let base =
        SHORTEST.saturating_mul(1_i32.checked_shl(failures.saturating_sub(1).min(16)).unwrap_or(i32::MAX));
    let base = base.min(LONGEST);
    base + SignedDuration::from_millis(i64::from(spread) * base.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fleet::controller::Controller;
    use fleet::queue::{Limits, Queue, QueueMetrics};

    use super::*;

    fn tellings() -> (Tellings, Queue) {
        let metrics = QueueMetrics::new(&prometheus::Registry::new()).unwrap();
        let queue = Queue::new("report", Limits::for_workers(1), &metrics);
        let clock = Clock::fixed(Timestamp::UNIX_EPOCH);
        (Tellings::new(Controller::new("report", queue.clone()).waker(), clock), queue)
    }

    fn key() -> ObjectKey {
        ObjectKey::new("n", "s")
    }

    fn done() -> Done {
        Done { keys: Keys::of_snapshot("lint", "s"), updated: "T".to_owned(), failure: None }
    }

    /// Waits until the object was woken and nothing is under way.
    async fn ended(tellings: &Tellings, queue: &Queue) -> Telling {
        let wait = async {
            loop {
                let work = queue.next().await;
                queue.finish(&work, fleet::queue::Outcome::Done);
                let telling = tellings.of(&key(), "u");
                if !telling.is_under_way {
                    return telling;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), wait).await.expect("it ends")
    }

    #[tokio::test]
    async fn tells_once_at_a_time_and_wakes() {
        let (tellings, queue) = tellings();
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        tellings.begin(&key(), "u", |sink| async move {
            wait.await.unwrap();
            sink.done(done());
        });
        assert!(tellings.of(&key(), "u").is_under_way);
        tellings.begin(&key(), "u", |_| async { unreachable!("it is told already") });
        go.send(()).unwrap();
        let telling = ended(&tellings, &queue).await;
        assert_eq!(telling, Telling { done: vec![done()], ..Telling::default() });
        assert_eq!(tellings.of(&key(), "another"), Telling::default());
    }

    #[tokio::test]
    async fn failures_in_a_row_are_counted_until_all_goes_well() {
        let (tellings, queue) = tellings();
        let mut seen = Vec::new();
        for _ in 0..3 {
            tellings.begin(&key(), "u", |sink| async move { sink.later("away", None) });
            seen.push(ended(&tellings, &queue).await.retry.unwrap());
        }
        assert_eq!(seen.iter().map(|retry| retry.failures).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(seen.is_sorted_by(|a, b| a.at < b.at), "{seen:?}");
        tellings.begin(&key(), "u", |sink| async move { sink.done(done()) });
        assert_eq!(ended(&tellings, &queue).await.retry, None);
    }

    #[tokio::test]
    async fn comes_back_when_the_forge_says() {
        let (tellings, queue) = tellings();
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        tellings.begin(&key(), "u", |sink| async move { sink.later("no more calls", Some(at)) });
        assert_eq!(ended(&tellings, &queue).await.retry.unwrap().at, at);
    }

    #[tokio::test]
    async fn a_panic_is_tried_again_later() {
        let (tellings, queue) = tellings();
        tellings.begin(&key(), "u", |_| async { panic!("a bug") });
        assert!(ended(&tellings, &queue).await.retry.is_some());
    }

    #[test]
    fn pauses_have_an_end() {
        let pauses: Vec<SignedDuration> = (1..40).map(|failures| pause(failures, &key())).collect();
        assert!(pauses.is_sorted());
        assert!(pauses[0] >= SHORTEST && pauses[0] < SHORTEST * 2);
        assert!(*pauses.last().unwrap() < LONGEST * 2);
    }
}
