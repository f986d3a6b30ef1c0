//! What is different, applied by name.
//!
//! Objects are merged field by field; `null` removes a field. A list whose items have names is merged by these: an item changes
//! the one of its name, which must be there. Three further fields of an item say otherwise:
//!
//! ```yaml
//! - name: clair-scan
//!   $patch: delete          # or `replace`: the item as it stands here, in the place of the old one
//! - name: fbc-validate
//!   $after: inspect-image   # a new item, behind this one; `$after: ""` puts it first, `$last: true` last
//! ```
//! Any other list, and any other value, takes the place of the old one.
use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value};

const PATCH: &str = "$patch";
const AFTER: &str = "$after";
const LAST: &str = "$last";

/// Applies `patch` to `base`.
pub fn apply(base: &mut Value, patch: &Value) -> anyhow::Result<()> {
    at(base, patch, "")
}

fn at(base: &mut Value, patch: &Value, place: &str) -> anyhow::Result<()> {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                let place = format!("{place}/{key}");
                match base.get_mut(key) {
                    _ if value.is_null() => {
                        ensure!(base.remove(key).is_some(), "{place} is to be removed, and is not there");
                    }
                    Some(old) => at(old, value, &place)?,
                    None => {
                        base.insert(key.clone(), without_directives(value, &place)?);
                    }
                }
            }
        }
        (Value::Array(base), Value::Array(patch)) if is_named(patch) && is_named(base) => {
            for item in patch {
                item_of_list(base, item, place)?;
            }
        }
        (base, patch) => *base = patch.clone(),
    }
    Ok(())
}

fn item_of_list(base: &mut Vec<Value>, item: &Value, place: &str) -> anyhow::Result<()> {
    let name = name_of(item).context("an item has a name")?;
    let place = format!("{place}/{name}");
    let mut item = item.as_object().cloned().unwrap_or_default();
    let found = base.iter().position(|old| name_of(old) == Some(name));
    let missing = || format!("{place} is not there: was it renamed in what this is based on?");
    if let Some(after) = item.remove(AFTER) {
        ensure!(found.is_none(), "{place} is to be added, and is there already");
        let after = after.as_str().with_context(|| format!("{place}: {AFTER} takes a name"))?;
        let index = match after {
            "" => 0,
            after => {
                1 + base
                    .iter()
                    .position(|old| name_of(old) == Some(after))
                    .with_context(|| format!("{place} is to come after {after}, which is not there"))?
            }
        };
        base.insert(index, Value::Object(item));
        return Ok(());
    }
    if item.remove(LAST).is_some() {
        ensure!(found.is_none(), "{place} is to be added, and is there already");
        base.push(Value::Object(item));
        return Ok(());
    }
    let index = found.with_context(missing)?;
    match item.remove(PATCH) {
        None => at(&mut base[index], &Value::Object(item), &place)?,
        Some(Value::String(what)) if what == "delete" => drop(base.remove(index)),
        Some(Value::String(what)) if what == "replace" => base[index] = Value::Object(item),
        Some(other) => bail!("{place}: {PATCH} is delete or replace, not {other}"),
    }
    Ok(())
}

/// A value where there was none: nothing in it can be changed, only be.
fn without_directives(value: &Value, place: &str) -> anyhow::Result<Value> {
    if let Value::Array(items) = value {
        for item in items {
            let directive = item.as_object().and_then(|item| item.keys().find(|key| key.starts_with('$')));
            if let Some(directive) = directive.filter(|key| [PATCH, AFTER, LAST].contains(&key.as_str())) {
                bail!("{place} is new as a whole: {directive} has nothing to refer to");
            }
        }
    }
    Ok(value.clone())
}

fn is_named(items: &[Value]) -> bool {
    items.iter().all(|item| name_of(item).is_some())
}

fn name_of(item: &Value) -> Option<&str> {
    item.as_object().and_then(|item: &Map<String, Value>| item.get("name")).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn base() -> Value {
        json!({"tasks": [
            {"name": "init", "params": [{"name": "a", "value": "1"}]},
            {"name": "build", "runAfter": ["init"]},
            {"name": "scan"},
        ]})
    }

    fn applied(patch: &Value) -> anyhow::Result<Value> {
        let mut value = base();
        apply(&mut value, patch).map(|()| value)
    }

    #[test]
    fn changes_removes_replaces_and_adds_by_name() {
        let patch = json!({"tasks": [
            {"name": "init", "params": [{"name": "a", "value": "2"}]},
            {"name": "build", "$patch": "replace", "runAfter": ["clone"]},
            {"name": "scan", "$patch": "delete"},
            {"name": "clone", "$after": "init"},
            {"name": "first", "$after": ""},
            {"name": "end", "$last": true},
        ]});
        let expected = json!({"tasks": [
            {"name": "first"},
            {"name": "init", "params": [{"name": "a", "value": "2"}]},
            {"name": "clone"},
            {"name": "build", "runAfter": ["clone"]},
            {"name": "end"},
        ]});
        assert_eq!(applied(&patch).unwrap(), expected);
    }

    /// The reference's patch by index removes another task since one was inserted.
    #[test]
    fn what_is_not_there_cannot_be_changed() {
        for patch in [
            json!({"tasks": [{"name": "skan", "$patch": "delete"}]}),
            json!({"tasks": [{"name": "skan", "params": []}]}),
            json!({"tasks": [{"name": "x", "$after": "skan"}]}),
            json!({"tasks": [{"name": "init", "$after": "build"}]}),
            json!({"params": null}),
            json!({"params": [{"name": "x", "$last": true}]}),
        ] {
            assert!(applied(&patch).is_err(), "{patch}");
        }
    }

    #[test]
    fn other_lists_and_values_take_the_place_of_the_old() {
        let patch = json!({"tasks": [{"name": "build", "runAfter": ["a", "b"]}]});
        assert_eq!(applied(&patch).unwrap()["tasks"][1]["runAfter"], json!(["a", "b"]));
    }
}
