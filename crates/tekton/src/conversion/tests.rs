use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use rstest::rstest;

use super::*;

const OLDER: &str = "tekton.dev/v1beta1";
const NEWER: &str = "tekton.dev/v1";

fn object(api_version: &str, kind: &str, spec: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec})
}

fn annotation(object: &Value, key: fleet_api::AnnotationKey) -> Option<Value> {
    serde_json::from_str(object["metadata"]["annotations"][key.as_str()].as_str()?).ok()
}

/// What each row of the specification's table says.
#[rstest]
#[case::resources("Task",
    json!({"steps": [{"resources": {"limits": {"cpu": 1}}}], "stepTemplate": {"resources": {}}, "sidecars": [{"resources": {}}]}),
    json!({"steps": [{"computeResources": {"limits": {"cpu": 1}}}], "stepTemplate": {"computeResources": {}}, "sidecars": [{"computeResources": {}}]}))]
#[case::bundle("PipelineRun",
    json!({"pipelineRef": {"name": "p", "bundle": "i"}}),
    json!({"pipelineRef": {"resolver": "bundles", "params": [
        {"name": "bundle", "value": "i"}, {"name": "name", "value": "p"}, {"name": "kind", "value": "pipeline"}]}}))]
#[case::bundle_of_a_task("Pipeline",
    json!({"tasks": [{"name": "t", "taskRef": {"name": "p", "bundle": "i", "kind": "Task"}}]}),
    json!({"tasks": [{"name": "t", "taskRef": {"kind": "Task", "resolver": "bundles", "params": [
        {"name": "bundle", "value": "i"}, {"name": "name", "value": "p"}, {"name": "kind", "value": "task"}]}}]}))]
#[case::account("PipelineRun",
    json!({"serviceAccountName": "s", "podTemplate": {"hostNetwork": true}}),
    json!({"taskRunTemplate": {"serviceAccountName": "s", "podTemplate": {"hostNetwork": true}}}))]
#[case::task_run_specs("PipelineRun",
    json!({"taskRunSpecs": [{"taskServiceAccountName": "s", "taskPodTemplate": {}, "stepOverrides": [{"name": "x", "resources": {}}], "sidecarOverrides": [{"resources": {}}]}]}),
    json!({"taskRunSpecs": [{"serviceAccountName": "s", "podTemplate": {}, "stepSpecs": [{"name": "x", "computeResources": {}}], "sidecarSpecs": [{"computeResources": {}}]}]}))]
#[case::overrides("TaskRun",
    json!({"stepOverrides": [{"resources": {}}], "sidecarOverrides": [{"resources": {}}]}),
    json!({"stepSpecs": [{"computeResources": {}}], "sidecarSpecs": [{"computeResources": {}}]}))]
#[case::inline("PipelineRun",
    json!({"pipelineSpec": {"finally": [{"taskSpec": {"steps": [{"resources": {}}]}}]}}),
    json!({"pipelineSpec": {"finally": [{"taskSpec": {"steps": [{"computeResources": {}}]}}]}}))]
fn says_the_same_elsewhere(#[case] kind: &str, #[case] older: Value, #[case] newer: Value) {
    let (older, newer) = (object(OLDER, kind, &older), object(NEWER, kind, &newer));
    assert_eq!(convert(older.clone(), NEWER).unwrap(), newer);
    assert_eq!(convert(newer, OLDER).unwrap(), older);
}

#[test]
fn a_timeout_becomes_that_of_the_pipeline_and_comes_back() {
    let older = object(OLDER, "PipelineRun", &json!({"timeout": "1h"}));
    let newer = convert(older.clone(), NEWER).unwrap();
    assert_eq!(newer["spec"], json!({"timeouts": {"pipeline": "1h"}}));
    assert_eq!(convert(newer.clone(), OLDER).unwrap(), older);
    let mut edited = newer;
    edited["spec"]["timeouts"]["pipeline"] = "2h".into();
    let back = convert(edited, OLDER).unwrap();
    assert_eq!(back["spec"], json!({"timeouts": {"pipeline": "2h"}}), "an edit wins");
    assert_eq!(back["metadata"], json!({"name": "a"}), "nothing is kept of what is no longer so");
}

