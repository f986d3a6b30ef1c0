use super::*;
use release_service_api::release::Attempt;
use rstest::rstest;
use serde_json::json;

const NOW: &str = "2024-03-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn run(metadata: &Value, status: &Value) -> PipelineRun {
    let mut run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
        "metadata": {"name": "managed-a", "namespace": "m", "uid": "run"}, "spec": {}, "status": status,
    });
    json_patch::merge(&mut run["metadata"], metadata);
    serde_json::from_value(run).unwrap()
}

fn says(status: &str, reason: &str, message: &str) -> Value {
    json!({"conditions": [{"type": "Succeeded", "status": status, "reason": reason, "message": message}]})
}

fn condition(reason: &str) -> RunCondition {
    serde_json::from_value(
        json!({"type": "Succeeded", "status": "False", "reason": reason, "message": "of the run"}),
    )
    .unwrap()
}

/// A TaskRun of the run above that ended at this second; `more` is merged into it.
fn task_run(task: &str, second: u8, status: &str, reason: &str, more: &Value) -> TaskRun {
    let mut task_run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {
            "name": format!("managed-a-{task}"), "namespace": "m", "labels": {"tekton.dev/pipelineTask": task},
            "ownerReferences": [{"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": "managed-a", "uid": "run"}],
        },
        "spec": {"timeout": "1h0m0s"},
        "status": {
            "podName": format!("managed-a-{task}-pod"),
            "completionTime": format!("2024-03-01T12:00:{second:02}Z"),
            "conditions": [{"type": "Succeeded", "status": status, "reason": reason, "message": format!("of {task}")}],
        },
    });
    json_patch::merge(&mut task_run, more);
    serde_json::from_value(task_run).unwrap()
}

fn failed_task_run(task: &str, second: u8) -> TaskRun {
    task_run(task, second, "False", "Failed", &json!({}))
}

fn steps(steps: &Value) -> Value {
    json!({"status": {"steps": steps}})
}

fn test_output(output: &Value) -> Value {
    json!({"status": {"results": [{"name": "TEST_OUTPUT", "type": "string", "value": output.to_string()}]}})
}

const DELETED: &str = "PipelineRun was deleted while still running";

#[rstest]
#[case::new(run(&json!({}), &json!({})), Tracked::Running { what: "managed-a".to_owned() })]
#[case::runs(
    run(&json!({}), &says("Unknown", "Running", "Tasks Completed: 2 (Failed: 0, Cancelled 0), Incomplete: 3, Skipped: 1")),
    Tracked::Running { what: "managed-a: 3/6 tasks done".to_owned() }
)]
#[case::says_something_else(
    run(&json!({}), &says("Unknown", "ResolvingPipelineRef", "awaiting remote resource")),
    Tracked::Running { what: "managed-a".to_owned() }
)]
#[case::succeeded(run(&json!({}), &says("True", "Succeeded", "")), Tracked::Succeeded { at: now() })]
#[case::deleted_while_it_runs(
    run(&json!({"deletionTimestamp": NOW}), &says("Unknown", "Running", "")),
    Tracked::Failed { at: now(), cause: DELETED.to_owned(), failure: Box::default() }
)]
#[case::deleted_before_it_began(
    run(&json!({"deletionTimestamp": NOW}), &json!({})),
    Tracked::Failed { at: now(), cause: DELETED.to_owned(), failure: Box::default() }
)]
#[case::deleted_after_its_end(
    run(&json!({"deletionTimestamp": NOW}), &says("True", "Completed", "")),
    Tracked::Succeeded { at: now() }
)]
fn tells_how_a_run_does(#[case] run: PipelineRun, #[case] expected: Tracked) {
    assert_eq!(state(&run, now()), State::Over(expected));
}

#[test]
fn an_end_is_at_the_time_that_the_run_says() {
    let mut status = says("False", "Failed", "no");
    status["completionTime"] = json!("2024-03-01T11:00:00Z");
    let run = run(&json!({}), &status);
    let State::Failed { at, condition } = state(&run, now()) else { panic!("{:?}", state(&run, now())) };
    assert_eq!((at.to_string().as_str(), condition.message.as_str()), ("2024-03-01T11:00:00Z", "no"));
}

