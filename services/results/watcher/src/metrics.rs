//! What is counted, under the original's names.

use kube::ResourceExt as _;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use jiff::Timestamp;

use crate::args::{Args, DurationType, Level};
use crate::run::{Kind, Run};
use crate::summary;

/// Seconds from the end of a run to its deletion.
const DELETION: [f64; 11] =
    [10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 10800.0, 36000.0, 86400.0];
/// Seconds from the end of a run until it is archived.
const STORAGE: [f64; 9] = [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    pipeline_runs: Deletions,
    task_runs: Deletions,
    latency: HistogramVec,
    not_stored: IntCounterVec,
}

/// Of one kind of run.
#[derive(Clone, Debug)]
struct Deletions {
    level: Level,
    count: IntCounterVec,
    seconds: Seconds,
}

#[derive(Clone, Debug)]
enum Seconds {
    Histogram(HistogramVec),
    Last(GaugeVec),
}

impl Metrics {
    /// Registers all.
    pub fn new(registry: &Registry, args: &Args) -> Result<Self, prometheus::Error> {
        let deletions = |kind, level| Deletions::new(registry, kind, level, args.metrics_duration_type);
        let latency = HistogramVec::new(
            HistogramOpts::new(
                "watcher_run_storage_latency_seconds",
                "Time from the end of a run until it is archived with its log, in seconds.",
            )
            .buckets(STORAGE.to_vec()),
            &["kind", "namespace"],
        )?;
        let not_stored = IntCounterVec::new(
            Opts::new(
                "watcher_runs_not_stored_count",
                "Runs that went before their last state was archived.",
            ),
            &["kind", "namespace"],
        )?;
        registry.register(Box::new(latency.clone()))?;
        registry.register(Box::new(not_stored.clone()))?;
        Ok(Self {
            pipeline_runs: deletions("pipelinerun", args.metrics_pipelinerun_level)?,
            task_runs: deletions("taskrun", args.metrics_taskrun_level)?,
            latency,
            not_stored,
        })
    }

    pub(crate) fn deleted<K: Kind>(&self, run: &Run<K>, now: Timestamp) {
        let deletions = if K::HAS_CHILDREN { &self.pipeline_runs } else { &self.task_runs };
        deletions.observe(run, now);
    }

    pub(crate) fn stored<K: Kind>(&self, run: &Run<K>, now: Timestamp) {
        let Some(seconds) = since_end(run, now) else { return };
        self.latency.with_label_values(&[K::METRIC, &run.namespace().unwrap_or_default()]).observe(seconds);
    }

    pub(crate) fn not_stored<K: Kind>(&self, run: &Run<K>) {
        self.not_stored.with_label_values(&[K::METRIC, &run.namespace().unwrap_or_default()]).inc();
    }
}

fn since_end<K: Kind>(run: &Run<K>, now: Timestamp) -> Option<f64> {
    Some(now.duration_since(run.facts.completed?).as_secs_f64().max(0.0))
}

impl Deletions {
    fn new(
        registry: &Registry,
        kind: &str,
        level: Level,
        type_: DurationType,
    ) -> Result<Self, prometheus::Error> {
        let count = IntCounterVec::new(
            Opts::new(format!("watcher_{kind}_delete_count"), format!("Deleted {kind}s, by how they ended.")),
            &["status", "namespace"],
        )?;
        registry.register(Box::new(count.clone()))?;
        let name = format!("watcher_{kind}_delete_duration_seconds");
        let help = format!("Time from the end of a {kind} to its deletion, in seconds.");
        let seconds = match type_ {
            DurationType::Histogram => {
                let options = HistogramOpts::new(name, help).buckets(DELETION.to_vec());
                let seconds = HistogramVec::new(options, level.labels())?;
                registry.register(Box::new(seconds.clone()))?;
                Seconds::Histogram(seconds)
            }
            DurationType::Lastvalue => {
                let seconds = GaugeVec::new(Opts::new(name, help), level.labels())?;
                registry.register(Box::new(seconds.clone()))?;
                Seconds::Last(seconds)
            }
        };
        Ok(Self { level, count, seconds })
    }

    fn observe<K: Kind>(&self, run: &Run<K>, now: Timestamp) {
        let status = summary::word(summary::status(&run.facts));
        let namespace = run.namespace().unwrap_or_default();
        self.count.with_label_values(&[status, &*namespace]).inc();
        let Some(seconds) = since_end(run, now) else { return };
        let label = |key: fleet_api::LabelKey| key.of(&run.metadata.labels).unwrap_or_default();
        let all = [
            status,
            &*namespace,
            label(pipelines_engine_api::labels::PIPELINE),
            label(pipelines_engine_api::labels::PIPELINE_TASK),
        ];
        let labels = &all[..self.level.labels().len()];
        match &self.seconds {
            Seconds::Histogram(histogram) => histogram.with_label_values(labels).observe(seconds),
            Seconds::Last(gauge) => gauge.with_label_values(labels).set(seconds),
        }
    }
}

impl Level {
    fn labels(self) -> &'static [&'static str] {
        let all: &[&str] = &["status", "namespace", "pipeline", "task"];
        match self {
            Self::Namespace => &all[..2],
            Self::Pipeline => &all[..3],
            Self::Task => all,
        }
    }
}
