//! A run, of whatever version, as JSON.
//!
//! What is shown is read from the few places that all versions share; the rest is printed as it is. So a record of an
//! older Tekton, or of a newer one, is no error.

use jiff::Timestamp;
use serde_json::Value;

use crate::filter::Status;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// Name of the record, if it is from the archive.
    pub(crate) record: Option<String>,
    /// The object.
    pub(crate) object: Value,
}

/// One container of a TaskRun's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) container: String,
    /// Runs, or has run: there may be a log.
    pub(crate) has_started: bool,
}

impl Run {
    fn text(&self, pointer: &str) -> Option<&str> {
        self.object.pointer(pointer)?.as_str()
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("/kind").unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.text("/metadata/namespace").unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name").unwrap_or_default()
    }

    pub(crate) fn uid(&self) -> &str {
        self.text("/metadata/uid").unwrap_or_default()
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.object.pointer("/metadata/labels")?.get(key)?.as_str()
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.object.pointer("/metadata/annotations")?.get(key)?.as_str()
    }

    /// Absent before anybody has looked at the run.
    pub(crate) fn status(&self) -> Option<Status> {
        let conditions = self.object.pointer("/status/conditions")?.as_array()?;
        let succeeded = conditions.iter().find(|condition| condition["type"] == "Succeeded")?;
        let text = |key: &str| succeeded[key].as_str().unwrap_or_default();
        Some(Status::of(text("status"), text("reason")))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.status().is_some_and(|status| status != Status::Running)
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        let conditions = self.object.pointer("/status/conditions")?.as_array()?;
        conditions.iter().find(|condition| condition["type"] == "Succeeded")?["reason"].as_str()
    }

    fn time(&self, pointer: &str) -> Option<Timestamp> {
        self.text(pointer)?.parse().ok()
    }

    /// Or else when the object was made.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        self.time("/status/startTime").or_else(|| self.time("/metadata/creationTimestamp"))
    }

    pub(crate) fn ended(&self) -> Option<Timestamp> {
        self.time("/status/completionTime")
    }

    /// Of a TaskRun.
    pub(crate) fn pod(&self) -> Option<&str> {
        self.text("/status/podName").filter(|name| !name.is_empty())
    }

    /// Of a TaskRun, in the order in which they run.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let steps = self.object.pointer("/status/steps").and_then(Value::as_array);
        let step = |step: &Value| {
            Some(Step {
                name: step["name"].as_str()?.to_owned(),
                container: step["container"].as_str()?.to_owned(),
                has_started: step["running"].is_object() || step["terminated"].is_object(),
            })
        };
        steps.into_iter().flatten().filter_map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_is_there() {
        let run = Run {
            record: None,
            object: json!({
                "kind": "TaskRun",
                "metadata": {"name": "a", "labels": {"k/l": "v"}, "creationTimestamp": "2026-03-02T12:00:00Z"},
                "status": {
                    "conditions": [
                        {"type": "Other", "status": "False"},
                        {"type": "Succeeded", "status": "True", "reason": "Succeeded"},
                    ],
                    "podName": "a-pod",
                    "steps": [
                        {"name": "x", "container": "step-x", "terminated": {"exitCode": 0}},
                        {"name": "y", "container": "step-y", "waiting": {}},
                        {"no name": true},
                    ],
                },
            }),
        };
        assert_eq!(run.label("k/l"), Some("v"));
        assert_eq!(run.status(), Some(Status::Succeeded));
        assert!(run.is_done());
        assert_eq!(run.started(), "2026-03-02T12:00:00Z".parse().ok());
        assert_eq!(run.ended(), None);
        assert_eq!(run.pod(), Some("a-pod"));
        assert_eq!(run.steps().iter().map(|step| step.has_started).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn survives_any_document() {
        for object in
            [json!(null), json!([1]), json!({"metadata": 3, "status": {"conditions": {}, "steps": "x"}})]
        {
            let run = Run { record: None, object };
            assert_eq!((run.name(), run.status(), run.pod(), run.steps().len()), ("", None, None, 0));
        }
    }
}
