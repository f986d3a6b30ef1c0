//! Whether the parameters that are given are those that are declared, and what references to them stand for: the same
//! for Pipelines, Tasks and StepActions.

use std::collections::BTreeMap;

use pipelines_engine_api::{Param, ParamSpec, ParamType, ParamValue};

use crate::substitution::Replacements;
use crate::substitution::references;

/// What is wrong with the parameters of a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("missing parameters: {}", .0.join(", "))]
    Missing(Vec<String>),
    #[error("parameters of another type than declared: {}", .0.join(", "))]
    Mismatch(Vec<String>),
    /// By parameter, the keys that its object lacks.
    #[error("missing keys of object parameters: {}", keys(.0))]
    MissingKeys(BTreeMap<String, Vec<String>>),
    #[error("non-existent param index: {}", .0.join(", "))]
    Index(Vec<String>),
    #[error("param {name} is {value:?}, but may only be one of {}", .allowed.join(", "))]
    NotAllowed { name: String, value: String, allowed: Vec<String> },
}

fn keys(missing: &BTreeMap<String, Vec<String>>) -> String {
    let of_each = missing.iter().map(|(name, keys)| format!("{name} ({})", keys.join(", ")));
    of_each.collect::<Vec<_>>().join(", ")
}

/// Checks what is given against what is declared. Parameters that nobody declared are allowed.
pub fn check(declared: &[ParamSpec], given: &[Param]) -> Result<(), Fault> {
    let by_name: BTreeMap<_, _> = given.iter().map(|param| (param.name.as_str(), &param.value)).collect();
    let missing: Vec<_> = declared
        .iter()
        .filter(|spec| spec.default.is_none() && !by_name.contains_key(spec.name.as_str()))
        .map(|spec| spec.name.clone())
        .collect();
    if !missing.is_empty() {
        return Err(Fault::Missing(missing));
    }
    let mismatch: Vec<_> = declared
        .iter()
        .filter_map(|spec| Some((spec, by_name.get(spec.name.as_str())?)))
        .filter(|(spec, value)| !fits(spec.effective_type(), value))
        .map(|(spec, _)| spec.name.clone())
        .collect();
    if !mismatch.is_empty() {
        return Err(Fault::Mismatch(mismatch));
    }
    let mut missing_keys = BTreeMap::new();
    for spec in declared.iter().filter(|spec| spec.effective_type() == ParamType::Object) {
        let values = [spec.default.as_ref(), by_name.get(spec.name.as_str()).copied()];
        let has = |key: &String| {
            values.iter().flatten().any(|value| match value {
                ParamValue::Object(fields) => fields.contains_key(key),
                // A reference to a whole object: its keys are seen when it has a value.
                ParamValue::String(_) => true,
                ParamValue::Array(_) => false,
            })
        };
        let lacking: Vec<_> = spec.properties.keys().filter(|key| !has(key)).cloned().collect();
        if !lacking.is_empty() {
            missing_keys.insert(spec.name.clone(), lacking);
        }
    }
    if missing_keys.is_empty() { Ok(()) } else { Err(Fault::MissingKeys(missing_keys)) }
}

/// Whether a value is of the type. A string that refers to something may become anything.
fn fits(type_: ParamType, value: &ParamValue) -> bool {
    match value {
        ParamValue::String(text) => type_ == ParamType::String || references::in_text(text).next().is_some(),
        other => other.type_() == type_,
    }
}

/// Checks values against `enum`. What is not given has its default, which is checked when it is declared.
pub fn check_enums(declared: &[ParamSpec], given: &[Param]) -> Result<(), Fault> {
    for spec in declared.iter().filter(|spec| !spec.enum_.is_empty()) {
        let value = given.iter().find(|param| param.name == spec.name).and_then(|param| param.value.as_str());
        if let Some(value) = value.filter(|value| !spec.enum_.iter().any(|allowed| allowed == value)) {
            return Err(Fault::NotAllowed {
                name: spec.name.clone(),
                value: value.to_owned(),
                allowed: spec.enum_.clone(),
            });
        }
    }
    Ok(())
}

/// Checks that `text` refers to no element behind the end of an array.
pub fn check_indexes(declared: &[ParamSpec], given: &[Param], text: &str) -> Result<(), Fault> {
    let length = |name: &str| {
        let given = given.iter().find(|param| param.name == name).map(|param| &param.value);
        let default = || declared.iter().find(|spec| spec.name == name)?.default.as_ref();
        match given.or_else(default)? {
            ParamValue::Array(elements) => Some(elements.len()),
            ParamValue::String(_) | ParamValue::Object(_) => None,
        }
    };
    let mut wrong: Vec<_> = references::in_text(text)
        .filter(|reference| {
            element(reference).is_some_and(|(name, index)| length(name).is_some_and(|length| index >= length))
        })
        .map(|reference| format!("$({reference})"))
        .collect();
    wrong.sort();
    wrong.dedup();
    if wrong.is_empty() { Ok(()) } else { Err(Fault::Index(wrong)) }
}

