//! What is counted, under the original's names (spec, section 7).

use fleet::Store;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use release_service_api::conditions::Released;
use release_service_api::{Phase, Release};

use strum::IntoEnumIterator as _;

use crate::conditions::{FAILED, PROGRESSING, find, is_finished, of_phase};
use crate::release::{Account, State};

/// Seconds, until something begins.
const BEGINNING: [f64; 11] = [5.0, 10.0, 15.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0];
/// Seconds, until something ends. The first ones are the original's, the last those of later versions of it.
const DURATION: [f64; 15] = [
    60.0, 150.0, 300.0, 450.0, 600.0, 750.0, 900.0, 1050.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0,
    86400.0,
];

/// Labels of what is counted when a Release ends.
const OF_RELEASE: [&str; 5] =
    ["post_actions_reason", "processing_reason", "release_reason", "target", "validation_reason"];

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    releases_now: IntGauge,
    processings_now: IntGauge,
    pre_processing: HistogramVec,
    validation: HistogramVec,
    duration: HistogramVec,
    processing: HistogramVec,
    releases: IntCounterVec,
    mitigations: IntCounter,
}

impl Metrics {
    /// Registers all, so that each is there from the start.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let seconds = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let histogram = HistogramVec::new(options, labels)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let metrics = Self {
            releases_now: gauge("release_concurrent_total", "Releases that are under way.")?,
            processings_now: gauge(
                "release_concurrent_processings_total",
                "Releases whose managed pipeline runs.",
            )?,
            pre_processing: seconds(
                "release_pre_processing_duration_seconds",
                "From the start of a Release until its first run, in seconds.",
                &BEGINNING,
                &["reason", "target"],
            )?,
            validation: seconds(
                "release_validation_duration_seconds",
                "From the start of a Release until it was found good or bad, in seconds.",
                &BEGINNING,
                &["reason", "target"],
            )?,
            duration: seconds(
                "release_duration_seconds",
                "From the start of a Release until its end, in seconds.",
                &DURATION,
                &OF_RELEASE,
            )?,
            processing: seconds(
                "release_processing_duration_seconds",
                "Time of one phase of a Release, in seconds.",
                &DURATION,
                &["reason", "target", "type"],
            )?,
            releases: IntCounterVec::new(
                Opts::new("release_total", "Releases that ended, by how."),
                &OF_RELEASE,
            )?,
            mitigations: IntCounter::new(
                "release_mitigation_success_total",
                "Managed phases that succeeded after they got more memory or time.",
            )?,
        };
        registry.register(Box::new(metrics.releases.clone()))?;
        registry.register(Box::new(metrics.mitigations.clone()))?;
        // Known to dashboards; no version that this service follows has such actions.
        gauge("release_concurrent_post_actions_executions_total", "Always 0: there are no post actions.")?;
        seconds(
            "release_post_actions_execution_duration_seconds",
            "Never observed: there are no post actions.",
            &DURATION,
            &["reason"],
        )?;
        Ok(metrics)
    }

    /// Has the gauges computed from what the store holds: also after a restart it is what there is.
    pub(crate) fn follow(&self, releases: &Store<Release>) {
        /// Whether a Release is one of those that a gauge counts.
        type Counts = fn(&Release) -> bool;

        let gauges: [(IntGauge, Counts); 2] =
            [(self.releases_now.clone(), is_under_way), (self.processings_now.clone(), is_processed)];
        releases.subscribe(move |change| {
            for (gauge, counts) in &gauges {
                let before = change.old.as_deref().is_some_and(counts);
                let after = change.new.as_deref().is_some_and(counts);
                match (before, after) {
                    (false, true) => gauge.inc(),
                    (true, false) => gauge.dec(),
                    _ => {}
                }
            }
        });
    }

    /// Counts what a pass has changed, once that is written. A transition happens once, and so it is counted once.
    pub(crate) fn tell(&self, account: &Account) {
        let status = account.status();
        let (start, target) = (status.start_time.as_ref(), status.target.as_deref().unwrap_or_default());
        if let Some(reason) = account.newly_validated() {
            let time = status.validation.as_ref().and_then(|validation| validation.time.as_ref());
            observe(&self.validation, &[reason, target], start, time);
        }
        let had_begun = |phase| account.read(phase).is_some_and(|state| state != State::Skipped);
        let mut is_first = !Phase::iter().any(had_begun);
        for (phase, now) in account.changed_phases().filter(|(_, now)| *now != State::Skipped) {
            let Some(processing) = account.processing(phase) else { continue };
            if std::mem::take(&mut is_first) {
                let reason = if processing.pipeline_run.is_some() { PROGRESSING } else { FAILED };
                observe(&self.pre_processing, &[reason, target], start, processing.start_time.as_ref());
            }
            if matches!(now, State::Succeeded | State::Failed) {
                let (from, to) = (processing.start_time.as_ref(), processing.completion_time.as_ref());
                observe(&self.processing, &[now.reason(), target, phase.as_str()], from, to);
            }
        }
        if account.has_mended() {
            self.mitigations.inc();
        }
        if let Some(reason) = account.newly_released().filter(|reason| *reason != PROGRESSING) {
            let processed = account.phase(Phase::Managed).map(State::reason).unwrap_or_default();
            let labels = ["", processed, reason, target, account.validated_reason()];
            observe(&self.duration, &labels, start, status.completion_time.as_ref());
            self.releases.with_label_values(&labels).inc();
        }
    }
}

fn observe(histogram: &HistogramVec, labels: &[&str], start: Option<&Time>, end: Option<&Time>) {
    // What has no beginning is not timed: a made-up one would be read as a very slow Release.
    if let (Some(start), Some(end)) = (start, end) {
        histogram.with_label_values(labels).observe(seconds(start.0, end.0));
    }
}

fn seconds(start: Timestamp, end: Timestamp) -> f64 {
    end.duration_since(start).as_secs_f64().max(0.0)
}

fn conditions(release: &Release) -> &[fleet_api::Condition] {
    release.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
}

fn is_under_way(release: &Release) -> bool {
    find::<Released>(conditions(release)).is_some_and(|condition| !is_finished(condition))
}

fn is_processed(release: &Release) -> bool {
    of_phase(conditions(release), Phase::Managed).is_some_and(|condition| !is_finished(condition))
}

#[cfg(test)]
mod tests;
