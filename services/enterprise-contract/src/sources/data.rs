//! Data of several files as one document.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::Error;
use super::{Fetched, is_data};
use crate::yaml;

/// Merges the data of several sources at the root, whatever the files' paths, and `more` with it. Objects are merged key by
/// key; any other value may be said once only, also if it is the same. A source without data is an error.
pub fn merge(sources: &[Arc<Fetched>], more: Option<Value>) -> Result<Value, Error> {
    let mut merged = Merged::default();
    for source in sources {
        let mut is_empty = true;
        for (path, content) in source.files.iter().filter(|(path, _)| is_data(path)) {
            is_empty = false;
            let document = yaml::parse(content).map_err(|why| Error::content(&source.url, path, why))?;
            merged.add(&source.shown(path), document).map_err(|fault| match fault {
                Fault::NoObject => {
                    Error::content(&source.url, path, "it is no object, and data has to be one")
                }
                Fault::Conflict(error) => error,
            })?;
        }
        if is_empty {
            return Err(Error::NoData { url: source.url.clone() });
        }
    }
    if let Some(more) = more {
        merged.add("the policy's ruleData", more).map_err(|fault| match fault {
            Fault::NoObject => Error::content("ruleData", "", "it is no object"),
            Fault::Conflict(error) => error,
        })?;
    }
    Ok(Value::Object(merged.data))
}

#[derive(Default)]
struct Merged {
    data: Map<String, Value>,
    /// Which file said what, for errors: JSON pointers of what is no object.
    said: std::collections::BTreeMap<String, String>,
}

enum Fault {
    NoObject,
    Conflict(Error),
}

impl Merged {
    fn add(&mut self, file: &str, document: Value) -> Result<(), Fault> {
        match document {
            // An empty file, or comments only.
            Value::Null => Ok(()),
            Value::Object(document) => {
                let merged = add(&mut self.data, document, "", &mut |key| {
                    // The first one that said this, or something below or above it.
                    let of = |said: &str| {
                        said == key
                            || said.starts_with(&format!("{key}/"))
                            || key.starts_with(&format!("{said}/"))
                    };
                    let first = self.said.iter().find(|(said, _)| of(said)).map(|(_, file)| file.clone());
                    Error::Conflict {
                        key: key.trim_start_matches('/').replace('/', "."),
                        first: first.unwrap_or_else(|| file.to_owned()),
                        second: file.to_owned(),
                    }
                });
                let leaves = merged.map_err(Fault::Conflict)?;
                self.said.extend(leaves.into_iter().map(|leaf| (leaf, file.to_owned())));
                Ok(())
            }
            _ => Err(Fault::NoObject),
        }
    }
}

/// Adds one object to another. Says which keys are new, as JSON pointers of the topmost new ones.
fn add(
    to: &mut Map<String, Value>,
    from: Map<String, Value>,
    at: &str,
    conflict: &mut dyn FnMut(&str) -> Error,
) -> Result<Vec<String>, Error> {
    let mut new = Vec::new();
    for (key, value) in from {
        let place = format!("{at}/{key}");
        match (to.get_mut(&key), value) {
            (None, value) => {
                to.insert(key, value);
                new.push(place);
            }
            (Some(Value::Object(to)), Value::Object(from)) => new.extend(add(to, from, &place, conflict)?),
            (Some(_), _) => return Err(conflict(&place)),
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn source(files: &[(&str, &str)]) -> Arc<Fetched> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Arc::new(Fetched { url: "oci::r.test/data".to_owned(), pinned: String::new(), files })
    }

    #[test]
    fn merges_objects_whatever_their_paths() {
        let one = source(&[
            ("a/b/one.yaml", "rule_data: {x: [1]}\nother: 1"),
            ("comments.yml", "# none"),
            ("c.rego", "package c"),
        ]);
        let two = source(&[("two.json", r#"{"rule_data": {"y": {"z": true}}}"#)]);
        let merged = merge(&[one, two], Some(json!({"rule_data__configuration__": {"x": [2]}}))).unwrap();
        assert_eq!(
            merged,
            json!({"rule_data": {"x": [1], "y": {"z": true}}, "other": 1, "rule_data__configuration__": {"x": [2]}})
        );
    }

    #[rstest]
    #[case::leaf(&[("1.yml", "a: {b: 1}"), ("2.yml", "a: {b: 2}")], "data key \"a.b\" stands in oci::r.test/data#1.yml and again in oci::r.test/data#2.yml")]
    #[case::the_same_value(&[("1.yml", "a: 1"), ("2.yml", "a: 1")], "data key \"a\"")]
    #[case::object_over_leaf(&[("1.yml", "a: 1"), ("2.yml", "a: {b: 1}")], "data key \"a\"")]
    #[case::leaf_over_object(&[("1.yml", "a: {b: 1}"), ("2.yml", "a: 1")], "data key \"a\" stands in oci::r.test/data#1.yml")]
    #[case::lists(&[("1.yml", "a: [1]"), ("2.yml", "a: [2]")], "data key \"a\"")]
    #[case::no_object(&[("1.yml", "[1]")], "1.yml: it is no object")]
    #[case::broken(&[("1.json", "{\"a\": ")], "1.json: ")]
    #[case::no_data(&[("1.rego", "package a")], "has no data")]
    fn refuses(#[case] files: &[(&str, &str)], #[case] expected: &str) {
        let error = merge(&[source(files)], None).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn rule_data_of_the_policy_is_nobody_elses() {
        let data = source(&[("1.yml", "rule_data__configuration__: {x: 1}")]);
        let error = merge(&[data], Some(json!({"rule_data__configuration__": {"x": 2}}))).unwrap_err();
        assert!(error.to_string().contains("rule_data__configuration__.x"), "{error}");
    }
}
