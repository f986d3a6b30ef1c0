//! Lists in flags, as the original's flags take them.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use crate::sources::Sources;
use crate::yaml;

const EXTENSIONS: [&str; 3] = [".json", ".yaml", ".yml"];

/// `a,b` and `a`, `b`; but not text in JSON or YAML, which may have commas.
pub(super) fn files(given: &[String]) -> Vec<String> {
    let is_text = |item: &str| item.contains(['{', '\n']) || item.contains(": ");
    let mut files = Vec::new();
    for item in given {
        if is_text(item) {
            files.push(item.clone());
        } else {
            files.extend(item.split(',').filter(|file| !file.is_empty()).map(str::to_owned));
        }
    }
    files
}

/// `key=value,key=value`, repeatedly. A comma that no `key=` follows belongs to the value.
fn pairs(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for item in given.iter().filter(|item| !item.trim().is_empty()) {
        let mut is_first = true;
        for part in item.split(',') {
            let pair = part.split_once('=').filter(|(key, _)| is_key(key));
            match (pair, pairs.last_mut()) {
                (Some((key, value)), _) => pairs.push((key.trim().to_owned(), value.to_owned())),
                (None, Some((_, last))) if !is_first => {
                    last.push(',');
                    last.push_str(part);
                }
                (None, _) => bail!("--extra-rule-data {part:?}: expected key=value"),
            }
            is_first = false;
        }
    }
    Ok(pairs)
}

fn is_key(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// Data for all sources, of `--extra-rule-data`.
pub(super) async fn rule_data(given: &[String], sources: &Sources) -> anyhow::Result<Map<String, Value>> {
    let mut data = Map::new();
    for (key, value) in pairs(given)? {
        let value = content(&value, sources).await.with_context(|| format!("--extra-rule-data {key}"))?;
        data.insert(key, value);
    }
    Ok(data)
}

/// What a value stands for: the content of a file or of a URL, or itself.
async fn content(value: &str, sources: &Sources) -> anyhow::Result<Value> {
    let is_url = ["https://", "git::", "oci::"].iter().any(|form| value.starts_with(form));
    let is_file = EXTENSIONS.iter().any(|extension| value.ends_with(extension)) && Path::new(value).is_file();
    if is_file {
        let content = std::fs::read(value).with_context(|| value.to_owned())?;
        return yaml::parse(&content).map_err(anyhow::Error::msg).with_context(|| value.to_owned());
    }
    if is_url {
        let fetched = sources.fetch(value).await?;
        let mut files =
            fetched.files.iter().filter(|(path, _)| EXTENSIONS.iter().any(|end| path.ends_with(end)));
        return match (files.next(), files.next()) {
            (Some((path, content)), None) => {
                yaml::parse(content).map_err(anyhow::Error::msg).with_context(|| path.clone())
            }
            (None, _) => bail!("{value} has no JSON or YAML file"),
            (Some(_), Some(_)) => bail!("{value} has several JSON or YAML files; name one"),
        };
    }
    Ok(Value::String(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::none(&[""], Some(&[][..]))]
    #[case::one(&["a=b"], Some(&[("a", "b")][..]))]
    #[case::several(&["a=b,c=d", "e=f"], Some(&[("a", "b"), ("c", "d"), ("e", "f")][..]))]
    #[case::comma_of_a_value(&["a=b,c", "d=e"], Some(&[("a", "b,c"), ("d", "e")][..]))]
    #[case::equals_of_a_value(&["a=b=c"], Some(&[("a", "b=c")][..]))]
    #[case::empty_value(&["a="], Some(&[("a", "")][..]))]
    #[case::no_key(&["=b"], None)]
    #[case::no_pair(&["a"], None)]
    #[case::no_pair_after_one(&["a=b", "c"], None)]
    fn reads_pairs(#[case] given: &[&str], #[case] expected: Option<&[(&str, &str)]>) {
        let given: Vec<_> = given.iter().map(|&item| item.to_owned()).collect();
        let read = pairs(&given).ok();
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        assert_eq!(read, expected.map(|expected| expected.iter().map(owned).collect::<Vec<_>>()));
    }

    #[rstest]
    #[case(&["a.yaml,b.json", "c"], &["a.yaml", "b.json", "c"])]
    #[case(&["{\"a\": 1, \"b\": 2}"], &["{\"a\": 1, \"b\": 2}"])]
    #[case(&["a: 1, b"], &["a: 1, b"])]
    fn reads_files(#[case] given: &[&str], #[case] expected: &[&str]) {
        let given: Vec<_> = given.iter().map(|&item| item.to_owned()).collect();
        assert_eq!(files(&given), expected);
    }
}
