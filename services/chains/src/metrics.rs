//! What is counted, under the original's names.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::run::Run;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    task_runs: Counters,
    pipeline_runs: Counters,
    valid: IntGauge,
}

/// Of one kind of run.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    pub(crate) signed: IntCounter,
    pub(crate) stored: IntCounter,
    pub(crate) uploaded: IntCounter,
    pub(crate) marked: IntCounter,
    failures: IntCounterVec,
}

impl Metrics {
    /// Registers all, so that each is there from the start.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let valid = IntGauge::new(
            "chains_configuration_valid",
            "1 while the settings in the ConfigMap are in force, 0 while they have a fault.",
        )?;
        valid.set(1);
        registry.register(Box::new(valid.clone()))?;
        Ok(Self {
            task_runs: Counters::new(registry, "taskrun", "TaskRuns")?,
            pipeline_runs: Counters::new(registry, "pipelinerun", "PipelineRuns")?,
            valid,
        })
    }

    pub(crate) fn of<R: Run>(&self) -> &Counters {
        if R::METRIC == "taskrun" { &self.task_runs } else { &self.pipeline_runs }
    }

    pub(crate) fn configuration_is_valid(&self, is_valid: bool) {
        self.valid.set(i64::from(is_valid));
    }
}

impl Counters {
    fn new(registry: &Registry, kind: &str, runs: &str) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("watcher_{kind}_{name}_total"), format!("{help} {runs}."))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let options = Opts::new(
            format!("watcher_{kind}_signing_failures_total"),
            format!("Failures of attempts to sign {runs}, by what failed."),
        );
        let failures = IntCounterVec::new(options, &["error_type"])?;
        registry.register(Box::new(failures.clone()))?;
        Ok(Self {
            signed: counter("sign_created", "Payloads that were signed for")?,
            stored: counter("payload_stored", "Payloads that were stored for")?,
            uploaded: counter("payload_uploaded", "Payloads that a transparency log was told for")?,
            marked: counter("marked_signed", "Signed and marked:")?,
            failures,
        })
    }

    pub(crate) fn failed(&self, what: &str) {
        self.failures.with_label_values(&[what]).inc();
    }
}
