//! Labels and annotations that go from one object to the next.

use std::collections::BTreeMap;

use integration_service_api::annotations::{BUILD_PREFIX, PIPELINES_AS_CODE_PREFIX};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pipelines_as_code_api::annotations::{PREFIX, written};

/// Begins the keys of the whole platform, those of this service's own objects among them.
const PLATFORM_PREFIX: &str = "appstudio.openshift.io";

/// How far Pipelines-as-Code has come with a run. It changes after the run was copied from, so that a copy would be wrong, and would
/// not be the same when it is made once more.
const PASSING: [&str; 2] = [written::STATE.as_str(), written::CHECK_RUN_ID.as_str()];

/// From where to where is copied, which decides what.
#[expect(clippy::enum_variant_names, reason = "the prefixes of what is copied from")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefixes {
    /// From a build's run to its Snapshot. The keys of Pipelines-as-Code are renamed: it would take the object for its own.
    OfBuild,
    /// From a Snapshot to another one, or to a test's run.
    OfSnapshot,
    /// From a Snapshot to a Release.
    OfRelease,
}

/// Labels, or annotations.
type Entries = BTreeMap<String, String>;

/// The labels and annotations of an object that are copied; all others stay with it.
pub(crate) fn copied(metadata: &ObjectMeta, keep: Prefixes) -> (Entries, Entries) {
    let copy = |entries: &Option<Entries>| {
        let entries = entries.iter().flatten();
        entries.filter_map(|(key, value)| Some((keep.key(key)?, value.clone()))).collect()
    };
    (copy(&metadata.labels), copy(&metadata.annotations))
}

impl Prefixes {
    /// The key that the copy has, if it is copied.
    fn key(self, key: &str) -> Option<String> {
        let is_kept = |kept: &[&str]| kept.iter().any(|prefix| key.starts_with(prefix));
        match self {
            Self::OfBuild => match key.strip_prefix(PREFIX) {
                Some(name) => (!PASSING.contains(&key)).then(|| format!("{PIPELINES_AS_CODE_PREFIX}/{name}")),
                None => is_kept(&[BUILD_PREFIX]).then(|| key.to_owned()),
            },
            Self::OfSnapshot => is_kept(&[PIPELINES_AS_CODE_PREFIX, BUILD_PREFIX]).then(|| key.to_owned()),
            Self::OfRelease => is_kept(&[PIPELINES_AS_CODE_PREFIX, PLATFORM_PREFIX]).then(|| key.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::of_build(Prefixes::OfBuild, &["build.appstudio.redhat.com/commit_sha", "pac.test.appstudio.openshift.io/sha"])]
    #[case::of_snapshot(
        Prefixes::OfSnapshot,
        &["build.appstudio.redhat.com/commit_sha", "pac.test.appstudio.openshift.io/event-type"],
    )]
    #[case::of_release(
        Prefixes::OfRelease,
        &["appstudio.openshift.io/component", "pac.test.appstudio.openshift.io/event-type"],
    )]
    fn copies_what_is_meant_to_go_along(#[case] prefixes: Prefixes, #[case] expected: &[&str]) {
        let entries = json!({
            "build.appstudio.redhat.com/commit_sha": "x",
            "pipelinesascode.tekton.dev/sha": "x",
            "pipelinesascode.tekton.dev/state": "started",
            "pipelinesascode.tekton.dev/check-run-id": "1",
            "pac.test.appstudio.openshift.io/event-type": "push",
            "appstudio.openshift.io/component": "c",
            "chains.tekton.dev/signed": "true",
            "results.tekton.dev/record": "r",
            "tekton.dev/pipeline": "p",
            "argocd.argoproj.io/tracking-id": "t",
            "app": "mine",
        });
        let metadata: ObjectMeta =
            serde_json::from_value(json!({"labels": entries, "annotations": entries})).unwrap();
        let (labels, annotations) = copied(&metadata, prefixes);
        assert_eq!(labels.keys().collect::<Vec<_>>(), expected);
        assert_eq!(annotations, labels);
        assert!(labels.values().all(|value| ["x", "push", "c"].contains(&value.as_str())));
    }
}
