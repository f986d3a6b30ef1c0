//! Makes objects out of the schema of their kind: complete ones with more in them, and ones that break what they can.

use serde_json::{Map, Value, json};

/// The field that [`newer`] and [`spoilt`] add at each level.
const ADDED: &str = "added";

/// How an object that [`spoilt`] makes breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No field has a value but those that hold others.
    Missing,
    /// Each field has a value of its type that no rule is likely to admit.
    Invalid,
}

/// `value` with a field more at each level that its schema describes. Fields named in `others` are not looked into.
pub(super) fn newer(schema: &Value, value: &Value, others: &[&str]) -> Value {
    if let (Some(items), Value::Array(list)) = (schema.get("items"), value) {
        return list.iter().map(|element| newer(items, element, others)).collect();
    }
    let Value::Object(fields) = value else { return value.clone() };
    let mut result = Map::new();
    for (name, field) in fields {
        let inner = property(schema, name).filter(|_| !others.contains(&name.as_str()));
        result.insert(name.clone(), inner.map_or_else(|| field.clone(), |inner| newer(inner, field, others)));
    }
    if schema.get("properties").is_some() {
        result.insert(ADDED.to_owned(), json!({"a": [1, "two"]}));
    }
    Value::Object(result)
}

/// A value of the schema's type that has an undeclared field at each level, and this fault wherever it can.
pub(super) fn spoilt(schema: &Value, fault: Fault) -> Option<Value> {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let fields =
            properties.iter().filter_map(|(name, inner)| Some((name.clone(), spoilt(inner, fault)?)));
        let mut fields: Map<String, Value> = fields.collect();
        fields.insert(ADDED.to_owned(), json!({"a": 1}));
        return Some(Value::Object(fields));
    }
    if let Some(items) = schema.get("items") {
        // A list by key needs its keys, and they are all that may be missing elsewhere.
        let needs_keys = fault == Fault::Missing && schema["x-kubernetes-list-type"] == "map";
        return if needs_keys { None } else { Some(json!([spoilt(items, fault)?])) };
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        return Some(json!({"key": spoilt(values, fault)?}));
    }
    if schema["type"] == "object" || schema.get("type").is_none() {
        return (schema["x-kubernetes-int-or-string"] != true).then(|| json!({ADDED: 1}));
    }
    (fault == Fault::Invalid).then(|| match schema["type"].as_str() {
        Some("integer" | "number") => json!(-1),
        Some("boolean") => json!(true),
        // A format is no rule of ours, and cannot be taken away for a while.
        _ if schema["format"] == "date-time" => json!("2024-02-01T10:00:00Z"),
        _ => json!("http://No Word/../of any Set!"),
    })
}

fn property<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let declared = schema.get("properties").and_then(|properties| properties.get(name));
    declared.or_else(|| schema.get("additionalProperties").filter(|values| values.is_object()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({"type": "object", "properties": {
            "name": {"type": "string"},
            "count": {"type": "integer"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
            "keyed": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"],
                "items": {"type": "object", "properties": {"a": {"type": "string"}}},
            },
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "foreign": {"type": "object", "properties": {"a": {"type": "string"}}},
        }})
    }

    #[test]
    fn a_newer_object_has_more_at_each_declared_level() {
        let value = json!({"name": "n", "list": [{"a": "b"}], "map": {"k": "v"}, "foreign": {"a": "b"}});
        let added = json!({"a": [1, "two"]});
        assert_eq!(
            newer(&schema(), &value, &["foreign"]),
            json!({
                "name": "n", "list": [{"a": "b", "added": added}], "map": {"k": "v"}, "foreign": {"a": "b"},
                "added": added,
            })
        );
    }

    #[test]
    fn an_object_with_nothing_in_it_has_all_its_levels() {
        assert_eq!(
            spoilt(&schema(), Fault::Missing),
            Some(json!({
                "list": [{"added": {"a": 1}}], "free": {"added": 1}, "foreign": {"added": {"a": 1}}, "added": {"a": 1},
            }))
        );
    }

    #[test]
    fn an_invalid_object_has_a_value_everywhere() {
        let invalid = spoilt(&schema(), Fault::Invalid).unwrap();
        assert_eq!((&invalid["count"], invalid["keyed"][0]["a"].is_string()), (&json!(-1), true));
        assert!(invalid["name"].is_string() && invalid["map"]["key"].is_string(), "{invalid}");
    }
}
