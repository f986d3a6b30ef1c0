//! Metrics under upstream's names (runtime specification, section 5).

use fleet::{Store, Stored};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, PipelineRunStatus, RunCondition, TaskRun, TaskRunStatus, labels};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

use crate::condition;

const PREFIX: &str = "tekton_pipelines_controller";

/// What a run without a named Pipeline or Task counts under.
const ANONYMOUS: &str = "anonymous";

/// Counts and times of runs.
#[derive(Clone, Debug)]
pub struct Metrics {
    pipeline_runs: HistogramVec,
    pipeline_runs_total: IntCounterVec,
    task_runs: HistogramVec,
    task_runs_of_pipelines: HistogramVec,
    task_runs_total: IntCounterVec,
    running_pipeline_runs: IntGauge,
    running_task_runs: IntGauge,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            pipeline_runs: seconds(
                "pipelinerun_duration_seconds",
                "How long PipelineRuns took, in seconds.",
                &["status", "namespace", "pipeline"],
            )?,
            pipeline_runs_total: total("pipelinerun_total", "PipelineRuns that ended, by how.")?,
            task_runs: seconds(
                "taskrun_duration_seconds",
                "How long TaskRuns without a PipelineRun took, in seconds.",
                &["status", "namespace", "task"],
            )?,
            task_runs_of_pipelines: seconds(
                "pipelinerun_taskrun_duration_seconds",
                "How long TaskRuns of PipelineRuns took, in seconds.",
                &["status", "namespace", "pipeline", "task"],
            )?,
            task_runs_total: total("taskrun_total", "TaskRuns that ended, by how.")?,
            running_pipeline_runs: gauge("running_pipelineruns", "PipelineRuns that have not ended.")?,
            running_task_runs: gauge("running_taskruns", "TaskRuns that have not ended.")?,
        };
        registry.register(Box::new(metrics.pipeline_runs.clone()))?;
        registry.register(Box::new(metrics.pipeline_runs_total.clone()))?;
        registry.register(Box::new(metrics.task_runs.clone()))?;
        registry.register(Box::new(metrics.task_runs_of_pipelines.clone()))?;
        registry.register(Box::new(metrics.task_runs_total.clone()))?;
        registry.register(Box::new(metrics.running_pipeline_runs.clone()))?;
        registry.register(Box::new(metrics.running_task_runs.clone()))?;
        Ok(metrics)
    }

    /// Keeps the numbers of running runs.
    pub fn follow(&self, pipeline_runs: &Store<PipelineRun>, task_runs: &Store<TaskRun>) {
        follow(pipeline_runs, &self.running_pipeline_runs, |run| {
            run.status.as_ref().map(|status| status.conditions.as_slice())
        });
        follow(task_runs, &self.running_task_runs, |run| {
            run.status.as_ref().map(|status| status.conditions.as_slice())
        });
    }

    /// Counts a PipelineRun whose status was just written.
    pub fn pipeline_run(&self, run: &PipelineRun, old: &PipelineRunStatus, new: &PipelineRunStatus) {
        let Some(status) = newly_ended(&old.conditions, &new.conditions, "Cancelled") else { return };
        let pipeline = labels::PIPELINE.of(&run.metadata.labels).unwrap_or(ANONYMOUS);
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        if let Some(seconds) = took(new.start_time.as_ref(), new.completion_time.as_ref()) {
            self.pipeline_runs.with_label_values(&[status, namespace, pipeline]).observe(seconds);
        }
        self.pipeline_runs_total.with_label_values(&[status]).inc();
    }

    /// Counts a TaskRun whose status was just written.
    pub fn task_run(&self, run: &TaskRun, old: &TaskRunStatus, new: &TaskRunStatus) {
        let Some(status) = newly_ended(&old.conditions, &new.conditions, "") else { return };
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let task = labels::TASK.of(&run.metadata.labels).unwrap_or(ANONYMOUS);
        if let Some(seconds) = took(new.start_time.as_ref(), new.completion_time.as_ref()) {
            if labels::PIPELINE_RUN.of(&run.metadata.labels).is_some() {
                let pipeline = labels::PIPELINE.of(&run.metadata.labels).unwrap_or(ANONYMOUS);
                let values = [status, namespace, pipeline, task];
                self.task_runs_of_pipelines.with_label_values(&values).observe(seconds);
            } else {
                self.task_runs.with_label_values(&[status, namespace, task]).observe(seconds);
            }
        }
        self.task_runs_total.with_label_values(&[status]).inc();
    }
}

