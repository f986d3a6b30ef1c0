//! One row for each rule, with the words that users see.

use rstest::rstest;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::config::{Defaults, Features, Stability};

fn read<K: DeserializeOwned>(kind: &str, spec: &Value) -> K {
    let value = json!({"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec});
    serde_json::from_value(value).unwrap()
}

fn alpha() -> Config {
    let features = Features {
        stability: Stability::Alpha,
        param_enum: true,
        cel_in_when: true,
        artifacts: true,
        ..Features::default()
    };
    Config { features, ..Config::default() }
}

fn stable() -> Config {
    let features = Features { stability: Stability::Stable, step_actions: false, ..Features::default() };
    Config { features, ..Config::default() }
}

fn with(base: Value, patch: &Value) -> Value {
    let mut base = base;
    json_patch::merge(&mut base, patch);
    base
}

/// A valid Task with `patch` merged into its spec.
fn of_task(patch: &Value, config: &Config) -> String {
    let spec = with(json!({"steps": [{"name": "s", "image": "i"}]}), patch);
    task(&read("Task", &spec), None, config).to_string()
}

fn of_step(step: &Value, config: &Config) -> String {
    of_task(&json!({"steps": [step]}), config)
}

#[rstest]
#[case::fine(json!({}), "")]
#[case::no_steps(json!({"steps": []}), "missing field(s): spec.steps")]
#[case::volumes(json!({"volumes": [{"name": "v"}, {"name": "v"}]}), "multiple volumes with same name \"v\": spec.volumes[1].name")]
#[case::workspace_twice(json!({"workspaces": [{"name": "w"}, {"name": "w", "mountPath": "/x"}]}), "workspace name \"w\" must be unique: spec.workspaces[1].name")]
#[case::workspace_path(json!({"workspaces": [{"name": "w", "mountPath": "/x/"}, {"name": "v", "mountPath": "/x"}]}), "workspace mount path \"/x\" must be unique: spec.workspaces[1].mountpath")]
#[case::workspace_on_a_volume(json!({"workspaces": [{"name": "w"}], "stepTemplate": {"volumeMounts": [{"name": "v", "mountPath": "/workspace/w"}]}}), "workspace mount path \"/workspace/w\" must be unique: spec.workspaces[0].mountpath")]
#[case::unnamed_workspace(json!({"workspaces": [{"mountPath": "/x"}]}), "missing field(s): spec.workspaces[0].name")]
#[case::undeclared_workspace(json!({"steps": [{"image": "i", "workspaces": [{"name": "w", "mountPath": "/w"}]}]}), "undefined workspace \"w\": spec.steps[0].workspaces[0].name")]
#[case::steps_twice(json!({"steps": [{"name": "s", "image": "i"}, {"name": "s", "image": "i"}]}), "invalid value: s: spec.steps[1].name")]
#[case::image_of_the_template(json!({"steps": [{"name": "s"}], "stepTemplate": {"image": "i"}}), "")]
#[case::command_of_the_template(json!({"steps": [{"image": "i", "script": "x"}], "stepTemplate": {"command": ["x"]}}), "")]
#[case::sidecar_image(json!({"sidecars": [{"name": "c"}]}), "missing field(s): spec.sidecars[0].image")]
#[case::sidecar_script(json!({"sidecars": [{"name": "c", "image": "i", "script": "x", "command": ["y"]}]}), "script cannot be used with command: spec.sidecars[0].script")]
#[case::sidecar_name(json!({"sidecars": [{"name": "tekton-log-results", "image": "i"}]}), "Invalid: cannot use reserved sidecar name tekton-log-results: spec.sidecars[0].name")]
#[case::param_default(json!({"params": [{"name": "p", "type": "array", "default": "x"}]}), "\"array\" type does not match default value's type: \"string\": spec.params.p.default.type, spec.params.p.type")]
#[case::param_twice(json!({"params": [{"name": "p"}, {"name": "p"}]}), "parameter appears more than once: spec.params[p]")]
#[case::param_name(json!({"params": [{"name": "1p"}]}), "The format of following array and string variable names is invalid: [1p]: spec.params\nString/Array Names: \n")]
#[case::object_name(json!({"params": [{"name": "p.q", "properties": {"a.b": {}}}]}), "The format of following object param names and key names is invalid: [p.q a.b]: spec.params\nObject Names: \n")]
#[case::object_without_keys(json!({"params": [{"name": "p", "type": "object"}]}), "missing field(s): spec.params.p.properties")]
#[case::object_of_arrays(json!({"params": [{"name": "p", "properties": {"k": {"type": "array"}}}]}), "The value type specified for these keys [k] is invalid, the type must be string: spec.params.p.properties")]
#[case::enum_type(json!({"params": [{"name": "p", "type": "array", "enum": ["x"]}]}), "enum can only be set with string type param: spec.params[p]")]
#[case::enum_twice(json!({"params": [{"name": "p", "enum": ["x", "x"]}]}), "parameter enum value x appears more than once: spec.params[p]")]
#[case::enum_default(json!({"params": [{"name": "p", "enum": ["x"], "default": "y"}]}), "param default value y not in the enum list: spec.params[p]")]
#[case::result_name(json!({"results": [{"name": "_r"}]}), "invalid key name \"_r\": spec.results[0].name\nName must consist of")]
#[case::object_result(json!({"results": [{"name": "r", "type": "object"}]}), "missing field(s): spec.results[0].r.properties")]
#[case::result_value(json!({"results": [{"name": "r", "value": "x"}]}), "Could not extract step name and result name.")]
#[case::result_of_no_step(json!({"results": [{"name": "r", "value": "$(steps.x.results.r)"}]}), "invalid reference to step \"x\": no such step: spec.results[0].value")]
#[case::result_of_a_step(json!({"steps": [{"name": "s", "image": "i", "results": [{"name": "x"}]}], "results": [{"name": "r", "value": "$(steps.s.results.x)"}]}), "")]
#[case::result_path(json!({"steps": [{"image": "i", "script": "$(results.x.path)"}]}), "non-existent variable in \"$(results.x.path)\": spec.steps[0].script")]
#[case::result_path_exists(json!({"results": [{"name": "a.b"}], "steps": [{"image": "i", "script": "$(results.a.b.path) $(results['a.b'].path)"}]}), "")]
#[case::context(json!({"steps": [{"image": "i", "script": "$(context.taskRun.missing)"}]}), "non-existent variable in \"$(context.taskRun.missing)\": spec.steps[0].script")]
#[case::undeclared_param(json!({"steps": [{"image": "i", "args": ["a", "$(params.x)"]}]}), "non-existent variable in \"$(params.x)\": spec.steps[0].args[1]")]
#[case::array_in_an_image(json!({"params": [{"name": "p", "type": "array"}], "steps": [{"image": "$(params.p[*])"}]}), "variable type invalid in \"$(params.p[*])\": spec.steps[0].image")]
#[case::array_not_alone(json!({"params": [{"name": "p", "type": "array"}], "steps": [{"image": "i", "args": ["-x $(params.p[*])"]}]}), "variable is not properly isolated in \"-x $(params.p[*])\": spec.steps[0].args[0]")]
#[case::param_in_env(json!({"steps": [{"image": "i", "env": [{"name": "E", "value": "$(params.x)"}]}]}), "non-existent variable in \"$(params.x)\": spec.steps[0].env[E]")]
fn tasks(#[case] patch: Value, #[case] expected: &str) {
    assert_starts(&of_task(&patch, &alpha()), expected);
}

/// Long details are cut in the tables.
#[track_caller]
fn assert_starts(found: &str, expected: &str) {
    assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{found}");
}

#[rstest]
#[case::no_image(json!({}), "missing field(s): spec.steps[0].image")]
#[case::name(json!({"name": "S", "image": "i"}), "invalid value \"S\": spec.steps[0].name\nTask step name must be a valid DNS Label")]
#[case::script_and_command(json!({"image": "i", "script": "x", "command": ["y"]}), "script cannot be used with command: spec.steps[0].script")]
#[case::timeout(json!({"image": "i", "timeout": "-10s"}), "invalid value: -10s negative timeout: spec.steps[0].timeout")]
#[case::timeout_unit(json!({"image": "i", "timeout": "10"}), "invalid value: \"10\" is no duration")]
#[case::mount(json!({"image": "i", "volumeMounts": [{"name": "v", "mountPath": "/tekton/bin"}]}), "volumeMount cannot be mounted under /tekton/ (volumeMount \"v\" mounted at \"/tekton/bin\"): spec.steps[0].volumeMounts[0].mountPath")]
#[case::mount_at_home(json!({"image": "i", "volumeMounts": [{"name": "v", "mountPath": "/tekton/home/x"}]}), "")]
#[case::mount_name(json!({"image": "i", "volumeMounts": [{"name": "tekton-internal-x", "mountPath": "/x"}]}), "volumeMount name \"tekton-internal-x\" cannot start with \"tekton-internal-\": spec.steps[0].volumeMounts[0].name")]
#[case::on_error(json!({"image": "i", "onError": "stop"}), "invalid value: \"stop\": spec.steps[0].onError\nTask step onError must be either \"continue\" or \"stopAndFail\"")]
#[case::ref_and_image(json!({"ref": {"name": "a"}, "image": "i"}), "image cannot be used with Ref: spec.steps[0].image")]
#[case::ref_and_results(json!({"ref": {"name": "a"}, "results": [{"name": "r"}]}), "results cannot be used with Ref: spec.steps[0].results")]
#[case::ref_to_nothing(json!({"ref": {}}), "missing field(s): spec.steps[0].ref.name")]
#[case::params_without_ref(json!({"image": "i", "params": [{"name": "p", "value": "x"}]}), "params cannot be used without Ref: spec.steps[0].params")]
#[case::step_result_in_a_script(json!({"image": "i", "script": "$(steps.a.results.b)"}), "stepResult substitutions are only allowed in env, command and args. Found usage in: spec.steps[0].script")]
#[case::step_result_in_args(json!({"image": "i", "args": ["$(steps.a.results.b)"]}), "")]
fn steps(#[case] step: Value, #[case] expected: &str) {
    assert_starts(&of_step(&step, &alpha()), expected);
}

#[rstest]
#[case::windows(json!({"image": "i", "script": "#!win x"}), "windows script support requires \"enable-api-fields\" feature gate to be \"alpha\" but it is \"beta\": spec.steps[0].script")]
#[case::stdout(json!({"image": "i", "stdoutConfig": {"path": "x"}}), "step stdout stream support requires")]
#[case::artifacts(json!({"image": "i", "args": ["$(step.artifacts.path)"]}), "feature flag enable-artifacts should be set to true to use artifacts feature.: spec.steps[0].args[0]")]
fn what_beta_closes(#[case] step: Value, #[case] expected: &str) {
    assert_starts(&of_step(&step, &Config::default()), expected);
}

#[rstest]
#[case::action(json!({"ref": {"name": "a"}}), "feature flag enable-step-actions should be set to true to reference StepActions in Steps.: spec.steps[0]")]
#[case::results(json!({"image": "i", "results": [{"name": "r"}]}), "feature flag enable-step-actions should be set to true in order to use Results in Steps.: spec.steps[0]")]
#[case::resolver(json!({"ref": {"resolver": "git"}}), "feature flag enable-step-actions should be set to true to reference StepActions in Steps.: spec.steps[0]\nresolver requires \"enable-api-fields\" feature gate to be \"alpha\" or \"beta\" but it is \"stable\": spec.steps[0].ref.resolver")]
fn what_stable_closes(#[case] step: Value, #[case] expected: &str) {
    assert_eq!(of_step(&step, &stable()), expected);
}

/// Turning a feature off breaks no Task that has it already.
#[test]
fn what_is_stored_stays_valid() {
    let old: Task = read(
        "Task",
        &json!({"steps": [{"name": "s", "ref": {"name": "a"}}, {"image": "i", "results": [{"name": "r"}]}]}),
    );
    let new = Task { spec: TaskSpec { description: "new".to_owned(), ..old.spec.clone() }, ..old.clone() };
    assert_eq!(task(&new, Some(&old), &stable()).to_string(), "");
    let mut other = new.clone();
    other.spec.steps[0].ref_.as_mut().unwrap().name = "b".to_owned();
    assert!(!task(&other, Some(&old), &stable()).is_empty());
}

/// A Pipeline of one task `a`, with `patch` merged into its spec.
fn of_pipeline(patch: &Value, config: &Config) -> String {
    let spec = with(json!({"tasks": [{"name": "a", "taskRef": {"name": "t"}}]}), patch);
    pipeline(&read("Pipeline", &spec), config).to_string()
}

fn of_pipeline_task(patch: &Value, config: &Config) -> String {
    let tasks = [
        json!({"name": "a", "taskRef": {"name": "t"}}),
        with(json!({"name": "b", "taskRef": {"name": "t"}}), patch),
    ];
    of_pipeline(&json!({"tasks": tasks}), config)
}

fn of_final_task(patch: &Value) -> String {
    of_pipeline(
        &json!({"finally": [{"name": "x", "taskRef": {"name": "t"}}, with(json!({"name": "f", "taskRef": {"name": "t"}}), patch)]}),
        &alpha(),
    )
}

#[rstest]
#[case::fine(json!({}), "")]
#[case::empty(json!({"tasks": null}), "expected at least one, got none: spec.description, spec.params, spec.resources, spec.tasks, spec.workspaces")]
#[case::cycle(json!({"tasks": [{"name": "a", "taskRef": {"name": "t"}, "runAfter": ["b"]}, {"name": "b", "taskRef": {"name": "t"}, "runAfter": ["a"]}]}), "invalid value: cycle detected; task \"a\" depends on \"b\": spec.tasks")]
#[case::names(json!({"tasks": [{"name": "a", "taskRef": {"name": "t"}}, {"name": "a", "taskRef": {"name": "t"}}]}), "expected exactly one, got both: spec.tasks[1].name")]
#[case::names_of_finally(json!({"finally": [{"name": "a", "taskRef": {"name": "t"}}]}), "expected exactly one, got both: spec.finally[0].name")]
#[case::finally_alone(json!({"tasks": [], "finally": [{"name": "a", "taskRef": {"name": "t"}}]}), "invalid value: spec.tasks is empty but spec.finally has 1 tasks: spec.finally")]
#[case::workspace_name(json!({"workspaces": [{"name": ""}]}), "invalid value: workspace 0 has empty name: spec.workspaces[0]")]
#[case::workspace_twice(json!({"workspaces": [{"name": "w"}, {"name": "w"}]}), "invalid value: workspace with name \"w\" appears more than once: spec.workspaces[1]")]
#[case::result_without_expression(json!({"results": [{"name": "r", "value": "x"}]}), "invalid value: expected pipeline results to be task result expressions but no expressions were found: spec.results[0].value")]
#[case::result_of_something_else(json!({"results": [{"name": "r", "value": "$(foo.bar)"}]}), "invalid value: expected pipeline results to be task result expressions but an invalid expressions was found: spec.results[0].value")]
#[case::result_of_no_task(json!({"results": [{"name": "r", "value": "$(tasks.x.results.r)"}]}), "invalid value: referencing a nonexistent task: spec.results[0].value")]
#[case::result_of_a_task(json!({"results": [{"name": "r", "value": "$(tasks.a.results.r)-$(context.pipelineRun.name)"}]}), "")]
#[case::param_in_an_inline_task(json!({"tasks": [{"name": "a", "taskSpec": {"steps": [{"image": "$(params.x)"}]}}]}), "non-existent variable in \"$(params.x)\": spec.tasks[0].taskSpec.steps[0].image")]
#[case::passed_on(json!({"params": [{"name": "x"}], "tasks": [{"name": "a", "taskSpec": {"steps": [{"image": "$(params.x)"}]}}]}), "")]
fn pipelines(#[case] patch: Value, #[case] expected: &str) {
    assert_starts(&of_pipeline(&patch, &alpha()), expected);
}

#[rstest]
#[case::fine(json!({}), "")]
#[case::name(json!({"name": "B"}), "invalid value \"B\": spec.tasks[1].name\nPipeline Task name must be a valid DNS Label.")]
#[case::nothing(json!({"taskRef": null}), "expected exactly one, got neither: spec.tasks[1].pipelineRef, spec.tasks[1].pipelineSpec, spec.tasks[1].taskRef, spec.tasks[1].taskSpec")]
#[case::both(json!({"taskSpec": {"steps": [{"image": "i"}]}}), "expected exactly one, got multiple: spec.tasks[1].taskRef, spec.tasks[1].taskSpec")]
#[case::no_name(json!({"taskRef": {"name": null}}), "missing field(s): spec.tasks[1].taskRef.name")]
#[case::bad_name(json!({"taskRef": {"name": "_x"}}), "invalid value: name part must consist of")]
#[case::name_and_resolver(json!({"taskRef": {"resolver": "git"}}), "expected exactly one, got both: spec.tasks[1].taskRef.name, spec.tasks[1].taskRef.resolver")]
#[case::params_without_resolver(json!({"taskRef": {"name": null, "params": [{"name": "p", "value": "x"}]}}), "missing field(s): spec.tasks[1].taskRef.resolver")]
#[case::custom_without_kind(json!({"taskRef": {"apiVersion": "a/v1"}}), "invalid value: custom task ref must specify kind: spec.tasks[1].taskRef.kind")]
#[case::custom_without_version(json!({"taskRef": {"kind": "Other"}}), "invalid value: custom task ref must specify apiVersion: spec.tasks[1].taskRef.apiVersion")]
#[case::custom(json!({"taskRef": {"apiVersion": "a/v1", "kind": "Other"}}), "")]
#[case::custom_with_steps(json!({"taskRef": null, "taskSpec": {"apiVersion": "a/v1", "kind": "Other", "steps": [{"image": "i"}]}}), "invalid value: taskSpec.steps: spec.tasks[1].taskSpec.steps")]
#[case::missing_dependency(json!({"runAfter": ["x"]}), "invalid value: task b depends on x but x wasn't present in Pipeline: spec.tasks")]
#[case::result_of_nobody(json!({"params": [{"name": "p", "value": "$(tasks.x.results.r)"}]}), "invalid value: task b depends on x but x wasn't present in Pipeline: spec.tasks")]
#[case::param_twice(json!({"params": [{"name": "p", "value": "x"}, {"name": "P", "value": "x"}]}), "expected exactly one, got both: spec.tasks[1].params[P].name")]
#[case::unknown_param(json!({"params": [{"name": "p", "value": "$(params.x)"}]}), "non-existent variable in \"$(params.x)\": spec.tasks[1].params[p]")]
#[case::context(json!({"params": [{"name": "p", "value": "$(context.pipelineRun.x)"}]}), "non-existent variable in \"$(context.pipelineRun.x)\": spec.tasks[1].params[p]")]
#[case::status(json!({"params": [{"name": "p", "value": "$(tasks.a.status)"}]}), "invalid value: pipeline tasks can not refer to execution status of any other pipeline task or aggregate status of tasks: spec.tasks[1].params[p].value")]
#[case::workspace(json!({"workspaces": [{"name": "w"}]}), "invalid value: pipeline task \"b\" expects workspace with name \"w\" but none exists in pipeline spec: spec.tasks[1].workspaces[0]")]
#[case::operator(json!({"when": [{"input": "x", "operator": "is", "values": ["y"]}]}), "invalid value: operator \"is\" is not recognized. valid operators: in,notin: spec.tasks[1].when[0]")]
#[case::no_values(json!({"when": [{"input": "x", "operator": "in", "values": []}]}), "invalid value: expecting non-empty values field: spec.tasks[1].when[0]")]
#[case::cel_and_input(json!({"when": [{"input": "x", "cel": "true"}]}), "cel and input+operator+values cannot be set in one WhenExpression: spec.tasks[1].when[0]")]
#[case::cel_syntax(json!({"when": [{"cel": "'$(params.p)' =="}]}), "invalid cel expression: '$(params.p)' == with err: ERROR: <input>:1:17: Syntax error")]
#[case::cel_variable(json!({"when": [{"cel": "p == 'x'"}]}), "invalid cel expression: p == 'x' with err: undeclared reference to \"p\": an expression sees no variables; put a value between quotes, as '$(params.name)': spec.tasks[1].when[0].cel")]
#[case::continue_with_retries(json!({"onError": "continue", "retries": 1}), "PipelineTask OnError cannot be set to \"continue\" when Retries is greater than 0: spec.tasks[1]")]
#[case::matrix_and_params(json!({"params": [{"name": "p", "value": "x"}], "matrix": {"params": [{"name": "p", "value": ["y"]}]}}), "expected exactly one, got both: spec.tasks[1].matrix.params[p], spec.tasks[1].params[p]")]
#[case::matrix_of_strings(json!({"matrix": {"params": [{"name": "p", "value": "x"}]}}), "invalid value: parameters of type array only are allowed, but got param type string: spec.tasks[1].matrix.params[p]")]
#[case::matrix_size(json!({"matrix": {"params": [{"name": "p", "value": vec!["x"; 257]}]}}), "expected 0 <= 257 <= 256: spec.tasks[1].matrix")]
#[case::inline(json!({"taskRef": null, "taskSpec": {}}), "missing field(s): spec.tasks[1].taskSpec.steps")]
fn pipeline_tasks(#[case] patch: Value, #[case] expected: &str) {
    assert_starts(&of_pipeline_task(&patch, &alpha()), expected);
}

#[test]
fn of_a_matrix_all_results_are_taken() {
    let tasks = |value: &str| {
        json!({"tasks": [
            {"name": "a", "taskRef": {"name": "t"}, "matrix": {"params": [{"name": "p", "value": ["x"]}]}},
            {"name": "b", "taskRef": {"name": "t"}, "params": [{"name": "p", "value": value}]},
        ]})
    };
    assert_eq!(of_pipeline(&tasks("$(tasks.a.results.r[*])"), &alpha()), "");
    let found = of_pipeline(&tasks("$(tasks.a.results.r)"), &alpha());
    assert!(
        found.starts_with("A matrixed pipelineTask can only be consumed in aggregate using [*] notation"),
        "{found}"
    );
}

#[rstest]
#[case::run_after(json!({"runAfter": ["a"]}), "invalid value: no runAfter allowed under spec.finally, final task f has runAfter specified: spec.finally[1]")]
#[case::result_of_finally(json!({"params": [{"name": "p", "value": "$(finally.x.results.r)"}]}), "invalid value: invalid task result reference, final task has task result reference from a final task x: spec.finally[1].params[p].value")]
#[case::result_of_nobody(json!({"params": [{"name": "p", "value": "$(tasks.y.results.r)"}]}), "invalid value: invalid task result reference, final task has task result reference from a task y which is not defined in the pipeline: spec.finally[1].params[p].value")]
#[case::status_of_nobody(json!({"when": [{"input": "$(tasks.y.status)", "operator": "in", "values": ["None"]}]}), "invalid value: pipeline task y is not defined in the pipeline: spec.finally[1].when[0].input")]
#[case::statuses(json!({"params": [{"name": "p", "value": "$(tasks.a.status) $(tasks.status) $(tasks.a.results.r)"}]}), "")]
fn final_tasks(#[case] patch: Value, #[case] expected: &str) {
    assert_eq!(of_final_task(&patch), expected);
}

#[rstest]
#[case::on_error(
    json!({"onError": "continue"}),
    "OnError requires \"enable-api-fields\" feature gate to be \"alpha\" but it is \"beta\": spec.tasks[1].onError"
)]
#[case::pipeline(json!({"taskRef": null, "pipelineRef": {"name": "p"}}), "pipelineRef requires \"enable-api-fields\" feature gate to be \"alpha\" but it is \"beta\": spec.tasks[1].pipelineRef")]
#[case::cel(json!({"when": [{"cel": "true"}]}), "feature flag enable-cel-in-whenexpression should be set to true to use CEL: true in WhenExpression: spec.tasks[1].when[0]")]
fn what_beta_closes_in_pipelines(#[case] patch: Value, #[case] expected: &str) {
    assert_eq!(of_pipeline_task(&patch, &Config::default()), expected);
}

