//! What is counted.

use std::time::Duration;

use fleet::{Clock, Store};
use jiff::SignedDuration;
use pipelines_as_code_api::annotations::written;
use pipelines_as_code_api::labels;
use pipelines_as_code_api::pipeline_run::State;
use pipelines_engine_api::PipelineRun;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Counter, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use spool::Spool;

/// Counted while it runs. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    runs: IntCounterVec,
    run_seconds: Counter,
    requests: IntCounterVec,
    deliveries: IntCounterVec,
    delivery_seconds: Histogram,
    not_stored: IntCounter,
}

impl Metrics {
    /// Registers all but what is read from stores and from the spool.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let delivery_seconds = HistogramOpts::new(
            "pipelines_as_code_delivery_seconds",
            "Time from a delivery's arrival to the end of the work on it, waiting and repeated tries included.",
        );
        let metrics = Self {
            runs: counters(
                "pipelines_as_code_pipelinerun_count",
                "PipelineRuns that have ended, by the forge with how it is reached, and the type of the event.",
                &["provider", "event_type"],
            )?,
            run_seconds: Counter::new(
                "pipelines_as_code_pipelinerun_duration_seconds_sum",
                "Time that PipelineRuns took, from their start to their end, all together.",
            )?,
            requests: counters(
                "pipelines_as_code_requests_total",
                "Webhooks and incoming requests, by how they were answered: accepted, skipped, no_repository, refused, malformed, \
                 not_stored, not_read, configured.",
                &["answer"],
            )?,
            deliveries: counters(
                "pipelines_as_code_deliveries_total",
                "Accepted deliveries that are over, and refused ones, by what became of them.",
                &["result"],
            )?,
            delivery_seconds: Histogram::with_opts(
                delivery_seconds.buckets(vec![0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0]),
            )?,
            not_stored: IntCounter::new(
                "pipelines_as_code_spool_failures_total",
                "Deliveries that should have been put into the spool, and could not be: it was full, or the disk failed.",
            )?,
        };
        registry.register(Box::new(metrics.run_seconds.clone()))?;
        registry.register(Box::new(metrics.delivery_seconds.clone()))?;
        registry.register(Box::new(metrics.not_stored.clone()))?;
        for counters in [&metrics.runs, &metrics.requests, &metrics.deliveries] {
            registry.register(Box::new(counters.clone()))?;
        }
        Ok(metrics)
    }

    /// A run has ended, and how was written down.
    pub(crate) fn run_ended(&self, run: &PipelineRun) {
        let annotations = &run.metadata.annotations;
        let has_app = written::INSTALLATION_ID.of(annotations).is_some();
        let provider = provider(written::GIT_PROVIDER.of(annotations).unwrap_or_default(), has_app);
        let event_type = event_type(written::EVENT_TYPE.of(annotations).unwrap_or_default());
        self.runs.with_label_values(&[provider, event_type]).inc();
        let times = run.status.as_ref().and_then(|status| {
            Some(status.completion_time.as_ref()?.0.duration_since(status.start_time.as_ref()?.0))
        });
        if let Some(took) = times.filter(SignedDuration::is_positive) {
            self.run_seconds.inc_by(took.as_secs_f64());
        }
    }

    pub(crate) fn answered(&self, answer: &'static str) {
        self.requests.with_label_values(&[answer]).inc();
    }

    pub(crate) fn handled(&self, result: &'static str) {
        self.deliveries.with_label_values(&[result]).inc();
    }

    pub(crate) fn took(&self, time: Duration) {
        self.delivery_seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn not_stored(&self) {
        self.not_stored.inc();
    }
}

/// By words that are known: what a run says of itself anybody in its namespace may write.
fn provider(git_provider: &str, has_app: bool) -> &'static str {
    match (git_provider, has_app) {
        ("github", true) => "github-app",
        ("github", false) => "github-webhook",
        ("github-enterprise", true) => "github-enterprise-app",
        ("github-enterprise", false) => "github-enterprise-webhook",
        ("gitlab", _) => "gitlab-webhook",
        ("gitea", _) => "gitea-webhook",
        ("bitbucket-cloud", _) => "bitbucket-cloud-webhook",
        ("bitbucket-server", _) => "bitbucket-server-webhook",
        _ => "unknown",
    }
}

fn event_type(text: &str) -> &'static str {
    text.parse::<pipelines_as_code_api::pipeline_run::EventType>().map_or("unknown", Into::into)
}

/// Registers every metric there is, each with one example of its labels, for who lists them.
pub fn register_all(registry: &Registry) -> Result<(), prometheus::Error> {
    let metrics = Metrics::new(registry)?;
    metrics.runs.with_label_values(&["github-app", "push"]).inc();
    metrics.answered("accepted");
    metrics.handled("started");
    let SpoolGauges { deliveries, bytes, oldest, given_up } = SpoolGauges::new()?;
    registry.register(Box::new(deliveries))?;
    registry.register(Box::new(bytes))?;
    registry.register(Box::new(oldest))?;
    registry.register(Box::new(given_up))?;
    registry.register(Box::new(running()?))
}

fn running() -> Result<IntGauge, prometheus::Error> {
    IntGauge::new("pipelines_as_code_running_pipelineruns_count", "PipelineRuns that go on.")
}

