#![expect(clippy::needless_pass_by_value, reason = "values are written where they are used")]

use std::collections::HashMap;
use std::sync::Arc;

use pipelines_engine_api::{PipelineRef, StepActionSpec, TaskRef};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::pipeline_run::testing::{ended, ended_with};

/// Tasks and Pipelines by name; everything else does not exist.
#[derive(Default)]
struct Names {
    pipelines: HashMap<String, Value>,
    tasks: HashMap<String, Value>,
}

fn found<T: serde::de::DeserializeOwned>(of: &HashMap<String, Value>, name: &str) -> Lookup<T> {
    match of.get(name) {
        Some(spec) => Lookup::Found(Box::new(Found {
            spec: serde_json::from_value(spec.clone()).unwrap(),
            name: name.to_owned(),
            labels: [("from".to_owned(), name.to_owned())].into(),
            annotations: BTreeMap::new(),
            source: None,
        })),
        None => Lookup::Failed(Failure::NotFound(format!("{name:?} not found"))),
    }
}

impl Catalog for Names {
    fn pipeline(&self, asker: Asker<'_>, reference: &PipelineRef) -> Lookup<PipelineSpec> {
        if reference.resolver.is_empty() { found(&self.pipelines, &reference.name) } else { wanted(asker) }
    }

    fn task(&self, asker: Asker<'_>, reference: &TaskRef) -> Lookup<TaskSpec> {
        if reference.resolver.is_empty() { found(&self.tasks, &reference.name) } else { wanted(asker) }
    }

    fn step_action(&self, _: Asker<'_>, _: &TaskRef) -> Lookup<StepActionSpec> {
        unreachable!("a PipelineRun does not look at steps")
    }
}

fn wanted<T>(asker: Asker<'_>) -> Lookup<T> {
    Lookup::Wanted(Box::new(ResolutionRequest::new(asker.name, Default::default())))
}

const START: i64 = 1_700_000_000;

/// A run that is decided about again and again, with a world that plays along.
struct Play {
    run: PipelineRun,
    children: Vec<TaskRun>,
    names: Names,
    config: Config,
    now: Timestamp,
    /// All that was told to end, with the message.
    ended: Vec<(String, &'static str)>,
}

impl Play {
    fn new(spec: Value) -> Self {
        let run = serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {
                "name": "run", "namespace": "n", "uid": "u", "labels": {"mine": "1"},
                "creationTimestamp": Timestamp::from_second(START).unwrap().to_string(),
            },
            "spec": spec,
        }))
        .unwrap();
        Self {
            run,
            children: Vec::new(),
            names: Names::default(),
            config: Config::default(),
            now: Timestamp::from_second(START).unwrap(),
            ended: Vec::new(),
        }
    }

    fn inline(pipeline: Value) -> Self {
        Self::new(json!({"pipelineSpec": pipeline}))
    }

    fn observed(&self) -> Observed<'_> {
        Observed {
            run: &self.run,
            children: self.children.iter().map(|run| Child::TaskRun(Arc::new(run.clone()))).collect(),
            now: self.now,
            config: &self.config,
            catalog: &self.names,
        }
    }

    fn decide(&self) -> Decided {
        decide(&self.observed())
    }

    /// Decides and carries it out. Names of what was made.
    fn step(&mut self) -> Vec<String> {
        let decided = self.decide();
        let mut made = Vec::new();
        for action in decided.actions {
            match action {
                Action::Create(run) => {
                    made.push(labels::PIPELINE_TASK.of(&run.metadata.labels).unwrap().to_owned());
                    self.children.push(*run);
                }
                Action::End { child, message } => {
                    self.ended.push((child.name().to_owned(), message));
                    let run = self
                        .children
                        .iter_mut()
                        .find(|run| run.metadata.name.as_deref() == Some(child.name()));
                    let run = run.unwrap();
                    run.spec.status = task_run::CANCELLED.to_owned();
                    run.spec.status_message = message.to_owned();
                }
                Action::Request(_) | Action::Claim(_) => {}
            }
        }
        self.run.metadata.labels.get_or_insert_default().extend(decided.labels);
        self.run.status = Some(decided.status);
        made
    }

    fn end(&mut self, task: &str, status: &str, reason: &str, results: &[(&str, &str)]) {
        let name = format!("run-{task}");
        let position =
            self.children.iter().position(|run| run.metadata.name.as_deref() == Some(&*name)).unwrap();
        let run = self.children[position].clone();
        let child = if results.is_empty() {
            ended(run, status, reason)
        } else {
            ended_with(run, status, reason, results)
        };
        let Child::TaskRun(run) = child else { unreachable!("it was a TaskRun") };
        self.children[position] = Arc::unwrap_or_clone(run);
    }

    fn succeed(&mut self, task: &str, results: &[(&str, &str)]) {
        self.end(task, "True", "Succeeded", results);
    }

    fn fail(&mut self, task: &str) {
        self.end(task, "False", "Failed", &[]);
    }

    fn after(&mut self, seconds: i64) {
        self.now = Timestamp::from_second(START + seconds).unwrap();
    }

    fn status(&self) -> &PipelineRunStatus {
        self.run.status.as_ref().unwrap()
    }

    /// Status, reason and message of the condition.
    fn said(&self) -> (&str, &str, &str) {
        let condition = pipelines_engine_api::status::succeeded(&self.status().conditions).unwrap();
        (&condition.status, &condition.reason, &condition.message)
    }

    fn skipped(&self) -> Vec<(&str, &str)> {
        self.status().skipped_tasks.iter().map(|task| (&*task.name, &*task.reason)).collect()
    }

    fn child(&self, task: &str) -> &TaskRun {
        let name = format!("run-{task}");
        self.children.iter().find(|run| run.metadata.name.as_deref() == Some(&*name)).unwrap()
    }
}

