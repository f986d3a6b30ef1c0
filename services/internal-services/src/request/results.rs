//! What of a run's results gets to the request.

use std::collections::BTreeMap;

use pipelines_engine_api::{ParamType, PipelineRun};
use serde_json::json;

/// Bytes of names and values together. An object holds about 1.5 MB, and those who wait read it again and again.
const LIMIT: usize = 256 * 1024;

/// Results as text, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) texts: BTreeMap<String, String>,
    /// Those that are no text, and are there as JSON.
    pub(super) converted: Vec<(String, ParamType)>,
}

/// More bytes than a request may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("results too large ({0} bytes)")]
pub(super) struct TooLarge(usize);

/// All results of the run.
pub(super) fn of(run: &PipelineRun) -> Result<Results, TooLarge> {
    let mut results = Results::default();
    for result in run.status.iter().flat_map(|status| &status.results) {
        let text = if let Some(text) = result.value.as_str() {
            text.to_owned()
        } else {
            results.converted.push((result.name.clone(), result.value.type_()));
            json!(result.value).to_string()
        };
        results.texts.insert(result.name.clone(), text);
    }
    let size = results.texts.iter().map(|(name, text)| name.len() + text.len()).sum();
    if size > LIMIT { Err(TooLarge(size)) } else { Ok(results) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    fn run(results: &Value) -> PipelineRun {
        serde_json::from_value(json!({"metadata": {"name": "r"}, "spec": {}, "status": {"results": results}}))
            .unwrap()
    }

    #[rstest]
    #[case::text(json!("bar"), "bar", None)]
    #[case::list(json!(["a", "b"]), r#"["a","b"]"#, Some(ParamType::Array))]
    #[case::object(json!({"a": "b"}), r#"{"a":"b"}"#, Some(ParamType::Object))]
    fn become_text(#[case] value: Value, #[case] text: &str, #[case] type_: Option<ParamType>) {
        let results = of(&run(&json!([{"name": "r", "value": value}]))).unwrap();
        assert_eq!(results.texts, BTreeMap::from([("r".to_owned(), text.to_owned())]));
        assert_eq!(results.converted.into_iter().map(|(_, type_)| type_).next(), type_);
    }

    #[rstest]
    #[case(LIMIT - 1, true)]
    #[case(LIMIT, false)]
    fn have_a_limit(#[case] length: usize, #[case] fits: bool) {
        let results = of(&run(&json!([{"name": "r", "value": "x".repeat(length)}])));
        assert_eq!(results.is_ok(), fits);
        if let Err(error) = results {
            assert_eq!(error.to_string(), format!("results too large ({} bytes)", LIMIT + 1));
        }
    }

    #[test]
    fn of_a_run_without_status_there_are_none() {
        assert_eq!(of(&PipelineRun::default()), Ok(Results::default()));
    }
}