fn of_run(patch: &Value, config: &Config) -> String {
    let run = read("PipelineRun", &with(json!({"pipelineRef": {"name": "p"}}), patch));
    pipeline_run(&run, None, config).to_string()
}

#[rstest]
#[case::fine(json!({}), "")]
#[case::nothing(json!({"pipelineRef": null}), "expected exactly one, got neither: spec.pipelineRef, spec.pipelineSpec")]
#[case::both(json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": "t"}}]}}), "expected exactly one, got both: spec.pipelineRef, spec.pipelineSpec")]
#[case::param_twice(json!({"params": [{"name": "a", "value": "x"}, {"name": "a", "value": "y"}]}), "expected exactly one, got both: spec.params[a].name")]
#[case::result_as_param(json!({"params": [{"name": "a", "value": "$(tasks.t.results.r)"}]}), "invalid value: cannot use result expressions in [tasks.t.results.r] as PipelineRun parameter values: spec.params[a].value")]
#[case::negative(json!({"timeouts": {"pipeline": "-48h"}}), "invalid value: -48h0m0s should be >= 0: spec.timeouts.pipeline")]
#[case::tasks_too_long(json!({"timeouts": {"pipeline": "25m", "tasks": "30m"}}), "invalid value: 30m0s should be <= pipeline duration: spec.timeouts.tasks")]
#[case::finally_without_limit(json!({"timeouts": {"pipeline": "25m", "finally": "0"}}), "invalid value: 0s (no timeout) should be <= pipeline duration: spec.timeouts.finally")]
#[case::sum(json!({"timeouts": {"pipeline": "50m", "tasks": "30m", "finally": "30m"}}), "invalid value: 30m0s + 30m0s should be <= pipeline duration: spec.timeouts.finally, spec.timeouts.tasks")]
#[case::than_default(json!({"timeouts": {"tasks": "2h"}}), "invalid value: 2h0m0s should be <= default timeout duration: spec.timeouts.tasks")]
#[case::no_limit(json!({"timeouts": {"pipeline": "0s", "tasks": "200h", "finally": "0s"}}), "")]
#[case::status(json!({"status": "Stop"}), "invalid value: Stop should be Cancelled, CancelledRunFinally, StoppedRunFinally or PipelineRunPending: spec.status")]
#[case::workspace_twice(json!({"workspaces": [{"name": "w", "emptyDir": {}}, {"name": "w", "emptyDir": {}}]}), "expected exactly one, got both: spec.workspaces[1].name")]
#[case::unnamed_workspace(json!({"workspaces": [{"emptyDir": {}}]}), "missing field(s): spec.workspaces[0].name")]
#[case::no_source(json!({"workspaces": [{"name": "w"}]}), "expected exactly one, got neither: spec.workspaces[0].configmap, spec.workspaces[0].csi, spec.workspaces[0].emptydir")]
#[case::two_sources(json!({"workspaces": [{"name": "w", "emptyDir": {}, "secret": {"secretName": "s"}}]}), "expected exactly one, got both: spec.workspaces[0].emptydir, spec.workspaces[0].secret")]
#[case::claim(json!({"workspaces": [{"name": "w", "persistentVolumeClaim": {"claimName": ""}}]}), "missing field(s): spec.workspaces[0].persistentvolumeclaim.claimname")]
#[case::overrides_twice(json!({"taskRunSpecs": [{"pipelineTaskName": "a", "stepSpecs": [{"name": "s"}, {"name": "s"}]}]}), "expected exactly one, got both: spec.taskRunSpecs[0].stepSpecs[1].name")]
#[case::inline_params_are_passed_on(json!({"pipelineRef": null, "params": [{"name": "x", "value": "1"}], "pipelineSpec": {"tasks": [{"name": "a", "taskSpec": {"steps": [{"image": "$(params.x)"}]}}]}}), "")]
#[case::inline_unknown(json!({"pipelineRef": null, "pipelineSpec": {"tasks": [{"name": "a", "taskSpec": {"steps": [{"image": "$(params.x)"}]}}]}}), "non-existent variable in \"$(params.x)\": spec.pipelineSpec.tasks[0].taskSpec.steps[0].image")]
fn pipeline_runs(#[case] patch: Value, #[case] expected: &str) {
    assert_starts(&of_run(&patch, &alpha()), expected);
}

