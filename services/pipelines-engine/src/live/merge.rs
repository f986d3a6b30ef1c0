//! The smallest merge patch from one JSON value to another (RFC 7386).

use serde_json::{Map, Value};

/// What has to be merged into `old` to have `new`; `None` if they are the same. Lists are replaced whole.
pub fn difference(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let mut patch = Map::new();
            for (key, value) in new {
                match old.get(key) {
                    Some(before) => {
                        if let Some(difference) = difference(before, value) {
                            patch.insert(key.clone(), difference);
                        }
                    }
                    None => {
                        patch.insert(key.clone(), value.clone());
                    }
                }
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                patch.insert(key.clone(), Value::Null);
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (old, new) => (old != new).then(|| new.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::same(json!({"a": 1}), json!({"a": 1}), None)]
    #[case::changed(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1, "c": 3}}), Some(json!({"a": {"c": 3}})))]
    #[case::added(json!({}), json!({"a": {"b": 1}}), Some(json!({"a": {"b": 1}})))]
    #[case::removed(json!({"a": 1, "b": 2}), json!({"b": 2}), Some(json!({"a": null})))]
    #[case::list(json!({"a": [1, 2]}), json!({"a": [1, 3]}), Some(json!({"a": [1, 3]})))]
    fn is_the_smallest(#[case] old: Value, #[case] new: Value, #[case] expected: Option<Value>) {
        assert_eq!(difference(&old, &new), expected);
        if let Some(patch) = expected {
            let mut merged = old;
            json_patch::merge(&mut merged, &patch);
            assert_eq!(merged, new);
        }
    }
}
