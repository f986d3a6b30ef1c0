//! What a Result says of the run that it is about (specification, section 4.2).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::facts::{Facts, Outcome};
use crate::keys;
use crate::run::{Kind, Run};

/// `status` of a summary, by its number in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Unknown = 0,
    Success = 1,
    Failure = 2,
    Timeout = 3,
    Cancelled = 4,
}

/// How a run ended, in the words of the API. What failed for a reason that nobody knows has failed.
pub(crate) fn status(facts: &Facts) -> Status {
    match facts.outcome {
        Outcome::Running => Status::Unknown,
        Outcome::Succeeded => Status::Success,
        Outcome::Failed => match facts.reason.as_str() {
            "TaskRunTimeout" | "PipelineRunTimeout" => Status::Timeout,
            "TaskRunCancelled" | "Cancelled" | "PipelineRunCancelled" => Status::Cancelled,
            _ => Status::Failure,
        },
    }
}

/// Word of a metric.
pub(crate) fn word(status: Status) -> &'static str {
    match status {
        Status::Unknown => "unknown",
        Status::Success => "success",
        Status::Failure => "failed",
        Status::Timeout => "timeout",
        Status::Cancelled => "cancelled",
    }
}

/// What users want to be said beside it. What is no JSON object of texts is left out, and told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) of_result: BTreeMap<String, String>,
    pub(crate) of_summary: BTreeMap<String, String>,
    pub(crate) faults: Vec<String>,
}

impl Said {
    pub(crate) fn of<K: Kind>(run: &Run<K>) -> Self {
        let mut faults = Vec::new();
        let mut read = |key: fleet_api::AnnotationKey| {
            let text = run.annotation(key)?;
            match serde_json::from_str::<Map<String, Value>>(text) {
                Ok(fields) => Some(fields.into_iter().map(|(key, value)| (key, as_text(value))).collect()),
                Err(error) => {
                    faults.push(format!("annotation {key} is no JSON object: {error}"));
                    None
                }
            }
        };
        let of_result = read(keys::RESULT_ANNOTATIONS).unwrap_or_default();
        let of_summary = read(keys::SUMMARY_ANNOTATIONS).unwrap_or_default();
        Self { of_result, of_summary, faults }
    }
}

/// Annotations are texts; what is none is written as JSON.
fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::run::tests::task_run;

    #[rstest]
    #[case::succeeded("True", "Succeeded", Status::Success)]
    #[case::with_skipped_tasks("True", "Completed", Status::Success)]
    #[case::failed("False", "Failed", Status::Failure)]
    #[case::of_nothing_known("False", "Whatever", Status::Failure)]
    #[case::not_resolved("False", "CouldntGetPipeline", Status::Failure)]
    #[case::too_late("False", "PipelineRunTimeout", Status::Timeout)]
    #[case::task_too_late("False", "TaskRunTimeout", Status::Timeout)]
    #[case::cancelled("False", "Cancelled", Status::Cancelled)]
    #[case::task_cancelled("False", "TaskRunCancelled", Status::Cancelled)]
    #[case::running("Unknown", "Running", Status::Unknown)]
    fn is(#[case] condition: &str, #[case] reason: &str, #[case] expected: Status) {
        let run = task_run(json!({
            "metadata": {"name": "r"},
            "status": {"conditions": [{"type": "Succeeded", "status": condition, "reason": reason}]},
        }));
        assert_eq!(status(&run.facts), expected);
    }

    #[test]
    fn what_is_no_object_is_told_and_left_out() {
        let run = task_run(json!({"metadata": {"name": "r", "annotations": {
            "results.tekton.dev/resultAnnotations": r#"{"a": "b", "n": 1}"#,
            "results.tekton.dev/recordSummaryAnnotations": "[1",
        }}}));
        let said = Said::of(&run);
        assert_eq!(said.of_result, BTreeMap::from([("a".into(), "b".into()), ("n".into(), "1".into())]));
        assert_eq!(said.of_summary, BTreeMap::new());
        let [fault] = &said.faults[..] else { panic!("{:?}", said.faults) };
        assert!(fault.contains("results.tekton.dev/recordSummaryAnnotations"), "{fault}");
    }
}
