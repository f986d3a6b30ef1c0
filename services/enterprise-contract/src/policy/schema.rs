//! What a policy's spec may hold. Stricter than the cluster, which passes over fields that it does not know: a misspelt
//! `exclude` here, or a misspelt `include`, would silently judge by other rules.

use std::sync::LazyLock;

use enterprise_contract_api::{EnterpriseContractPolicy, EnterpriseContractPolicySpec};
use jsonschema::Validator;
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use super::Error;

/// Fields of the root of a custom resource's schema that JSON Schema does not know.
const OF_KUBERNETES: &str = "x-kubernetes-";

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema()).expect("the schema of the definition is a JSON schema")
});

/// JSON Schema of a policy's spec: that of the custom resource, without other fields.
fn schema() -> Value {
    let definition = EnterpriseContractPolicy::crd();
    let version = definition.spec.versions.into_iter().next();
    let schema = version.and_then(|version| version.schema?.open_api_v3_schema?.properties?.remove("spec"));
    let mut schema = serde_json::to_value(schema).expect("a schema is JSON");
    close(&mut schema);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema
}

/// Permits no fields but those that are declared, where any are, and leaves out what only Kubernetes understands.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.retain(|key, _| !key.starts_with(OF_KUBERNETES) && key != "nullable" && key != "default");
            if object.get("properties").is_some_and(Value::is_object) && object.get("type").is_some() {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Reads a spec. `what` is for messages.
pub fn check(what: &str, spec: &Value) -> Result<EnterpriseContractPolicySpec, Error> {
    let faults = VALIDATOR.iter_errors(spec).map(|error| {
        let field = error.instance_path().as_str().trim_start_matches('/').replace('/', ".");
        if field.is_empty() { error.to_string() } else { format!("{field}: {error}") }
    });
    let invalid = |faults| Error::Invalid { what: what.to_owned(), faults };
    let faults: Vec<String> = faults.take(10).collect();
    if !faults.is_empty() {
        return Err(invalid(faults));
    }
    serde_json::from_value(spec.clone()).map_err(|error| invalid(vec![error.to_string()]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_schema_stays() {
        insta::assert_json_snapshot!(schema());
    }

    #[test]
    fn takes_all_that_a_policy_may_hold() {
        let complete = include_str!("../../api/tests/api/complete/enterprise-contract-policy.yaml");
        let complete = crate::yaml::parse(complete.as_bytes()).unwrap();
        let spec = check("test", &complete["spec"]).unwrap();
        assert_eq!(serde_json::to_value(&spec).unwrap(), complete["spec"]);
        assert_eq!(check("test", &json!({})).unwrap(), EnterpriseContractPolicySpec::default());
        check("test", &json!({"sources": [{"policy": ["p"], "ruleData": {"any": {"thing": 1}}}]})).unwrap();
    }

    #[rstest]
    #[case::at_the_root(json!({"source": []}), "source")]
    #[case::in_a_source(json!({"sources": [{"policy": ["p"], "polcy": []}]}), "polcy")]
    #[case::in_a_configuration(json!({"sources": [{"policy": ["p"], "config": {"excludes": []}}]}), "excludes")]
    #[case::in_a_volatile_item(json!({"sources": [{"policy": ["p"], "volatileConfig": {"exclude": [{"value": "x", "until": "x"}]}}]}), "until")]
    #[case::in_the_identity(json!({"identity": {"subjectRegexp": "x"}}), "subjectRegexp")]
    #[case::type_of_a_field(json!({"sources": [{"policy": "p"}]}), "sources.0.policy")]
    #[case::no_policy(json!({"sources": [{"policy": []}]}), "sources.0.policy")]
    #[case::no_sources(json!({"sources": []}), "sources")]
    #[case::no_value(json!({"sources": [{"policy": ["p"], "volatileConfig": {"exclude": [{"effectiveOn": "2024-03-01T00:00:00Z"}]}}]}), "value")]
    #[case::no_time(json!({"sources": [{"policy": ["p"], "volatileConfig": {"exclude": [{"value": "x", "effectiveUntil": "soon"}]}}]}), "effectiveUntil")]
    #[case::no_digest(json!({"sources": [{"policy": ["p"], "volatileConfig": {"exclude": [{"value": "x", "imageDigest": "sha256:1"}]}}]}), "imageDigest")]
    #[case::no_object(json!([]), "object")]
    #[case::text(json!("text"), "object")]
    fn refuses_with_the_field(#[case] spec: Value, #[case] expected: &str) {
        let error = check("test", &spec).unwrap_err().to_string();
        assert!(error.starts_with("policy test: ") && error.contains(expected), "{error}");
    }
}
