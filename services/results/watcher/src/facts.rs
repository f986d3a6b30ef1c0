//! What of a run's status is looked at, however the rest of it looks.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pipelines_engine_api::status::{RunCondition, succeeded};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What the status says, if it can be read; a run is archived in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) outcome: Outcome,
    /// Of the condition `Succeeded`.
    pub(crate) reason: String,
    pub(crate) started: Option<Timestamp>,
    pub(crate) completed: Option<Timestamp>,
    /// TaskRuns of a PipelineRun, in its order.
    pub(crate) children: Vec<Child>,
    /// Pods of a TaskRun, the oldest first.
    pub(crate) attempts: Vec<Attempt>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    #[default]
    Running,
    Succeeded,
    /// In one way or another.
    Failed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Child {
    #[serde(default)]
    pub(crate) kind: String,
    pub(crate) name: String,
    #[serde(default, rename = "pipelineTaskName")]
    pub(crate) task: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) pod: String,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Step {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) container: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    conditions: Vec<RunCondition>,
    start_time: Option<Time>,
    completion_time: Option<Time>,
    child_references: Vec<Child>,
    pod_name: String,
    steps: Vec<Step>,
    #[serde(rename = "retriesStatus")]
    earlier: Vec<Status>,
}

impl Facts {
    /// Of an object without its metadata.
    pub(crate) fn of(object: &Map<String, Value>) -> Self {
        let status =
            object.get("status").and_then(|status| Status::deserialize(status).ok()).unwrap_or_default();
        let condition = succeeded(&status.conditions);
        let outcome = match condition.map(|condition| condition.status.as_str()) {
            Some("True") => Outcome::Succeeded,
            Some("False") => Outcome::Failed,
            _ => Outcome::Running,
        };
        let attempts = status.earlier.iter().chain([&status]);
        let attempts = attempts.filter(|attempt| !attempt.pod_name.is_empty());
        Self {
            outcome,
            reason: condition.map(|condition| condition.reason.clone()).unwrap_or_default(),
            started: status.start_time.as_ref().map(|time| time.0),
            completed: status.completion_time.as_ref().map(|time| time.0),
            attempts: attempts
                .map(|attempt| Attempt { pod: attempt.pod_name.clone(), steps: attempt.steps.clone() })
                .collect(),
            children: status.child_references,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(status: Value) -> Facts {
        Facts::of(&Map::from_iter([("status".to_owned(), status)]))
    }

    #[test]
    fn a_status_that_cannot_be_read_is_none() {
        assert_eq!(facts(json!({"conditions": "odd"})), Facts::default());
        assert_eq!(facts(json!(null)), Facts::default());
        assert_eq!(Facts::of(&Map::new()), Facts::default());
    }

    #[test]
    fn earlier_attempts_come_first_and_those_without_a_pod_are_none() {
        let facts = facts(json!({
            "podName": "run-pod-retry1", "steps": [{"name": "test", "container": "step-test"}],
            "retriesStatus": [{"podName": "run-pod"}, {}],
            "conditions": [{"type": "Succeeded", "status": "False", "reason": "TaskRunTimeout"}],
        }));
        let pods: Vec<_> = facts.attempts.iter().map(|attempt| attempt.pod.as_str()).collect();
        assert_eq!(pods, ["run-pod", "run-pod-retry1"]);
        assert_eq!(facts.attempts[1].steps[0].container, "step-test");
        assert_eq!((facts.outcome, facts.reason.as_str()), (Outcome::Failed, "TaskRunTimeout"));
    }
}
