//! What a task says of its test: its result `TEST_OUTPUT`, a JSON object (spec, section 4.4).

use kube::ResourceExt as _;
use pipelines_engine_api::{ParamValue, TaskRun, labels};
use serde_json::{Map, Value};

/// Names of the result; the first that a task has counts.
const RESULTS: [&str; 2] = ["TEST_OUTPUT", "HACBS_TEST_OUTPUT"];

/// What a test came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub(crate) enum TestResult {
    Success,
    Failure,
    Warning,
    Skipped,
    Error,
}

impl TestResult {
    /// The test stands in nobody's way.
    pub(crate) const fn is_passed(self) -> bool {
        matches!(self, Self::Success | Self::Warning | Self::Skipped)
    }
}

/// A valid `TEST_OUTPUT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestOutput {
    pub(crate) result: TestResult,
    /// Seconds since 1970, or RFC 3339.
    pub(crate) timestamp: String,
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) warnings: u64,
    /// Suite of the tests; empty if not given.
    pub(crate) namespace: String,
    /// For people; empty if not given.
    pub(crate) note: String,
}

/// A `TEST_OUTPUT` that is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {task}: result {result}: {}", faults.join("; "))]
pub(crate) struct Malformed {
    pub(crate) task: String,
    pub(crate) result: &'static str,
    /// At least one.
    pub(crate) faults: Vec<String>,
}

/// Name of a run's task in its pipeline.
pub(crate) fn task_of(run: &TaskRun) -> String {
    labels::PIPELINE_TASK.of(&run.metadata.labels).map_or_else(|| run.name_any(), str::to_owned)
}

/// The output of a TaskRun; `None` if it has none.
pub(crate) fn read(run: &TaskRun) -> Option<Result<TestOutput, Malformed>> {
    let results = &run.status.as_ref()?.results;
    let (name, value) = RESULTS.iter().find_map(|name| {
        results.iter().find(|result| result.name == *name).map(|result| (*name, &result.value))
    })?;
    let text = match value {
        ParamValue::String(text) => text.trim().to_owned(),
        // As a result of another type, it is an object already.
        other => serde_json::json!(other).to_string(),
    };
    Some(parse(&text).map_err(|faults| Malformed { task: task_of(run), result: name, faults }))
}

fn parse(text: &str) -> Result<TestOutput, Vec<String>> {
    let fields = match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(vec!["it is no JSON object".to_owned()]),
        Err(error) => return Err(vec![format!("it is no JSON: {error}")]),
    };
    let mut fields = Fields { fields, faults: Vec::new() };
    let result = fields.result();
    let output = TestOutput {
        result: result.unwrap_or(TestResult::Error),
        timestamp: fields.timestamp(),
        successes: fields.count("successes"),
        failures: fields.count("failures"),
        warnings: fields.count("warnings"),
        namespace: fields.optional("namespace"),
        note: fields.optional("note"),
    };
    if fields.faults.is_empty() { Ok(output) } else { Err(fields.faults) }
}

/// Takes fields out of an object, and notes all that is wrong with them.
struct Fields {
    fields: Map<String, Value>,
    faults: Vec<String>,
}

impl Fields {
    fn required(&mut self, name: &str) -> Option<Value> {
        let field = self.fields.remove(name);
        if field.is_none() {
            self.faults.push(format!("{name} is missing"));
        }
        field
    }

    fn result(&mut self) -> Option<TestResult> {
        let given = self.required("result")?;
        let result = given.as_str().and_then(|word| word.parse().ok());
        if result.is_none() {
            self.faults.push("result must be SUCCESS, FAILURE, WARNING, SKIPPED or ERROR".to_owned());
        }
        result
    }

    fn timestamp(&mut self) -> String {
        match self.required("timestamp") {
            Some(Value::String(time)) if is_timestamp(&time) => return time,
            Some(_) => self
                .faults
                .push("timestamp must be text: ten digits, or a time as 2024-01-31T12:00:00Z".to_owned()),
            None => {}
        }
        String::new()
    }

    fn count(&mut self, name: &str) -> u64 {
        let Some(given) = self.required(name) else { return 0 };
        given.as_u64().unwrap_or_else(|| {
            self.faults.push(format!("{name} must be a whole number, 0 or more"));
            0
        })
    }

    fn optional(&mut self, name: &str) -> String {
        match self.fields.remove(name) {
            None => String::new(),
            Some(Value::String(text)) => text,
            Some(_) => {
                self.faults.push(format!("{name} must be text"));
                String::new()
            }
        }
    }
}