#[test]
fn the_administrator_forbids() {
    let defaults = Defaults { forbidden_env: ["E".to_owned()].into(), ..Defaults::default() };
    let all = ["pipeline", "pipelinerun", "taskrun"].map(str::to_owned);
    let features = Features { disable_inline_spec: all.into(), ..Features::default() };
    let config = Config { defaults, features, ..Config::default() };
    let template = json!({"env": [{"name": "E", "value": "x"}]});
    let message = "invalid value: PodTemplate cannot update a forbidden env: E: ";
    assert_eq!(
        of_run(&json!({"taskRunTemplate": {"podTemplate": template}}), &config),
        format!("{message}spec.taskRunTemplate.podTemplate.env")
    );
    assert_eq!(
        of_task_run(&json!({"podTemplate": template}), &config),
        format!("{message}spec.podTemplate.env")
    );
    let inline = json!({"tasks": [{"name": "a", "taskRef": {"name": "t"}}]});
    assert_eq!(
        of_run(&json!({"pipelineRef": null, "pipelineSpec": inline}), &config),
        "must not set the field(s): spec.pipelineSpec"
    );
    let inline = json!({"steps": [{"image": "i"}]});
    assert_eq!(
        of_task_run(&json!({"taskRef": null, "taskSpec": inline}), &config),
        "must not set the field(s): spec.taskSpec"
    );
    assert_eq!(
        of_pipeline_task(&json!({"taskRef": null, "taskSpec": inline}), &config),
        "must not set the field(s): spec.tasks[1].taskSpec"
    );
}