/// The name and index of `params.<name>[<index>]`, in each spelling.
fn element(reference: &str) -> Option<(&str, usize)> {
    let rest = reference.strip_prefix("params")?;
    let (name, index) = if let Some(rest) = rest.strip_prefix('.') {
        rest.split_once('[')?
    } else {
        let rest = rest.strip_prefix('[')?;
        let quote = rest.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
        let (name, rest) = rest[1..].split_once(quote)?;
        (name, rest.strip_prefix("][")?)
    };
    Some((name, index.strip_suffix(']')?.parse().ok()?))
}

/// What references to parameters stand for: defaults, and over them what is given.
pub fn replacements(declared: &[ParamSpec], given: &[Param]) -> Replacements {
    let mut replacements = Replacements::default();
    for spec in declared {
        if let Some(default) = &spec.default {
            replacements.set_param(&spec.name, default);
        }
    }
    for param in given {
        replacements.set_param(&param.name, &param.value);
    }
    replacements
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn declared(value: Value) -> Vec<ParamSpec> {
        serde_json::from_value(value).unwrap()
    }

    fn given(value: Value) -> Vec<Param> {
        serde_json::from_value(value).unwrap()
    }

    #[rstest]
    #[case::missing(json!([{"name": "a"}, {"name": "b", "default": "x"}]), json!([]), "missing parameters: a")]
    #[case::type_(json!([{"name": "a", "type": "array"}]), json!([{"name": "a", "value": "x"}]), "another type than declared: a")]
    #[case::array_for_string(json!([{"name": "a"}]), json!([{"name": "a", "value": ["x"]}]), "another type than declared: a")]
    #[case::key(json!([{"name": "a", "properties": {"k": {}, "l": {}}}]), json!([{"name": "a", "value": {"k": "x"}}]), "object parameters: a (l)")]
    fn refuses(#[case] specs: Value, #[case] params: Value, #[case] expected: &str) {
        let error = check(&declared(specs), &given(params)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[rstest]
    #[case::extra(json!([]), json!([{"name": "a", "value": "x"}]))]
    #[case::reference(json!([{"name": "a", "type": "array"}]), json!([{"name": "a", "value": "$(tasks.t.results.r[*])"}]))]
    #[case::key_by_default(json!([{"name": "a", "properties": {"k": {}, "l": {}}, "default": {"l": "y"}}]), json!([{"name": "a", "value": {"k": "x"}}]))]
    fn allows(#[case] specs: Value, #[case] params: Value) {
        assert_eq!(check(&declared(specs), &given(params)), Ok(()));
    }

    #[test]
    fn sees_indexes_behind_the_end() {
        let specs = declared(
            json!([{"name": "a", "type": "array", "default": ["x"]}, {"name": "b.c", "type": "array"}]),
        );
        let params = given(json!([{"name": "b.c", "value": ["x", "y"]}]));
        assert_eq!(check_indexes(&specs, &params, "$(params.a[0]) $(params['b.c'][1])"), Ok(()));
        let error = check_indexes(&specs, &params, "$(params.a[1]) $(params['b.c'][2])").unwrap_err();
        assert_eq!(error, Fault::Index(vec!["$(params.a[1])".into(), "$(params['b.c'][2])".into()]));
    }

    #[test]
    fn sees_values_outside_an_enum() {
        let specs = declared(json!([{"name": "a", "enum": ["x", "y"]}]));
        assert_eq!(check_enums(&specs, &given(json!([{"name": "a", "value": "y"}]))), Ok(()));
        let error = check_enums(&specs, &given(json!([{"name": "a", "value": "z"}]))).unwrap_err();
        assert!(error.to_string().contains("one of x, y"), "{error}");
    }

    #[test]
    fn what_is_given_replaces_the_default() {
        let specs = declared(json!([
            {"name": "a", "default": "x"}, {"name": "o", "properties": {"k": {}, "l": {}}, "default": {"k": "1", "l": "2"}},
        ]));
        let params = given(json!([{"name": "a", "value": "y"}, {"name": "o", "value": {"l": "3"}}]));
        let text = replacements(&specs, &params).string("$(params.a) $(params.o.k) $(params.o.l)");
        assert_eq!(text, "y 1 3");
    }
}
