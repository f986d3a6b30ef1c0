//! Gives new runs their finalizer while they are made, which costs nothing: adding it afterwards is a write for each.
//!
//! Being away stops nobody (`failurePolicy: Ignore`): the controllers add what is missing to runs that are under way.

use fleet::webhook::{Operation, Review, Verdict, Webhooks};
use fleet_api::Finalizer;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::{Value, json};

use crate::run::{Run, is_other};

/// Path of the webhook.
const PATH: &str = "/finalizers";

pub(crate) fn webhooks() -> Webhooks {
    Webhooks::new().mutate(PATH, |review: &Review<Value>| finalizer(review))
}

fn finalizer(review: &Review<Value>) -> Verdict {
    let finalizers = match review.resource.resource.as_str() {
        "pipelineruns" => PipelineRun::FINALIZERS,
        "taskruns" => TaskRun::FINALIZERS,
        _ => return Verdict::Allow,
    };
    match (&review.operation, &review.object) {
        (Operation::Create, Some(object)) if !is_elsewhere(object) => {
            added(object, finalizers).map_or(Verdict::Allow, Verdict::Patch)
        }
        _ => Verdict::Allow,
    }
}

/// Whether somebody else runs it: nobody here would take the finalizer off.
fn is_elsewhere(object: &Value) -> bool {
    object["spec"]["managedBy"].as_str().is_some_and(is_other)
}

/// The patch that adds the first of these finalizers, unless one of them is there.
fn added(object: &Value, finalizers: &[Finalizer]) -> Option<Patch> {
    let present = object["metadata"]["finalizers"].as_array();
    let is_ours = |name: &Value| finalizers.iter().any(|ours| name == ours.as_str());
    if present.is_some_and(|list| list.iter().any(is_ours)) {
        return None;
    }
    let ours = json!(finalizers.first()?.as_str());
    let (path, value) = match present {
        Some(_) => (PointerBuf::from_tokens(["metadata", "finalizers", "-"]), ours),
        None => (PointerBuf::from_tokens(["metadata", "finalizers"]), json!([ours])),
    };
    Some(Patch(vec![PatchOperation::Add(AddOperation { path, value })]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none(json!({}), Some(json!(["chains.tekton.dev/pipelinerun"])))]
    #[case::of_others(json!({"finalizers": ["other/one"]}), Some(json!(["other/one", "chains.tekton.dev/pipelinerun"])))]
    #[case::ours(json!({"finalizers": ["chains.tekton.dev/pipelinerun"]}), None)]
    fn a_new_run_is_held(#[case] metadata: Value, #[case] expected: Option<Value>) {
        let mut object = json!({ "metadata": metadata });
        let patch = added(&object, PipelineRun::FINALIZERS);
        assert_eq!(patch.is_some(), expected.is_some());
        if let (Some(patch), Some(expected)) = (patch, expected) {
            json_patch::patch(&mut object, &patch).unwrap();
            assert_eq!(object["metadata"]["finalizers"], expected);
        }
    }

    #[test]
    fn a_run_of_another_cluster_is_not_held() {
        assert!(is_elsewhere(&json!({"spec": {"managedBy": "kueue.x-k8s.io/multikueue"}})));
        assert!(!is_elsewhere(&json!({"spec": {"managedBy": "tekton.dev/pipeline"}})));
        assert!(!is_elsewhere(&json!({"spec": {}})));
    }

    #[test]
    fn either_name_holds_a_task_run() {
        let object = json!({"metadata": {"finalizers": ["chains.tekton.dev/taskrun"]}});
        assert_eq!(added(&object, TaskRun::FINALIZERS), None);
    }
}