fn of_task_run(patch: &Value, config: &Config) -> String {
    task_run(&read("TaskRun", &with(json!({"taskRef": {"name": "t"}}), patch)), None, config).to_string()
}

#[rstest]
#[case::fine(json!({}), "")]
#[case::nothing(json!({"taskRef": null}), "expected exactly one, got neither: spec.taskRef, spec.taskSpec")]
#[case::status(json!({"status": "Cancelled"}), "invalid value: Cancelled should be TaskRunCancelled: spec.status")]
#[case::message(json!({"statusMessage": "m"}), "invalid value: statusMessage should not be set if status is not set, but it is currently set to m: spec.statusMessage")]
#[case::retries(json!({"retries": -1}), "invalid value: -1 should be >= 0: spec.retries")]
#[case::timeout(json!({"timeout": "-1s"}), "invalid value: -1s should be >= 0: spec.timeout")]
#[case::debug(json!({"debug": {"breakpoints": {"onFailure": "yes"}}}), "invalid value: yes is not a valid onFailure breakpoint value. The only allowed value is \"enabled\": spec.debug.breakpoints.onFailure")]
#[case::resources_twice(json!({"computeResources": {}, "stepSpecs": [{"name": "s", "computeResources": {"limits": {"cpu": "1"}}}]}), "expected exactly one, got both: spec.computeResources, spec.stepSpecs.resources")]
#[case::inline(json!({"taskRef": null, "taskSpec": {"steps": [{}]}}), "missing field(s): spec.taskSpec.steps[0].image")]
fn task_runs(#[case] patch: Value, #[case] expected: &str) {
    assert_eq!(of_task_run(&patch, &alpha()), expected);
}