fn steps() -> Value {
    json!({"steps": [{"image": "i"}]})
}

fn giving(result: &str) -> Value {
    json!({"steps": [{"image": "i"}], "results": [{"name": result}]})
}

/// Scenario 1.
#[test]
fn a_result_flows_from_task_to_task_to_run() {
    let mut play = Play::inline(json!({
        "tasks": [
            {"name": "a", "taskSpec": giving("r")},
            {"name": "b", "params": [{"name": "p", "value": "x-$(tasks.a.results.r)"}], "taskSpec": {
                "params": [{"name": "p"}], "steps": [{"image": "i"}], "results": [{"name": "s"}],
            }},
        ],
        "results": [{"name": "out", "value": "$(tasks.b.results.s)"}],
    }));
    assert_eq!(play.step(), ["a"]);
    assert_eq!(
        play.said(),
        ("Unknown", "Running", "Tasks Completed: 0 (Failed: 0, Cancelled 0), Incomplete: 2, Skipped: 0")
    );
    assert_eq!(play.step(), Vec::<String>::new(), "b waits");
    play.succeed("a", &[("r", "1")]);
    assert_eq!(play.step(), ["b"]);
    assert_eq!(play.child("b").spec.params, [pipelines_engine_api::Param::new("p", "x-1")]);
    play.succeed("b", &[("s", "2")]);
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!(play.said(), ("True", "Succeeded", "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 0"));
    assert_eq!(play.status().results[0].value, "2".into());
    assert!(play.status().completion_time.is_some());
}

/// Scenario 2.
#[test]
fn a_failure_lets_siblings_finish_and_finally_see_it() {
    let shows = json!({"name": "f", "taskSpec": {"params": [{"name": "all"}, {"name": "x"}], "steps": [{"image": "i"}]},
        "params": [{"name": "all", "value": "$(tasks.status)"}, {"name": "x", "value": "$(tasks.x.status)"}]});
    let mut play = Play::inline(json!({
        "tasks": [
            {"name": "a", "taskSpec": steps()},
            {"name": "b", "taskSpec": steps()},
            {"name": "x", "runAfter": ["b"], "taskSpec": steps()},
        ],
        "finally": [shows],
    }));
    assert_eq!(play.step(), ["a", "b"]);
    play.fail("a");
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!(play.skipped(), [("x", "PipelineRun was stopping")]);
    play.succeed("b", &[]);
    assert_eq!(play.step(), ["f"]);
    let values: Vec<_> =
        play.child("f").spec.params.iter().map(|param| param.value.as_str().unwrap()).collect();
    assert_eq!(values, ["Failed", "None"]);
    assert!(play.status().finally_start_time.is_some());
    play.succeed("f", &[]);
    play.step();
    assert_eq!(play.said(), ("False", "Failed", "Tasks Completed: 3 (Failed: 1, Cancelled 0), Skipped: 1"));
}