#[test]
fn statuses_say_the_same_elsewhere() {
    let older = json!({
        "apiVersion": OLDER, "kind": "TaskRun", "metadata": {"name": "a"},
        "status": {
            "taskResults": [{"name": "r"}], "provenance": {"configSource": {"uri": "u"}}, "cloudEvents": [{"target": "t"}],
            "resourcesResult": [{"key": "k"}], "taskSpec": {"steps": [{"resources": {}}], "resources": {"inputs": []}},
            "retriesStatus": [{"taskResults": []}],
        },
    });
    let newer = convert(older.clone(), NEWER).unwrap();
    assert_eq!(
        newer["status"],
        json!({
            "results": [{"name": "r"}], "provenance": {"refSource": {"uri": "u"}},
            "taskSpec": {"steps": [{"computeResources": {}}]}, "retriesStatus": [{"results": []}],
        })
    );
    assert_eq!(annotation(&newer, annotations::v1beta1::CLOUD_EVENTS), Some(json!([{"target": "t"}])));
    let mut expected = older;
    expected["status"]["provenance"]["refSource"] = json!({"uri": "u"});
    let back = convert(newer, OLDER).unwrap();
    assert_eq!(back["status"]["provenance"]["configSource"], json!({"uri": "u"}));
    assert_eq!(back["status"]["cloudEvents"], expected["status"]["cloudEvents"]);
    let run = json!({"apiVersion": OLDER, "kind": "PipelineRun", "metadata": {"name": "a"}, "status": {"pipelineResults": [1]}});
    assert_eq!(convert(run, NEWER).unwrap()["status"], json!({"results": [1]}));
}

/// Acceptance scenario 21 of the runtime specification.
#[test]
fn scenario_21_a_task_with_deprecated_fields_survives() {
    let older = object(
        OLDER,
        "Pipeline",
        &json!({"tasks": [
            {"name": "bundled", "taskRef": {"name": "t", "bundle": "images.example.com/b", "kind": "Task"}},
            {"name": "inline", "taskSpec": {
                "stepTemplate": {"image": "i", "tty": true},
                "steps": [{"image": "i"}, {"image": "i", "ports": [{"containerPort": 80}], "stdin": true, "resources": {}}],
            }},
        ], "resources": [{"name": "source", "type": "git"}]}),
    );
    let newer = convert(older.clone(), NEWER).unwrap();
    assert_eq!(
        newer["spec"]["tasks"][1]["taskSpec"],
        json!({"stepTemplate": {"image": "i"}, "steps": [{"image": "i"}, {"image": "i", "computeResources": {}}]})
    );
    assert_eq!(
        annotation(&newer, annotations::v1beta1::TASK_DEPRECATIONS),
        Some(json!({"inline": {
            "deprecatedSteps": [{}, {"ports": [{"containerPort": 80}], "stdin": true}], "deprecatedStepTemplate": {"tty": true},
        }}))
    );
    assert_eq!(
        annotation(&newer, annotations::v1beta1::RESOURCES),
        Some(json!([{"name": "source", "type": "git"}]))
    );
    assert_eq!(convert(newer, OLDER).unwrap(), older);
}

#[test]
fn requests_have_a_map_of_parameters_in_the_older_version() {
    let (older, newer) = ("resolution.tekton.dev/v1alpha1", "resolution.tekton.dev/v1beta1");
    let old = object(older, "ResolutionRequest", &json!({"params": {"b": "1", "a": "2"}}));
    let new = convert(old.clone(), newer).unwrap();
    assert_eq!(new["spec"]["params"], json!([{"name": "a", "value": "2"}, {"name": "b", "value": "1"}]));
    assert_eq!(convert(new, older).unwrap(), old);
    let list = object(
        newer,
        "ResolutionRequest",
        &json!({"params": [{"name": "b", "value": ["x"]}, {"name": "a", "value": "1"}]}),
    );
    let map = convert(list.clone(), older).unwrap();
    assert_eq!(map["spec"]["params"], json!({"a": "1", "b": "[\"x\"]"}));
    assert_eq!(convert(map, newer).unwrap(), list);
}

#[test]
fn step_actions_are_the_same_in_both_versions() {
    let action = object("tekton.dev/v1alpha1", "StepAction", &json!({"image": "i", "any": 1}));
    let converted = convert(action.clone(), "tekton.dev/v1beta1").unwrap();
    assert_eq!((&converted["spec"], &converted["metadata"]), (&action["spec"], &action["metadata"]));
}