#[test]
fn the_first_that_failed_by_itself_counts() {
    let cancelled = json!({"spec": {"status": "TaskRunCancelled"}});
    let task_runs = vec![
        task_run("a", 1, "True", "Succeeded", &json!({})),
        task_run("b", 2, "False", "TaskRunCancelled", &cancelled),
        task_run("c", 3, "False", "FailureIgnored", &json!({})),
        failed_task_run("e", 5),
        failed_task_run("d", 4),
    ];
    assert_eq!(failed::first(&task_runs).map(failed::task), Some("d"));
    assert_eq!(failed::first(&task_runs[..3]).map(failed::task), None);
    let failure = failed::failure(&run(&json!({}), &json!({})), &condition("Failed"), &task_runs);
    assert_eq!((failure.last_task.as_deref(), failure.successful_tasks), (Some("d"), vec!["a".to_owned()]));
}

#[test]
fn only_task_runs_of_this_very_run_count() {
    let (run, mut other) = (run(&json!({}), &json!({})), failed_task_run("a", 1));
    assert!(is_of(&other, &run));
    other.metadata.owner_references.as_mut().unwrap()[0].uid = "another".to_owned();
    assert!(!is_of(&other, &run));
}

fn late() -> Value {
    json!({"spec": {
        "status": "TaskRunCancelled",
        "statusMessage": "TaskRun cancelled as the PipelineRun it belongs to has timed out.",
    }})
}

fn killed() -> Value {
    steps(
        &json!([{"name": "push", "container": "step-push", "terminated": {"exitCode": 137, "reason": "OOMKilled"}}]),
    )
}

#[rstest]
#[case::error("Failed", failed_task_run("a", 1), &json!({}), Attempt::ERROR)]
#[case::out_of_memory("Failed", task_run("a", 1, "False", "StepOOM", &json!({})), &json!({}), Attempt::OOM_KILL)]
#[case::killed("Failed", task_run("a", 1, "False", "Failed", &killed()), &json!({}), Attempt::OOM_KILL)]
#[case::task_too_late("Failed", task_run("a", 1, "False", "TaskRunTimeout", &json!({})), &json!({}), Attempt::TASK_RUN_TIMEOUT)]
#[case::run_too_late("PipelineRunTimeout", task_run("a", 1, "False", "TaskRunCancelled", &late()), &json!({}), Attempt::PIPELINE_RUN_TIMEOUT)]
#[case::all_tasks_too_late("Failed", task_run("a", 1, "False", "TaskRunCancelled", &late()), &json!({}), Attempt::PIPELINE_RUN_TIMEOUT)]
#[case::too_late_for_the_rest(
    "Failed", task_run("a", 1, "True", "Succeeded", &json!({})),
    &json!({"skippedTasks": [{"name": "b", "reason": "PipelineRun Tasks timeout has been reached"}]}),
    Attempt::PIPELINE_RUN_TIMEOUT
)]
#[case::error_and_then_too_late(
    "Failed", failed_task_run("a", 1),
    &json!({"skippedTasks": [{"name": "b", "reason": "PipelineRun Tasks timeout has been reached"}]}),
    Attempt::ERROR
)]
#[case::not_started("CouldntGetPipeline", task_run("a", 1, "True", "Succeeded", &json!({})), &json!({}), Attempt::ERROR)]
fn knows_what_was_wanting(
    #[case] reason: &str,
    #[case] task_run: TaskRun,
    #[case] status: &Value,
    #[case] expected: &str,
) {
    let failure = failed::failure(&run(&json!({}), status), &condition(reason), &[task_run]);
    assert_eq!(failure.reason, expected);
}

#[test]
fn knows_what_the_step_had() {
    let mut more = killed();
    more["status"]["taskSpec"] = json!({
        "stepTemplate": {"computeResources": {"requests": {"memory": "32Mi"}, "limits": {"memory": "256Mi"}}},
        "steps": [
            {"name": "other", "image": "x", "computeResources": {"limits": {"memory": "9Gi"}}},
            {"name": "push", "image": "x", "computeResources": {"limits": {"memory": "1Gi"}}},
        ],
    });
    let had = |more: &Value| {
        let task_run = task_run("a", 1, "False", "StepOOM", more);
        failed::failure(&run(&json!({}), &json!({})), &condition("Failed"), &[task_run]).had
    };
    let expected = Mitigation {
        memory_limit: Some("1Gi".to_owned()),
        memory_request: Some("32Mi".to_owned()),
        task_timeout: Some("1h0m0s".to_owned()),
        ..Mitigation::default()
    };
    assert_eq!(had(&more), expected);
    // What the run says for itself.
    more["spec"]["stepSpecs"] = json!([{"name": "push", "computeResources": {"limits": {"memory": "2Gi"}}}]);
    assert_eq!(had(&more).memory_limit.as_deref(), Some("2Gi"));
}

