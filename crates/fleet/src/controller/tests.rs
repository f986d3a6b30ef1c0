use super::*;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use parking_lot::Mutex;
use serde_json::json;

use crate::queue::{Limits, QueueMetrics};

#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Failed(Class);

impl Classed for Failed {
    fn class(&self) -> Class {
        self.0
    }
    fn label(&self) -> &'static str {
        "Failed"
    }
}

struct Bench {
    store: Store<ConfigMap>,
    queue: Queue,
    stop: CancellationToken,
    metrics: ControllerMetrics,
    registry: Registry,
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::new();
        let limits = Limits { first_delay: Duration::from_millis(10), ..Limits::for_workers(4) };
        Self {
            store: Store::new(|_| {}, Vec::new()),
            queue: Queue::new("test", limits, &QueueMetrics::new(&registry).unwrap()),
            stop: CancellationToken::new(),
            metrics: ControllerMetrics::new(&registry).unwrap(),
            registry,
        }
    }

    /// Runs `reconcile` over the store's objects; the store is synced from the start.
    fn start<F>(
        &self,
        reconcile: impl Fn(ObjectKey) -> F + Send + Sync + 'static,
    ) -> tokio::task::JoinHandle<()>
    where
        F: Future<Output = Result<Wake, Failed>> + Send + 'static,
    {
        let runner = Controller::new("test", self.queue.clone()).of(&self.store).reconcile(reconcile);
        self.store.mark_synced();
        tokio::spawn(runner.run(4, Clock::system(), self.metrics.clone(), async {}, self.stop.clone()))
    }

    fn object(&self, name: &str, version: u64) {
        let object = json!({"metadata": {"namespace": "n", "name": name, "resourceVersion": version.to_string()},
            "data": {"version": version.to_string()}});
        self.store.apply(serde_json::from_value(object).unwrap());
    }
}

/// Yields until `is_met`, for at most ten seconds.
async fn until(is_met: impl Fn() -> bool) {
    let met = async {
        while !is_met() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), met).await.expect("condition within ten seconds");
}

#[tokio::test]
async fn reconciles_what_appears_and_what_goes() {
    let bench = Bench::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let _run = bench.start(move |key| {
        sink.lock().push(key.name);
        async { Ok(Wake::OnChange) }
    });
    bench.object("a", 1);
    until(|| *seen.lock() == ["a"]).await;
    let gone = bench.store.get(&ObjectKey::new("n", "a")).unwrap();
    bench.store.delete(&gone);
    until(|| *seen.lock() == ["a", "a"]).await;
}

#[tokio::test]
async fn a_failure_is_tried_again_and_a_panic_ends_nobody() {
    let bench = Bench::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let _run = bench.start(move |_| {
        let attempt = count.fetch_add(1, Ordering::SeqCst);
        async move {
            match attempt {
                0 => panic!("a bug"),
                1 => Err(Failed(Class::Retry)),
                _ => Ok(Wake::OnChange),
            }
        }
    });
    bench.object("a", 1);
    until(|| tries.load(Ordering::SeqCst) == 3).await;
    assert_eq!(bench.metrics.panics.with_label_values(&["test"]).get(), 1);
    assert_eq!(bench.metrics.errors.with_label_values(&["test"]).get(), 1);
}

#[tokio::test]
async fn a_permanent_failure_waits_for_a_change() {
    let bench = Bench::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let _run = bench.start(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Err(Failed(Class::Wait)) }
    });
    bench.object("a", 1);
    until(|| tries.load(Ordering::SeqCst) == 1).await;
    assert_eq!(bench.queue.waiting(), 0);
    bench.object("a", 2);
    until(|| tries.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test]
async fn does_nothing_before_it_may_act() {
    let bench = Bench::new();
    let (lead, leads) = tokio::sync::oneshot::channel::<()>();
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let runner = Controller::new("test", bench.queue.clone()).of(&bench.store).reconcile(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Failed>(Wake::OnChange) }
    });
    bench.store.mark_synced();
    bench.object("a", 1);
    let may_act = async {
        let _ = leads.await;
    };
    tokio::spawn(runner.run(2, Clock::system(), bench.metrics.clone(), may_act, bench.stop.clone()));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tries.load(Ordering::SeqCst), 0);
    lead.send(()).unwrap();
    until(|| tries.load(Ordering::SeqCst) == 1).await;
}

