//! Compares complete objects with the schema of their kind.

use serde_json::Value;

/// See [`super::Kinds::uncovered`].
pub(super) fn faults(schema: &Value, values: &[&Value], path: &str, others: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    compare(schema, values, path, others, &mut found);
    found
}

fn compare(schema: &Value, values: &[&Value], path: &str, others: &[&str], faults: &mut Vec<String>) {
    if let Some(items) = schema.get("items") {
        let inner: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
        compare(items, &inner, &format!("{path}[]"), others, faults);
    } else if let Some(entries) = schema.get("additionalProperties") {
        let inner: Vec<&Value> =
            values.iter().filter_map(|value| value.as_object()).flat_map(|map| map.values()).collect();
        compare(entries, &inner, &format!("{path}{{}}"), others, faults);
    } else if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            let path = format!("{path}.{name}");
            let inner: Vec<&Value> = values.iter().filter_map(|value| value.get(name)).collect();
            // The optional field that all conditions have.
            if inner.is_empty() && name != "observedGeneration" {
                faults.push(format!("{path}: declared, but in no value"));
            } else if !inner.is_empty() && !others.contains(&name.as_str()) {
                compare(property, &inner, &path, others, faults);
            }
        }
        for name in values.iter().filter_map(|value| value.as_object()).flat_map(|map| map.keys()) {
            if !properties.contains_key(name) {
                faults.push(format!("{path}.{name}: not declared"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_what_is_not_used_and_what_is_not_declared() {
        let schema = json!({"properties": {
            "list": {"items": {"properties": {"a": {}, "b": {}, "c": {}}}},
            "map": {"additionalProperties": {"properties": {"a": {}}}},
            "foreign": {"properties": {"a": {}}},
            "observedGeneration": {},
        }});
        let value = json!({
            "list": [{"a": 1}, {"b": 1, "x": 1}],
            "map": {"key": {"a": 1}, "other": {"y": 1}},
            "foreign": {"z": 1},
            "extra": 1,
        });
        let mut found = faults(&schema, &[&value], "spec", &["foreign"]);
        found.sort();
        assert_eq!(
            found,
            [
                "spec.extra: not declared",
                "spec.list[].c: declared, but in no value",
                "spec.list[].x: not declared",
                "spec.map{}.y: not declared",
            ]
        );
    }
}
