//! What is counted, under the original's names.

use application_service_api::Snapshot;
use fleet::Store;
use fleet_api::ConditionState;
use integration_service_api::conditions::IntegrationStatus;
use jiff::Timestamp;
use kube::ResourceExt as _;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::conditions::Says as _;

const PREFIX: &str = "integration_svc";

/// Seconds. What the original has, and what later versions of it have, together.
const LATENCY: [f64; 23] = [
    0.05, 0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 10.0, 15.0, 30.0, 60.0, 120.0, 240.0, 300.0, 450.0,
    600.0, 750.0, 900.0, 1050.0, 1200.0,
];
/// Until a copied Environment is there, and the run starts.
const EPHEMERAL: [f64; 13] = [1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 45.0, 60.0, 120.0, 240.0, 300.0];
/// Until everything is deployed to one.
const DEPLOYMENT: [f64; 11] = [1.0, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 120.0, 160.0, 200.0, 300.0];
/// Until all tests have ended.
const ATTEMPT: [f64; 11] = [7.0, 15.0, 30.0, 60.0, 150.0, 300.0, 450.0, 600.0, 750.0, 900.0, 1050.0];

/// How a deployment to a copied Environment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Deployment {
    Succeeded,
    Failed,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    response: Histogram,
    started: Histogram,
    /// Its name of old.
    started_with_static: Histogram,
    started_with_ephemeral: Histogram,
    environment_ready: Histogram,
    deployments: IntCounterVec,
    runs: IntCounter,
    attempts_now: IntGauge,
    attempt_duration: HistogramVec,
    attempts: IntCounterVec,
    release_latency: Histogram,
    app_available: IntGauge,
}

