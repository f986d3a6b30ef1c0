//! What the derived schemas need before an API server stores objects by them as we want.

use schemars::Schema;
use schemars::transform::transform_subschemas;
use serde_json::Value;

/// Pattern of a DNS-1123 label, but for its length: the name of a namespace, and of most objects of ours.
pub const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// Pattern of `<namespace>/<name>`, both DNS-1123 labels.
pub const NAMESPACED_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\/[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// For each `spec` and `status`: unknown fields stay, and optional means absent.
///
/// - Fields of a newer version of these kinds are kept, at every level: a level that lists its properties
///   prunes all others unless it says itself that it keeps them.
/// - An optional field is not nullable: the API server drops a null, as it does for the Go clients' types. A
///   stored null would count as present in a CEL rule.
pub fn stored(schema: &mut Schema) {
    not_null(schema);
    if schema.get("properties").is_some() {
        schema.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
    }
    transform_subschemas(&mut stored, schema);
}

/// For a copy of another kind's type: its shape is checked, its rules are not. They are applied when the copy
/// is used; here they would only stop a status from being written, or cost more than a list of them may.
pub fn without_rules(schema: &mut Schema) {
    schema.remove("x-kubernetes-validations");
    transform_subschemas(&mut without_rules, schema);
}

/// Any JSON value.
pub fn any_value(_: &mut schemars::SchemaGenerator) -> Schema {
    schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// Any JSON object.
pub fn any_object(_: &mut schemars::SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A list of any JSON objects.
pub fn any_objects(generator: &mut schemars::SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "array", "items": any_object(generator) })
}

/// Undoes what schemars adds for an `Option`, in each of its three spellings.
fn not_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let inner = match object.get_mut("anyOf") {
        Some(Value::Array(choices)) => {
            choices.retain(|choice| choice["type"] != "null");
            if let [Value::Object(only)] = choices.as_slice() { only.clone() } else { return }
        }
        _ => return,
    };
    object.remove("anyOf");
    for (key, value) in inner {
        // The description beside `anyOf` is the field's, the one inside is the type's.
        object.entry(key).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::plain(json!({"type": ["string", "null"]}), json!({"type": "string"}))]
    #[case::closed_set(json!({"type": ["string", "null"], "enum": ["a", null]}), json!({"type": "string", "enum": ["a"]}))]
    #[case::described_set(
        json!({"description": "field", "anyOf": [{"description": "type", "oneOf": []}, {"type": "null"}]}),
        json!({"description": "field", "oneOf": []})
    )]
    #[case::real_choice_stays(
        json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"anyOf": [{"type": "string"}, {"type": "integer"}]})
    )]
    fn optional_is_absent_not_null(#[case] derived: Value, #[case] expected: Value) {
        let mut schema = Schema::try_from(derived).unwrap();
        stored(&mut schema);
        assert_eq!(schema.to_value(), expected);
    }

    #[test]
    fn every_level_with_properties_keeps_unknown_fields() {
        let mut schema = schemars::json_schema!({
            "properties": {"list": {"items": {"properties": {"a": {"type": "string"}}}}}
        });
        stored(&mut schema);
        let keeps = |pointer| schema.pointer(pointer).cloned();
        assert_eq!(keeps("/x-kubernetes-preserve-unknown-fields"), Some(true.into()));
        assert_eq!(keeps("/properties/list/items/x-kubernetes-preserve-unknown-fields"), Some(true.into()));
        assert_eq!(keeps("/properties/list/items/properties/a/x-kubernetes-preserve-unknown-fields"), None);
    }
}
