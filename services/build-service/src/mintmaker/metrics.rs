//! The program's own metrics.

use std::collections::VecDeque;
use std::sync::Arc;

use build_service_api::DependencyUpdateCheck;
use fleet::{Clock, Store};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

/// What `mintmaker_pipelinerun_scheduled` looks back on.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// Counted while it runs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Metrics(Arc<Inner>);

struct Inner {
    clock: Clock,
    scheduled: IntGaugeVec,
    created: GaugeVec,
    /// When runs were made, or were not, in the last minutes.
    recent: Mutex<VecDeque<(Timestamp, bool)>>,
    checks: Mutex<Option<Store<DependencyUpdateCheck>>>,
}

impl Metrics {
    pub(super) fn new(registry: &Registry, clock: Clock) -> Result<Self, prometheus::Error> {
        let metrics = Self(Arc::new(Inner {
            clock,
            scheduled: IntGaugeVec::new(
                Opts::new(
                    "mintmaker_pipelinerun_scheduled",
                    "Runs of the last ten minutes that were made (success), or could not be (failure).",
                ),
                &["status"],
            )?,
            created: GaugeVec::new(
                Opts::new(
                    "mintmaker_dependency_update_check_creation_time",
                    "When a DependencyUpdateCheck was created, in seconds since 1970.",
                ),
                &["namespace", "name"],
            )?,
            recent: Mutex::default(),
            checks: Mutex::default(),
        }));
        registry.register(Box::new(metrics.clone()))?;
        Ok(metrics)
    }

    /// Tells of the checks in this store.
    pub(super) fn follow(&self, checks: &Store<DependencyUpdateCheck>) {
        *self.0.checks.lock() = Some(checks.clone());
    }

    /// Counts a run that was made, or could not be.
    pub(super) fn count(&self, is_made: bool) {
        self.0.recent.lock().push_back((self.0.clock.now(), is_made));
        self.forget();
    }

    fn forget(&self) {
        let since = self.0.clock.now() - WINDOW;
        let mut recent = self.0.recent.lock();
        while recent.front().is_some_and(|(at, _)| *at < since) {
            recent.pop_front();
        }
    }
}

/// Registers all, for the page of metrics.
pub fn register_all(registry: &Registry) -> Result<(), prometheus::Error> {
    Metrics::new(registry, Clock::system()).map(drop)
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.0.scheduled.desc(), self.0.created.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Inner { scheduled, created, recent, checks, .. } = &*self.0;
        self.forget();
        for (word, is_made) in [("success", true), ("failure", false)] {
            let count = recent.lock().iter().filter(|(_, made)| *made == is_made).count();
            scheduled.with_label_values(&[word]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        created.reset();
        if let Some(checks) = &*checks.lock() {
            for check in checks.keys().iter().filter_map(|key| checks.get(key)) {
                let at = check
                    .creation_timestamp()
                    .map_or(0.0, |time| time.0.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64());
                let (namespace, name) = (check.namespace().unwrap_or_default(), check.name_any());
                created.with_label_values(&[namespace.as_str(), name.as_str()]).set(at);
            }
        }
        [scheduled.collect(), created.collect()].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn looks_back_on_ten_minutes() {
        let now = Arc::new(AtomicI64::new(1_000_000));
        let read = Arc::clone(&now);
        let clock = Clock::from_fn(move || Timestamp::from_second(read.load(Ordering::Relaxed)).unwrap());
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, clock).unwrap();
        let store: Store<DependencyUpdateCheck> = Store::new(|_| {}, Vec::new());
        store.apply(
            serde_json::from_value(serde_json::json!({
                "metadata": {"name": "nightly", "namespace": "mintmaker", "uid": "u", "resourceVersion": "1",
                    "creationTimestamp": "1970-01-01T00:01:00Z"},
                "spec": {},
            }))
            .unwrap(),
        );
        metrics.follow(&store);
        metrics.count(true);
        now.fetch_add(400, Ordering::Relaxed);
        metrics.count(true);
        metrics.count(false);
        let shown = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(shown().contains("scheduled{status=\"success\"} 2"), "{}", shown());
        now.fetch_add(400, Ordering::Relaxed);
        let shown = shown();
        for line in [
            "mintmaker_pipelinerun_scheduled{status=\"success\"} 1",
            "mintmaker_pipelinerun_scheduled{status=\"failure\"} 1",
            "creation_time{name=\"nightly\",namespace=\"mintmaker\"} 60",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
    }
}
