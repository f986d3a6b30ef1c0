use pipelines_engine_api::{ParamValue, Pipeline, StepAction, Task};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn task(spec: &Value) -> Value {
    json!({"apiVersion": "tekton.dev/v1", "kind": "Task", "metadata": {"name": "t"}, "spec": spec})
}

fn normalised(kind: &str, spec: &Value) -> Result<Value, Fault> {
    let mut object = task(spec);
    normalise(&mut object, kind)?;
    Ok(object["spec"].take())
}

#[rstest]
#[case::volume("Task", json!({"volumes": [{"name": "v", "emptydir": {"sizelimit": "1Gi"}}]}),
    json!({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]}))]
#[case::step("Task", json!({"Steps": [{"workingdir": "/", "securitycontext": {"RunAsUser": 0}}]}),
    json!({"steps": [{"workingDir": "/", "securityContext": {"runAsUser": 0}}]}))]
#[case::inline_task("PipelineRun", json!({"pipelineSpec": {"tasks": [{"taskspec": {"steps": [{"IMAGE": "i"}]}}]}}),
    json!({"pipelineSpec": {"tasks": [{"taskSpec": {"steps": [{"image": "i"}]}}]}}))]
#[case::pipeline_in_a_pipeline("Pipeline", json!({"tasks": [{"pipelineSpec": {"tasks": [{"RunAfter": []}]}}]}),
    json!({"tasks": [{"pipelineSpec": {"tasks": [{"runAfter": []}]}}]}))]
#[case::null_is_absence("Task", json!({"params": null, "steps": [{"image": "i", "env": null}]}),
    json!({"steps": [{"image": "i"}]}))]
#[case::null_is_a_value("Task", json!({"params": [{"name": "p", "default": null}]}),
    json!({"params": [{"name": "p", "default": null}]}))]
#[case::keys_of_maps_are_not_names("Task", json!({"params": [{"name": "p", "properties": {"Type": {"TYPE": "string"}}}]}),
    json!({"params": [{"name": "p", "properties": {"Type": {"type": "string"}}}]}))]
#[case::labels("PipelineRun", json!({"taskRunSpecs": [{"metadata": {"labels": {"Any.Key": "v"}}}]}),
    json!({"taskRunSpecs": [{"metadata": {"labels": {"Any.Key": "v"}}}]}))]
fn makes_names_right(#[case] kind: &str, #[case] spec: Value, #[case] expected: Value) {
    assert_eq!(normalised(kind, &spec), Ok(expected));
}

#[rstest]
#[case::custom_task("Pipeline", json!({"tasks": [{"taskSpec": {"apiVersion": "a/v1", "kind": "K", "spec": {"Any": null}}}]}))]
#[case::claim_template("PipelineRun", json!({"workspaces": [{"name": "w", "volumeClaimTemplate": {"metadata": {"any": 1}}}]}))]
#[case::value("PipelineRun", json!({"params": [{"name": "p", "value": {"Any": {"x": null}}}]}))]
#[case::custom_run("CustomRun", json!({"customSpec": {"spec": {"any": 1}}}))]
fn leaves_free_parts_alone(#[case] kind: &str, #[case] spec: Value) {
    assert_eq!(normalised(kind, &spec), Ok(spec));
}

#[rstest]
#[case::spec("Task", json!({"stps": []}), r#"json: unknown field "stps" (spec.stps)"#)]
#[case::deep("Task", json!({"steps": [{}, {"imag": "i"}]}), r#"json: unknown field "imag" (spec.steps[1].imag)"#)]
#[case::of_kubernetes("Task", json!({"volumes": [{"emptyDir": {"size": 1}}]}), r#"json: unknown field "size" (spec.volumes[0].emptyDir.size)"#)]
#[case::inline_task("Pipeline", json!({"tasks": [{"taskSpec": {"step": []}}]}), r#"json: unknown field "step" (spec.tasks[0].taskSpec.step)"#)]
#[case::twice("Task", json!({"volumes": [{"emptyDir": {}, "emptydir": {}}]}), r#"json: duplicate field "emptyDir" (spec.volumes[0].emptydir)"#)]
fn refuses_what_is_unknown(#[case] kind: &str, #[case] spec: Value, #[case] expected: &str) {
    assert_eq!(normalised(kind, &spec).unwrap_err().to_string(), expected);
}

