//! What the forge is being told of runs, outside reconciles: a forge that is slow or away costs none of the workers.
//!
//! ```text
//! reconcile ── begin ──▶ a task of its own: logs, Secrets, forge, with pauses in between
//!     ▲ of: UnderWay, Over                     │
//!     └──────── Waker: look again ◀────────────┘
//! ```
//! Only the results of this process are remembered. After a restart the forge is told again, which replaces what it was told.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use fleet::controller::Waker;
use fleet::{Clock, ObjectKey};
use futures::FutureExt as _;
use jiff::Timestamp;
use kube::ResourceExt as _;
use parking_lot::Mutex;
use pipelines_engine_api::PipelineRun;
use tokio::sync::Semaphore;

use crate::report::failure::Failure;

/// Runs of which a forge is told at once.
const AT_ONCE: usize = 32;

/// How far the telling of a run's end has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Telling {
    #[default]
    NotBegun,
    UnderWay,
    Over(Told),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// When that was clear.
    pub at: Timestamp,
    /// Why tasks failed, as the forge was told.
    pub failures: Arc<[Failure]>,
    /// Why the forge could not be told.
    pub error: Option<String>,
}

/// By run. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tellings {
    entries: Arc<Mutex<HashMap<ObjectKey, Entry>>>,
    permits: Arc<Semaphore>,
    waker: Waker,
    clock: Clock,
}

struct Entry {
    uid: String,
    telling: Telling,
}

impl Tellings {
    pub(crate) fn new(waker: Waker, clock: Clock) -> Self {
        Self { entries: Arc::default(), permits: Arc::new(Semaphore::new(AT_ONCE)), waker, clock }
    }

    /// How far it has come for this very run.
    pub(crate) fn of(&self, run: &PipelineRun) -> Telling {
        let entries = self.entries.lock();
        let entry =
            entries.get(&ObjectKey::of(run)).filter(|entry| Some(&entry.uid) == run.metadata.uid.as_ref());
        entry.map(|entry| entry.telling.clone()).unwrap_or_default()
    }

    /// Begins to tell the forge something of a run, unless that is done already. What `tell` answers with is
    /// remembered; `None` is forgotten. The run is woken in either case.
    pub(crate) fn begin<F>(&self, run: &PipelineRun, tell: F)
    where
        F: Future<Output = Option<Told>> + Send + 'static,
    {
        let (key, uid) = (ObjectKey::of(run), run.uid().unwrap_or_default());
        {
            let mut entries = self.entries.lock();
            if entries.get(&key).is_some_and(|entry| entry.uid == uid) {
                return;
            }
            entries.insert(key.clone(), Entry { uid: uid.clone(), telling: Telling::UnderWay });
        }
        let tellings = self.clone();
        tokio::spawn(async move {
            let told = {
                let _permit = tellings.permits.acquire().await;
                AssertUnwindSafe(tell).catch_unwind().await
            };
            let told = told.unwrap_or_else(|_| {
                tracing::error!(run = %key, "Telling the forge panicked");
                // Not tried again, so that this cannot spin.
                let error = Some("internal error".to_owned());
                Some(Told { at: tellings.clock.now(), failures: Arc::new([]), error })
            });
            tellings.end(&key, &uid, told);
            tellings.waker.wake(key);
        });
    }

    fn end(&self, key: &ObjectKey, uid: &str, told: Option<Told>) {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(key).filter(|entry| entry.uid == uid) else { return };
        match told {
            Some(told) => entry.telling = Telling::Over(told),
            None => {
                entries.remove(key);
            }
        }
    }

    /// Forgets a run that is over.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.entries.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use fleet::controller::Controller;
    use fleet::queue::{Limits, Queue, QueueMetrics};

    use crate::watch::testing::{at, run};

    fn tellings() -> (Tellings, Queue) {
        let metrics = QueueMetrics::new(&prometheus::Registry::new()).unwrap();
        let queue = Queue::new("run", Limits::for_workers(1), &metrics);
        (Tellings::new(Controller::new("run", queue.clone()).waker(), Clock::fixed(at(0))), queue)
    }

    async fn woken(queue: &Queue) -> ObjectKey {
        tokio::time::timeout(Duration::from_secs(5), queue.next()).await.expect("the run is woken").key
    }

    fn told() -> Told {
        Told { at: at(0), failures: Arc::new([]), error: None }
    }

    #[tokio::test]
    async fn tells_once_and_wakes_the_run() {
        let (tellings, queue) = tellings();
        let run = run("a").build();
        tellings.begin(&run, async { Some(told()) });
        assert_eq!(tellings.of(&run), Telling::UnderWay);
        tellings.begin(&run, async { unreachable!("it is told already") });
        assert_eq!(woken(&queue).await, ObjectKey::of(&run));
        assert_eq!(tellings.of(&run), Telling::Over(told()));
        tellings.forget(&ObjectKey::of(&run));
        assert_eq!(tellings.of(&run), Telling::NotBegun);
    }

    #[tokio::test]
    async fn another_run_of_the_same_name_is_told_of_too() {
        let (tellings, queue) = tellings();
        let old = run("a").build();
        tellings.begin(&old, async { Some(told()) });
        woken(&queue).await;
        let mut new = old.clone();
        new.metadata.uid = Some("another".to_owned());
        assert_eq!(tellings.of(&new), Telling::NotBegun);
    }

    #[tokio::test]
    async fn a_panic_is_an_end_too() {
        let (tellings, queue) = tellings();
        let run = run("a").build();
        tellings.begin(&run, async { panic!("a bug") });
        woken(&queue).await;
        assert!(matches!(tellings.of(&run), Telling::Over(Told { error: Some(_), .. })));
    }
}