#[test]
fn what_beta_closes_in_runs() {
    let found = of_task_run(&json!({"stepSpecs": [{"name": "s"}], "debug": {}}), &Config::default());
    assert!(found.contains("stepSpecs requires") && found.contains("debug requires"), "{found}");
}

/// A stored run, so far.
fn stage(condition: &str, start: bool) -> Value {
    let start = start.then_some("2024-03-01T12:00:00Z");
    json!({"conditions": [{"type": "Succeeded", "status": condition}], "startTime": start})
}

#[rstest]
#[case::waiting("Unknown", false, json!({"params": [{"name": "p", "value": "x"}]}), "")]
#[case::started_status("Unknown", true, json!({"status": "Cancelled"}), "")]
#[case::started_param("Unknown", true, json!({"params": [{"name": "p", "value": "x"}]}), "invalid value: Once the PipelineRun has started, only status updates are allowed: spec")]
#[case::pending("Unknown", true, json!({"status": "PipelineRunPending"}), "invalid value: PipelineRun cannot be Pending after it is started: spec.status")]
#[case::done_status("False", true, json!({"status": "Cancelled"}), "invalid value: Once the PipelineRun is complete, no updates are allowed: spec")]
#[case::done_unchanged("True", true, json!({}), "")]
#[case::other_manager("Unknown", false, json!({"managedBy": "me.example.com/x"}), "invalid value: managedBy is immutable: spec.managedBy")]
fn pipeline_run_updates(
    #[case] condition: &str,
    #[case] start: bool,
    #[case] patch: Value,
    #[case] expected: &str,
) {
    // Invalid by today's rules: what does not change is not looked at.
    let spec = json!({"pipelineRef": {"name": "p"}});
    let mut old: PipelineRun = read("PipelineRun", &spec);
    old.status = serde_json::from_value(stage(condition, start)).unwrap();
    let new: PipelineRun = read("PipelineRun", &with(spec, &patch));
    assert_eq!(pipeline_run(&new, Some(&old), &Config::default()).to_string(), expected);
}