/// Scenario 3.
#[test]
fn what_a_condition_skips_takes_only_its_consumers_along() {
    let mut play = Play::inline(json!({"tasks": [
        {"name": "a", "taskSpec": giving("r"), "when": [{"input": "x", "operator": "in", "values": ["y"]}]},
        {"name": "b", "runAfter": ["a"], "taskSpec": steps()},
        {"name": "c", "taskSpec": {"params": [{"name": "p"}], "steps": [{"image": "i"}]},
            "params": [{"name": "p", "value": "$(tasks.a.results.r)"}]},
    ]}));
    assert_eq!(play.step(), ["b"]);
    play.succeed("b", &[]);
    play.step();
    assert_eq!(play.skipped(), [("a", "When Expressions evaluated to false"), ("c", "Results were missing")]);
    assert_eq!((play.said().0, play.said().1), ("True", "Completed"));
}

/// Scenario 5.
#[test]
fn cancelled_ends_all_at_once() {
    let mut play = Play::inline(json!({
        "tasks": [{"name": "a", "taskSpec": steps()}, {"name": "b", "taskSpec": steps()}],
        "finally": [{"name": "f", "taskSpec": steps()}],
    }));
    play.step();
    play.succeed("b", &[]);
    play.run.spec.status = pipeline_run::CANCELLED.to_owned();
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!(play.ended, [("run-a".to_owned(), task_run::CANCELLED_BY_PIPELINE)]);
    assert_eq!(play.said(), ("False", "Cancelled", "PipelineRun \"run\" was cancelled"));
}

#[rstest]
#[case::cancel("CancelledRunFinally", "CancelledRunningFinally", true)]
#[case::stop("StoppedRunFinally", "StoppedRunningFinally", false)]
fn a_graceful_end_runs_finally(#[case] wish: &str, #[case] meanwhile: &str, #[case] ends: bool) {
    let mut play = Play::inline(json!({
        "tasks": [{"name": "a", "taskSpec": steps()}, {"name": "b", "runAfter": ["a"], "taskSpec": steps()}],
        "finally": [{"name": "f", "taskSpec": steps()}],
    }));
    play.step();
    play.run.spec.status = wish.to_owned();
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!(play.said().1, meanwhile);
    assert_eq!(!play.ended.is_empty(), ends);
    play.step();
    assert!(play.ended.len() <= 1, "told once");
    if ends {
        play.end("a", "False", "TaskRunCancelled", &[]);
    } else {
        play.succeed("a", &[]);
    }
    assert_eq!(play.step(), ["f"]);
    play.succeed("f", &[]);
    play.step();
    assert_eq!((play.said().0, play.said().1), ("False", "Cancelled"));
}

/// Scenario 6.
#[test]
fn tasks_that_take_too_long_end_and_finally_runs() {
    let mut play = Play::new(json!({
        "timeouts": {"pipeline": "1m", "tasks": "5s"},
        "pipelineSpec": {
            "tasks": [{"name": "a", "taskSpec": steps()}, {"name": "b", "runAfter": ["a"], "taskSpec": steps()}],
            "finally": [{"name": "f", "taskSpec": steps()}],
        },
    }));
    play.step();
    assert_eq!(play.child("a").spec.timeout.as_deref(), Some("5s"));
    assert_eq!(play.decide().wake, Some(Timestamp::from_second(START + 5).unwrap()));
    play.after(5);
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!(play.ended, [("run-a".to_owned(), task_run::CANCELLED_BY_PIPELINE_TIMEOUT)]);
    play.end("a", "False", "TaskRunCancelled", &[]);
    assert_eq!(play.step(), ["f"]);
    assert_eq!(play.child("f").spec.timeout.as_deref(), Some("55s"));
    play.succeed("f", &[]);
    play.step();
    assert_eq!(play.skipped(), [("b", "PipelineRun was stopping")]);
    assert_eq!((play.said().0, play.said().1), ("False", "Failed"));
}