#[test]
fn the_step_that_failed_is_not_one_that_was_skipped_or_went_on() {
    let all = json!([
        {"name": "a", "terminated": {"exitCode": 0}},
        {"name": "b", "terminated": {"exitCode": 1}, "terminationReason": "Continued"},
        {"name": "c", "terminated": {"exitCode": 1}, "terminationReason": "Error"},
        {"name": "d", "terminated": {"exitCode": 1}, "terminationReason": "Skipped"},
    ]);
    let task_run = task_run("a", 1, "False", "Failed", &steps(&all));
    let step = failed::failed_step(&task_run).unwrap();
    assert_eq!((step.name.as_str(), failed::container(step).as_str()), ("c", "step-c"));
}

#[rstest]
#[case::failure(&test_output(&json!({"result": "FAILURE", "note": "violated a.b: no"})), Some("violated a.b: no"))]
#[case::error(&test_output(&json!({"result": "ERROR", "note": "no policy"})), Some("no policy"))]
#[case::passed(&test_output(&json!({"result": "SUCCESS", "note": "met a.b"})), None)]
#[case::says_nothing(&test_output(&json!({"result": "FAILURE"})), None)]
#[case::no_check(&json!({}), None)]
#[case::no_json(&json!({"status": {"results": [{"name": "TEST_OUTPUT", "type": "string", "value": "{"}]}}), None)]
fn a_check_says_what_is_wrong(#[case] more: &Value, #[case] expected: Option<&str>) {
    let task_run = task_run("verify", 1, "False", "Failed", more);
    assert_eq!(failed::note(&task_run).as_deref(), expected);
}

#[rstest]
#[case::said(Some("no such image\n"), "task a failed: no such image")]
#[case::said_nothing(Some(" \n"), "task a failed: of a")]
#[case::nobody_knows(None, "task a failed: of a")]
fn says_what_is_known_best(#[case] said: Option<&str>, #[case] expected: &str) {
    assert_eq!(cause(&failed_task_run("a", 1), said, &condition("Failed")), expected);
}

#[test]
fn says_what_the_run_says_if_its_task_says_nothing() {
    let silent = json!({"status": {"conditions": [{"type": "Succeeded", "status": "False", "message": ""}]}});
    let task_run = task_run("a", 1, "False", "Failed", &silent);
    assert_eq!(cause(&task_run, None, &condition("Failed")), "of the run");
}

#[test]
fn a_verdict_names_image_and_rule() {
    let report = json!({
        "success": false,
        "components": [
            {"name": "web", "containerImage": "r.example/web@sha256:1", "success": false, "violations": [
                {"msg": "no\nsignature", "metadata": {"code": "builtin.image.signature_check"}},
                {"msg": "nameless"},
            ]},
            {"name": "api", "containerImage": "r.example/api@sha256:2", "success": true, "successes": [{"msg": "Pass"}]},
        ],
    });
    let expected = "\nr.example/web@sha256:1 (web): violated builtin.image.signature_check: no signature\
                    \nr.example/web@sha256:1 (web): violated a rule without a code: nameless";
    let printed = format!("{}\n", serde_json::to_string_pretty(&report).unwrap());
    assert_eq!(verdict::violations(&printed).as_deref(), Some(expected));
}

#[rstest]
#[case::none_violated(r#"{"components": [{"name": "web", "containerImage": "x", "success": true}]}"#)]
#[case::broken_off(r#"{"components": [{"name": "web", "violations": [{"msg": "no"}"#)]
#[case::no_report("No such file")]
#[case::braces_the_wrong_way("} {")]
fn no_verdict(#[case] report: &str) {
    assert_eq!(verdict::violations(report), None);
}

#[test]
fn a_verdict_on_many_images_stays_short() {
    let violation = json!({"msg": "ü".repeat(1_000), "metadata": {"code": "a.b"}});
    let component = json!({"name": "c", "containerImage": "r.example/c@sha256:1", "violations": [violation]});
    let report = json!({"components": vec![component; 500]}).to_string();
    let said = verdict::violations(&report).unwrap();
    assert!(said.len() < 21_000 && said.ends_with(" violations more"), "{} {said}", said.len());
}

#[rstest]
#[case::object(&json!({"git": "a"}), Some(json!({"git": "a"})))]
#[case::text_of_an_object(&json!(r#"{"git": {"commits": []}}"#), Some(json!({"git": {"commits": []}})))]
#[case::text_of_something_else(&json!("[1]"), None)]
#[case::no_json(&json!("{"), None)]
#[case::list(&json!(["a"]), None)]
fn collectors_say_what_they_found(#[case] value: &Value, #[case] expected: Option<Value>) {
    let status =
        json!({"results": [{"name": "other", "value": "x"}, {"name": "collectors", "value": value}]});
    assert_eq!(found(&run(&json!({}), &status)), expected);
}
