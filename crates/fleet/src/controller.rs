//! Runs one reconcile function over the keys of one queue.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::class::{Class, Classed};
use crate::clock::Clock;
use crate::decision::Wake;
use crate::key::ObjectKey;
use crate::queue::{Outcome, Queue, Work};
use crate::store::{Change, Store, Stored};
use crate::trace::TraceContext;

type TraceOf = Box<dyn Fn(&ObjectKey) -> Option<TraceContext> + Send + Sync>;

/// An error of any module, boxed for the kit.
pub type BoxError = Box<dyn Classed>;

impl<E: Classed> From<E> for BoxError {
    fn from(error: E) -> Self {
        Box::new(error)
    }
}

/// Takes the span that it will run in, to make it part of the object's trace.
type Reconcile = Arc<dyn Fn(ObjectKey, &Span) -> BoxFuture<'static, Result<Wake, BoxError>> + Send + Sync>;

/// Metrics of all controllers of a process, named as platform dashboards and alerts know them.
#[derive(Clone, Debug)]
pub struct ControllerMetrics {
    reconciles: IntCounterVec,
    errors: IntCounterVec,
    panics: IntCounterVec,
    seconds: HistogramVec,
    active: IntGaugeVec,
    workers: IntGaugeVec,
}

impl ControllerMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let label = &["controller"];
        let counter = |name, help| IntCounterVec::new(Opts::new(name, help), label);
        let gauge = |name, help| IntGaugeVec::new(Opts::new(name, help), label);
        let metrics = Self {
            reconciles: IntCounterVec::new(
                Opts::new("controller_runtime_reconcile_total", "Reconciles, by how they ended."),
                &["controller", "result"],
            )?,
            errors: counter("controller_runtime_reconcile_errors_total", "Reconciles that failed.")?,
            panics: counter("controller_runtime_reconcile_panics_total", "Reconciles that panicked.")?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "controller_runtime_reconcile_time_seconds",
                    "Time of a reconcile, in seconds.",
                )
                .buckets(vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
                label,
            )?,
            active: gauge("controller_runtime_active_workers", "Workers that are reconciling.")?,
            workers: gauge("controller_runtime_max_concurrent_reconciles", "Workers.")?,
        };
        registry.register(Box::new(metrics.reconciles.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.panics.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.active.clone()))?;
        registry.register(Box::new(metrics.workers.clone()))?;
        Ok(metrics)
    }
}