/// Its task has the same limit, and is ended by its own controller in the same second.
#[rstest]
#[case::with_the_run(3600, "PipelineRunTimeout")]
#[case::before_it(3599, "Failed")]
fn a_run_that_takes_too_long_says_so_whoever_sees_it_first(#[case] at: i64, #[case] reason: &str) {
    let mut play = Play::inline(json!({"tasks": [{"name": "a", "taskSpec": steps()}]}));
    play.step();
    play.end("a", "False", "TaskRunTimeout", &[]);
    let status = play.children[0].status.as_mut().unwrap();
    status.conditions[0].last_transition_time = Some(Time(Timestamp::from_second(START + at).unwrap()));
    play.after(3600);
    play.step();
    assert_eq!((play.said().0, play.said().1), ("False", reason));
}

#[test]
fn a_run_that_takes_too_long_ends() {
    let mut play = Play::inline(json!({"tasks": [{"name": "a", "taskSpec": steps()}]}));
    play.step();
    play.after(3600);
    play.step();
    assert_eq!(play.ended[0].1, task_run::CANCELLED_BY_PIPELINE_TIMEOUT);
    assert_eq!(
        play.said(),
        ("False", "PipelineRunTimeout", "PipelineRun \"run\" failed to finish within \"1h0m0s\"")
    );
}

/// Scenario 7.
#[test]
fn children_that_the_status_does_not_know_are_taken_in() {
    let mut play = Play::inline(
        json!({"tasks": [{"name": "a", "taskSpec": steps()}, {"name": "b", "taskSpec": steps()}]}),
    );
    play.step();
    play.run.status = None;
    assert_eq!(play.step(), Vec::<String>::new(), "nothing is made twice");
    let names: Vec<_> = play.status().child_references.iter().map(|child| &*child.name).collect();
    assert_eq!(names, ["run-a", "run-b"]);
}

#[test]
fn a_child_is_shown_with_the_results_that_were_decided_on() {
    let mut play = Play::inline(json!({"tasks": [
        {"name": "a", "taskSpec": giving("r")},
        {
            "name": "b", "displayName": "After $(tasks.a.results.r)", "taskSpec": steps(),
            "when": [{"input": "$(tasks.a.results.r)", "operator": "in", "values": ["1"]}],
        },
    ]}));
    play.step();
    play.succeed("a", &[("r", "1")]);
    assert_eq!(play.step(), ["b"]);
    let child = play.status().child_references[1].clone();
    assert_eq!((&*child.display_name, &*child.when_expressions[0].input), ("After 1", "1"));
    // Also when it is looked at again without the record.
    play.run.status.as_mut().unwrap().child_references.clear();
    play.step();
    assert_eq!(play.status().child_references[1], child);
}

#[test]
fn a_pending_run_does_not_begin() {
    let mut play = Play::new(
        json!({"status": "PipelineRunPending", "pipelineSpec": {"tasks": [{"name": "a", "taskSpec": steps()}]}}),
    );
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!(play.said().1, "PipelineRunPending");
    assert_eq!(play.status().start_time, None);
    play.run.spec.status = String::new();
    assert_eq!(play.step(), ["a"]);
}

