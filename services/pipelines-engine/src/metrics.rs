//! Metrics under upstream's names (runtime specification, section 5), with the labels that `config-observability` asks for.
//!
//! ```text
//! gauges   how many runs there are, kept up with each change of theirs
//! family   a metric whose labels and kind change with the configuration
//! ```

mod family;
mod gauges;

use fleet::Store;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, PipelineRunStatus, RunCondition, TaskRun, TaskRunStatus, labels};
use prometheus::{HistogramOpts, HistogramVec, Registry};

use self::family::{Family, Kind, Labels};
use self::gauges::Gauges;
use crate::condition;
use crate::config::observability::{DurationType, Observability, PipelineRunLevel, TaskRunLevel};
use crate::guard::{Answer, Entries};

const PREFIX: &str = "tekton_pipelines_controller";

/// What a run without a named Pipeline or Task counts under.
const ANONYMOUS: &str = "anonymous";

/// Counts and times of runs. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    pipeline_runs: Family,
    pipeline_runs_total: [Family; 2],
    task_runs: Family,
    task_runs_of_pipelines: Family,
    task_runs_total: [Family; 2],
    pod_latency: HistogramVec,
    gauges: Gauges,
    /// Who wanted to get into pods of runs.
    pub entries: Entries,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let family = |name, help| Family::new(registry, name, help);
        let pod_latency = HistogramVec::new(
            HistogramOpts::new(
                format!("{PREFIX}_taskruns_pod_latency_milliseconds"),
                "From the creation of a TaskRun's pod until it has a node, in milliseconds.",
            )
            .buckets(vec![10.0, 50.0, 100.0, 500.0, 1000.0, 5000.0, 10_000.0, 60_000.0, 300_000.0]),
            &["namespace", "task"],
        )?;
        registry.register(Box::new(pod_latency.clone()))?;
        Ok(Self {
            pipeline_runs: family("pipelinerun_duration_seconds", "How long PipelineRuns took, in seconds.")?,
            pipeline_runs_total: [
                family("pipelinerun_total", "PipelineRuns that ended, by how.")?,
                family("pipelinerun_count", "Deprecated: pipelinerun_total.")?,
            ],
            task_runs: family(
                "taskrun_duration_seconds",
                "How long TaskRuns without a PipelineRun took, in seconds.",
            )?,
            task_runs_of_pipelines: family(
                "pipelinerun_taskrun_duration_seconds",
                "How long TaskRuns of PipelineRuns took, in seconds.",
            )?,
            task_runs_total: [
                family("taskrun_total", "TaskRuns that ended, by how.")?,
                family("taskrun_count", "Deprecated: taskrun_total.")?,
            ],
            pod_latency,
            gauges: Gauges::new(registry)?,
            entries: Entries::new(registry)?,
        })
    }

    /// Keeps the numbers of runs and the times of pods, and forgets the series of runs that are gone.
    pub fn follow(&self, pipeline_runs: &Store<PipelineRun>, task_runs: &Store<TaskRun>, pods: &Store<Pod>) {
        self.gauges.follow(pipeline_runs, task_runs);
        let metrics = self.clone();
        pipeline_runs.subscribe(move |change| {
            if let (Some(run), None) = (change.old.as_deref(), change.new.as_deref()) {
                metrics.forget_pipeline_run(run);
            }
        });
        let metrics = self.clone();
        task_runs.subscribe(move |change| {
            if let (Some(run), None) = (change.old.as_deref(), change.new.as_deref()) {
                metrics.forget_task_run(run);
            }
        });
        let metrics = self.clone();
        pods.subscribe(move |change| {
            if let (Some(old), Some(new)) = (change.old.as_deref(), change.new.as_deref()) {
                metrics.pod(old, new);
            }
        });
    }

    /// Counts a PipelineRun whose status was just written.
    pub fn pipeline_run(
        &self,
        run: &PipelineRun,
        old: &PipelineRunStatus,
        new: &PipelineRunStatus,
        config: Observability,
    ) {
        let Some(end) = newly_ended(&old.conditions, &new.conditions, "Cancelled") else { return };
        if let Some(seconds) = took(new.start_time.as_ref(), new.completion_time.as_ref()) {
            let kind = kind(
                config.pipeline_run_level == PipelineRunLevel::PipelineRun,
                config.pipeline_run_duration,
            );
            let labels = of_pipeline_run(run, end.status, config.pipeline_run_level);
            self.pipeline_runs.add(kind, &labels, seconds);
        }
        count(&self.pipeline_runs_total, &end, config);
    }

    /// Counts a TaskRun whose status was just written.
    pub fn task_run(&self, run: &TaskRun, old: &TaskRunStatus, new: &TaskRunStatus, config: Observability) {
        let Some(end) = newly_ended(&old.conditions, &new.conditions, "") else { return };
        if let Some(seconds) = took(new.start_time.as_ref(), new.completion_time.as_ref()) {
            let kind = kind(is_by_run(run, config), config.task_run_duration);
            let (family, labels) = self.of_task_run(run, end.status, config);
            family.add(kind, &labels, seconds);
        }
        count(&self.task_runs_total, &end, config);
    }

    /// Where the time of a TaskRun goes, and under which labels.
    fn of_task_run<'a>(
        &'a self,
        run: &'a TaskRun,
        status: &'a str,
        config: Observability,
    ) -> (&'a Family, Labels<'a>) {
        let of = |label: &str| run.metadata.labels.as_ref().and_then(|labels| labels.get(label));
        let mut all =
            vec![("status", status), ("namespace", run.metadata.namespace.as_deref().unwrap_or_default())];
        let mut family = &self.task_runs;
        if let Some(pipeline_run) = of(labels::PIPELINE_RUN.as_str()) {
            family = &self.task_runs_of_pipelines;
            // An inline Pipeline has the name of its run.
            let pipeline = of(labels::PIPELINE.as_str()).filter(|pipeline| *pipeline != pipeline_run);
            if config.pipeline_run_level >= PipelineRunLevel::Pipeline {
                all.push(("pipeline", pipeline.map_or(ANONYMOUS, String::as_str)));
            }
            if config.pipeline_run_level == PipelineRunLevel::PipelineRun {
                all.push(("pipelinerun", pipeline_run));
            }
        }
        if config.task_run_level >= TaskRunLevel::Task {
            all.push(("task", of(labels::TASK.as_str()).map_or(ANONYMOUS, String::as_str)));
        }
        if config.task_run_level == TaskRunLevel::TaskRun {
            all.push(("taskrun", run.metadata.name.as_deref().unwrap_or_default()));
        }
        (family, all)
    }

    fn forget_pipeline_run(&self, run: &PipelineRun) {
        let conditions = run.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        if let Some(end) = end(conditions, "Cancelled") {
            self.pipeline_runs.forget(&of_pipeline_run(run, end.status, PipelineRunLevel::PipelineRun));
        }
    }

    fn forget_task_run(&self, run: &TaskRun) {
        let conditions = run.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let Some(end) = end(conditions, "") else { return };
        for pipeline_run_level in
            [PipelineRunLevel::Namespace, PipelineRunLevel::Pipeline, PipelineRunLevel::PipelineRun]
        {
            for task_run_level in [TaskRunLevel::Namespace, TaskRunLevel::Task, TaskRunLevel::TaskRun] {
                let config = Observability { pipeline_run_level, task_run_level, ..Observability::default() };
                if is_by_run(run, config) {
                    let (family, labels) = self.of_task_run(run, end.status, config);
                    family.forget(&labels);
                }
            }
        }
    }

    /// Times a pod that has just got a node.
    fn pod(&self, old: &Pod, new: &Pod) {
        if scheduled(old).is_some() {
            return;
        }
        let created = new.metadata.creation_timestamp.as_ref();
        let Some(seconds) = took(created, scheduled(new).as_ref()) else { return };
        let namespace = new.metadata.namespace.as_deref().unwrap_or_default();
        let task = labels::TASK.of(&new.metadata.labels).unwrap_or(ANONYMOUS);
        self.pod_latency.with_label_values(&[namespace, task]).observe(seconds * 1000.0);
    }

    /// One of everything, so that a list of all metrics can be made before anything has happened.
    pub fn example(&self) {
        let config = Observability::default();
        let end = End { status: "success", reason: String::new() };
        let of_task = [("status", "success"), ("namespace", "n"), ("task", "t")];
        self.task_runs.add(Kind::Histogram, &of_task.to_vec(), 0.0);
        self.task_runs_of_pipelines.add(Kind::Histogram, &of_task.to_vec(), 0.0);
        self.pipeline_runs.add(Kind::Histogram, &of_task.to_vec(), 0.0);
        self.pod_latency.with_label_values(&["n", "t"]).observe(0.0);
        count(&self.pipeline_runs_total, &end, config);
        count(&self.task_runs_total, &end, config);
        self.entries.count("exec", Answer::Refused);
    }
}

