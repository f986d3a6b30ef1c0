//! How many runs there are of a kind at this moment, kept up with each change: nothing is listed to be counted.

use fleet::{Store, Stored};
use pipelines_engine_api::reasons::{PipelineRunReason, TaskRunReason};
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, RunCondition, TaskRun};
use prometheus::{IntGauge, Registry};

use crate::condition;

/// Numbers of runs.
#[derive(Clone, Debug)]
pub(super) struct Gauges {
    running_pipeline_runs: IntGauge,
    awaiting_pipeline: IntGauge,
    awaiting_tasks: IntGauge,
    running_task_runs: IntGauge,
    throttled_by_quota: IntGauge,
    throttled_by_node: IntGauge,
    awaiting_task: IntGauge,
}

impl Gauges {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(format!("{}_{name}", super::PREFIX), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            running_pipeline_runs: gauge("running_pipelineruns", "PipelineRuns that have not ended.")?,
            awaiting_pipeline: gauge(
                "running_pipelineruns_waiting_on_pipeline_resolution",
                "PipelineRuns that wait for a resolver to find their Pipeline.",
            )?,
            awaiting_tasks: gauge(
                "running_pipelineruns_waiting_on_task_resolution",
                "PipelineRuns that wait for a resolver to find a Task of theirs.",
            )?,
            running_task_runs: gauge("running_taskruns", "TaskRuns that have not ended.")?,
            throttled_by_quota: gauge(
                "running_taskruns_throttled_by_quota",
                "TaskRuns whose pod exceeds a ResourceQuota of their namespace.",
            )?,
            throttled_by_node: gauge(
                "running_taskruns_throttled_by_node",
                "TaskRuns whose pod no node has room for.",
            )?,
            awaiting_task: gauge(
                "running_taskruns_waiting_on_task_resolution_count",
                "TaskRuns that wait for a resolver to find their Task.",
            )?,
        })
    }

    pub(super) fn follow(&self, pipeline_runs: &Store<PipelineRun>, task_runs: &Store<TaskRun>) {
        let of_run = |run: &PipelineRun| run.status.as_ref().map(|status| status.conditions.clone());
        let reason = |reason: PipelineRunReason| {
            move |run: &PipelineRun| waits_for(of_run(run).as_deref(), reason.into())
        };
        let runs = move |run: &PipelineRun| is_running(of_run(run).as_deref());
        count(pipeline_runs, &self.running_pipeline_runs, runs);
        count(pipeline_runs, &self.awaiting_pipeline, reason(PipelineRunReason::ResolvingPipelineRef));
        count(pipeline_runs, &self.awaiting_tasks, reason(PipelineRunReason::ResolvingTaskRef));

        let of_run = |run: &TaskRun| run.status.as_ref().map(|status| status.conditions.clone());
        let reason =
            |reason: TaskRunReason| move |run: &TaskRun| waits_for(of_run(run).as_deref(), reason.into());
        count(task_runs, &self.running_task_runs, move |run| is_running(of_run(run).as_deref()));
        count(task_runs, &self.throttled_by_quota, reason(TaskRunReason::ExceededResourceQuota));
        count(task_runs, &self.throttled_by_node, reason(TaskRunReason::ExceededNodeResources));
        count(task_runs, &self.awaiting_task, reason(TaskRunReason::ResolvingTaskRef));
    }
}

fn is_running(conditions: Option<&[RunCondition]>) -> bool {
    !conditions.is_some_and(condition::is_final)
}

fn waits_for(conditions: Option<&[RunCondition]>, reason: &'static str) -> bool {
    conditions
        .and_then(succeeded)
        .is_some_and(|condition| condition.status == "Unknown" && condition.reason == reason)
}

fn count<K: Stored>(store: &Store<K>, gauge: &IntGauge, counts: impl Fn(&K) -> bool + Send + Sync + 'static) {
    let gauge = gauge.clone();
    store.subscribe(move |change| {
        let before = change.old.as_deref().is_some_and(&counts);
        let after = change.new.as_deref().is_some_and(&counts);
        gauge.add(i64::from(after) - i64::from(before));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn runs_are_counted_as_they_come_and_go() {
        let gauges = Gauges::new(&Registry::new()).unwrap();
        let (pipeline_runs, task_runs) = (Store::new(|_| {}, Vec::new()), Store::new(|_| {}, Vec::new()));
        gauges.follow(&pipeline_runs, &task_runs);
        let run = |kind: &str, version: u64, status: &str, reason: &str| {
            json!({
                "apiVersion": "tekton.dev/v1", "kind": kind,
                "metadata": {"name": "a", "namespace": "n", "resourceVersion": version.to_string()},
                "spec": {}, "status": {"conditions": [{"type": "Succeeded", "status": status, "reason": reason}]},
            })
        };
        let task = |version, status, reason| -> TaskRun {
            serde_json::from_value(run("TaskRun", version, status, reason)).unwrap()
        };
        let numbers = || {
            [
                &gauges.running_task_runs,
                &gauges.throttled_by_quota,
                &gauges.throttled_by_node,
                &gauges.awaiting_task,
            ]
            .map(IntGauge::get)
        };
        task_runs.apply(task(1, "Unknown", "ResolvingTaskRef"));
        assert_eq!(numbers(), [1, 0, 0, 1]);
        task_runs.apply(task(2, "Unknown", "ExceededResourceQuota"));
        assert_eq!(numbers(), [1, 1, 0, 0]);
        task_runs.apply(task(3, "Unknown", "ExceededNodeResources"));
        assert_eq!(numbers(), [1, 0, 1, 0]);
        task_runs.apply(task(4, "True", "Succeeded"));
        assert_eq!(numbers(), [0, 0, 0, 0]);
        task_runs.delete(&task(5, "True", "Succeeded"));
        assert_eq!(numbers(), [0, 0, 0, 0]);

        let pipeline = |version, reason| -> PipelineRun {
            serde_json::from_value(run("PipelineRun", version, "Unknown", reason)).unwrap()
        };
        let numbers = || {
            [&gauges.running_pipeline_runs, &gauges.awaiting_pipeline, &gauges.awaiting_tasks]
                .map(IntGauge::get)
        };
        pipeline_runs.apply(pipeline(1, "ResolvingPipelineRef"));
        assert_eq!(numbers(), [1, 1, 0]);
        pipeline_runs.apply(pipeline(2, "ResolvingTaskRef"));
        assert_eq!(numbers(), [1, 0, 1]);
        pipeline_runs.delete(&pipeline(3, "ResolvingTaskRef"));
        assert_eq!(numbers(), [0, 0, 0]);
    }
}