#[test]
fn refuses_unknown_fields_of_the_object() {
    let mut object = json!({"apiVersion": "tekton.dev/v1", "kind": "Task", "specification": {}});
    let fault = normalise(&mut object, "Task").unwrap_err();
    assert_eq!(fault.to_string(), r#"json: unknown field "specification" (specification)"#);
}

/// Kubernetes takes numbers for quantities.
#[test]
fn quantities_may_be_numbers() {
    let limits = json!({"cpu": 1, "memory": 0.5, "pods": "2"});
    let task: Task =
        typed(task(&json!({"steps": [{"image": "i", "computeResources": {"limits": limits}}]}))).unwrap();
    let limits = task.spec.steps[0].compute_resources.clone().unwrap().limits.unwrap();
    assert_eq!((&*limits["cpu"].0, &*limits["pods"].0), ("1", "2"));
}

#[test]
fn a_wrong_type_is_named_by_its_path() {
    let error = typed::<Task>(task(&json!({"steps": [{"image": 5}]}))).unwrap_err().to_string();
    assert!(error.starts_with("spec.steps[0].image: invalid type: integer"), "{error}");
}

const TASK: &str = "
apiVersion: tekton.dev/v1beta1
kind: Task
metadata: {name: t}
spec:
  unknown: {a: 1}
  params:
  - {name: number, default: 1.5}
  - {name: truth, default: true}
  - {name: word, default: on}
  - {name: octal, default: 0644}
  volumes: [{name: v, emptydir: {}}]
  steps:
  - image: i
    resources: {requests: {cpu: 100m}}
    env: null
";

#[test]
fn reads_what_a_resolver_brings() {
    let task: Task = lenient(TASK).unwrap();
    let defaults: Vec<_> = task.spec.params.iter().map(|param| param.default.clone().unwrap()).collect();
    assert_eq!(defaults, ["1.5", "true", "on", "0644"].map(ParamValue::from));
    assert!(task.spec.volumes[0].empty_dir.is_none(), "names are not made right");
    let requests = task.spec.steps[0].compute_resources.clone().unwrap().requests.unwrap();
    assert_eq!(requests["cpu"].0, "100m");
}

#[test]
fn reads_json_and_other_kinds() {
    let text = r#"{"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "spec": {"tasks": [{"name": "a"}]}}"#;
    assert_eq!(lenient::<Pipeline>(text).unwrap().spec.tasks[0].name, "a");
    for version in ["v1alpha1", "v1beta1"] {
        let text = format!("apiVersion: tekton.dev/{version}\nkind: StepAction\nspec: {{image: i}}\n");
        assert_eq!(lenient::<StepAction>(&text).unwrap().spec.image, "i");
    }
}

#[rstest]
#[case::other_kind(
    "apiVersion: tekton.dev/v1\nkind: Pipeline\nspec: {}",
    "kind \"Pipeline\", but has to be a Task of tekton.dev/v1 or tekton.dev/v1beta1"
)]
#[case::other_group("apiVersion: apps/v1\nkind: Task\nspec: {}", "apiVersion \"apps/v1\"")]
#[case::cluster_task("apiVersion: tekton.dev/v1beta1\nkind: ClusterTask\nspec: {}", "kind \"ClusterTask\"")]
#[case::no_object("just text", "kind \"\"")]
#[case::two_documents(
    "apiVersion: tekton.dev/v1\nkind: Task\n---\napiVersion: tekton.dev/v1\nkind: Task\n",
    "it is no YAML document"
)]
#[case::no_yaml("a: [", "it is no YAML document")]
#[case::number_for_text(
    "apiVersion: tekton.dev/v1\nkind: Task\nspec: {steps: [{image: 5}]}",
    "spec.steps[0].image: invalid type"
)]
fn refuses_in_words(#[case] text: &str, #[case] expected: &str) {
    let error = lenient::<Task>(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn refuses_a_bomb_of_aliases() {
    let mut lines = vec!["a: &a [x, x, x, x, x, x, x, x, x, x]".to_owned()];
    for (name, of) in ["b", "c", "d", "e", "f", "g"].into_iter().zip(["a", "b", "c", "d", "e", "f"]) {
        let many = vec![format!("*{of}"); 10].join(", ");
        lines.push(format!("{name}: &{name} [{many}]"));
    }
    assert!(matches!(lenient::<Task>(&lines.join("\n")), Err(Error::Yaml(_))));
    assert_eq!(lenient::<Task>(&" ".repeat(LONGEST + 1)).unwrap_err(), Error::TooLong(LONGEST + 1));
}