#[test]
fn metadata_of_invalid_runs_may_change() {
    let run: PipelineRun = read("PipelineRun", &json!({"status": "Invalid"}));
    assert!(!pipeline_run(&run, None, &Config::default()).is_empty());
    assert!(pipeline_run(&run, Some(&run), &Config::default()).is_empty());
    let run: TaskRun = read("TaskRun", &json!({"status": "Invalid"}));
    assert!(task_run(&run, Some(&run), &Config::default()).is_empty());
}

#[rstest]
#[case::status("Unknown", json!({"status": "TaskRunCancelled", "statusMessage": "m"}), "")]
#[case::param("Unknown", json!({"timeout": "5m"}), "invalid value: Once the TaskRun has started, only status and statusMessage updates are allowed: spec")]
#[case::done("True", json!({"status": "TaskRunCancelled"}), "invalid value: Once the TaskRun is complete, no updates are allowed: spec")]
fn task_run_updates(#[case] condition: &str, #[case] patch: Value, #[case] expected: &str) {
    let spec = json!({"taskRef": {"name": "t"}});
    let mut old: TaskRun = read("TaskRun", &spec);
    old.status = serde_json::from_value(stage(condition, true)).unwrap();
    let new: TaskRun = read("TaskRun", &with(spec, &patch));
    assert_eq!(task_run(&new, Some(&old), &Config::default()).to_string(), expected);
}