/// Counted when somebody asks, so that it cannot drift.
pub(crate) struct RunMetrics {
    runs: Store<PipelineRun>,
    running: IntGauge,
}

impl RunMetrics {
    pub(crate) fn new(runs: Store<PipelineRun>) -> Result<Self, prometheus::Error> {
        Ok(Self { runs, running: running()? })
    }
}

impl Collector for RunMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.running.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let runs = self.runs.keys().into_iter().filter_map(|key| self.runs.get(&key));
        let count = runs.filter(|run| goes_on(run)).count();
        self.running.set(number(count));
        self.running.collect()
    }
}

fn goes_on(run: &PipelineRun) -> bool {
    let state = labels::STATE.of(&run.metadata.labels).and_then(|state| state.parse().ok());
    let has_ended = run.status.as_ref().is_some_and(|status| status.completion_time.is_some());
    state == Some(State::Started) && !has_ended
}

/// Read when somebody asks, so that it cannot drift.
pub(crate) struct SpoolMetrics {
    spool: Spool,
    clock: Clock,
    gauges: SpoolGauges,
}

struct SpoolGauges {
    deliveries: IntGauge,
    bytes: IntGauge,
    oldest: Gauge,
    given_up: IntGauge,
}

impl SpoolGauges {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            deliveries: IntGauge::new(
                "pipelines_as_code_spool_deliveries",
                "Deliveries that wait or are worked on.",
            )?,
            bytes: IntGauge::new("pipelines_as_code_spool_bytes", "Bytes of all of those.")?,
            oldest: Gauge::new(
                "pipelines_as_code_spool_oldest_seconds",
                "Age of the oldest of those; 0 without any.",
            )?,
            given_up: IntGauge::new(
                "pipelines_as_code_spool_given_up",
                "Deliveries that were given up since the start: tried too often, or too old.",
            )?,
        })
    }
}

impl SpoolMetrics {
    pub(crate) fn new(spool: Spool, clock: Clock) -> Result<Self, prometheus::Error> {
        Ok(Self { spool, clock, gauges: SpoolGauges::new()? })
    }
}

impl Collector for SpoolMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let SpoolGauges { deliveries, bytes, oldest, given_up } = &self.gauges;
        [deliveries.desc(), bytes.desc(), oldest.desc(), given_up.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let stats = self.spool.stats();
        let SpoolGauges { deliveries, bytes, oldest, given_up } = &self.gauges;
        deliveries.set(number(stats.count));
        bytes.set(i64::try_from(stats.bytes).unwrap_or(i64::MAX));
        let age = stats.oldest.map_or(0.0, |since| self.clock.now().duration_since(since).as_secs_f64());
        oldest.set(age.max(0.0));
        given_up.set(i64::try_from(stats.given_up).unwrap_or(i64::MAX));
        [deliveries.collect(), bytes.collect(), oldest.collect(), given_up.collect()].concat()
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn run(name: &str, labels: &Value, annotations: &Value, status: &Value) -> PipelineRun {
        serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {"name": name, "namespace": "tenant", "resourceVersion": "1", "labels": labels, "annotations": annotations},
            "spec": {}, "status": status,
        }))
        .unwrap()
    }

    fn shown(registry: &Registry) -> String {
        prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn counts_runs_by_where_they_come_from() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        let times = json!({"startTime": "2024-03-01T12:00:00Z", "completionTime": "2024-03-01T12:01:30Z"});
        let annotations = json!({
            "pipelinesascode.tekton.dev/git-provider": "github", "pipelinesascode.tekton.dev/event-type": "push",
            "pipelinesascode.tekton.dev/installation-id": "7",
        });
        metrics.run_ended(&run("a", &json!({}), &annotations, &times));
        let anybodys = json!({"pipelinesascode.tekton.dev/git-provider": "mine", "pipelinesascode.tekton.dev/event-type": "x"});
        metrics.run_ended(&run("b", &json!({}), &anybodys, &json!({})));
        let shown = shown(&registry);
        for line in [
            r#"pipelines_as_code_pipelinerun_count{event_type="push",provider="github-app"} 1"#,
            r#"pipelines_as_code_pipelinerun_count{event_type="unknown",provider="unknown"} 1"#,
            "pipelines_as_code_pipelinerun_duration_seconds_sum 90",
        ] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
    }

    #[test]
    fn counts_runs_that_go_on() {
        let store = Store::new(|_| {}, Vec::new());
        let state = |state: &str| json!({"pipelinesascode.tekton.dev/state": state});
        store.apply(run("a", &state("started"), &json!({}), &json!({})));
        store.apply(run("b", &state("queued"), &json!({}), &json!({})));
        store.apply(run(
            "c",
            &state("started"),
            &json!({}),
            &json!({"completionTime": "2024-03-01T12:01:30Z"}),
        ));
        let registry = Registry::new();
        registry.register(Box::new(RunMetrics::new(store).unwrap())).unwrap();
        assert!(shown(&registry).contains("pipelines_as_code_running_pipelineruns_count 1"));
    }

    #[test]
    fn every_metric_is_registered_once() {
        register_all(&Registry::new()).unwrap();
    }
}