#[test]
fn a_named_pipeline_brings_its_labels_and_is_remembered() {
    let mut play = Play::new(json!({"pipelineRef": {"name": "p"}, "params": [{"name": "x", "value": "1"}]}));
    play.names.pipelines.insert("p".into(), json!({
        "params": [{"name": "x"}, {"name": "y", "default": "2"}],
        "tasks": [{"name": "a", "taskRef": {"name": "t"}, "params": [{"name": "z", "value": "$(params.x)$(params.y) $(context.pipelineRun.name)"}]}],
    }));
    play.names.tasks.insert("t".into(), json!({"params": [{"name": "z"}], "steps": [{"image": "i"}]}));
    assert_eq!(play.step(), ["a"]);
    let labels = play.child("a").metadata.labels.clone().unwrap();
    assert_eq!((&*labels["tekton.dev/pipeline"], &*labels["from"], &*labels["mine"]), ("p", "p", "1"));
    assert_eq!(&*labels["tekton.dev/task"], "t");
    assert_eq!(play.child("a").spec.params[0].value, "12 run".into());
    play.names.pipelines.clear();
    play.succeed("a", &[]);
    play.step();
    assert_eq!(play.said().1, "Succeeded", "the Pipeline is not looked up again");
}

#[test]
fn what_is_elsewhere_is_asked_for() {
    let mut play = Play::new(json!({"pipelineRef": {"resolver": "git"}}));
    let decided = play.decide();
    assert!(
        matches!(&decided.actions[..], [Action::Request(request)] if request.metadata.name.as_deref() == Some("run"))
    );
    play.step();
    assert_eq!(play.said().1, "ResolvingPipelineRef");

    let mut play = Play::inline(
        json!({"tasks": [{"name": "a", "taskRef": {"resolver": "git"}}, {"name": "b", "taskSpec": steps()}]}),
    );
    let decided = play.decide();
    assert!(
        matches!(&decided.actions[..], [Action::Request(request)] if request.metadata.name.as_deref() == Some("run-a"))
    );
    play.step();
    assert_eq!(play.said().1, "ResolvingTaskRef");
}

#[rstest]
#[case::no_pipeline(json!({"pipelineRef": {"name": "none"}}), "CouldntGetPipeline", "\"none\" not found")]
#[case::no_task(json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": "none"}}]}}), "CouldntGetTask", "\"none\" not found")]
#[case::cycle(json!({"pipelineSpec": {"tasks": [{"name": "a", "runAfter": ["a"], "taskSpec": steps()}]}}), "PipelineInvalidGraph", "cycle detected")]
#[case::param(json!({"pipelineSpec": {"params": [{"name": "p"}], "tasks": [{"name": "a", "taskSpec": steps()}]}}), "ParameterMissing", "missing parameters: p")]
#[case::type_(json!({"params": [{"name": "p", "value": ["x"]}], "pipelineSpec": {"params": [{"name": "p"}], "tasks": [{"name": "a", "taskSpec": steps()}]}}), "ParameterTypeMismatch", ": p")]
#[case::index(json!({"params": [{"name": "p", "value": ["x"]}], "pipelineSpec": {"params": [{"name": "p", "type": "array"}], "tasks": [{"name": "a", "params": [{"name": "q", "value": "$(params.p[1])"}], "taskSpec": steps()}]}}), "ParamArrayIndexingInvalid", "$(params.p[1])")]
#[case::workspace(json!({"pipelineSpec": {"workspaces": [{"name": "w"}], "tasks": [{"name": "a", "taskSpec": steps()}]}}), "InvalidWorkspaceBindings", "workspace with name \"w\"")]
#[case::task_param(json!({"pipelineSpec": {"tasks": [{"name": "a", "taskSpec": {"params": [{"name": "p"}], "steps": [{"image": "i"}]}}]}}), "ParameterMissing", "task \"a\"")]
#[case::result(json!({"pipelineSpec": {"tasks": [{"name": "a", "taskSpec": steps()}, {"name": "b", "taskSpec": steps(), "params": [{"name": "p", "value": "$(tasks.a.results.r)"}]}]}}), "InvalidTaskResultReference", "\"r\"")]
#[case::pipeline_result(json!({"pipelineSpec": {"results": [{"name": "o", "value": "$(tasks.a.results.r)"}], "tasks": [{"name": "a", "taskSpec": steps()}]}}), "InvalidPipelineResultReference", "\"o\"")]
#[case::specs(json!({"taskRunSpecs": [{"pipelineTaskName": "x"}], "pipelineSpec": {"tasks": [{"name": "a", "taskSpec": steps()}]}}), "InvalidTaskRunSpecs", "\"x\"")]
#[case::optional(json!({"pipelineSpec": {"workspaces": [{"name": "w", "optional": true}], "tasks": [{"name": "a", "workspaces": [{"name": "w"}], "taskSpec": {"workspaces": [{"name": "w"}], "steps": [{"image": "i"}]}}]}}), "RequiredWorkspaceMarkedOptional", "\"w\"")]
#[case::invalid(json!({"pipelineSpec": {"tasks": [{"name": "a", "taskSpec": {"steps": [{"name": "s"}]}}]}}), "PipelineValidationFailed", "missing field(s): spec.pipelineSpec.tasks[0].taskSpec.steps[0].image")]
#[case::run(json!({"timeouts": {"pipeline": "1m", "tasks": "2m"}, "pipelineSpec": {"tasks": [{"name": "a", "taskSpec": steps()}]}}), "PipelineValidationFailed", "spec.timeouts.tasks")]
#[case::no_cel(json!({"pipelineSpec": {"tasks": [{"name": "a", "when": [{"cel": "true"}], "taskSpec": steps()}]}}), "PipelineValidationFailed", "enable-cel-in-whenexpression")]
#[case::nothing(json!({}), "PipelineValidationFailed", "expected exactly one, got neither")]
fn bad_input_ends_the_run_in_words(#[case] spec: Value, #[case] reason: &str, #[case] text: &str) {
    let mut play = Play::new(spec);
    assert_eq!(play.step(), Vec::<String>::new());
    let said = play.said();
    assert_eq!((said.0, said.1), ("False", reason), "{}", said.2);
    assert!(said.2.contains(text), "{}", said.2);
    let again = play.decide();
    assert_eq!(Some(&again.status), play.run.status.as_ref(), "and stays so");
}