#[rstest]
#[case::fine(json!({}), "")]
#[case::image(json!({"image": null}), "missing field(s): spec.image")]
#[case::script(json!({"params": [{"name": "p"}], "script": "$(params.p)"}), "param substitution in scripts is not allowed.: spec.script")]
#[case::script_and_command(json!({"script": "x", "command": ["y"]}), "script cannot be used with command: spec.script")]
#[case::mount(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}), "expect the Name to be a single param reference, but got \"v\": spec.volumeMounts[0].name")]
#[case::mount_of_a_param(json!({"params": [{"name": "p"}], "volumeMounts": [{"name": "$(params.p)", "mountPath": "/v"}]}), "")]
#[case::unknown_param(json!({"args": ["$(params.x)"]}), "non-existent variable in \"$(params.x)\": spec.args[0]")]
fn step_actions(#[case] patch: Value, #[case] expected: &str) {
    let action: StepAction = read("StepAction", &with(json!({"image": "i"}), &patch));
    assert_eq!(step_action(&action, &Config::default()).to_string(), expected);
}

#[rstest]
#[case::fine(json!({"customRef": {"apiVersion": "a/v1", "kind": "K"}}), "")]
#[case::nothing(json!({}), "expected exactly one, got neither: spec.customRef, spec.customSpec")]
#[case::both(json!({"customRef": {"apiVersion": "a/v1", "kind": "K"}, "customSpec": {"apiVersion": "a/v1", "kind": "K"}}), "expected exactly one, got both: spec.customRef, spec.customSpec")]
#[case::incomplete(json!({"customSpec": {}}), "missing field(s): spec.customSpec.apiVersion, spec.customSpec.kind")]
fn custom_runs(#[case] spec: Value, #[case] expected: &str) {
    assert_eq!(custom_run(&read("CustomRun", &spec)).to_string(), expected);
}

