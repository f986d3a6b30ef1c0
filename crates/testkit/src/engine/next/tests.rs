use serde_json::json;

use super::*;
use crate::builders::{Build as _, CREATED};
use crate::engine::{TaskScript, pipeline_run};

/// A run and what is made for it, as an API server holds them.
struct World {
    run: DynamicObject,
    task_runs: Vec<DynamicObject>,
}

impl World {
    /// With a pipeline of `tasks`, and of those in `finally`.
    fn of(tasks: &[&str], finally: &[&str]) -> Self {
        let entries = |names: &[&str]| -> Vec<Value> {
            names.iter().map(|name| json!({"name": name, "taskSpec": object::task_spec()})).collect()
        };
        let mut run =
            pipeline_run("a", "run").label("team", "a").annotation("chains.tekton.dev/signed", "true");
        run.metadata.uid = Some("uid".to_owned());
        run.data["spec"]["pipelineSpec"] = json!({"tasks": entries(tasks), "finally": entries(finally)});
        Self { run, task_runs: Vec::new() }
    }

    /// Plays until nothing comes next; returns what was written, in short.
    fn play(&mut self, script: &RunScript) -> Vec<String> {
        let mut writes = Vec::new();
        loop {
            let world = Self { run: self.run.clone(), task_runs: self.task_runs.clone() };
            let seen = Seen { run: &world.run, task_runs: world.task_runs.iter().collect() };
            let Some(write) = next(&seen, script, CREATED) else { return writes };
            writes.push(self.apply(write));
            assert!(writes.len() < 40, "no end of it: {writes:#?}");
        }
    }

    fn apply(&mut self, write: Write<'_>) -> String {
        let state = |object: &DynamicObject| {
            let condition = object::succeeded(object);
            format!("{} {}", text(&condition["status"]), text(&condition["reason"]))
        };
        match write {
            Write::Metadata(metadata) => {
                let mut whole = serde_json::to_value(&self.run).unwrap();
                json_patch::merge(&mut whole, &json!({ "metadata": metadata }));
                self.run = serde_json::from_value(whole).unwrap();
                format!("metadata {metadata}")
            }
            Write::Status(status) => {
                json_patch::merge(&mut self.run.data, &json!({ "status": status }));
                format!("run {}", state(&self.run))
            }
            Write::CreateTask(task_run) => {
                let text = format!("create {}", task_run.name_any());
                self.task_runs.push(*task_run);
                text
            }
            Write::CancelTask { name, spec } => {
                json_patch::merge(&mut self.task_run(&name).data, &json!({ "spec": spec }));
                format!("cancel {name}")
            }
            Write::TaskStatus { task_run, status } => {
                let task_run = self.task_run(&task_run.name_any());
                json_patch::merge(&mut task_run.data, &json!({ "status": status }));
                format!("{} {}", task_run.name_any(), state(task_run))
            }
        }
    }

    fn task_run(&mut self, name: &str) -> &mut DynamicObject {
        self.task_runs.iter_mut().find(|task_run| task_run.name_any() == name).unwrap()
    }

    fn ask(&mut self, status: &str) {
        self.run.data["spec"]["status"] = json!(status);
    }

    fn message(&self) -> &str {
        text(&object::succeeded(&self.run)["message"])
    }
}

#[test]
fn a_run_goes_the_way_that_an_engine_leads_it() {
    let mut world = World::of(&["a", "b"], &["c"]);
    let writes = world.play(&RunScript::new().result("IMAGE_URL", "host/image:tag"));
    assert_eq!(
        writes,
        [
            r#"metadata {"annotations":{"chains.tekton.dev/signed":null}}"#,
            "run Unknown Started",
            r#"metadata {"labels":{"tekton.dev/pipeline":"run"}}"#,
            "create run-a",
            "create run-b",
            "run Unknown Running",
            "run-a Unknown Running",
            "run-b Unknown Running",
            "run-a True Succeeded",
            "run-b True Succeeded",
            "create run-c",
            "run Unknown Running",
            "run-c Unknown Running",
            "run-c True Succeeded",
            "run True Succeeded",
        ]
    );
    assert_eq!(world.message(), "Tasks Completed: 3 (Failed: 0, Cancelled 0), Skipped: 0");
    let status = object::status(&world.run);
    assert_eq!(status["childReferences"].as_array().unwrap().len(), 3);
    assert_eq!(status["results"], json!([{"name": "IMAGE_URL", "value": "host/image:tag"}]));
    assert_eq!(status["pipelineSpec"], world.run.data["spec"]["pipelineSpec"]);
    for field in ["startTime", "completionTime", "finallyStartTime"] {
        assert_eq!(status[field], "2024-01-01T00:00:00Z", "{field}");
    }
}

