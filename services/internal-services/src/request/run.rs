//! What is read off a run: whose it is, whether it is over, how far it is, what it says.

use fleet::{ObjectKey, names};
use fleet_api::keys;
use internal_services_api::InternalRequest;
use internal_services_api::names::RUN_PREFIX;
use kube::ResourceExt as _;
use pipelines_engine_api::pipeline_run::CANCELLED;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, RunCondition};

use crate::stores::request_of;

/// Name of the run of a request with this uid: the same each time, so that a repeated creation signs nothing twice.
pub(crate) fn name_of(cluster: &str, uid: &str) -> String {
    format!("{RUN_PREFIX}{}", names::hash(10, &[cluster, uid]))
}

/// Uid of the request that a run was made for. Absent on runs of the original.
pub(crate) fn uid_of(run: &PipelineRun) -> Option<&str> {
    keys::CAUSE.of(&run.metadata.annotations)
}

/// Whether the run was made for this very request, not for another one that had its name before.
pub(super) fn is_of(run: &PipelineRun, request: &InternalRequest) -> bool {
    if request_of(run).as_ref() != Some(&ObjectKey::of(request)) {
        return false;
    }
    match uid_of(run) {
        Some(uid) => Some(uid) == request.metadata.uid.as_deref(),
        None => run.creation_timestamp() >= request.creation_timestamp(),
    }
}

fn condition(run: &PipelineRun) -> Option<&RunCondition> {
    succeeded(run.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default())
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    Succeeded,
    Failed { message: &'a str },
}

/// `None` while it goes on.
pub(super) fn outcome(run: &PipelineRun) -> Option<Outcome<'_>> {
    let condition = condition(run)?;
    match condition.status.as_str() {
        "True" => Some(Outcome::Succeeded),
        "False" => Some(Outcome::Failed { message: &condition.message }),
        _ => None,
    }
}

pub(crate) fn is_done(run: &PipelineRun) -> bool {
    outcome(run).is_some()
}

/// Whether somebody has asked for its end already.
pub(super) fn is_cancelled(run: &PipelineRun) -> bool {
    run.spec.status == CANCELLED
}

/// `k/n tasks completed`, by what the engine counts in the condition's message; nothing if it says something else.
pub(super) fn progress(run: &PipelineRun) -> Option<String> {
    let message = &condition(run)?.message;
    let (completed, rest) = number(message, "Tasks Completed: ")?;
    let (incomplete, rest) = number(rest, "Incomplete: ")?;
    let (skipped, _) = number(rest, "Skipped: ")?;
    let all = completed.checked_add(incomplete)?.checked_add(skipped)?;
    Some(format!("{completed}/{all} tasks completed"))
}

/// The number behind `words`, and what follows it.
fn number<'a>(text: &'a str, words: &str) -> Option<(u32, &'a str)> {
    let (_, rest) = text.split_once(words)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((rest[..end].parse().ok()?, &rest[end..]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn run(cause: Option<&str>, created: &str, message: &str) -> PipelineRun {
        let annotations = cause.map(|uid| json!({"fleet.konflux-ci.dev/cause": uid}));
        serde_json::from_value(json!({
            "metadata": {
                "name": "run", "creationTimestamp": created, "annotations": annotations,
                "labels": {
                    "internal-services.appstudio.openshift.io/name": "sign",
                    "internal-services.appstudio.openshift.io/namespace": "managed",
                },
            },
            "spec": {},
            "status": {"conditions": [{"type": "Succeeded", "status": "Unknown", "message": message}]},
        }))
        .unwrap()
    }

    const THEN: &str = "2024-03-01T12:00:00Z";
    const BEFORE: &str = "2024-03-01T11:00:00Z";

    #[rstest]
    #[case::its_own(Some("u"), THEN, json!({}), true)]
    #[case::of_one_with_its_name_before(Some("v"), THEN, json!({}), false)]
    #[case::of_another_name(Some("u"), THEN, json!({"name": "other"}), false)]
    #[case::of_another_namespace(Some("u"), THEN, json!({"namespace": "other"}), false)]
    #[case::of_the_original(None, THEN, json!({}), true)]
    #[case::of_the_original_before_it_was_made(None, BEFORE, json!({}), false)]
    fn knows_its_own_run(
        #[case] cause: Option<&str>,
        #[case] created: &str,
        #[case] other: Value,
        #[case] expected: bool,
    ) {
        let mut request = json!({"metadata": {"name": "sign", "namespace": "managed", "uid": "u",
            "creationTimestamp": THEN}, "spec": {}});
        json_patch::merge(&mut request, &json!({ "metadata": other }));
        let request: InternalRequest = serde_json::from_value(request).unwrap();
        assert_eq!(is_of(&run(cause, created, ""), &request), expected);
    }

    #[rstest]
    #[case::under_way(
        "Tasks Completed: 2 (Failed: 0, Cancelled 0), Incomplete: 3, Skipped: 1",
        Some("2/6 tasks completed")
    )]
    #[case::failures(
        "Tasks Completed: 1 (Failed: 1 (Ignored: 1), Cancelled 0), Incomplete: 1, Skipped: 0",
        Some("1/2 tasks completed")
    )]
    #[case::other_words("Not all Tasks in the Pipeline have finished executing", None)]
    #[case::too_large("Tasks Completed: 4294967295 (x), Incomplete: 3, Skipped: 1", None)]
    #[case::no_number("Tasks Completed: , Incomplete: 3, Skipped: 1", None)]
    #[case::empty("", None)]
    fn tells_progress(#[case] message: &str, #[case] expected: Option<&str>) {
        assert_eq!(progress(&run(None, THEN, message)).as_deref(), expected);
    }

    #[test]
    fn a_name_follows_from_cluster_and_request() {
        assert_eq!(name_of("c", "u"), name_of("c", "u"));
        assert_ne!(name_of("c", "u"), name_of("d", "u"));
        assert!(name_of("c", "u").len() == RUN_PREFIX.len() + 10);
    }
}
