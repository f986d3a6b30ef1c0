//! Builders of runs and Repositories for the tests of the controllers.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use pipelines_as_code_api::Repository;
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};

const PREFIX: &str = "pipelinesascode.tekton.dev/";

/// The moment that is so many seconds after the tests begin.
pub(crate) fn at(second: i64) -> Timestamp {
    "2024-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

/// Repository `app` of namespace `team`.
pub(crate) fn repository(spec: &Value) -> Repository {
    serde_json::from_value(json!({
        "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository",
        "metadata": {"name": "app", "namespace": "team", "uid": "u-app", "resourceVersion": "1"}, "spec": spec,
    }))
    .unwrap()
}

/// A run of it that goes on, as it is made.
pub(crate) fn run(name: &str) -> RunBuilder {
    let mut run: PipelineRun = serde_json::from_value(json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
        "metadata": {
            "name": name, "namespace": "team", "uid": format!("u-{name}"), "resourceVersion": "1",
            "finalizers": ["pipelinesascode.tekton.dev"], "labels": {}, "annotations": {},
        },
        "spec": {}, "status": {},
    }))
    .unwrap();
    run.metadata.creation_timestamp = Some(Time(at(0)));
    RunBuilder(run).of("app").original("app").state("started")
}

#[derive(Clone)]
pub(crate) struct RunBuilder(PipelineRun);

impl RunBuilder {
    /// Of another Repository.
    pub(crate) fn of(self, repository: &str) -> Self {
        self.both("repository", repository)
    }

    pub(crate) fn original(self, name: &str) -> Self {
        self.both("original-prname", name)
    }

    pub(crate) fn state(self, state: &str) -> Self {
        self.both("state", state)
    }

    /// Waits for its turn.
    pub(crate) fn paused(self) -> Self {
        let mut paused = self.state("queued");
        paused.0.spec.status = "PipelineRunPending".to_owned();
        paused
    }

    pub(crate) fn spec_status(mut self, status: &str) -> Self {
        self.0.spec.status = status.to_owned();
        self
    }

    pub(crate) fn created_at(mut self, second: i64) -> Self {
        self.0.metadata.creation_timestamp = Some(Time(at(second)));
        self
    }

    /// With this condition (`True`: well).
    pub(crate) fn ended_at(mut self, second: i64, condition: &str) -> Self {
        let reason = if condition == "True" { "Succeeded" } else { "Failed" };
        self.0.status = serde_json::from_value(json!({
            "conditions": [{"type": "Succeeded", "status": condition, "reason": reason, "message": "Tasks Completed"}],
            "startTime": at(0).to_string(), "completionTime": at(second).to_string(),
        }))
        .unwrap();
        self
    }

    pub(crate) fn deleted(mut self) -> Self {
        self.0.metadata.deletion_timestamp = Some(Time(at(1)));
        self
    }

    pub(crate) fn without_finalizer(mut self) -> Self {
        self.0.metadata.finalizers = None;
        self
    }

    /// A label and an annotation of ours.
    pub(crate) fn both(mut self, key: &str, value: &str) -> Self {
        self.0.labels_mut().insert(format!("{PREFIX}{key}"), value.to_owned());
        self.annotation(&format!("{PREFIX}{key}"), value)
    }

    pub(crate) fn annotation(mut self, key: &str, value: &str) -> Self {
        self.0.annotations_mut().insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.0.labels_mut().insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn build(self) -> PipelineRun {
        self.0
    }
}

pub(crate) fn names(runs: &[Arc<PipelineRun>]) -> Vec<String> {
    runs.iter().map(|run| run.name_any()).collect()
}