fn of_pipeline_run<'a>(run: &'a PipelineRun, status: &'a str, level: PipelineRunLevel) -> Labels<'a> {
    let mut all =
        vec![("status", status), ("namespace", run.metadata.namespace.as_deref().unwrap_or_default())];
    if level >= PipelineRunLevel::Pipeline {
        // An inline Pipeline has the name of its run.
        let named = run.spec.pipeline_ref.as_ref().and_then(|_| labels::PIPELINE.of(&run.metadata.labels));
        all.push(("pipeline", named.unwrap_or(ANONYMOUS)));
    }
    if level == PipelineRunLevel::PipelineRun {
        all.push(("pipelinerun", run.metadata.name.as_deref().unwrap_or_default()));
    }
    all
}

/// Whether a series is of this run, or of its PipelineRun, alone.
fn is_by_run(run: &TaskRun, config: Observability) -> bool {
    config.task_run_level == TaskRunLevel::TaskRun
        || config.pipeline_run_level == PipelineRunLevel::PipelineRun
            && labels::PIPELINE_RUN.of(&run.metadata.labels).is_some()
}

/// One run has one duration: nothing to make a histogram of.
fn kind(by_run: bool, configured: DurationType) -> Kind {
    match configured {
        DurationType::Histogram if !by_run => Kind::Histogram,
        DurationType::Histogram | DurationType::LastValue => Kind::LastValue,
    }
}