#[test]
fn a_result_that_a_success_does_not_give_ends_the_run() {
    let mut play = Play::inline(json!({"tasks": [
        {"name": "a", "taskSpec": giving("r")},
        {"name": "b", "params": [{"name": "p", "value": "$(tasks.a.results.r)"}], "taskSpec": steps()},
    ]}));
    play.step();
    play.succeed("a", &[]);
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!((play.said().0, play.said().1), ("False", "InvalidTaskResultReference"));
}

#[test]
fn an_inline_task_sees_params_workspaces_and_results_around_it() {
    let mut play = Play::new(json!({
        "params": [{"name": "x", "value": "1"}],
        "workspaces": [{"name": "source", "emptyDir": {}}],
        "pipelineSpec": {
            "workspaces": [{"name": "source"}],
            "tasks": [
                {"name": "a", "taskSpec": giving("r")},
                {"name": "b", "taskSpec": {"steps": [{
                    "image": "i", "script": "echo $(params.x) $(tasks.a.results.r) > $(workspaces.source.path)/f",
                }]}},
            ],
        },
    }));
    play.step();
    play.succeed("a", &[("r", "2")]);
    assert_eq!(play.step(), ["b"]);
    let run = play.child("b");
    let spec = run.spec.task_spec.as_ref().unwrap();
    assert_eq!(spec.steps[0].script, "echo 1 2 > $(workspaces.source.path)/f");
    assert_eq!(spec.workspaces[0].name, "source");
    assert_eq!(run.spec.workspaces[0].name, "source");
}

#[test]
fn claims_are_made_before_the_first_child_only() {
    let mut play = Play::new(json!({
        "workspaces": [{"name": "w", "volumeClaimTemplate": {"spec": {}}}],
        "pipelineSpec": {"workspaces": [{"name": "w"}], "tasks": [
            {"name": "a", "taskSpec": steps()}, {"name": "b", "runAfter": ["a"], "taskSpec": steps()},
        ]},
    }));
    assert!(matches!(&play.decide().actions[..], [Action::Claim(_), Action::Create(_)]));
    play.step();
    play.succeed("a", &[]);
    assert!(matches!(&play.decide().actions[..], [Action::Create(_)]));
}