impl Metrics {
    /// Registers all, so that each is there from the start.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let seconds = |name: &str, help: &str, buckets: &[f64]| {
            let histogram = Histogram::with_opts(options(name, help).buckets(buckets.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let started = "From the creation of a Snapshot until the first run of a scenario, in seconds.";
        let metrics = Self {
            response: seconds(
                "response_seconds",
                "From the end of a build until its Snapshot is tested, in seconds.",
                &LATENCY[2..],
            )?,
            started: seconds("snapshot_created_to_pipelinerun_started_seconds", started, &LATENCY)?,
            started_with_static: seconds(
                "snapshot_created_to_pipelinerun_with_static_env_started_seconds",
                "The same as integration_svc_snapshot_created_to_pipelinerun_started_seconds, under its name of old.",
                &LATENCY,
            )?,
            started_with_ephemeral: seconds(
                "snapshot_created_to_pipelinerun_with_ephemeral_env_started_seconds",
                "The same for scenarios with an Environment, which is copied and deployed to before, in seconds.",
                &EPHEMERAL,
            )?,
            environment_ready: seconds(
                "seb_created_to_ready_seconds",
                "From the creation of a SnapshotEnvironmentBinding for a test until all is deployed, in seconds.",
                &DEPLOYMENT,
            )?,
            deployments: IntCounterVec::new(
                Opts::new(
                    format!("{PREFIX}_seb_ephemeral_deployments_total"),
                    "Deployments to Environments that were made for a test, by how they ended.",
                ),
                &["reason"],
            )?,
            runs: IntCounter::new(
                format!("{PREFIX}_integration_pipelinerun_total"),
                "PipelineRuns of tests that were created.",
            )?,
            attempts_now: IntGauge::new(
                format!("{PREFIX}_snapshot_attempt_concurrent_requests"),
                "Snapshots whose tests are going on.",
            )?,
            attempt_duration: HistogramVec::new(
                options(
                    "snapshot_attempt_duration_seconds",
                    "From the creation of a Snapshot until its tests ended, by condition, in seconds.",
                )
                .buckets(ATTEMPT.to_vec()),
                &["type", "reason"],
            )?,
            attempts: IntCounterVec::new(
                Opts::new(
                    format!("{PREFIX}_snapshot_attempt_total"),
                    "Snapshots whose tests ended, by condition.",
                ),
                &["type", "reason"],
            )?,
            release_latency: seconds(
                "release_latency_seconds",
                "From the verdict on a Snapshot until its first Release, in seconds.",
                &LATENCY,
            )?,
            app_available: IntGauge::new(
                "redhat_appstudio_integrationservice_global_github_app_available",
                "1 while the GitHub App works, of whose checks results are.",
            )?,
        };
        registry.register(Box::new(metrics.deployments.clone()))?;
        registry.register(Box::new(metrics.runs.clone()))?;
        registry.register(Box::new(metrics.attempts_now.clone()))?;
        registry.register(Box::new(metrics.attempt_duration.clone()))?;
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.app_available.clone()))?;
        for ended in [Deployment::Succeeded, Deployment::Failed] {
            metrics.deployments.with_label_values(&[<&str>::from(ended)]).inc_by(0);
        }
        Ok(metrics)
    }

    /// Counts the Snapshots whose tests go on, with each change of theirs: also after a restart it is what there is.
    pub(crate) fn follow(&self, snapshots: &Store<Snapshot>) {
        let gauge = self.attempts_now.clone();
        let goes_on = |snapshot: &Snapshot| snapshot.integration_reason() == Some("InProgress");
        snapshots.subscribe(move |change| {
            let before = change.old.as_deref().is_some_and(goes_on);
            let after = change.new.as_deref().is_some_and(goes_on);
            match (before, after) {
                (false, true) => gauge.inc(),
                (true, false) => gauge.dec(),
                _ => {}
            }
        });
    }

    /// The tests of a Snapshot go on now, for the first time.
    pub(crate) fn responded(&self, build_ended: Timestamp, now: Timestamp) {
        self.response.observe(since(build_ended, now));
    }

    /// A run of a test was created, for whatever reason.
    pub(crate) fn run_created(&self) {
        self.runs.inc();
    }

    /// The first run of a scenario without an Environment was created: no rerun.
    pub(crate) fn run_started(&self, snapshot: &Snapshot, now: Timestamp) {
        self.started.observe(age(snapshot, now));
        self.started_with_static.observe(age(snapshot, now));
    }

    /// The first run of a scenario with an Environment was created: no rerun.
    pub(crate) fn run_started_in_environment(&self, snapshot: &Snapshot, now: Timestamp) {
        self.started_with_ephemeral.observe(age(snapshot, now));
    }

    /// All is deployed to an Environment that was made for a test, or that failed.
    pub(crate) fn deployment_ended(&self, binding_created: Timestamp, ended: Deployment, now: Timestamp) {
        if ended == Deployment::Succeeded {
            self.environment_ready.observe(since(binding_created, now));
        }
        self.deployments.with_label_values(&[<&str>::from(ended)]).inc();
    }

    /// Testing a Snapshot came to this end.
    pub(crate) fn attempt_ended(&self, snapshot: &Snapshot, status: &IntegrationStatus, now: Timestamp) {
        let labels = [IntegrationStatus::TYPE, status.reason()];
        self.attempt_duration.with_label_values(&labels).observe(age(snapshot, now));
        self.attempts.with_label_values(&labels).inc();
    }

    /// A Snapshot that passed its tests at `passed` got its first Release.
    pub(crate) fn released(&self, passed: Timestamp, now: Timestamp) {
        self.release_latency.observe(since(passed, now));
    }

    /// Whether the GitHub App let itself be used, when that was tried last.
    pub(crate) fn set_app_available(&self, is_available: bool) {
        self.app_available.set(i64::from(is_available));
    }
}

fn options(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(format!("{PREFIX}_{name}"), help)
}

fn age(snapshot: &Snapshot, now: Timestamp) -> f64 {
    snapshot.creation_timestamp().map_or(0.0, |created| since(created.0, now))
}

fn since(start: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(start).as_secs_f64().max(0.0)
}
