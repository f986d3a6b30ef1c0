//! Where a run is archived (specification, section 4.1).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use md5::{Digest as _, Md5};
use results_api::names::{LogName, ResultName, is_part};
use uuid::Uuid;

use crate::keys;
use crate::run::{Kind, Run};

/// A run's Result and Record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) parent: String,
    /// `<parent>/results/<name>`.
    pub(crate) result: String,
    /// `<result>/records/<uid>`.
    pub(crate) record: String,
    /// The run belongs to no PipelineRun, so it is told about in the Result's summary.
    pub(crate) is_top_level: bool,
    /// Whoever chose a Result chose one that cannot be: its text.
    pub(crate) refused: Option<String>,
}

impl Place {
    /// `above` is the Result of the PipelineRun that the run belongs to, if that is known.
    pub(crate) fn of<K: Kind>(run: &Run<K>, above: Option<String>) -> Self {
        let parent = run.namespace().unwrap_or_default();
        let chosen = run.annotation(keys::RESULT);
        let (chosen, refused) = match chosen {
            Some(text) if is_within(text, &parent) => (Some(text.to_owned()), None),
            Some(text) => (None, Some(text.to_owned())),
            None => (None, None),
        };
        let owner = run.owning_run();
        let result = chosen.or(above).unwrap_or_else(|| {
            let name = derived(run, owner);
            format!("{parent}/results/{name}")
        });
        Self {
            record: format!("{result}/records/{}", run.uid_text()),
            is_top_level: owner.is_none(),
            parent,
            result,
            refused,
        }
    }

    /// Name of a Log of this Result.
    pub(crate) fn log(&self, log: Uuid) -> String {
        format!("{}/logs/{log}", self.result)
    }

    /// Name of the Record of a Log.
    pub(crate) fn log_record(&self, log: Uuid) -> String {
        format!("{}/records/{log}", self.result)
    }
}

/// Whether it names a Result of this namespace: nobody puts runs into somebody else's.
fn is_within(text: &str, namespace: &str) -> bool {
    text.parse::<ResultName>().is_ok_and(|name| name.parent == namespace)
}

/// Whether it names a Log of this namespace. A run's annotations may be whoever's made the run, and the watcher may read all logs:
/// what names another's is not read.
pub(crate) fn is_log_within(text: &str, namespace: &str) -> bool {
    text.parse::<LogName>().is_ok_and(|name| name.parent == namespace)
}

/// Runs of one event are together; else those of one PipelineRun.
fn derived<K: Kind>(run: &Run<K>, owner: Option<&OwnerReference>) -> String {
    let event = keys::EVENT_ID.of(&run.metadata.labels).filter(|event| is_part(event));
    let uid = owner.map_or(run.uid_text(), |owner| &owner.uid);
    event.unwrap_or(uid).to_owned()
}

/// The Log of a run, the same whenever it is asked for: a UUID of version 3 within the Result.
pub(crate) fn log_uid(result_uid: &str, run_uid: &str) -> Uuid {
    let space = Uuid::try_parse(result_uid).unwrap_or_default();
    let mut hash = Md5::new();
    hash.update(space.as_bytes());
    hash.update(run_uid.as_bytes());
    uuid::Builder::from_md5_bytes(hash.finalize().into()).into_uuid()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::run::tests::task_run;

    fn run(labels: &Value, annotations: &Value, owner: Option<(&str, &str)>) -> Place {
        let owners = owner
            .map(|(api, kind)| json!({"apiVersion": api, "kind": kind, "name": "o", "uid": "owner-uid"}));
        let run = task_run(json!({"metadata": {
            "name": "r", "namespace": "ns", "uid": "own-uid", "labels": labels, "annotations": annotations,
            "ownerReferences": owners.into_iter().collect::<Vec<_>>(),
        }}));
        Place::of(&run, None)
    }

    const TEKTON: Option<(&str, &str)> = Some(("tekton.dev/v1", "PipelineRun"));

    #[rstest]
    #[case::alone(json!({}), json!({}), None, "ns/results/own-uid", true)]
    #[case::of_a_pipeline_run(json!({}), json!({}), TEKTON, "ns/results/owner-uid", false)]
    #[case::of_a_component(json!({}), json!({}), Some(("appstudio.redhat.com/v1alpha1", "Component")), "ns/results/own-uid", true)]
    #[case::of_an_event(json!({"triggers.tekton.dev/triggers-eventid": "e-1"}), json!({}), TEKTON, "ns/results/e-1", false)]
    #[case::of_an_event_that_is_no_name(json!({"triggers.tekton.dev/triggers-eventid": "E.1"}), json!({}), None, "ns/results/own-uid", true)]
    #[case::chosen(json!({"triggers.tekton.dev/triggers-eventid": "e"}), json!({"results.tekton.dev/result": "ns/results/mine"}), None, "ns/results/mine", true)]
    #[case::in_another_namespace(json!({}), json!({"results.tekton.dev/result": "other/results/mine"}), None, "ns/results/own-uid", true)]
    #[case::no_name(json!({}), json!({"results.tekton.dev/result": "ns/mine"}), None, "ns/results/own-uid", true)]
    fn is_archived_at(
        #[case] labels: Value,
        #[case] annotations: Value,
        #[case] owner: Option<(&str, &str)>,
        #[case] result: &str,
        #[case] is_top_level: bool,
    ) {
        let place = run(&labels, &annotations, owner);
        assert_eq!((place.result.as_str(), place.is_top_level), (result, is_top_level));
        assert_eq!(place.record, format!("{result}/records/own-uid"));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let place = run(&json!({}), &json!({"results.tekton.dev/result": "other/results/mine"}), None);
        assert_eq!(place.refused.as_deref(), Some("other/results/mine"));
    }

    #[rstest]
    #[case::own("ns/results/r/logs/l", true)]
    #[case::of_another("victim/results/r/logs/l", false)]
    #[case::by_a_way_round("ns/../victim/results/r/logs/l", false)]
    #[case::a_record("ns/results/r/records/l", false)]
    #[case::any("-/results/r/logs/l", false)]
    fn logs_of_others_are_not_read(#[case] log: &str, #[case] expected: bool) {
        assert_eq!(is_log_within(log, "ns"), expected);
    }

    #[test]
    fn a_log_is_named_as_the_original_names_it() {
        // As Go's uuid.NewMD5 and Python's uuid3 have it.
        let log = log_uid("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "python.org");
        assert_eq!(log.to_string(), "6fa459ea-ee8a-3ca4-894e-db77e160355e");
    }
}