#[test]
fn a_run_that_is_being_deleted_starts_nothing_more() {
    let mut play = Play::inline(json!({"tasks": [
        {"name": "a", "taskSpec": steps()}, {"name": "b", "runAfter": ["a"], "taskSpec": steps()},
    ]}));
    play.step();
    play.run.metadata.deletion_timestamp = Some(Time(play.now));
    play.succeed("a", &[]);
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!(play.said().1, "Running");
}

#[test]
fn nothing_changes_when_nothing_happened() {
    let mut play = Play::inline(json!({"tasks": [{"name": "a", "taskSpec": steps()}]}));
    play.step();
    play.after(30);
    let decided = play.decide();
    assert_eq!(Some(&decided.status), play.run.status.as_ref());
    assert_eq!(decided.actions, []);
    assert_eq!(decided.wake, Some(Timestamp::from_second(START + 3600).unwrap()));
}

#[test]
fn what_cannot_be_run_yet_is_refused_in_words() {
    let mut play = Play::inline(
        json!({"tasks": [{"name": "a", "taskSpec": steps(), "matrix": {"params": [{"name": "p", "value": ["x"]}]}}]}),
    );
    play.step();
    assert_eq!(play.said().1, "PipelineValidationFailed");
    assert!(play.said().2.contains("task \"a\" has matrix"), "{}", play.said().2);
}

#[test]
fn a_run_that_cannot_be_stored_ends_before_it_begins() {
    let script = "x".repeat(crate::size::MAX / 2);
    let mut play = Play::inline(json!({"tasks": [
        {"name": "a", "taskSpec": {"steps": [{"image": "i", "script": script}]}},
    ]}));
    assert_eq!(play.step(), [] as [String; 0]);
    let status = play.run.status.clone().unwrap();
    let condition = pipelines_engine_api::status::succeeded(&status.conditions).unwrap();
    assert_eq!((&*condition.status, &*condition.reason), ("False", "PipelineRunTooLarge"));
    assert!(condition.message.contains("refer to Pipelines and Tasks by name"), "{condition:?}");
    assert!(status.completion_time.is_some() && status.pipeline_spec.is_none());
    assert_eq!(play.step(), [] as [String; 0]);
}

#[test]
fn a_run_that_was_not_stored_ends_with_its_children() {
    let mut play = Play::inline(json!({"tasks": [{"name": "a", "taskRef": {"name": "t"}}]}));
    play.names.tasks.insert("t".into(), json!({"steps": [{"image": "i"}]}));
    assert_eq!(play.step(), ["a"]);
    let decided = too_large(&play.observed(), "it was not stored (too large)");
    assert!(matches!(&decided.actions[..], [Action::End { child, .. }] if child.name() == "run-a"));
    assert_eq!(decided.status.pipeline_spec, None);
}

#[test]
fn a_mark_of_a_child_is_one_of_the_run() {
    let mut play = Play::inline(json!({"tasks": [{"name": "a", "taskRef": {"name": "t"}}]}));
    play.names.tasks.insert("t".into(), json!({"steps": [{"image": "i"}]}));
    play.step();
    play.end("a", "True", "Succeeded", &[]);
    let mark =
        serde_json::from_value(json!({"type": "Tampered", "status": "True", "reason": "Exec"})).unwrap();
    play.children[0].status.as_mut().unwrap().conditions.push(mark);
    play.step();
    let conditions = play.run.status.clone().unwrap().conditions;
    let seen: Vec<_> = conditions.iter().map(|condition| (&*condition.type_, &*condition.reason)).collect();
    assert_eq!(seen, [("Succeeded", "Succeeded"), ("Tampered", "TaskRunTampered")]);
    assert!(conditions[1].message.contains("run-a"), "{conditions:?}");
}

