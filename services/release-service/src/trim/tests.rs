use rstest::rstest;
use serde_json::json;

use super::*;

const TIME: &str = "2024-03-01T12:00:00Z";

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": "m", "lastTransitionTime": TIME})
}

fn object(conditions: &[(&str, &str, &str)]) -> Release {
    let conditions: Vec<_> =
        conditions.iter().map(|(type_, status, reason)| condition(type_, status, reason)).collect();
    serde_json::from_value(json!({
        "metadata": {
            "name": "r", "namespace": "n", "uid": "u", "finalizers": ["appstudio.redhat.com/release-finalizer"],
            "labels": {"release.appstudio.openshift.io/author": "ann", "velero.io/restore-name": "b"},
            "annotations": {"fleet.konflux-ci.dev/uid": "u", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "spec": {"snapshot": "s", "releasePlan": "p", "data": {"a": 1}, "gracePeriodDays": 3},
        "status": {
            "conditions": conditions, "expirationTime": TIME, "startTime": TIME, "automated": true,
            "managedProcessing": {"pipelineRun": "m/r"},
            "artifacts": {"a": 1}, "collectors": {"tenant": {"a": 1}, "managed": {"b": 1}},
        },
    }))
    .unwrap()
}

const SUCCEEDED: (&str, &str, &str) = ("Released", "True", "Succeeded");
const FAILED: (&str, &str, &str) = ("Released", "False", "Failed");
const DONE: (&str, &str, &str) = ("ManagedPipelineProcessed", "True", "Succeeded");

#[rstest]
#[case::new(&[], false)]
#[case::under_way(&[("Released", "False", "Progressing")], false)]
#[case::done(&[SUCCEEDED, DONE], true)]
#[case::refused(&[FAILED], true)]
#[case::failed_while_its_run_goes_on(&[FAILED, ("ManagedPipelineProcessed", "False", "Progressing")], false)]
#[case::run_of_the_original_goes_on(&[FAILED, ("Processed", "False", "Progressing")], false)]
#[case::the_last_phase_is_to_come(
    &[FAILED, ("TenantPipelineProcessed", "True", "Skipped"), ("ManagedPipelineProcessed", "False", "Failed")], false
)]
#[case::the_last_phase_is_over(
    &[FAILED, ("TenantPipelineProcessed", "True", "Skipped"), ("FinalPipelineProcessed", "True", "Succeeded")], true
)]
fn is_trimmed_when_it_is_over(#[case] conditions: &[(&str, &str, &str)], #[case] expected: bool) {
    let mut object = object(conditions);
    release(&mut object);
    assert_eq!(is_trimmed(&object), expected);
}

#[test]
fn keeps_of_one_that_is_over_what_is_read_of_it() {
    let mut object = object(&[SUCCEEDED, ("Validated", "True", "Succeeded"), DONE]);
    release(&mut object);
    assert_eq!(
        serde_json::to_value(&object).unwrap(),
        json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Release",
            "metadata": {
                "name": "r", "namespace": "n", "uid": "u", "finalizers": ["appstudio.redhat.com/release-finalizer"],
                "labels": {"velero.io/restore-name": "b"},
                "annotations": {"fleet.konflux-ci.dev/uid": "u", "fleet.konflux-ci.dev/trimmed": ""},
            },
            "spec": {"snapshot": "s", "releasePlan": "p"},
            "status": {
                "conditions": [{
                    "type": "Released", "status": "True", "reason": "Succeeded", "message": "", "lastTransitionTime": TIME,
                }],
                "expirationTime": TIME,
            },
        })
    );
}

#[test]
fn one_that_is_deleted_is_whole() {
    let mut object = object(&[SUCCEEDED, DONE]);
    object.metadata.deletion_timestamp = serde_json::from_value(json!(TIME)).unwrap();
    release(&mut object);
    assert!(!is_trimmed(&object));
}

#[test]
fn keeps_of_one_under_way_all_that_it_says_itself() {
    let before = object(&[("Released", "False", "Progressing")]);
    let mut after = before.clone();
    release(&mut after);
    let status = after.status.clone().unwrap();
    assert_eq!(status.collectors, Some(json!({"tenant": {"a": 1}})), "what is not ours is not written back");
    assert_eq!((status.artifacts, after.spec.data), (None, None));
    assert_eq!(status.managed_processing, before.status.unwrap().managed_processing);
    assert_eq!(after.spec.grace_period_days, Some(3));
    assert_eq!(after.metadata.labels, before.metadata.labels);
}

fn pipeline_run(succeeded: &str, finalizers: &[&str]) -> PipelineRun {
    serde_json::from_value(json!({
        "metadata": {
            "name": "managed-1", "namespace": "m", "finalizers": finalizers,
            "labels": {
                "release.appstudio.openshift.io/name": "r", "release.appstudio.openshift.io/namespace": "n",
                "pipelines.appstudio.openshift.io/type": "managed", "tekton.dev/pipeline": "p",
            },
            "annotations": {"results.tekton.dev/record": "x"},
        },
        "spec": {"params": [{"name": "a", "value": "b"}]},
        "status": {
            "conditions": [{"type": "Succeeded", "status": succeeded, "message": "3 tasks"}],
            "childReferences": [{"name": "t", "pipelineTaskName": "t"}],
            "pipelineSpec": {"tasks": []},
            "completionTime": TIME,
        },
    }))
    .unwrap()
}

#[rstest]
#[case::runs("Unknown", &["appstudio.redhat.com/release-finalizer"], true)]
#[case::ended_and_is_held("True", &["appstudio.redhat.com/release-finalizer"], true)]
#[case::runs_though_nothing_holds_it("Unknown", &[], true)]
#[case::through("True", &["results.tekton.dev/pipelinerun"], false)]
fn keeps_how_a_run_does(#[case] succeeded: &str, #[case] finalizers: &[&str], #[case] is_whole: bool) {
    let mut object = pipeline_run(succeeded, finalizers);
    run(&mut object);
    let status = object.status.as_ref().unwrap();
    assert_eq!(!status.child_references.is_empty(), is_whole);
    assert_eq!(status.conditions[0].message.is_empty(), !is_whole);
    assert_eq!(object.metadata.annotations.is_some(), is_whole);
    assert!(
        status.completion_time.is_some() && status.pipeline_spec.is_none() && object.spec.params.is_empty()
    );
    assert!(object.labels().contains_key("release.appstudio.openshift.io/name"), "it is found by it");
    assert_eq!(has_ended(&object), succeeded == "True");
}

#[test]
fn keeps_of_a_plan_the_tags_that_it_maps_to() {
    let mut object: ReleasePlan = serde_json::from_value(json!({
        "metadata": {"name": "p"},
        "spec": {"application": "shop", "data": {"mapping": {"defaults": {"tags": ["a"]}}, "releaseNotes": {}}},
    }))
    .unwrap();
    plan(&mut object);
    assert_eq!(object.spec.data, Some(json!({"mapping": {"defaults": {"tags": ["a"]}}})));
}
