//! How JSON of several sources becomes one.

use serde_json::Value;

/// `high` over `low`: objects key by key, of two lists every element once, else `high`, unless it is null.
///
/// No value is lost but one that `high` replaces. Elements keep their order, those of `low` first.
pub(crate) fn merge(low: Value, high: Value) -> Value {
    match (low, high) {
        (Value::Object(mut low), Value::Object(high)) => {
            for (key, value) in high {
                let merged = match low.remove(&key) {
                    Some(below) => merge(below, value),
                    None => value,
                };
                low.insert(key, merged);
            }
            Value::Object(low)
        }
        (Value::Array(low), Value::Array(high)) => {
            let mut all: Vec<Value> = Vec::with_capacity(low.len() + high.len());
            // By their text: comparing each with all others takes minutes for lists that tenants may write.
            let mut seen = std::collections::HashSet::new();
            for value in low.into_iter().chain(high) {
                if seen.insert(canonical(&value).to_string()) {
                    all.push(value);
                }
            }
            Value::Array(all)
        }
        (low, Value::Null) => low,
        (_, high) => high,
    }
}

/// The same value with the keys of all objects in order, so that equal values have equal texts.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let sorted: std::collections::BTreeMap<_, _> = object.iter().collect();
            sorted.into_iter().map(|(key, value)| (key.clone(), canonical(value))).collect()
        }
        Value::Array(list) => list.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::other_keys(json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2}))]
    #[case::higher_wins(json!({"a": 1}), json!({"a": "x"}), json!({"a": "x"}))]
    #[case::below(json!({"a": {"b": 1, "c": 1}}), json!({"a": {"c": 2}}), json!({"a": {"b": 1, "c": 2}}))]
    #[case::false_is_a_value(json!({"a": true}), json!({"a": false}), json!({"a": false}))]
    #[case::null_is_none(json!({"a": 1}), json!({"a": null}), json!({"a": 1}))]
    #[case::null_stays_where_it_is_all(json!({}), json!({"a": null}), json!({"a": null}))]
    #[case::union(json!({"a": [3, 1]}), json!({"a": [1, 2]}), json!({"a": [3, 1, 2]}))]
    #[case::union_of_objects(json!([{"n": 1, "m": 2}]), json!([{"m": 2, "n": 1}, {"n": 2}]), json!([{"n": 1, "m": 2}, {"n": 2}]))]
    #[case::list_over_text(json!({"a": "x"}), json!({"a": ["x"]}), json!({"a": ["x"]}))]
    #[case::object_over_list(json!({"a": [1]}), json!({"a": {}}), json!({"a": {}}))]
    fn merges(#[case] low: Value, #[case] high: Value, #[case] expected: Value) {
        assert_eq!(merge(low, high), expected);
    }

    /// Whatever somebody may write as JSON, not too large.
    pub(crate) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            "[a-c$(){}\\n\"]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// A list keeps what its own writer wrote twice, until it meets another one.
        #[test]
        fn what_is_merged_again_stays(low in any_json(), high in any_json()) {
            let again = merge(merge(low, high.clone()), high.clone());
            prop_assert_eq!(merge(again.clone(), high), again);
        }

        #[test]
        fn no_key_is_lost(low in any_json(), high in any_json()) {
            let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
            let merged = merge(low.clone(), high.clone());
            if low.is_object() && high.is_object() {
                for key in keys(&low).into_iter().chain(keys(&high)) {
                    prop_assert!(merged.get(&key).is_some(), "{key}");
                }
            }
        }
    }
}