fn seconds(name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
    let buckets =
        [10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 5400.0, 10800.0, 21600.0, 43200.0, 86400.0];
    HistogramVec::new(HistogramOpts::new(format!("{PREFIX}_{name}"), help).buckets(buckets.into()), labels)
}

fn total(name: &str, help: &str) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(format!("{PREFIX}_{name}"), help), &["status"])
}

fn gauge(name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    IntGauge::new(format!("{PREFIX}_{name}"), help)
}

/// How a run ended that had not ended before.
fn newly_ended(old: &[RunCondition], new: &[RunCondition], cancelled: &str) -> Option<&'static str> {
    let condition = succeeded(new).filter(|_| condition::is_final(new) && !condition::is_final(old))?;
    Some(match condition.status.as_str() {
        "True" => "success",
        _ if condition.reason == cancelled => "cancelled",
        _ => "failed",
    })
}

/// In seconds.
fn took(start: Option<&Time>, end: Option<&Time>) -> Option<f64> {
    let seconds = |time: &Timestamp| time.as_millisecond();
    let millis = seconds(&end?.0) - seconds(&start?.0);
    u32::try_from(millis).ok().map(|millis| f64::from(millis) / 1000.0)
}

fn follow<K: Stored>(
    store: &Store<K>,
    gauge: &IntGauge,
    conditions: impl Fn(&K) -> Option<&[RunCondition]> + Send + Sync + 'static,
) {
    let gauge = gauge.clone();
    let runs = move |run: &K| !conditions(run).is_some_and(condition::is_final);
    store.subscribe(move |change| {
        let before = change.old.as_deref().is_some_and(&runs);
        let after = change.new.as_deref().is_some_and(&runs);
        gauge.add(i64::from(after) - i64::from(before));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn conditions(status: &str, reason: &str) -> Vec<RunCondition> {
        serde_json::from_value(json!([{"type": "Succeeded", "status": status, "reason": reason}])).unwrap()
    }

    #[test]
    fn a_run_is_counted_once_when_it_ends() {
        let metrics = Metrics::new(&Registry::new()).unwrap();
        let run = PipelineRun::new("run", Default::default());
        let status = |status: &str, reason: &str| PipelineRunStatus {
            conditions: conditions(status, reason),
            ..PipelineRunStatus::default()
        };
        let (runs, ended) = (status("Unknown", "Running"), status("False", "Cancelled"));
        metrics.pipeline_run(&run, &PipelineRunStatus::default(), &runs);
        metrics.pipeline_run(&run, &runs, &ended);
        metrics.pipeline_run(&run, &ended, &ended);
        assert_eq!(metrics.pipeline_runs_total.with_label_values(&["cancelled"]).get(), 1);
        assert_eq!(metrics.pipeline_runs_total.with_label_values(&["failed"]).get(), 0);
    }

    #[test]
    fn running_runs_are_counted_as_they_come_and_go() {
        let metrics = Metrics::new(&Registry::new()).unwrap();
        let (pipeline_runs, task_runs) = (Store::new(|_| {}, Vec::new()), Store::new(|_| {}, Vec::new()));
        metrics.follow(&pipeline_runs, &task_runs);
        let run = |version: &str, status: &str| -> TaskRun {
            serde_json::from_value(json!({
                "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
                "metadata": {"name": "a", "namespace": "n", "resourceVersion": version},
                "spec": {}, "status": {"conditions": [{"type": "Succeeded", "status": status}]},
            }))
            .unwrap()
        };
        task_runs.apply(run("1", "Unknown"));
        assert_eq!(metrics.running_task_runs.get(), 1);
        task_runs.apply(run("2", "True"));
        assert_eq!(metrics.running_task_runs.get(), 0);
        task_runs.delete(&run("3", "True"));
        assert_eq!(metrics.running_task_runs.get(), 0);
    }
}