/// Ten digits, or RFC 3339 with fractions of a second and zone left out at will.
fn is_timestamp(text: &str) -> bool {
    if text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return true;
    }
    let Some(rest) = after(text, "0000-00-00T00:00:00") else { return false };
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == fraction.len() {
                return false;
            }
            zone
        }
    };
    matches!(zone, "" | "Z") || after(zone, "+00:00") == Some("") || after(zone, "-00:00") == Some("")
}

/// What follows a beginning that is like `shape`, in which `0` stands for any digit.
fn after<'a>(text: &'a str, shape: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(shape.len())?;
    let is_like = start.bytes().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    });
    is_like.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    fn valid() -> Value {
        json!({"result": "SUCCESS", "timestamp": "1700000000", "successes": 3, "failures": 0, "warnings": 1,
            "namespace": "suite", "note": "fine", "more": {}})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut output = valid();
        output[name] = value;
        output
    }

    fn run(results: &Value) -> TaskRun {
        serde_json::from_value(json!({
            "metadata": {"name": "run-scan", "labels": {"tekton.dev/pipelineTask": "scan"}},
            "spec": {}, "status": {"results": results},
        }))
        .unwrap()
    }

    #[test]
    fn reads_all_fields() {
        let expected = TestOutput {
            result: TestResult::Success,
            timestamp: "1700000000".to_owned(),
            successes: 3,
            failures: 0,
            warnings: 1,
            namespace: "suite".to_owned(),
            note: "fine".to_owned(),
        };
        assert_eq!(parse(&valid().to_string()), Ok(expected));
    }

    #[rstest]
    #[case::no_json(json!("x"), "it is no JSON object")]
    #[case::word(with("result", json!("success")), "result must be")]
    #[case::word_of_another_type(with("result", json!(1)), "result must be")]
    #[case::negative(with("failures", json!(-1)), "failures must be a whole number, 0 or more")]
    #[case::fraction(with("warnings", json!(1.5)), "warnings must be")]
    #[case::text_for_number(with("successes", json!("1")), "successes must be")]
    #[case::number_for_time(with("timestamp", json!(1_700_000_000)), "timestamp must be")]
    #[case::no_time(with("timestamp", json!("yesterday")), "timestamp must be")]
    #[case::note(with("note", json!(1)), "note must be text")]
    #[case::suite(with("namespace", json!([])), "namespace must be text")]
    fn refuses(#[case] output: Value, #[case] fault: &str) {
        let faults = parse(&output.to_string()).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(fault), "{faults:?}");
    }

    #[test]
    fn names_all_faults_with_task_and_result() {
        let run = run(&json!([{"name": "TEST_OUTPUT", "value": r#"{"result":"SUCCESS","failures":-1}"#}]));
        let error = read(&run).unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "task scan: result TEST_OUTPUT: timestamp is missing; successes is missing; \
             failures must be a whole number, 0 or more; warnings is missing"
        );
    }

    #[test]
    fn takes_the_first_of_both_names() {
        let failure = with("result", json!("FAILURE")).to_string();
        let (new, old) = (valid().to_string(), failure);
        let both =
            run(&json!([{"name": "HACBS_TEST_OUTPUT", "value": old}, {"name": "TEST_OUTPUT", "value": new}]));
        assert_eq!(read(&both).unwrap().unwrap().result, TestResult::Success);
        let old = run(&json!([{"name": "HACBS_TEST_OUTPUT", "value": format!("{old}\n")}]));
        assert_eq!(read(&old).unwrap().unwrap().result, TestResult::Failure);
        assert_eq!(read(&run(&json!([{"name": "SCAN_OUTPUT", "value": "{}"}]))), None);
    }

    #[rstest]
    #[case("1700000000", true)]
    #[case("170000000", false)]
    #[case("17000000000", false)]
    #[case("2024-01-31T12:00:00Z", true)]
    #[case("2024-01-31T12:00:00", true)]
    #[case("2024-01-31T12:00:00.123456+02:00", true)]
    #[case("2024-01-31T12:00:00-02:00", true)]
    #[case("2024-01-31T12:00:00.", false)]
    #[case("2024-01-31T12:00:00.Z", false)]
    #[case("2024-01-31 12:00:00Z", false)]
    #[case("2024-01-31T12:00:00+2:00", false)]
    #[case("2024-01-31T12:00:00ZZ", false)]
    #[case("2024-01-31T12:00:0äZ", false)]
    #[case("", false)]
    fn knows_times(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_timestamp(text), expected);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = parse(&text);
            let _ = is_timestamp(&text);
        }
    }
}
