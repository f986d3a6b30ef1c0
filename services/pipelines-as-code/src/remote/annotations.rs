//! Which annotations name tasks and pipelines elsewhere.

use std::collections::BTreeMap;

use pipelines_as_code_api::annotations::read;

use super::Error;
use crate::list;

/// A reference, and the annotation that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) key: String,
    pub(super) reference: String,
}

/// More than anybody writes.
const MAX_TASKS: usize = 100;

/// Of `task`, then of `task-0`, `task-1` and so on.
pub(super) fn tasks(annotations: Option<&BTreeMap<String, String>>) -> Result<Vec<Asked>, Error> {
    let mut numbered: Vec<(Option<u64>, &String, &String)> = annotations
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((number(key)?, key, value)))
        .collect();
    numbered.sort();
    let mut all = Vec::new();
    for (_, key, value) in numbered {
        all.extend(asked(key, value)?);
        if all.len() > MAX_TASKS {
            let reason = format!("more than {MAX_TASKS} tasks are asked for");
            return Err(Error::Annotation { key: key.clone(), reason });
        }
    }
    Ok(all)
}

/// Of `pipeline`: one or none.
pub(super) fn pipeline(annotations: Option<&BTreeMap<String, String>>) -> Result<Option<Asked>, Error> {
    let key = read::PIPELINE.as_str();
    let Some(value) = annotations.and_then(|annotations| annotations.get(key)) else { return Ok(None) };
    let mut all = asked(key, value)?;
    if all.len() > 1 {
        let reason = format!("a run has one pipeline, and {} are named: keep one of them", all.len());
        return Err(Error::Annotation { key: key.to_owned(), reason });
    }
    Ok(all.pop())
}

/// Outside: whether the key is one of tasks. Inside: the number in it.
#[expect(clippy::option_option, reason = "one key has no number")]
fn number(key: &str) -> Option<Option<u64>> {
    if key == read::TASK.as_str() {
        return Some(None);
    }
    let number = key.strip_prefix(read::TASK_PREFIX)?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten().map(Some)
}

fn asked(key: &str, value: &str) -> Result<Vec<Asked>, Error> {
    let references = list::parse(value)
        .map_err(|error| Error::Annotation { key: key.to_owned(), reason: error.to_string() })?;
    let asked = |reference| Asked { key: key.to_owned(), reference };
    Ok(references.into_iter().map(asked).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let key = |name: &str| format!("pipelinesascode.tekton.dev/{name}");
        pairs.iter().map(|(name, value)| (key(name), (*value).to_owned())).collect()
    }

    #[test]
    fn tasks_come_by_their_numbers() {
        let annotations = annotations(&[
            ("task-10", "j"),
            ("task-2", "[g, h]"),
            ("task", "[a, b]"),
            ("task-1", "f"),
            ("task-x", "no"),
            ("task-", "no"),
            ("tasks", "no"),
            ("task-1a", "no"),
        ]);
        let tasks = tasks(Some(&annotations)).unwrap();
        let references: Vec<_> = tasks.iter().map(|asked| asked.reference.as_str()).collect();
        assert_eq!(references, ["a", "b", "f", "g", "h", "j"]);
        assert_eq!(tasks[3].key, "pipelinesascode.tekton.dev/task-2");
        assert_eq!(super::tasks(None).unwrap(), []);
    }

    #[rstest]
    #[case::two(&[("pipeline", "[a, b]")], "pipelinesascode.tekton.dev/pipeline: a run has one pipeline, and 2 are named")]
    #[case::no_list(&[("pipeline", "a b")], "pipelinesascode.tekton.dev/pipeline: ")]
    fn a_run_has_one_pipeline(#[case] pairs: &[(&str, &str)], #[case] expected: &str) {
        let error = pipeline(Some(&annotations(pairs))).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn tasks_are_limited() {
        let many = format!("[{}]", vec!["a"; MAX_TASKS + 1].join(","));
        let error = tasks(Some(&annotations(&[("task", &many)]))).unwrap_err().to_string();
        assert!(error.contains("more than 100 tasks"), "{error}");
    }
}