#[test]
fn task_runs_carry_what_others_find_them_by() {
    let mut world = World::of(&["a"], &[]);
    world.run.data["spec"]["pipelineSpec"]["tasks"][0]["taskSpec"]["metadata"] =
        json!({"labels": {"team": "task", "task": "label"}, "annotations": {"task": "annotation"}});
    world.play(
        &RunScript::new()
            .task("a", TaskScript::succeeds().result("TEST_OUTPUT", "{}").result("LIST", vec!["x"])),
    );
    let task_run = world.task_run("run-a").clone();
    let expected = [
        ("app.kubernetes.io/managed-by", "tekton-pipelines"),
        ("task", "label"),
        ("team", "a"),
        ("tekton.dev/memberOf", "tasks"),
        ("tekton.dev/pipeline", "run"),
        ("tekton.dev/pipelineRun", "run"),
        ("tekton.dev/pipelineTask", "a"),
    ];
    let labels: Vec<_> =
        task_run.labels().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(labels, expected);
    let annotations: Vec<_> = task_run.annotations().keys().map(String::as_str).collect();
    assert_eq!(annotations, ["pipeline.tekton.dev/release", "task"]);
    assert_eq!(object::controller(&task_run), Some("uid"));
    let status = object::status(&task_run);
    assert_eq!(status["podName"], "run-a-pod");
    assert_eq!(
        status["results"],
        json!([
            {"name": "TEST_OUTPUT", "type": "string", "value": "{}"},
            {"name": "LIST", "type": "array", "value": ["x"]},
        ])
    );
    assert_eq!(status["steps"][0]["terminated"]["exitCode"], 0);
    assert!(task_run.data["spec"]["taskSpec"].get("metadata").is_none());
}

