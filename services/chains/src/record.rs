//! What is written on a run: everything about one attempt in one patch, so that nothing says `signed` without the rest.

use std::collections::BTreeMap;

use fleet::Write;
use fleet::write::{Patch, PatchKind, Target};
use fleet_api::AnnotationKey;
use serde_json::{Map, Value, json};

use crate::keys;
use crate::progress::Progress;
use crate::run::Run;

/// Longest reason, in bytes.
const LONGEST_REASON: usize = 1024;

/// Changes of a run's annotations and finalizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// `None` removes.
    annotations: BTreeMap<String, Option<String>>,
    finalizer: Finalizer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finalizer {
    /// On the run from now on.
    Held,
    /// Off it, under all its names.
    Released,
}

impl Record {
    /// The run stays until it is signed.
    pub(crate) fn hold() -> Self {
        Self { annotations: BTreeMap::new(), finalizer: Finalizer::Held }
    }

    /// The run may go.
    pub(crate) fn release() -> Self {
        Self { annotations: BTreeMap::new(), finalizer: Finalizer::Released }
    }

    /// All is signed and stored. `stored` is what is to be kept on the run itself.
    pub(crate) fn signed(stored: impl IntoIterator<Item = (String, String)>, log: Option<String>) -> Self {
        let mut record = Self::release();
        record.annotations.extend(stored.into_iter().map(|(key, value)| (key, Some(value))));
        if let Some(log) = log {
            record.set(keys::TRANSPARENCY, Some(log));
        }
        record.set(keys::SIGNED, Some(keys::SIGNED_TRUE.to_owned()));
        record.set(keys::REASON, None);
        record.set(keys::PROGRESS, None);
        record
    }

    /// It will never be signed by itself.
    pub(crate) fn failed(why: &str) -> Self {
        let mut record = Self::release();
        record.set(keys::SIGNED, Some(keys::SIGNED_FAILED.to_owned()));
        record.set(keys::REASON, Some(why[..why.floor_char_boundary(LONGEST_REASON)].to_owned()));
        record.set(keys::PROGRESS, None);
        record
    }

    /// It failed and is tried again.
    pub(crate) fn failing(retries: usize, progress: &Progress) -> Self {
        let mut record = Self::underway(progress);
        record.set(keys::RETRIES, Some(retries.to_string()));
        record
    }

    /// Signatures that are about to be told a log.
    pub(crate) fn underway(progress: &Progress) -> Self {
        let mut record = Self::hold();
        record.set(keys::PROGRESS, (!progress.is_empty()).then(|| progress.text()));
        record
    }

    fn set(&mut self, key: AnnotationKey, value: Option<String>) {
        self.annotations.insert(key.into(), value);
    }

    /// The patch, or `None` where the run is like that already.
    ///
    /// A list of finalizers is replaced as a whole, so the patch then names the version that was read.
    pub(crate) fn write<R: Run>(&self, run: &R) -> Option<Write> {
        let meta = run.meta();
        let current = |key: &String| meta.annotations.as_ref().and_then(|annotations| annotations.get(key));
        let changed: Map<String, Value> = self
            .annotations
            .iter()
            .filter(|(key, value)| current(key) != value.as_ref())
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        let mut metadata = Map::new();
        if !changed.is_empty() {
            metadata.insert("annotations".to_owned(), changed.into());
        }
        if let Some(finalizers) = self.finalizers(run) {
            metadata.insert("finalizers".to_owned(), json!(finalizers));
            metadata.insert("resourceVersion".to_owned(), json!(meta.resource_version));
        }
        if metadata.is_empty() {
            return None;
        }
        metadata.insert("uid".to_owned(), json!(meta.uid));
        let target = Target::of(run);
        Some(Write::Patch(Patch { target, kind: PatchKind::Merge, body: json!({ "metadata": metadata }) }))
    }

