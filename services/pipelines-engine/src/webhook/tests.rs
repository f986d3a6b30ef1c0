use rstest::rstest;
use serde_json::json;

use super::*;

fn review<K: DeserializeOwned>(operation: &str, object: &Value, old: Option<&Value>) -> Review<K> {
    let read = |value: &Value| serde_json::from_value(value.clone()).unwrap();
    let kind = object["kind"].as_str().unwrap();
    Review {
        operation: serde_json::from_value(json!(operation)).unwrap(),
        kind: kube::core::GroupVersionKind::gvk("tekton.dev", "v1", kind),
        resource: kube::core::GroupVersionResource::gvr("tekton.dev", "v1", "any"),
        sub_resource: None,
        namespace: Some("n".to_owned()),
        name: "a".to_owned(),
        object: Some(read(object)),
        old_object: old.map(read),
        user: Default::default(),
        dry_run: false,
    }
}

fn object(kind: &str, spec: &Value) -> Value {
    json!({"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": "a", "namespace": "n"}, "spec": spec})
}

/// The object after the verdict's patch.
fn stored_as(object: &Value, operation: &str) -> Value {
    let mut patched = object.clone();
    match default(&review(operation, object, None), &Config::default()) {
        Verdict::Allow => {}
        Verdict::Patch(patch) => json_patch::patch(&mut patched, &patch).unwrap(),
        other => panic!("{other:?}"),
    }
    patched
}

fn refusal(verdict: Verdict) -> String {
    match verdict {
        Verdict::Refuse { message } => message,
        other => panic!("{other:?}"),
    }
}

/// Acceptance scenario 22 of the runtime specification, its first half.
#[test]
fn scenario_22_a_wrong_case_is_made_right_and_an_unknown_field_refused() {
    let task = object(
        "Task",
        &json!({
            "steps": [{"image": "i"}], "volumes": [{"name": "v", "emptydir": {}}], "params": [{"name": "p"}],
        }),
    );
    let stored = stored_as(&task, "CREATE");
    assert_eq!(stored["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
    assert_eq!(stored["spec"]["params"], json!([{"name": "p", "type": "string"}]));
    assert_eq!(stored_as(&stored, "UPDATE"), stored, "idempotent");

    let unknown = object("Task", &json!({"steps": [{"image": "i", "imagine": 1}]}));
    let message = refusal(default(&review("CREATE", &unknown, None), &Config::default()));
    assert_eq!(
        message,
        "mutation failed: cannot decode incoming new object: json: unknown field \"imagine\" (spec.steps[0].imagine)"
    );
    let message = refusal(validate(&review("CREATE", &unknown, None), &Config::default()));
    assert!(
        message.starts_with("validation failed: cannot decode incoming new object: json: unknown field"),
        "{message}"
    );
}

#[test]
fn what_the_types_do_not_say_stays() {
    let run = object(
        "PipelineRun",
        &json!({
            "pipelineRef": {"name": "p"}, "params": [],
            "workspaces": [{"name": "w", "volumeClaimTemplate": {"spec": {"accessModes": [], "new": 1}, "metadata": {"any": 1}}}],
        }),
    );
    let stored = stored_as(&run, "CREATE");
    assert_eq!(stored["spec"]["workspaces"], run["spec"]["workspaces"]);
    assert_eq!(stored["spec"]["params"], json!([]));
    assert_eq!(stored["spec"]["timeouts"], json!({"pipeline": "1h0m0s"}));
    assert_eq!(stored["spec"]["taskRunTemplate"], json!({"serviceAccountName": "default"}));
}

#[test]
fn annotations_of_chains_are_dropped_on_create_only() {
    let mut run = object("TaskRun", &json!({"taskRef": {"name": "t"}}));
    run["metadata"]["annotations"] = json!({"chains.tekton.dev/signed": "true", "mine": "yes"});
    assert_eq!(stored_as(&run, "CREATE")["metadata"]["annotations"], json!({"mine": "yes"}));
    assert_eq!(stored_as(&run, "UPDATE")["metadata"]["annotations"], run["metadata"]["annotations"]);
}

#[test]
fn refuses_with_all_that_is_wrong() {
    let run =
        object("PipelineRun", &json!({"params": [{"name": "a", "value": "1"}, {"name": "A", "value": "2"}]}));
    let message = refusal(validate(&review("CREATE", &run, None), &Config::default()));
    assert_eq!(
        message,
        "validation failed: expected exactly one, got both: spec.params[A].name\n\
         expected exactly one, got neither: spec.pipelineRef, spec.pipelineSpec"
    );
}

#[test]
fn a_dying_object_is_let_go() {
    let mut task = object("Task", &json!({"any": "thing"}));
    task["metadata"]["deletionTimestamp"] = json!("2024-03-01T12:00:00Z");
    assert_eq!(validate(&review("UPDATE", &task, None), &Config::default()), Verdict::Allow);
}

/// Objects from before a change of the configuration, or from when the webhook was away, have other defaults.
#[test]
fn a_finished_run_may_lack_todays_defaults() {
    let mut old = object("TaskRun", &json!({"taskRef": {"name": "t"}}));
    old["status"] =
        json!({"conditions": [{"type": "Succeeded", "status": "True"}], "startTime": "2024-03-01T12:00:00Z"});
    let mut new = old.clone();
    new["metadata"]["finalizers"] = json!(["chains.tekton.dev"]);
    assert_eq!(validate(&review("UPDATE", &new, Some(&old)), &Config::default()), Verdict::Allow);
    new["spec"]["serviceAccountName"] = json!("default");
    assert_eq!(validate(&review("UPDATE", &new, Some(&old)), &Config::default()), Verdict::Allow);
    new["spec"]["serviceAccountName"] = json!("other");
    let message = refusal(validate(&review("UPDATE", &new, Some(&old)), &Config::default()));
    assert_eq!(
        message,
        "validation failed: invalid value: Once the TaskRun is complete, no updates are allowed: spec"
    );
}

#[rstest]
#[case("feature-flags", json!({"enable-api-fields": "gamma"}), Some("enable-api-fields: \"gamma\" is not valid"))]
#[case("git-resolver-config", json!({"fetch-timeout": "soon"}), Some("fetch-timeout: \"soon\" is not valid"))]
#[case("config-defaults", json!({"default-timeout-minutes": "soon"}), Some("default-timeout-minutes: \"soon\" is not valid"))]
#[case("feature-flags", json!({"enable-api-fields": "alpha", "_example": "x"}), None)]
#[case("other", json!({"enable-api-fields": "gamma"}), None)]
fn configuration_is_checked(#[case] name: &str, #[case] data: Value, #[case] expected: Option<&str>) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    let verdict = validate_config(&review("UPDATE", &map, None), &Names::default());
    match expected {
        None => assert_eq!(verdict, Verdict::Allow),
        Some(expected) => {
            let message = refusal(verdict);
            assert!(message.starts_with("validation failed: ") && message.contains(expected), "{message}");
        }
    }
}