/// What was stored while the webhook was away, or what a resolver finds, nobody has looked at before.
#[test]
fn what_is_looked_up_is_checked() {
    let mut play = Play::new(json!({"pipelineRef": {"name": "p"}}));
    let broken = json!({"tasks": [{"name": "a", "taskRef": {"name": "t"}, "params": [{"name": "q", "value": "$(params.p)"}]}]});
    play.names.pipelines.insert("p".into(), broken);
    play.step();
    assert_eq!(play.said().1, "PipelineValidationFailed");
    assert!(
        play.said().2.contains("non-existent variable in \"$(params.p)\": tasks[0].params[q]"),
        "{}",
        play.said().2
    );

    let mut play = Play::inline(json!({"tasks": [{"name": "a", "taskRef": {"name": "t"}}]}));
    play.names
        .tasks
        .insert("t".into(), json!({"steps": [{"name": "s", "image": "i", "script": "x", "command": ["y"]}]}));
    play.step();
    assert_eq!(play.said().1, "PipelineValidationFailed");
    assert!(
        play.said().2.contains("Task \"t\" is not valid: script cannot be used with command"),
        "{}",
        play.said().2
    );
}

#[test]
fn an_expression_is_evaluated_with_values_put_in() {
    let mut play = Play::new(json!({
        "params": [{"name": "branch", "value": "x' || 'y' == 'y"}],
        "pipelineSpec": {
            "params": [{"name": "branch"}],
            "tasks": [
                {"name": "a", "taskSpec": giving("r"), "when": [{"cel": "'$(params.branch)' == 'main'"}]},
                {"name": "b", "taskSpec": giving("r"), "when": [{"cel": "'$(params.branch)'.startsWith('x')"}]},
                {"name": "c", "taskSpec": steps(), "when": [{"cel": "int('$(tasks.b.results.r)') > 1"}]},
            ],
            "finally": [{"name": "f", "taskSpec": steps(), "when": [{"cel": "'$(tasks.status)' == 'Completed'"}]}],
        },
    }));
    play.config.features.cel_in_when = true;
    assert_eq!(play.step(), ["b"]);
    let skipped = &play.run.status.as_ref().unwrap().skipped_tasks[0];
    assert_eq!((&*skipped.name, &*skipped.reason), ("a", "When Expressions evaluated to false"));
    assert_eq!(skipped.when_expressions[0].cel, r"'x\' || \'y\' == \'y' == 'main'");
    play.succeed("b", &[("r", "2")]);
    assert_eq!(play.step(), ["c"]);
    play.succeed("c", &[]);
    assert_eq!(play.step(), ["f"]);
}

#[rstest]
#[case::in_tasks(json!({"tasks": [{"name": "a", "taskSpec": steps(), "when": [{"cel": "int('x') > 1"}]}]}))]
#[case::in_finally(json!({
    "tasks": [{"name": "z", "taskSpec": steps(), "when": [{"cel": "false"}]}],
    "finally": [{"name": "a", "taskSpec": steps(), "when": [{"cel": "int('x') > 1"}]}],
}))]
fn an_expression_without_an_answer_fails_the_run(#[case] pipeline: Value) {
    let mut play = Play::inline(pipeline);
    play.config.features.cel_in_when = true;
    assert_eq!(play.step(), Vec::<String>::new());
    assert_eq!((play.said().0, play.said().1), ("False", "CELEvaluationFailed"));
    assert!(
        play.said().2.starts_with("[User error] Error evaluating CEL of task \"a\": int('x') > 1: "),
        "{}",
        play.said().2
    );
}

/// Should nobody tell that a resolver has answered; and its end must not hide what it waited for.
#[test]
fn a_run_that_waits_for_a_resolver_is_looked_at_again_and_says_so_when_it_ends() {
    let mut play = Play::new(json!({"pipelineRef": {"resolver": "git"}}));
    assert_eq!(play.decide().wake, Some(play.now.checked_add(SAFETY).unwrap()));
    play.step();
    play.now = Timestamp::from_second(START + 3600).unwrap();
    play.step();
    let message =
        "PipelineRun \"run\" failed to finish within \"1h0m0s\": PipelineRun n/run awaiting remote resource";
    assert_eq!(play.said(), ("False", "PipelineRunTimeout", message));
}