#[rstest]
#[case::other_kind(object(NEWER, "CustomRun", &json!({})), OLDER)]
#[case::other_version(object("tekton.dev/v2", "Task", &json!({})), OLDER)]
#[case::other_group(object("apps/v1", "Task", &json!({})), "apps/v1beta1")]
#[case::target(object(NEWER, "Task", &json!({})), "tekton.dev/v1alpha1")]
#[case::text(json!("text"), NEWER)]
fn refuses_what_it_does_not_know(#[case] object: Value, #[case] to: &str) {
    assert!(convert(object, to).is_err());
}

/// A patch that somebody writes by hand changes nothing but what it is about.
#[test]
fn a_forged_annotation_renames_nothing() {
    let mut newer = object(NEWER, "Task", &json!({"steps": []}));
    let patch =
        json!({"apiVersion": OLDER, "patch": [{"op": "replace", "path": "/metadata/name", "value": "b"}]});
    newer["metadata"]["annotations"] = json!({"fleet.konflux-ci.dev/kept-by-conversion": patch.to_string()});
    let older = convert(newer, OLDER).unwrap();
    assert_eq!(older["metadata"]["name"], "a");
}

/// Names that mean something to a version, and one that does to none.
const NAMES: [&str; 34] = [
    "resources",
    "computeResources",
    "bundle",
    "name",
    "resolver",
    "params",
    "kind",
    "timeout",
    "timeouts",
    "pipeline",
    "serviceAccountName",
    "podTemplate",
    "taskRunTemplate",
    "taskRunSpecs",
    "taskServiceAccountName",
    "taskPodTemplate",
    "stepOverrides",
    "stepSpecs",
    "sidecarOverrides",
    "sidecarSpecs",
    "taskResults",
    "pipelineResults",
    "results",
    "provenance",
    "configSource",
    "refSource",
    "ports",
    "tty",
    "steps",
    "stepTemplate",
    "sidecars",
    "cloudEvents",
    "resourcesResult",
    "unknown",
];

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3).prop_map(Value::from),
        proptest::sample::select(vec!["", "a", "bundles", "task"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 4, |inner| {
        let name = proptest::sample::select(
            NAMES
                .into_iter()
                .chain([
                    "taskSpec",
                    "pipelineSpec",
                    "taskRef",
                    "pipelineRef",
                    "tasks",
                    "finally",
                    "retriesStatus",
                ])
                .collect::<Vec<_>>(),
        );
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(name, inner, 0..4).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

fn any_fields() -> impl Strategy<Value = Value> {
    let names = NAMES.into_iter().chain([
        "taskSpec",
        "pipelineSpec",
        "taskRef",
        "pipelineRef",
        "tasks",
        "finally",
        "retriesStatus",
    ]);
    btree_map(proptest::sample::select(names.collect::<Vec<_>>()), any_value(), 0..6).prop_map(|fields| {
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<serde_json::Map<_, _>>()
            .into()
    })
}

proptest! {
    /// Whatever an object holds, there and back again it is the same, also with fields that nobody knows.
    #[test]
    fn nothing_is_lost(
        kind in proptest::sample::select(vec!["Task", "Pipeline", "TaskRun", "PipelineRun", "ResolutionRequest", "StepAction"]),
        newer in any::<bool>(),
        spec in option::of(any_fields()),
        status in option::of(any_fields()),
        noted in option::of(("[a-z]{1,3}", prop_oneof![Just("{}"), Just("[1]"), Just("text")])),
    ) {
        let (group, old, new) = match kind {
            "ResolutionRequest" => ("resolution.tekton.dev", "v1alpha1", "v1beta1"),
            "StepAction" => ("tekton.dev", "v1alpha1", "v1beta1"),
            _ => ("tekton.dev", "v1beta1", "v1"),
        };
        let (from, to) = if newer { (old, new) } else { (new, old) };
        let (from, to) = (format!("{group}/{from}"), format!("{group}/{to}"));
        let mut object = json!({"apiVersion": from, "kind": kind, "metadata": {"name": "a"}});
        if let Some(spec) = spec {
            object["spec"] = spec;
        }
        if let Some(status) = status {
            object["status"] = status;
        }
        if let Some((key, value)) = noted {
            let key = if key.len() == 1 { annotations::v1beta1::RESOURCES.as_str().to_owned() } else { key };
            object["metadata"]["annotations"] = json!({key: value});
        }
        let there = convert(object.clone(), &to).unwrap();
        prop_assert_eq!(&there["apiVersion"], &Value::from(to));
        prop_assert_eq!(convert(there, &from).unwrap(), object);
    }
}