#[test]
fn requests_name_a_resolver() {
    let mut request: ResolutionRequest = read("ResolutionRequest", &json!({}));
    let missing = "missing field(s): metadata.labels.resolution.tekton.dev/type";
    assert_eq!(resolution_request(&request).to_string(), missing);
    request.metadata.labels = Some([("resolution.tekton.dev/type".to_owned(), "git".to_owned())].into());
    assert!(resolution_request(&request).is_empty());
}

#[rstest]
#[case::fine(json!({"resources": [{"pattern": "x"}], "authorities": [{"name": "a", "key": {"data": "k"}}]}), "")]
#[case::nothing(json!({}), "missing field(s): spec.authorities, spec.resources")]
#[case::key(json!({"resources": [{"pattern": "x"}], "authorities": [{"name": "a"}]}), "expected exactly one, got neither: spec.authorities[0].key.data, spec.authorities[0].key.kms, spec.authorities[0].key.secretref")]
#[case::mode(json!({"mode": "ask", "resources": [{"pattern": "x"}], "authorities": [{"key": {"kms": "k"}}]}), "invalid value: ask should be enforce or warn: spec.mode")]
fn verification_policies(#[case] spec: Value, #[case] expected: &str) {
    assert_eq!(verification_policy(&read("VerificationPolicy", &spec)).to_string(), expected);
}

#[test]
fn names_are_checked_once() {
    let mut run: TaskRun = read("TaskRun", &json!({"taskRef": {"name": "t"}}));
    run.metadata.name = Some("a".repeat(64));
    let message = "Invalid resource name: length must be no more than 63 characters: metadata.name";
    assert_eq!(task_run(&run, None, &Config::default()).to_string(), message);
    assert!(task_run(&run, Some(&run), &Config::default()).is_empty());
}
