//! The text of a Record, and how it is known that another one would say the same.

use std::fmt;

use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::keys;
use crate::run::{Kind, Run};

/// Of what is worth being archived. As text 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 16]);

impl Digest {
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize()[..16]);
        Self(short)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Of a run: the same as long as nothing has changed but what we and the deletion write.
pub(crate) fn digest<K: Kind>(run: &Run<K>) -> Digest {
    let metadata = &run.metadata;
    let is_ours = |key: &str| keys::OURS.iter().any(|ours| ours.as_str() == key);
    let annotations: Vec<_> =
        metadata.annotations.iter().flatten().filter(|(key, _)| !is_ours(key)).collect();
    let labels: Vec<_> = metadata.labels.iter().flatten().collect();
    let said = json!([metadata.uid, annotations, labels, metadata.owner_references]).to_string();
    Digest::of(&[said.as_bytes(), run.rest_digest.to_string().as_bytes()])
}

/// The run as it is archived: one JSON object. `rest` is all but apiVersion, kind and metadata.
pub(crate) fn text<K: Kind>(run: &Run<K>, rest: &str) -> Vec<u8> {
    let head = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": run.metadata});
    let mut text = head.to_string();
    let fields = rest.trim().trim_start_matches('{').trim_end();
    if fields != "}" {
        text.pop();
        text.push(',');
        text.push_str(fields);
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use pipelines_engine_api::TaskRun;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::run::tests::task_run;

    fn object() -> Value {
        json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
            "metadata": {
                "name": "r", "namespace": "n", "uid": "u", "resourceVersion": "7",
                "annotations": {"mine": "x"}, "labels": {"a": "b"},
            },
            "spec": {"params": [{"name": "p", "value": {"k": [1, true, null]}}]},
            "status": {"startTime": "2024-01-01T00:00:00Z"},
        })
    }

    #[test]
    fn the_text_is_the_object() {
        let run = task_run(object());
        let text = text(&run, run.rest.as_deref().unwrap());
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), object());
        let back: Run<TaskRun> = serde_json::from_slice(&text).unwrap();
        assert_eq!(back, run);
    }

    #[test]
    fn a_run_without_spec_and_status_has_a_text() {
        let run = task_run(json!({"metadata": {"name": "r"}}));
        let text = text(&run, run.rest.as_deref().unwrap());
        assert_eq!(
            serde_json::from_slice::<Value>(&text).unwrap(),
            json!({"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": "r"}})
        );
    }

    #[rstest]
    #[case::our_mark("/metadata/annotations/results.tekton.dev~1stored", json!("true"), true)]
    #[case::a_version("/metadata/resourceVersion", json!("8"), true)]
    #[case::a_finalizer("/metadata/finalizers", json!(["x/y"]), true)]
    #[case::deletion("/metadata/deletionTimestamp", json!("2024-01-01T00:00:00Z"), true)]
    #[case::a_signature("/metadata/annotations/chains.tekton.dev~1signed", json!("true"), false)]
    #[case::for_the_result("/metadata/annotations/results.tekton.dev~1resultAnnotations", json!("{}"), false)]
    #[case::a_label("/metadata/labels/a", json!("c"), false)]
    #[case::another_run("/metadata/uid", json!("v"), false)]
    #[case::the_status("/status/startTime", json!("2024-01-01T00:00:01Z"), false)]
    fn is_the_same(#[case] path: &str, #[case] value: Value, #[case] expected: bool) {
        let mut changed = object();
        let (parent, field) = path.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[field.replace("~1", "/")] = value;
        assert_eq!(task_run(changed).digest() == task_run(object()).digest(), expected);
    }
}