/// A controller under construction: which stores wake which keys.
#[must_use]
pub struct Controller {
    name: &'static str,
    queue: Queue,
    sources: Vec<BoxFuture<'static, ()>>,
    /// The trace of what a key names.
    trace: TraceOf,
    /// If not as many as all others have.
    workers: Option<usize>,
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Controller {
    pub fn new(name: &'static str, queue: Queue) -> Self {
        Self { name, queue, sources: Vec::new(), trace: Box::new(|_| None), workers: None }
    }

    /// Has so many workers, whatever `--concurrency` says.
    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Reconciles each object of `store` when it appears, changes or goes, as part of the trace that it is annotated with.
    pub fn of<K: Stored>(mut self, store: &Store<K>) -> Self {
        let traced = store.clone();
        self.trace = Box::new(move |key| TraceContext::of(&*traced.get(key)?));
        self.reads_changes(store, |change| vec![change.key.clone()])
    }

    /// Reconciles the keys that `keys_of` finds in an object of `store`, both as it was and as it is now, so that what
    /// it no longer points to is looked at as well.
    pub fn reads<K: Stored>(
        self,
        store: &Store<K>,
        keys_of: impl Fn(&K) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Self {
        self.reads_changes(store, move |change| {
            change.old.iter().chain(&change.new).flat_map(|object| keys_of(object)).collect()
        })
    }

    /// Reconciles the keys that `keys_of` finds in a change of `store`. A filter must not drop deletions that matter.
    pub fn reads_changes<K: Stored>(
        self,
        store: &Store<K>,
        keys_of: impl Fn(&Change<K>) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Self {
        self.reads_changes_after(store, Duration::ZERO, keys_of)
    }

    /// As [`Self::reads_changes`], `delay` later: what changes in between is looked at together. For keys that many
    /// objects lead to.
    pub fn reads_changes_after<K: Stored>(
        self,
        store: &Store<K>,
        delay: Duration,
        keys_of: impl Fn(&Change<K>) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Self {
        let queue = self.queue.clone();
        store.subscribe(move |change| {
            for key in keys_of(change) {
                if delay.is_zero() {
                    queue.add(key);
                } else {
                    queue.add_after(key, delay);
                }
            }
        });
        self.consults(store)
    }

    /// Begins only once `store` is synced, whose changes wake nothing: for what is looked up when a key is reconciled
    /// anyway, such as settings. Before that, what is absent from it proves nothing.
    pub fn consults<K: Stored>(mut self, store: &Store<K>) -> Self {
        let store = store.clone();
        self.sources.push(async move { store.synced().await }.boxed());
        self
    }

    /// Reconciles the keys that `keys` names when the kind of `store`, which is
    /// [optional](crate::StoreBuilder::optional), goes or has been listed, for decisions that depend on which it is.
    pub fn reads_presence<K: Stored>(
        self,
        store: &Store<K>,
        keys: impl Fn() -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Self {
        let queue = self.queue.clone();
        store.subscribe_presence(move |_| {
            for key in keys() {
                queue.add(key);
            }
        });
        self
    }

    /// Wakes keys of this controller from elsewhere, as when something is there that a key waits for.
    pub fn waker(&self) -> Waker {
        Waker(self.queue.clone())
    }

    /// Completes the controller with its reconcile function.
    pub fn reconcile<F, E>(self, reconcile: impl Fn(ObjectKey) -> F + Send + Sync + 'static) -> Runner
    where
        F: Future<Output = Result<Wake, E>> + Send + 'static,
        E: Classed,
    {
        let trace = self.trace;
        let reconcile = move |key: ObjectKey, span: &Span| {
            if let Some(context) = trace(&key) {
                context.adopt(span);
            }
            let reconciled = reconcile(key);
            async move { reconciled.await.map_err(BoxError::from) }.boxed()
        };
        Runner {
            name: self.name,
            queue: self.queue,
            sources: self.sources,
            reconcile: Arc::new(reconcile),
            workers: self.workers,
        }
    }
}

/// Puts keys into the queue of one controller. Cheap to clone.
#[derive(Clone)]
pub struct Waker(Queue);

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}

impl Waker {
    pub fn wake(&self, key: ObjectKey) {
        self.0.add(key);
    }
}

/// A complete controller.
#[must_use]
pub struct Runner {
    name: &'static str,
    queue: Queue,
    sources: Vec<BoxFuture<'static, ()>>,
    reconcile: Reconcile,
    workers: Option<usize>,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Runner {
    /// Works with `workers`, if it has no number of its own, until `stop`, then finishes what is in hand. Begins once every store that it reads is
    /// synced and `may_act` resolves, as on gaining the lease.
    pub async fn run(
        self,
        workers: usize,
        clock: Clock,
        metrics: ControllerMetrics,
        may_act: impl Future<Output = ()> + Send,
        stop: CancellationToken,
    ) {
        let ready = async {
            futures::future::join_all(self.sources).await;
            may_act.await;
        };
        if stop.run_until_cancelled(ready).await.is_none() {
            return;
        }
        let workers = self.workers.unwrap_or(workers);
        tracing::info!(controller = self.name, workers, "Controller starts");
        metrics.workers.with_label_values(&[self.name]).set(i64::try_from(workers).unwrap_or(i64::MAX));
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            let worker = Worker {
                name: self.name,
                queue: self.queue.clone(),
                reconcile: Arc::clone(&self.reconcile),
                clock: clock.clone(),
                metrics: metrics.clone(),
            };
            tasks.spawn(worker.run(stop.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }
}

struct Worker {
    name: &'static str,
    queue: Queue,
    reconcile: Reconcile,
    clock: Clock,
    metrics: ControllerMetrics,
}

impl Worker {
    async fn run(self, stop: CancellationToken) {
        loop {
            let work = tokio::select! {
                // First, so that nothing new is begun after the signal.
                biased;
                () = stop.cancelled() => return,
                work = self.queue.next() => work,
            };
            let outcome = self.work(&work).await;
            self.queue.finish(&work, outcome);
        }
    }

    async fn work(&self, work: &Work) -> Outcome {
        let active = self.metrics.active.with_label_values(&[self.name]);
        active.inc();
        let began = Instant::now();
        let key = &work.key;
        // Not `name`: the log gives a span's own name under that key.
        let span = tracing::info_span!("reconcile", controller = self.name, object = %key);
        // A panic is a bug in one reconcile; it must not end the others.
        let result = AssertUnwindSafe((self.reconcile)(key.clone(), &span).instrument(span.clone()))
            .catch_unwind()
            .await;
        let _in_span = span.enter();
        active.dec();
        self.metrics.seconds.with_label_values(&[self.name]).observe(began.elapsed().as_secs_f64());
        let (label, outcome) = match result {
            Ok(Ok(wake)) => match wake.delay(self.clock.now()) {
                Some(delay) => ("requeue_after", Outcome::Again(delay)),
                None => ("success", Outcome::Done),
            },
            Ok(Err(error)) => ("error", self.fail(&*error)),
            Err(panic) => {
                self.metrics.panics.with_label_values(&[self.name]).inc();
                tracing::error!(reason = panic_text(&*panic), "Reconcile panicked");
                ("error", Outcome::Retry)
            }
        };
        self.metrics.reconciles.with_label_values(&[self.name, label]).inc();
        outcome
    }

    fn fail(&self, error: &dyn Classed) -> Outcome {
        self.metrics.errors.with_label_values(&[self.name]).inc();
        let (reason, text) = (error.label(), chain(error));
        match error.class() {
            Class::Retry => {
                tracing::warn!(reason, error = text, "Reconcile failed; trying again");
                Outcome::Retry
            }
            Class::Wait => {
                tracing::warn!(reason, error = text, "Reconcile failed; waiting for a change");
                Outcome::Done
            }
            Class::Forget => {
                tracing::debug!(reason, error = text, "Reconcile has nothing to work on");
                Outcome::Done
            }
        }
    }
}

/// An error and its sources, `: ` in between, credentials taken out.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat the source in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    crate::redact::redact(&text)
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests;
