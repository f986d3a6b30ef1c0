use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn request(spec: &Value, labels: &Value) -> InternalRequest {
    serde_json::from_value(json!({
        "metadata": {"name": "sign-1", "namespace": "managed", "uid": "u", "labels": labels}, "spec": spec,
    }))
    .unwrap()
}

fn made(spec: &Value) -> PipelineRun {
    run(&request(spec, &json!({})), ingredients(&Settings::default(), None))
}

fn ingredients<'a>(settings: &'a Settings, pipeline: Option<&'a PipelineSpec>) -> Ingredients<'a> {
    Ingredients { home: "home", cluster: "c", settings, pipeline, from_request_namespace: false, trace: None }
}

#[test]
fn a_run_says_whose_it_is_whatever_the_request_says() {
    let labels = json!({
        "internal-services.appstudio.openshift.io/name": "other",
        "internal-services.appstudio.openshift.io/namespace": "other",
        "pipelines.appstudio.openshift.io/type": "build",
        "internal-services.appstudio.openshift.io/group-id": "g",
    });
    let run = run(&request(&json!({"request": "sign"}), &labels), ingredients(&Settings::default(), None));
    let expected = json!({
        "internal-services.appstudio.openshift.io/name": "sign-1",
        "internal-services.appstudio.openshift.io/namespace": "managed",
        "pipelines.appstudio.openshift.io/type": "release",
        "internal-services.appstudio.openshift.io/group-id": "g",
    });
    assert_eq!(json!(run.metadata.labels), expected);
    let expected = json!({
        "operator-sdk/primary-resource": "managed/sign-1",
        "operator-sdk/primary-resource-type": "InternalRequest.appstudio.redhat.com",
        "fleet.konflux-ci.dev/cause": "u",
    });
    assert_eq!(json!(run.metadata.annotations), expected);
    assert_eq!((run.namespace().as_deref(), run.name_any()), (Some("home"), name_of("c", "u")));
    assert_eq!(run.spec.pipeline_ref.unwrap().name, "sign");
}

#[test]
fn parameters_are_in_order_and_those_of_the_request_win() {
    let run = made(&json!({
        "pipeline": {"pipelineRef": {"resolver": "git", "params": []}, "params": [
            {"name": "b", "value": "of the pipeline"}, {"name": "c", "value": "3"},
        ]},
        "params": {"b": "2", "a": "1"},
    }));
    let expected =
        json!([{"name": "a", "value": "1"}, {"name": "b", "value": "2"}, {"name": "c", "value": "3"}]);
    assert_eq!(json!(run.spec.params), expected);
}

#[rstest]
#[case::by_name(json!({"request": "sign"}), "", json!([]))]
#[case::git(
    json!({"pipeline": {"pipelineRef": {"resolver": "git", "params": [{"name": "namespace", "value": "n"}]}}}), "git",
    json!([{"name": "namespace", "value": "n"}])
)]
#[case::cluster(
    json!({"pipeline": {"pipelineRef": {"resolver": "cluster", "params": [{"name": "name", "value": "p"}]}}}), "cluster",
    json!([{"name": "name", "value": "p"}, {"name": "namespace", "value": "home"}, {"name": "kind", "value": "pipeline"}])
)]
#[case::cluster_with_another_namespace(
    json!({"pipeline": {"pipelineRef": {"resolver": "cluster", "params": [
        {"name": "namespace", "value": "kube-system"}, {"name": "kind", "value": "task"},
    ]}}}),
    "cluster", json!([{"name": "namespace", "value": "home"}, {"name": "kind", "value": "pipeline"}])
)]
fn refers_to_its_pipeline(#[case] spec: Value, #[case] resolver: &str, #[case] params: Value) {
    let reference = made(&spec).spec.pipeline_ref.unwrap();
    assert_eq!((reference.resolver.as_str(), json!(reference.params)), (resolver, params));
}

#[test]
fn a_namespace_may_have_pipelines_of_its_own() {
    let spec = json!({"pipeline": {"pipelineRef": {"resolver": "cluster", "params": []}}});
    let settings = Settings::default();
    let with = Ingredients { from_request_namespace: true, ..ingredients(&settings, None) };
    let reference = run(&request(&spec, &json!({})), with).spec.pipeline_ref.unwrap();
    assert_eq!(json!(reference.params[0]), json!({"name": "namespace", "value": "managed"}));
}

fn pipeline(workspaces: &[&str]) -> PipelineSpec {
    let workspaces: Vec<_> = workspaces.iter().map(|name| json!({ "name": name })).collect();
    serde_json::from_value(json!({ "workspaces": workspaces })).unwrap()
}

#[rstest]
#[case::declared(json!({"request": "sign"}), &["workspace"], true)]
#[case::declared_among_others(json!({"request": "sign"}), &["data", "workspace"], true)]
#[case::another_name(json!({"request": "sign"}), &["data"], false)]
#[case::none(json!({"request": "sign"}), &[], false)]
#[case::pipeline_from_elsewhere(json!({"pipeline": {"pipelineRef": {"resolver": "git"}}}), &[], true)]
fn binds_a_volume(#[case] spec: Value, #[case] declared: &[&str], #[case] expected: bool) {
    let (settings, pipeline) = (Settings::default(), pipeline(declared));
    let pipeline = spec.get("request").map(|_| &pipeline);
    let run = run(&request(&spec, &json!({})), ingredients(&settings, pipeline));
    let volume = json!([{"name": "workspace", "volumeClaimTemplate": {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }}]);
    assert_eq!(json!(run.spec.workspaces), if expected { volume } else { json!([]) });
}

#[rstest]
#[case::none(json!({"request": "a"}), Value::Null)]
#[case::zero(json!({"request": "a", "timeouts": {"pipeline": "0s"}}), Value::Null)]
#[case::some(json!({"request": "a", "timeouts": {"pipeline": "1h", "tasks": "0"}}), json!({"pipeline": "1h"}))]
#[case::of_the_pipeline(
    json!({"pipeline": {"pipelineRef": {"resolver": "git"}, "timeouts": {"finally": "5m"}}}), json!({"finally": "5m"})
)]
#[case::of_the_request_first(
    json!({"pipeline": {"pipelineRef": {"resolver": "git"}, "timeouts": {"finally": "5m"}}, "timeouts": {"tasks": "1m"}}),
    json!({"tasks": "1m"})
)]
fn is_limited(#[case] spec: Value, #[case] expected: Value) {
    assert_eq!(json!(made(&spec).spec.timeouts), expected);
}

#[rstest]
#[case::default(json!({"request": "a"}), "")]
#[case::named(json!({"request": "a", "serviceAccount": "signer"}), "signer")]
#[case::of_the_pipeline(json!({"pipeline": {"pipelineRef": {"resolver": "git"}, "serviceAccountName": "signer"}}), "signer")]
fn runs_as(#[case] spec: Value, #[case] expected: &str) {
    assert_eq!(made(&spec).spec.task_run_template.service_account_name, expected);
}

#[rstest]
#[case::by_name(json!({"request": "sign"}), "sign")]
#[case::file(json!({"pipeline": {"pipelineRef": {"resolver": "git", "params": [{"name": "pathInRepo", "value": "a/sign.image.yaml"}]}}}), "sign.image")]
#[case::no_path(json!({"pipeline": {"pipelineRef": {"resolver": "bundles", "params": []}}}), "")]
fn is_called(#[case] spec: Value, #[case] expected: &str) {
    assert_eq!(name_of_pipeline(&request(&spec, &json!({})).spec), expected);
}
