//! Whether a value is as a case expects it.
//!
//! What is expected is a part of what is found: maps may have more keys, lists have as many entries, texts and numbers are
//! equal, `null` is absent or null. A map whose only key begins with `$` compares otherwise:
//!
//! | key | holds for |
//! |---|---|
//! | `$contains` | a text with this part |
//! | `$has` | a list in which each of these is matched by an entry |
//! | `$length` | a list, map or text of this length |
//! | `$oneOf` | what any of these matches |
//! | `$not` | what this does not match |
use serde_json::Value;

/// Where and how `found` differs from what is expected; empty if it does not.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut all = Vec::new();
    compare(expected, found, "", &mut all);
    all
}

fn matches(expected: &Value, found: &Value) -> bool {
    differences(expected, found).is_empty()
}

fn compare(expected: &Value, found: &Value, path: &str, all: &mut Vec<String>) {
    let mut differs = |text: String| {
        let path = if path.is_empty() { "it" } else { path.trim_start_matches('.') };
        all.push(format!("{path} {text}"));
    };
    match expected {
        Value::Object(fields) => {
            if let Some((operator, operand)) = operator(fields) {
                if let Err(text) = apply(operator, operand, found) {
                    differs(text);
                }
                return;
            }
            if !found.is_object() {
                differs(format!("is {}, not a map", shown(found)));
                return;
            }
            for (key, value) in fields {
                compare(value, &found[key], &format!("{path}.{key}"), all);
            }
        }
        Value::Array(entries) => {
            let Some(list) = found.as_array().filter(|list| list.len() == entries.len()) else {
                differs(format!("is {}, not {}", shown(found), shown(expected)));
                return;
            };
            for (index, (entry, value)) in entries.iter().zip(list).enumerate() {
                compare(entry, value, &format!("{path}[{index}]"), all);
            }
        }
        plain if plain != found => differs(format!("is {}, not {}", shown(found), shown(plain))),
        _ => {}
    }
}

fn operator(fields: &serde_json::Map<String, Value>) -> Option<(&str, &Value)> {
    let (key, operand) = fields.iter().next().filter(|_| fields.len() == 1)?;
    Some((key.strip_prefix('$')?, operand))
}

fn apply(operator: &str, operand: &Value, found: &Value) -> Result<(), String> {
    let holds = match operator {
        "contains" => found.as_str().zip(operand.as_str()).is_some_and(|(text, part)| text.contains(part)),
        "has" => {
            let entries = found.as_array().map(Vec::as_slice).unwrap_or_default();
            let mut wanted = operand.as_array().into_iter().flatten();
            wanted.all(|wanted| entries.iter().any(|entry| matches(wanted, entry)))
        }
        "length" => length(found) == operand.as_u64(),
        "oneOf" => operand.as_array().into_iter().flatten().any(|one| matches(one, found)),
        "not" => !matches(operand, found),
        unknown => return Err(format!("is compared by ${unknown}, which does not exist")),
    };
    if holds { Ok(()) } else { Err(format!("is {}, and not: ${operator} {operand}", shown(found))) }
}

fn length(found: &Value) -> Option<u64> {
    let length = match found {
        Value::Null => 0,
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        Value::String(text) => text.len(),
        Value::Bool(_) | Value::Number(_) => return None,
    };
    u64::try_from(length).ok()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "absent".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::part_of_a_map(json!({"a": 1}), json!({"a": 1, "b": 2}), true)]
    #[case::other_value(json!({"a": 1}), json!({"a": 2}), false)]
    #[case::shorter_list(json!([1]), json!([1, 2]), false)]
    #[case::entries_of_a_list(json!([{"a": 1}]), json!([{"a": 1, "b": 2}]), true)]
    #[case::absent(json!({"a": null}), json!({}), true)]
    #[case::not_absent(json!({"a": null}), json!({"a": 1}), false)]
    #[case::part_of_a_text(json!({"$contains": "b"}), json!("abc"), true)]
    #[case::no_part(json!({"$contains": "d"}), json!("abc"), false)]
    #[case::some_entries(json!({"$has": [{"a": 2}]}), json!([{"a": 1}, {"a": 2}]), true)]
    #[case::no_entry(json!({"$has": [{"a": 3}]}), json!([{"a": 1}, {"a": 2}]), false)]
    #[case::length(json!({"$length": 2}), json!([1, 2]), true)]
    #[case::nothing_has_length_zero(json!({"$length": 0}), json!(null), true)]
    #[case::alternatives(json!({"$oneOf": ["a", {"$contains": "x"}]}), json!("axe"), true)]
    #[case::no_alternative(json!({"$oneOf": ["a"]}), json!("b"), false)]
    #[case::negation(json!({"$not": null}), json!("b"), true)]
    #[case::unknown(json!({"$is": 1}), json!(1), false)]
    fn compares(#[case] expected: Value, #[case] found: Value, #[case] holds: bool) {
        assert_eq!(matches(&expected, &found), holds);
    }

    #[test]
    fn says_where() {
        let found = differences(&json!({"a": [{"b": "x"}]}), &json!({"a": [{"b": "y"}]}));
        assert_eq!(found, [r#"a[0].b is "y", not "x""#]);
    }
}
