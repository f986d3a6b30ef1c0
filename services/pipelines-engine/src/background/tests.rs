use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::time::advance;

use super::*;

/// Counts looks and wakes.
struct World {
    lookups: Lookups<&'static str, u32>,
    woken: Arc<Mutex<Vec<String>>>,
    looks: Arc<AtomicUsize>,
}

fn world(capacity: usize) -> World {
    let woken = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&woken);
    let wake: Wake = Arc::new(move |key| seen.lock().push(key.name));
    World { lookups: Lookups::new(capacity, wake), woken, looks: Arc::default() }
}

impl World {
    fn ask(&self, question: &'static str, asker: &str, looked: Looked<u32>) -> Option<u32> {
        self.lookups.ask(&question, &ObjectKey::new("n", asker), || {
            self.looks.fetch_add(1, Ordering::SeqCst);
            ready(looked)
        })
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// Those who were woken since the last time.
    async fn woken(&self) -> Vec<String> {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let mut woken = std::mem::take(&mut *self.woken.lock());
        woken.sort();
        woken
    }
}

fn known(answer: u32, seconds: u64) -> Looked<u32> {
    Looked::Known { answer, fresh: Duration::from_secs(seconds) }
}

fn not_now(answer: u32) -> Looked<u32> {
    Looked::NotNow { answer, after: Duration::ZERO }
}

#[tokio::test(start_paused = true)]
async fn looks_once_for_all_that_ask_and_wakes_them() {
    let world = world(8);
    let begin = Arc::new(Notify::new());
    let wait = Arc::clone(&begin);
    let slow = world.lookups.ask(&"q", &ObjectKey::new("n", "a"), || async move {
        wait.notified().await;
        known(1, 5)
    });
    assert_eq!(slow, None);
    assert_eq!(world.ask("q", "b", known(2, 5)), None);
    assert_eq!(world.ask("other", "c", known(3, 5)), None);
    assert_eq!(world.woken().await, ["c"], "one that hangs keeps nobody else waiting");
    begin.notify_one();
    assert_eq!(world.woken().await, ["a", "b"]);
    assert_eq!((world.ask("q", "a", known(9, 5)), world.ask("q", "b", known(9, 5))), (Some(1), Some(1)));
    assert_eq!(world.looks(), 1, "for the other question");
}

#[tokio::test(start_paused = true)]
async fn who_asks_later_gets_what_is_fresh_and_who_waited_gets_it_in_any_case() {
    let world = world(8);
    world.ask("q", "a", known(1, 5));
    world.woken().await;
    advance(Duration::from_secs(4)).await;
    assert_eq!(world.ask("q", "b", known(2, 5)), Some(1));
    advance(Duration::from_secs(2)).await;
    assert_eq!(world.ask("q", "a", known(2, 5)), Some(1));
    assert_eq!(world.ask("q", "b", known(2, 5)), None);
    world.woken().await;
    assert_eq!(world.ask("q", "b", known(3, 5)), Some(2));
    advance(COLLECT + Duration::from_secs(1)).await;
    assert_eq!(world.ask("q", "b", known(3, 5)), None, "nothing is for ever");
}

#[tokio::test(start_paused = true)]
async fn failures_are_asked_about_less_and_less_often() {
    let world = world(8);
    let mut waited = Vec::new();
    assert_eq!(world.ask("q", "a", not_now(0)), None);
    for _ in 0..6 {
        assert_eq!(world.woken().await, ["a"], "of the failure");
        assert_eq!(world.ask("q", "a", known(1, 0)), Some(0), "without another look");
        let mut seconds = 0;
        while world.woken().await.is_empty() {
            advance(Duration::from_secs(1)).await;
            seconds += 1;
        }
        waited.push(seconds);
        assert_eq!(world.ask("q", "a", not_now(0)), None);
    }
    assert_eq!(waited, [1, 2, 4, 8, 16, 30]);
    assert_eq!(world.looks(), 7);
}

#[tokio::test(start_paused = true)]
async fn forgets_the_oldest() {
    let world = world(2);
    for question in ["a", "b", "c"] {
        world.ask(question, question, known(1, 60));
        world.woken().await;
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(world.ask("b", "b", known(1, 60)), Some(1));
    assert_eq!(world.ask("c", "c", known(1, 60)), Some(1));
    assert_eq!(world.ask("a", "a", known(1, 60)), None);
}

#[tokio::test(start_paused = true)]
async fn a_panic_leaves_nothing_behind() {
    let world = world(2);
    let asked = world.lookups.ask(&"q", &ObjectKey::new("n", "a"), || async { panic!("a bug") });
    assert_eq!((asked, world.woken().await.len()), (None, 0));
    assert_eq!(world.ask("q", "a", known(1, 5)), None);
    world.woken().await;
    assert_eq!(world.ask("q", "a", known(2, 5)), Some(1));
}
