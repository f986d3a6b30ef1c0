//! Whether attestations are what their type says (specification, section 4.2, stage 6).

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

/// Predicate type whose statements are checked. Others pass.
const SLSA_V02: &str = "https://slsa.dev/provenance/v0.2";
/// Faults of one statement that are said.
const SAID: usize = 10;
const SHOWN: usize = 300;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value =
        serde_json::from_str(include_str!("slsa_v02.schema.json")).expect("the schema is JSON");
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema).expect("the schema is a JSON schema")
});

/// What is wrong with a statement, each fault with the field.
pub(crate) fn faults(statement: &Value) -> Vec<String> {
    if statement.get("predicateType").and_then(Value::as_str) != Some(SLSA_V02) {
        return Vec::new();
    }
    let faults = SCHEMA.iter_errors(statement).map(|error| {
        let field = error.instance_path().as_str();
        let text: String = error.to_string().chars().take(SHOWN).collect();
        format!("{}: {text}", if field.is_empty() { "/" } else { field })
    });
    faults.take(SAID).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn statement() -> Value {
        json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": SLSA_V02,
            "subject": [{"name": "registry.example/app", "digest": {"sha256": "ab01"}}],
            "predicate": {
                "builder": {"id": "https://tekton.dev/chains/v2"},
                "buildType": "tekton.dev/v1beta1/PipelineRun",
                "metadata": {"buildStartedOn": "2024-03-01T12:00:00Z", "buildFinishedOn": "2024-03-01T12:10:00Z"},
                "materials": [
                    {"uri": "git+https://git.example/app.git", "digest": {"sha1": "0a"}},
                    {"uri": "registry.example/tasks/task-init", "digest": {"sha256": "0b"}},
                ],
            },
        })
    }

    #[test]
    fn good_statements_have_no_faults() {
        assert_eq!(faults(&statement()), Vec::<String>::new());
        assert!(faults(&json!({"predicateType": "https://slsa.dev/provenance/v1"})).is_empty());
    }

    #[rstest]
    #[case::statement_type("/_type", json!("https://in-toto.io/Statement/v1"), "/_type")]
    #[case::no_subject("/subject", json!([]), "/subject")]
    #[case::subject_without_name("/subject/0/name", json!(""), "/subject/0/name")]
    #[case::subject_without_digest("/subject/0/digest", json!({}), "/subject/0/digest")]
    #[case::digest_not_hex("/subject/0/digest/sha256", json!("xyz"), "/subject/0/digest/sha256")]
    #[case::builder("/predicate/builder/id", json!("a builder"), "/predicate/builder/id")]
    #[case::no_builder("/predicate/builder", json!({}), "/predicate/builder")]
    #[case::material("/predicate/materials/0/uri", json!("not a uri"), "/predicate/materials/0/uri")]
    #[case::material_digest("/predicate/materials/0/digest/sha1", json!("0x"), "/predicate/materials/0/digest/sha1")]
    #[case::zone("/predicate/metadata/buildFinishedOn", json!("2024-03-01T12:00:00+01:00"), "buildFinishedOn")]
    #[case::no_time("/predicate/metadata/buildStartedOn", json!("todayZ"), "buildStartedOn")]
    #[case::predicate("/predicate", json!("x"), "/predicate")]
    fn names_the_field(#[case] at: &str, #[case] value: Value, #[case] expected: &str) {
        let mut statement = statement();
        *statement.pointer_mut(at).unwrap() = value;
        let faults = faults(&statement);
        assert!(!faults.is_empty() && faults.iter().any(|fault| fault.contains(expected)), "{faults:?}");
    }
}