    /// The new list, if it is another one.
    fn finalizers<R: Run>(&self, run: &R) -> Option<Vec<String>> {
        let mut list = run.meta().finalizers.clone().unwrap_or_default();
        let is_ours = |name: &String| R::FINALIZERS.iter().any(|ours| ours.as_str() == name);
        let has_ours = list.iter().any(is_ours);
        match self.finalizer {
            // The API server takes none for an object that is being deleted.
            Finalizer::Held if !has_ours && run.deleted_at().is_none() => {
                list.extend(R::FINALIZERS.first().map(|ours| String::from(*ours)));
                Some(list)
            }
            Finalizer::Released if has_ours => {
                list.retain(|name| !is_ours(name));
                Some(list)
            }
            Finalizer::Held | Finalizer::Released => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use pipelines_engine_api::{PipelineRun, TaskRun};

    use super::*;

    fn task_run(metadata: &Value) -> TaskRun {
        serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap()
    }

    fn body(write: Option<Write>) -> Value {
        match write {
            Some(Write::Patch(patch)) => patch.body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mark_and_finalizer_are_one_patch() {
        let run = task_run(&json!({
            "name": "t", "uid": "u", "resourceVersion": "7",
            "finalizers": ["other/one", "chains.tekton.dev", "chains.tekton.dev/taskrun"],
            "annotations": {"chains.fleet.konflux-ci.dev/progress": "{}", "chains.tekton.dev/retries": "1"},
        }));
        let log = "https://rekor.example/api/v1/log/entries?logIndex=7".to_owned();
        let stored = [("chains.tekton.dev/payload-taskrun-u".to_owned(), "e30=".to_owned())];
        let patch = body(Record::signed(stored, Some(log.clone())).write(&run));
        assert_eq!(
            patch,
            json!({"metadata": {
                "uid": "u", "resourceVersion": "7", "finalizers": ["other/one"],
                "annotations": {
                    "chains.tekton.dev/payload-taskrun-u": "e30=",
                    "chains.tekton.dev/signed": "true",
                    "chains.tekton.dev/transparency": log,
                    "chains.fleet.konflux-ci.dev/progress": null,
                },
            }})
        );
    }

    #[test]
    fn a_mark_alone_needs_no_version() {
        let patch = body(
            Record::failed("no key")
                .write(&task_run(&json!({"name": "t", "uid": "u", "resourceVersion": "7"}))),
        );
        assert_eq!(
            patch,
            json!({"metadata": {"uid": "u", "annotations": {
                "chains.tekton.dev/signed": "failed", "chains.fleet.konflux-ci.dev/reason": "no key",
            }}})
        );
    }

    #[test]
    fn nothing_is_written_twice() {
        let run = task_run(&json!({"name": "t", "finalizers": ["chains.tekton.dev/taskrun"]}));
        assert_eq!(Record::hold().write(&run), None, "either name holds it");
        assert_eq!(Record::release().write(&task_run(&json!({"name": "t"}))), None);
        let deleted =
            json!({"name": "t", "deletionTimestamp": "2024-01-01T00:00:00Z", "finalizers": ["other/one"]});
        assert_eq!(Record::hold().write(&task_run(&deleted)), None);
    }

    #[test]
    fn each_kind_has_its_finalizer() {
        let run: PipelineRun =
            serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {}})).unwrap();
        let patch = body(Record::hold().write(&run));
        assert_eq!(patch["metadata"]["finalizers"], json!(["chains.tekton.dev/pipelinerun"]));
        let patch = body(Record::hold().write(&task_run(&json!({"name": "t"}))));
        assert_eq!(patch["metadata"]["finalizers"], json!(["chains.tekton.dev"]));
    }

    #[test]
    fn a_long_reason_is_cut_between_letters() {
        let patch = body(Record::failed(&"ä".repeat(1000)).write(&task_run(&json!({"name": "t"}))));
        let reason = patch["metadata"]["annotations"]["chains.fleet.konflux-ci.dev/reason"].as_str().unwrap();
        assert_eq!(reason.len(), 1024);
    }
}
