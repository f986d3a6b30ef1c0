//! Requests to Pipelines-as-Code by an annotation of the Repository (contracts.md, decision 19).

use pipelines_as_code_api::annotations::{INCOMING, INCOMING_OUTCOME};
use pipelines_as_code_api::{IncomingOutcome, IncomingRequest, Repository};
use serde_json::{Value, json};

/// The annotation with `request` among its entries; `None` if it is there, or has been answered. Entries of others stay as they are,
/// also those that cannot be read.
pub(super) fn with(repository: &Repository, request: &IncomingRequest) -> Result<Option<String>, String> {
    let annotations = &repository.metadata.annotations;
    let outcomes = INCOMING_OUTCOME.of(annotations).and_then(|text| serde_json::from_str(text).ok());
    let outcomes: Vec<IncomingOutcome> = outcomes.unwrap_or_default();
    if outcomes.iter().any(|outcome| outcome.id == request.id) {
        return Ok(None);
    }
    let text = INCOMING.of(annotations).map(str::trim).filter(|text| !text.is_empty());
    let mut entries: Vec<Value> = match text {
        None => Vec::new(),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            format!("annotation {INCOMING} of the Repository is no list of requests: {error}; remove it")
        })?,
    };
    if entries.iter().any(|entry| entry["id"] == *request.id) {
        return Ok(None);
    }
    entries.push(json!(request));
    Ok(Some(json!(entries).to_string()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn after(annotations: &Value) -> Result<Option<Value>, String> {
        let repository: Repository = serde_json::from_value(
            json!({"metadata": {"name": "r", "annotations": annotations}, "spec": {}}),
        )
        .unwrap();
        let request = IncomingRequest {
            id: "1".into(),
            branch: "main".into(),
            pipeline_run: "api-on-push".into(),
            ..IncomingRequest::default()
        };
        Ok(with(&repository, &request)?.map(|text| serde_json::from_str(&text).unwrap()))
    }

    const KEY: &str = "fleet.konflux-ci.dev/incoming";
    const OUTCOME: &str = "fleet.konflux-ci.dev/incoming-outcome";

    #[rstest]
    #[case::first(json!({}), Some(json!([{"id": "1", "branch": "main", "pipelineRun": "api-on-push"}])))]
    #[case::beside_others(
        json!({KEY: "[{\"id\":\"0\",\"new\":1},5]"}),
        Some(json!([{"id": "0", "new": 1}, 5, {"id": "1", "branch": "main", "pipelineRun": "api-on-push"}]))
    )]
    #[case::asked_already(json!({KEY: "[{\"id\":\"1\"}]"}), None)]
    #[case::answered_already(json!({OUTCOME: "[{\"id\":\"1\",\"pipelineRun\":\"api-on-push-x\"}]"}), None)]
    fn a_request_is_made_once(#[case] annotations: Value, #[case] expected: Option<Value>) {
        assert_eq!(after(&annotations).unwrap(), expected);
    }

    #[test]
    fn garbage_of_others_is_not_overwritten() {
        assert!(after(&json!({KEY: "{"})).unwrap_err().contains("remove it"));
    }
}