fn count(families: &[Family], end: &End, config: Observability) {
    let mut labels = vec![("status", end.status)];
    if config.count_reason {
        labels.push(("reason", &end.reason));
    }
    for family in families {
        family.add(Kind::Counter, &labels, 1.0);
    }
}

/// How a run ended.
struct End {
    status: &'static str,
    reason: String,
}

/// How a run ended that had not ended before.
fn newly_ended(old: &[RunCondition], new: &[RunCondition], cancelled: &str) -> Option<End> {
    end(new, cancelled).filter(|_| !condition::is_final(old))
}

/// `cancelled` is the reason of runs that somebody ended, if those count on their own.
fn end(conditions: &[RunCondition], cancelled: &str) -> Option<End> {
    let condition = succeeded(conditions).filter(|_| condition::is_final(conditions))?;
    let status = match condition.status.as_str() {
        "True" => "success",
        _ if condition.reason == cancelled => "cancelled",
        _ => "failed",
    };
    Some(End { status, reason: condition.reason.clone() })
}

/// In seconds.
fn took(start: Option<&Time>, end: Option<&Time>) -> Option<f64> {
    let millis = |time: &Timestamp| time.as_millisecond();
    let taken = millis(&end?.0) - millis(&start?.0);
    u32::try_from(taken).ok().map(|millis| f64::from(millis) / 1000.0)
}

fn scheduled(pod: &Pod) -> Option<Time> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| condition.type_ == "PodScheduled")?;
    condition.last_transition_time.clone().filter(|_| condition.status == "True")
}

#[cfg(test)]
mod tests;