/// 10,000 objects of one tenant are dirty, and each takes long: as long as a slow forge takes to answer.
#[tokio::test(start_paused = true)]
async fn a_tenant_with_ten_thousand_dirty_objects_delays_no_other() {
    const COST: Duration = Duration::from_secs(5);
    let bench = Bench::new();
    let (begun, done) = (Arc::new(Mutex::new(HashMap::new())), Arc::new(AtomicUsize::new(0)));
    let (sink, count) = (Arc::clone(&begun), Arc::clone(&done));
    let _run = bench.start(move |key| {
        sink.lock().insert(key, tokio::time::Instant::now());
        let count = Arc::clone(&count);
        async move {
            tokio::time::sleep(COST).await;
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Wake::OnChange)
        }
    });
    for i in 0..10_000 {
        bench.queue.add(ObjectKey::new("big", i.to_string()));
    }
    for other in ["first", "second", "third"] {
        // In the midst of the big one's work, at another point of it each time.
        tokio::time::sleep(COST * 7 + Duration::from_millis(300)).await;
        let (key, added) = (ObjectKey::new(other, "one"), tokio::time::Instant::now());
        bench.queue.add(key.clone());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begun = begun.lock().get(&key).copied().expect("begun within a second");
        assert!(begun - added < Duration::from_millis(100), "{other} waited {:?}", begun - added);
    }
    assert!(done.load(Ordering::SeqCst) >= 60, "and the big one goes on: {done:?}");
}

#[tokio::test]
async fn stopping_finishes_what_is_in_hand_and_takes_nothing_new() {
    let bench = Bench::new();
    let (release, released) = tokio::sync::watch::channel(false);
    let done = Arc::new(Mutex::new(Vec::new()));
    let (started, sink) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&done));
    let begun = Arc::clone(&started);
    let run = bench.start(move |key| {
        begun.fetch_add(1, Ordering::SeqCst);
        let (sink, mut released) = (Arc::clone(&sink), released.clone());
        async move {
            let _ = released.wait_for(|released| *released).await;
            sink.lock().push(key.name);
            Ok(Wake::OnChange)
        }
    });
    bench.object("a", 1);
    until(|| started.load(Ordering::SeqCst) == 1).await;
    bench.stop.cancel();
    bench.object("b", 2);
    assert!(!run.is_finished());
    release.send(true).unwrap();
    run.await.unwrap();
    assert_eq!(*done.lock(), ["a"]);
}

#[tokio::test]
async fn looks_together_at_what_changes_within_the_delay() {
    let bench = Bench::new();
    let reconciles = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reconciles);
    let runner = Controller::new("test", bench.queue.clone())
        .reads_changes_after(&bench.store, Duration::from_millis(50), |_| vec![ObjectKey::new("n", "all")])
        .reconcile(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, Failed>(Wake::OnChange) }
        });
    bench.store.mark_synced();
    tokio::spawn(runner.run(4, Clock::system(), bench.metrics.clone(), async {}, bench.stop.clone()));
    for version in 1..=20 {
        bench.object(&format!("o{version}"), version);
    }
    until(|| reconciles.load(Ordering::SeqCst) > 0).await;
    bench.object("late", 21);
    until(|| reconciles.load(Ordering::SeqCst) > 1).await;
    assert_eq!(reconciles.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn begins_when_what_it_consults_is_known() {
    let bench = Bench::new();
    let settings = Store::<ConfigMap>::new(|_| {}, Vec::new());
    let known = settings.clone();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let runner = Controller::new("test", bench.queue.clone()).of(&bench.store).consults(&settings).reconcile(
        move |_| {
            noted.lock().push(known.is_synced());
            async { Ok::<_, Failed>(Wake::OnChange) }
        },
    );
    bench.object("a", 1);
    bench.store.mark_synced();
    tokio::spawn(runner.run(4, Clock::system(), bench.metrics.clone(), async {}, bench.stop.clone()));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    settings.mark_synced();
    until(|| !seen.lock().is_empty()).await;
    assert_eq!(*seen.lock(), [true]);
}

#[tokio::test]
async fn counts_under_the_names_of_dashboards() {
    let bench = Bench::new();
    let _run = bench.start(|_| async { Ok(Wake::After(Duration::from_mins(1))) });
    bench.object("a", 1);
    let count = || bench.metrics.reconciles.with_label_values(&["test", "requeue_after"]).get();
    until(|| count() == 1).await;
    let names: Vec<_> = bench.registry.gather().iter().map(|family| family.name().to_owned()).collect();
    for name in ["controller_runtime_reconcile_total", "workqueue_depth", "workqueue_adds_total"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
}

#[test]
fn an_error_is_told_with_its_sources_and_without_credentials() {
    #[derive(Debug, thiserror::Error)]
    #[error("clone https://u:secret@git.example/x")]
    struct Outer(#[source] std::io::Error);
    let text = chain(&Outer(std::io::Error::other("refused")));
    assert_eq!(text, "clone https://<TOKEN>@git.example/x: refused");
}