#[test]
fn a_pipeline_that_is_referred_to_has_the_tasks_of_the_script() {
    let mut world = World::of(&[], &[]);
    let params = json!([
        {"name": "bundle", "value": "host:5000/tasks/test:1@sha256:abc"},
        {"name": "name", "value": "test"},
    ]);
    world.run.data["spec"] = json!({"pipelineRef": {"resolver": "bundles", "params": params}});
    let script = RunScript::new()
        .task("test", TaskScript::succeeds())
        .task("report", TaskScript::succeeds().finally())
        .skips("deploy", "When Expressions evaluated to false");
    let writes = world.play(&script);
    assert_eq!(writes.last().unwrap(), "run True Completed");
    assert_eq!(world.message(), "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 1");
    let status = object::status(&world.run);
    let source = json!({"uri": "host:5000/tasks/test", "digest": {"sha256": "abc"}, "entryPoint": "test"});
    assert_eq!(status["provenance"]["refSource"], source);
    assert_eq!(
        status["skippedTasks"],
        json!([{"name": "deploy", "reason": "When Expressions evaluated to false"}])
    );
    assert_eq!(status["pipelineSpec"]["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(world.task_run("run-report").labels()["tekton.dev/memberOf"], "finally");
}

#[test]
fn a_failed_task_fails_the_run_and_finally_still_runs() {
    let mut world = World::of(&["a", "b"], &["c"]);
    let script = RunScript::new().task("a", TaskScript::fails("Failed", "\"step-x\" exited with code 1"));
    assert_eq!(world.play(&script).last().unwrap(), "run False Failed");
    assert_eq!(world.message(), "Tasks Completed: 3 (Failed: 1, Cancelled 0), Skipped: 0");
    assert_eq!(object::reason(world.task_run("run-a")), "Failed");
}

#[test]
fn ends_for_reasons_of_its_own() {
    let mut world = World::of(&["a"], &[]);
    let writes = world.play(&RunScript::fails("CouldntGetPipelineResult", "no result"));
    assert_eq!(writes[writes.len() - 2..], ["run-a True Succeeded", "run False CouldntGetPipelineResult"]);
    assert_eq!(world.message(), "no result");

    let mut world = World::of(&["a"], &[]);
    let writes = world.play(&RunScript::is_refused("CouldntGetPipeline", "no such pipeline"));
    assert_eq!(writes[1..], ["run Unknown Started", "run False CouldntGetPipeline"]);
    assert!(world.task_runs.is_empty() && object::status(&world.run).get("pipelineSpec").is_none());
}

#[test]
fn is_held_until_another_script_is_played() {
    let mut world = World::of(&["a", "b"], &[]);
    let held = RunScript::new().task("b", TaskScript::never_ends());
    world.play(&held);
    assert_eq!(world.message(), "Tasks Completed: 1 (Failed: 0, Cancelled 0), Incomplete: 1, Skipped: 0");
    assert_eq!(world.play(&held), [""; 0]);
    assert_eq!(world.play(&RunScript::new()), ["run-b True Succeeded", "run True Succeeded"]);

    let mut world = World::of(&["a"], &[]);
    assert_eq!(world.play(&RunScript::never_starts()), [""; 0]);
    assert_eq!(world.play(&RunScript::never_ends()).last().unwrap(), "run-a Unknown Running");
}

#[test]
fn obeys_a_cancellation_under_any_script() {
    let mut world = World::of(&["a", "b"], &["c"]);
    world.play(&RunScript::never_ends().task("b", TaskScript::succeeds()));
    world.ask("Cancelled");
    let writes = world.play(&RunScript::never_ends());
    assert_eq!(writes, ["cancel run-a", "run-a False TaskRunCancelled", "run False Cancelled"]);
    assert_eq!(world.message(), "PipelineRun \"run\" was cancelled");
    let task_run = world.task_run("run-a");
    assert_eq!(task_run.data["spec"]["status"], "TaskRunCancelled");
    assert_eq!(
        object::succeeded(task_run)["message"],
        "TaskRun \"run-a\" was cancelled. TaskRun cancelled as the PipelineRun it belongs to has been cancelled."
    );
}

#[test]
fn cancelled_before_it_started_it_makes_nothing() {
    let mut world = World::of(&["a"], &[]);
    world.ask("Cancelled");
    let writes = world.play(&RunScript::new());
    assert_eq!(writes.last().unwrap(), "run False Cancelled");
    assert!(world.task_runs.is_empty());
}

#[test]
fn cancels_with_finally() {
    let mut world = World::of(&["a"], &["c"]);
    let script = RunScript::never_ends().task("c", TaskScript::succeeds());
    world.play(&script);
    world.ask("CancelledRunFinally");
    assert_eq!(
        world.play(&script),
        [
            "run Unknown CancelledRunningFinally",
            "cancel run-a",
            "run-a False TaskRunCancelled",
            "create run-c",
            "run Unknown CancelledRunningFinally",
            "run-c Unknown Running",
            "run-c True Succeeded",
            "run False Cancelled",
        ]
    );
    assert_eq!(world.message(), "Tasks Completed: 2 (Failed: 0, Cancelled 1), Skipped: 0");
}

#[test]
fn stops_with_finally_and_lets_tasks_end() {
    let mut world = World::of(&["a"], &["c"]);
    let held = RunScript::never_ends().task("c", TaskScript::succeeds());
    world.play(&held);
    world.ask("StoppedRunFinally");
    assert_eq!(world.play(&held), ["run Unknown StoppedRunningFinally"]);
    let writes = world.play(&RunScript::new());
    assert_eq!(
        (writes[0].as_str(), writes.last().unwrap().as_str()),
        ("run-a True Succeeded", "run False Cancelled")
    );

    let mut unstarted = World::of(&["a"], &["c"]);
    unstarted.ask("StoppedRunFinally");
    unstarted.play(&RunScript::new());
    assert_eq!(
        object::status(&unstarted.run)["skippedTasks"],
        json!([{"name": "a", "reason": "PipelineRun was gracefully stopped"}])
    );
    assert_eq!(unstarted.message(), "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 1");
}

#[test]
fn is_cut_off_by_its_script() {
    let mut world = World::of(&["a", "b"], &["c"]);
    world.run.data["spec"]["timeouts"] = json!({"pipeline": "2h0m0s"});
    let writes = world.play(&RunScript::times_out().task("b", TaskScript::succeeds()));
    assert_eq!(
        writes[writes.len() - 4..],
        [
            "run-b True Succeeded",
            "cancel run-a",
            "run-a False TaskRunCancelled",
            "run False PipelineRunTimeout"
        ]
    );
    assert_eq!(world.message(), "PipelineRun \"run\" failed to finish within \"2h0m0s\"");
    assert!(text(&world.task_run("run-a").data["spec"]["statusMessage"]).ends_with("has timed out."));

    let mut world = World::of(&["a"], &[]);
    assert_eq!(world.play(&RunScript::is_cancelled()).last().unwrap(), "run False Cancelled");
}

#[test]
fn pending_runs_wait_without_a_start() {
    let mut world = World::of(&["a"], &[]);
    world.ask("PipelineRunPending");
    assert_eq!(world.play(&RunScript::new()).last().unwrap(), "run Unknown PipelineRunPending");
    assert!(!object::has_started(&world.run));
    world.ask("");
    assert_eq!(world.play(&RunScript::new()).last().unwrap(), "run True Succeeded");
}

#[test]
fn leaves_runs_of_another_manager_alone() {
    let mut world = World::of(&["a"], &[]);
    world.run.data["spec"]["managedBy"] = json!("example.com/other");
    assert_eq!(world.play(&RunScript::new()), [""; 0]);
    world.run.data["spec"]["managedBy"] = json!(MANAGER);
    assert_eq!(world.play(&RunScript::new()).last().unwrap(), "run True Succeeded");
}

#[test]
fn makes_nothing_for_a_run_that_is_being_deleted() {
    let mut world = World::of(&["a"], &["c"]);
    world.play(&RunScript::never_ends());
    world.run = world.run.clone().deleted_at(CREATED);
    world.play(&RunScript::new());
    assert_eq!(world.task_runs.len(), 1);
    assert!(object::is_done(world.task_run("run-a")) && !object::is_done(&world.run));

    let mut unstarted = World::of(&["a"], &[]);
    unstarted.run = unstarted.run.clone().deleted_at(CREATED);
    assert_eq!(unstarted.play(&RunScript::new()), [""; 0]);
}

#[test]
fn what_is_over_is_never_touched() {
    let mut world = World::of(&["a"], &[]);
    world.play(&RunScript::new());
    world.ask("Cancelled");
    assert_eq!(world.play(&RunScript::fails("Failed", "late")), [""; 0]);
}
